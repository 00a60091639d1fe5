// twinspool pause, resume and kick: an operator's hand on the delivery.
#pragma once

#include <cstdint>
#include <string>

#include "ops/exit_code.h"

namespace twinspool::ops {

enum class DeliveryVerb : std::uint8_t { pause, resume, kick };

ExitCode run_delivery_verb(DeliveryVerb verb, const std::string& admin_socket, bool json);

}  // namespace twinspool::ops
