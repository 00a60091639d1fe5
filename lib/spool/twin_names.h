// The names of twins that are known by their numbers, for people.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "spool/sqlite.h"
#include "spool/telemetry.h"

namespace twinspool {

using TwinNames = std::unordered_map<TwinNumber, std::string>;

// As the views show them; a number that the store does not know is left out.
Result<TwinNames> twin_names(sqlite::Database& database, const std::vector<TwinNumber>& twins);

}  // namespace twinspool
