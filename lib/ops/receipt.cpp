#include "ops/receipt.h"

#include <fmt/format.h>

#include <cstdio>

#include "ops/admin_call.h"
#include "ops/send.h"
#include "ops/text.h"

namespace twinspool::ops {

std::string render_receipt(const json::Document& receipt) {
  const auto value = [&](const char* name) { return printable(receipt.value(name).value_or("?")); };
  const std::string state = value("state");
  if (state == "unknown")
    return "unknown: never accepted, or it left longer ago than store.dedup_window and store.keep_delivered remember\n";
  std::string marks;
  if (receipt.value("replay_of")) marks += fmt::format(", a replay of {}", value("replay_of"));
  if (receipt.value("retry_of")) marks += fmt::format(", a retry of {}", value("retry_of"));
  if (state == "queued")
    return fmt::format("queued: sequence {}, since {}{}\n", value("sequence"), value("accepted_at"), marks);
  std::string text = fmt::format("{}: sequence {}, accepted {}, {} {}", state, value("sequence"), value("accepted_at"),
                                 state == "purged" ? "quarantined" : state, value("at"));
  if (receipt.value("status")) text += fmt::format(", HTTP {}", value("status"));
  text += marks + "\n";
  if (receipt.value("reason"))
    text += fmt::format("  {}: {} {}\n", value("reason"), value("error_code"), value("error_message"));
  return text;
}

ExitCode run_receipt(const ReceiptOptions& options, const std::string& admin_socket) {
  std::string target =
      "/messages?twin=" + query_encoded(options.twin) + "&message_id=" + percent_encoded(options.message_id);
  if (!options.component.empty()) target += "&component=" + query_encoded(options.component);
  const auto response = ask_admin(admin_socket, "GET", target);
  if (!response) return response.error();
  const auto receipt = json::Document::parse(response->body);
  if (!receipt) {
    std::fprintf(stderr, "twinspool: the daemon's answer is not JSON: %s\n", receipt.error().what.c_str());
    return kFailed;
  }
  std::fputs(options.json ? (response->body + "\n").c_str() : render_receipt(*receipt).c_str(), stdout);
  return receipt->value("state") == "unknown" ? kFailed : kDone;
}

}  // namespace twinspool::ops
