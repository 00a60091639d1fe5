#include "admin/delivery_routes.h"

#include <string>

#include "admin/answers.h"
#include "util/json.h"
#include "util/time.h"

namespace twinspool::admin {
namespace {

http::Response answer(const Facts& facts, const std::string& message) {
  const Condition condition = condition_of(facts);
  json::Writer out;
  out.begin_object().key("state").string(to_string(condition.state));
  out.key("since").string(to_rfc3339(condition.since)).key("message").string(message).end_object();
  return json_response(200, out.take());
}

}  // namespace

void add_delivery_routes(AdminServer& admin, DeliverySwitch& delivery, std::function<Facts()> facts) {
  admin.route("POST", "/pause", [&delivery, facts](const http::Request&, const AdminServer::Respond& respond) {
    delivery.pause();
    respond(answer(facts(), "paused: messages are accepted and kept, nothing is sent until `twinspool resume`"));
  });
  admin.route("POST", "/resume", [&delivery, facts](const http::Request&, const AdminServer::Respond& respond) {
    const bool resumed = delivery.resume();
    respond(answer(facts(), resumed ? "resumed" : "it was not paused"));
  });
  admin.route("POST", "/kick", [&delivery, facts](const http::Request&, const AdminServer::Respond& respond) {
    if (delivery.paused())
      return respond(error_response(409, "Paused", "delivery is paused; `twinspool resume` first"));
    const bool kicked = delivery.kick();
    respond(answer(facts(), kicked ? "kicked: whatever waited is tried now"
                                   : "forward.endpoint is empty: there is nothing to try"));
  });
}

}  // namespace twinspool::admin
