// Which store a verb works on that reads the file itself.
#pragma once

#include <string>

#include "util/error.h"

namespace twinspool::ops {

// `given` wins, then the configuration's store.path, then the default's.
Result<std::string> find_store(const std::string& given, const std::string& config);

}  // namespace twinspool::ops
