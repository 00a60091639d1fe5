// The rules of a configuration that concern the values themselves: pure.
#pragma once

#include <functional>
#include <string>

#include "config/config.h"

namespace twinspool {

// Calls `problem` for each thing that cannot work, with the key concerned ("forward.endpoint") and the text for people.
void check_config(const Config& config, const std::function<void(const std::string& key, std::string what)>& problem);

}  // namespace twinspool
