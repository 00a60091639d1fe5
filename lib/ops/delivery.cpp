#include "ops/delivery.h"

#include <cstdio>

#include "ops/admin_call.h"
#include "util/json.h"

namespace twinspool::ops {

namespace {

const char* target_of(DeliveryVerb verb) {
  switch (verb) {
    case DeliveryVerb::pause:
      return "/pause";
    case DeliveryVerb::resume:
      return "/resume";
    case DeliveryVerb::kick:
      return "/kick";
  }
  return "";
}

}  // namespace

ExitCode run_delivery_verb(DeliveryVerb verb, const std::string& admin_socket, bool json) {
  const auto answer = ask_admin(admin_socket, "POST", target_of(verb));
  if (!answer) return answer.error();
  if (json) {
    std::printf("%s\n", answer->body.c_str());
    return kDone;
  }
  const auto document = json::Document::parse(answer->body);
  const auto text = document ? document->value("message") : std::nullopt;
  std::printf("%s\n", text ? text->c_str() : "done");
  return kDone;
}

}  // namespace twinspool::ops
