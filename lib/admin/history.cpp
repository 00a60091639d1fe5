#include "admin/history.h"

#include <algorithm>

#include "admin/answers.h"
#include "admin/query.h"
#include "util/json.h"

namespace twinspool::admin {

void History::add(TimePoint now, WallTime wall, const SpoolStats& spool) {
  if (!samples_.empty() && now - samples_.back().at < kHistoryEvery) return;
  while (!samples_.empty() && now - samples_.front().at > kHistoryOver) samples_.pop_front();
  const std::int64_t waited_ms = to_unix_ms(wall) - spool.oldest_accepted_ms;
  const std::int64_t age_ms = spool.oldest == 0 ? 0 : std::max<std::int64_t>(0, waited_ms);
  samples_.push_back({.at = now,
                      .number = samples_.empty() ? 1 : samples_.back().number + 1,
                      .queued = spool.queued_messages,
                      .oldest_age_seconds = static_cast<std::uint64_t>(age_ms / 1000),
                      .accepted = spool.accepted,
                      .delivered = spool.delivered,
                      .quarantined = spool.quarantined,
                      .dropped = spool.dropped});
}

std::string History::json(TimePoint now, std::uint64_t after) const {
  json::Writer out;
  out.begin_object().key("columns").begin_array();
  for (const char* name :
       {"number", "ms_ago", "queued", "oldest_age_seconds", "accepted", "delivered", "quarantined", "dropped"})
    out.string(name);
  out.end_array().key("rows").begin_array();
  for (const Sample& sample : samples_) {
    if (sample.number <= after) continue;
    const auto ms_ago = static_cast<std::uint64_t>(to_ms(now - sample.at));
    out.begin_array();
    for (const std::uint64_t number : {sample.number, ms_ago, sample.queued, sample.oldest_age_seconds, sample.accepted,
                                       sample.delivered, sample.quarantined, sample.dropped})
      out.integer(static_cast<std::int64_t>(number));
    out.end_array();
  }
  out.end_array().end_object();
  return out.take();
}

void add_history_route(AdminServer& admin, const History& history, const net::EventLoop& loop) {
  admin.route("GET", "/history", [&](const http::Request& request, const AdminServer::Respond& respond) {
    const auto after = number_of(query_value(request, "after").value_or("0"));
    if (!after) return respond(error_response(400, "InvalidArgument", "GET /history takes ?after=N, a whole number"));
    respond(json_response(200, history.json(loop.now(), *after)));
  });
}

}  // namespace twinspool::admin
