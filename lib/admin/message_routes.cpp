#include "admin/message_routes.h"

#include <algorithm>
#include <optional>

#include "admin/answers.h"
#include "admin/message_answers.h"
#include "admin/query.h"
#include "ingest/telemetry_target.h"
#include "spool/snapshot.h"
#include "spool/whereabouts.h"
#include "util/json.h"
#include "util/log.h"

namespace twinspool::admin {

namespace {

// As the views show it, or as people write it.
std::string path_bytes(const std::string& name) {
  return name.find('%') == std::string::npos ? ingest::path_encoded(name) : name;
}

http::Response bad_request(std::string_view message) { return error_response(400, "InvalidArgument", message); }

// nullopt: the request was answered.
std::optional<json::Document> document_of(const http::Request& request, const AdminServer::Respond& respond) {
  if (const auto fault = json::why_not_an_object(request.body)) {
    respond(bad_request(*fault));
    return std::nullopt;
  }
  Result<json::Document> document = json::Document::parse(request.body);
  if (document) return std::move(*document);
  respond(bad_request(document.error().what));
  return std::nullopt;
}

void answer_recall(const Result<Recalled>& recalled, const AdminServer::Respond& respond) {
  respond(recalled ? json_response(200, recalled_json(*recalled, false)) : failure_response(recalled.error()));
}

}  // namespace

MessageRoutes::MessageRoutes(net::EventLoop& loop, AdminServer& admin, Spool& spool, const std::string& database)
    : spool_(spool), look_ups_(loop, database, kLookUpTime), snapshots_(loop, database, kSnapshotTime) {
  const auto bind = [this](auto method) {
    return [this, method](const http::Request& request, const Respond& respond) { (this->*method)(request, respond); };
  };
  admin.route("GET", "/messages", bind(&MessageRoutes::receipt));
  admin.route("GET", "/quarantine", bind(&MessageRoutes::quarantine));
  admin.route("POST", "/quarantine/retry", [this](const http::Request& request, const Respond& respond) {
    recall_quarantined(Recall::What::retry, request, respond);
  });
  admin.route("POST", "/quarantine/purge", [this](const http::Request& request, const Respond& respond) {
    recall_quarantined(Recall::What::purge, request, respond);
  });
  admin.route("POST", "/replay", bind(&MessageRoutes::replay));
  admin.route("POST", "/snapshot", bind(&MessageRoutes::snapshot));
  admin.route("POST", "/acknowledge", bind(&MessageRoutes::acknowledge));
}

void MessageRoutes::receipt(const http::Request& request, const Respond& respond) {
  const std::optional<std::string> twin = query_value(request, "twin");
  const std::optional<std::string> id = query_value(request, "message_id");
  if (!twin || twin->empty() || !id || id->empty())
    return respond(bad_request("GET /messages wants ?twin=...&message_id=..., percent-encoded"));
  const std::string component = query_value(request, "component").value_or("");
  MessageName name{.twins = {*twin, ingest::path_encoded(ingest::decoded_or_raw(*twin))},
                   .component = component,
                   .message_id = ingest::decoded_or_raw(*id)};
  Telemetry key{.twin = *twin, .component = component, .message_id = name.message_id};
  spool_.find_recent(std::move(key), [this, name = std::move(name), respond](Sequence recent) {
    look_ups_.ask<Whereabouts>(
        [name, recent](sqlite::Database& database) { return find_message(database, name, recent); },
        [respond](const Result<Whereabouts>& found) {
          respond(found ? json_response(200, whereabouts_json(*found)) : failure_response(found.error()));
        });
  });
}

void MessageRoutes::quarantine(const http::Request& request, const Respond& respond) {
  const auto after = number_of(query_value(request, "after").value_or("0"));
  const auto limit = number_of(query_value(request, "limit").value_or("100"));
  if (!after || !limit || *limit == 0)
    return respond(bad_request("GET /quarantine takes ?after=SEQUENCE and &limit=N, whole numbers, and &bodies=0"));
  const bool bodies = query_value(request, "bodies") != "0";
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(*limit, kQuarantinedListedMax));
  look_ups_.ask<std::vector<Quarantined>>(
      [after = *after, count](sqlite::Database& database) { return list_quarantined(database, after, count); },
      [respond, bodies](const Result<std::vector<Quarantined>>& all) {
        respond(all ? json_response(200, quarantine_json(*all, bodies)) : failure_response(all.error()));
      });
}

