// The part of `doctor` that goes over the network, on the daemon's own way to the cloud.
#pragma once

#include <functional>
#include <string>

#include "config/config.h"
#include "ops/findings.h"

namespace twinspool::ops {

// Blocks; each step under the configuration's own timeouts. Tells dns, tcp, proxy (where there is one), tls, token,
// probe and, where the cloud's answer has a Date, clock.
void check_network(const Config& config, const std::string& twin, const std::function<void(Finding)>& tell);

}  // namespace twinspool::ops
