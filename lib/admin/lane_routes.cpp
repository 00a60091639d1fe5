#include "admin/lane_routes.h"

#include <algorithm>

#include "admin/answers.h"
#include "admin/message_answers.h"
#include "admin/message_routes.h"
#include "admin/query.h"
#include "util/json.h"

namespace twinspool::admin {

namespace {

std::int64_t number(std::uint64_t value) { return static_cast<std::int64_t>(value); }
double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string at(WallTime now, Duration later) {
  return to_rfc3339(now + std::chrono::duration_cast<std::chrono::milliseconds>(later));
}

}  // namespace

std::string lanes_json(const LaneFacts& facts, const TwinNames& names) {
  json::Writer out;
  out.begin_object();
  out.key("held").integer(number(facts.held)).key("retrying").integer(number(facts.retrying));
  out.key("ready").integer(number(facts.ready)).key("in_flight").integer(number(facts.in_flight));
  out.key("lanes").begin_array();
  for (const forward::Forwarder::WaitingLane& lane : facts.waiting) {
    const auto name = names.find(lane.twin);
    out.begin_object().key("twin").string(name == names.end() ? "" : name->second);
    out.key("state").string(lane.held ? "held" : "retrying");
    out.key("since").string(at(facts.now, -lane.waits_for)).key("waits_seconds").number(seconds(lane.waits_for));
    out.key("retry_at").string(at(facts.now, lane.retry_in)).key("retry_in_seconds").number(seconds(lane.retry_in));
    out.key("last_status").integer(lane.status).key("last_code").string(lane.error_code);
    out.key("failures").integer(lane.failures).end_object();
  }
  out.end_array().end_object();
  return out.take();
}

LaneRoutes::LaneRoutes(net::EventLoop& loop, AdminServer& admin, const std::string& database, Gather gather)
    : gather_(std::move(gather)), look_ups_(loop, database, kLookUpTime) {
  admin.route("GET", "/lanes",
              [this](const http::Request& request, const AdminServer::Respond& respond) { lanes(request, respond); });
}

void LaneRoutes::lanes(const http::Request& request, const AdminServer::Respond& respond) {
  const auto limit = number_of(query_value(request, "limit").value_or(std::to_string(kLanesListed)));
  if (!limit || *limit == 0)
    return respond(error_response(400, "InvalidArgument", "GET /lanes takes ?limit=N, a whole number from 1"));
  LaneFacts facts = gather_(static_cast<std::size_t>(std::min<std::uint64_t>(*limit, kLanesListedMax)));
  if (facts.waiting.empty()) return respond(json_response(200, lanes_json(facts, {})));
  std::vector<TwinNumber> twins;
  for (const auto& lane : facts.waiting) twins.push_back(lane.twin);
  look_ups_.ask<TwinNames>(
      [twins = std::move(twins)](sqlite::Database& database) { return twin_names(database, twins); },
      [facts = std::move(facts), respond](const Result<TwinNames>& names) {
        respond(names ? json_response(200, lanes_json(facts, *names)) : failure_response(names.error()));
      });
}

}  // namespace twinspool::admin