void MessageRoutes::recall_quarantined(Recall::What what, const http::Request& request, const Respond& respond) {
  const std::optional<json::Document> document = document_of(request, respond);
  if (!document) return;
  Recall order{.what = what};
  const std::size_t count = document->size("sequences");
  for (std::size_t i = 0; i < count; ++i) {
    const auto sequence = number_of(document->value("sequences." + std::to_string(i)).value_or(""));
    if (!sequence || *sequence == 0) return respond(bad_request("sequences takes whole numbers from 1"));
    order.sequences.push_back(*sequence);
  }
  const bool all = document->value("all") == "true";
  if (all != order.sequences.empty())
    return respond(bad_request("either {\"sequences\":[...]} or {\"all\":true} is accepted"));
  log::info(what == Recall::What::purge ? "quarantine.purge" : "quarantine.retry",
            {{"messages", all ? std::string("all") : std::to_string(count)}});
  spool_.recall(std::move(order), [respond](const Result<Recalled>& recalled) { answer_recall(recalled, respond); });
}

void MessageRoutes::replay(const http::Request& request, const Respond& respond) {
  const std::optional<json::Document> document = document_of(request, respond);
  if (!document) return;
  Recall order{.what = Recall::What::replay};
  const std::string twin = document->value("twin").value_or("");
  if (twin.empty() != (document->value("all") == "true"))
    return respond(bad_request("either twin or {\"all\":true} is accepted: a replay sends messages a second time"));
  order.twin = path_bytes(twin);
  const std::int64_t now_ms = to_unix_ms(wall_now());
  const std::string since = document->value("since").value_or("");
  const std::string until = document->value("until").value_or("");
  const auto from = point_in_time(since, now_ms);
  const auto to = until.empty() ? std::optional(now_ms) : point_in_time(until, now_ms);
  if (!from || !to)
    return respond(
        bad_request("since is required, until is not; both take RFC 3339 (2026-11-23T20:20:41Z) or a "
                    "duration back from now (30m, 2h, 7d)"));
  if (*from >= *to) return respond(bad_request("since must be before until"));
  order.since_ms = *from;
  order.until_ms = *to;
  if (document->value("dry_run") == "true")
    return look_ups_.ask<Recalled>(
        [order](sqlite::Database& database) { return count_kept(database, order); },
        [respond](const Result<Recalled>& counted) {
          respond(counted ? json_response(200, recalled_json(*counted, true)) : failure_response(counted.error()));
        });
  log::info("replay",
            {{"twin", order.twin.empty() ? std::string("all") : order.twin}, {"since", since}, {"until", until}});
  spool_.recall(std::move(order), [respond](const Result<Recalled>& recalled) { answer_recall(recalled, respond); });
}

void MessageRoutes::snapshot(const http::Request& request, const Respond& respond) {
  const std::optional<json::Document> document = document_of(request, respond);
  if (!document) return;
  const std::string file = document->value("file").value_or("");
  if (file.empty() || file.front() != '/' || file.find('\0') != std::string::npos)
    return respond(bad_request("file is required: an absolute path, where the daemon may write"));
  snapshots_.ask<Snapshot>(
      [file](sqlite::Database& database) { return take_snapshot(database, file); },
      [respond](const Result<Snapshot>& taken) {
        respond(taken ? json_response(200, snapshot_json(*taken)) : failure_response(taken.error()));
      });
}

void MessageRoutes::acknowledge(const http::Request&, const Respond& respond) {
  spool_.acknowledge([what = spool_.stats().degraded, respond](const Result<void>& done) {
    if (!done) return respond(error_response(503, "Unavailable", done.error().what));
    json::Writer out;
    out.begin_object().key("acknowledged").string(what).end_object();
    respond(json_response(200, out.take()));
  });
}

}  // namespace twinspool::admin
