// twinspool receipt: what became of a message.
#pragma once

#include <string>

#include "ops/exit_code.h"
#include "util/json.h"

namespace twinspool::ops {

struct ReceiptOptions {
  std::string twin, component, message_id;
  bool json = false;
};

std::string render_receipt(const json::Document& receipt);  // one line, or two with the reason. Pure.

// kFailed where the message is unknown, so that a script can tell.
ExitCode run_receipt(const ReceiptOptions& options, const std::string& admin_socket);

}  // namespace twinspool::ops
