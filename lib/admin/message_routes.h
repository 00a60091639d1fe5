// The admin routes about single messages, those that wait and those that left:
//   GET  /messages?twin=&message_id=[&component=]  what became of a message
//   GET  /quarantine[?after=N][&limit=N][&bodies=0]  what the quarantine holds
//   POST /quarantine/retry, /quarantine/purge      {"sequences":[..]} or {"all":true}
//   POST /replay    {"twin" or "all":true,"since","until","dry_run"}  since, until: RFC 3339 or a duration back from
//   now POST /snapshot  {"file"}                       a copy of the queue, by the daemon
//   POST /acknowledge                              an operator knows why the store is degraded
//
// Loop thread. Look-ups run on threads of their own; a snapshot, which may take minutes, does not hold up the others.
#pragma once

#include <string>

#include "admin/admin_server.h"
#include "spool/read_thread.h"
#include "spool/spool.h"

namespace twinspool::admin {

constexpr Duration kLookUpTime = std::chrono::seconds(5);
constexpr Duration kSnapshotTime = std::chrono::minutes(30);

class MessageRoutes {
 public:
  // Adds its routes to `admin`, which, like `spool`, must not get a request after the end of this.
  MessageRoutes(net::EventLoop& loop, AdminServer& admin, Spool& spool, const std::string& database);
  MessageRoutes(MessageRoutes&&) = delete;

 private:
  using Respond = AdminServer::Respond;
  void receipt(const http::Request& request, const Respond& respond);
  void quarantine(const http::Request& request, const Respond& respond);
  void recall_quarantined(Recall::What what, const http::Request& request, const Respond& respond);
  void replay(const http::Request& request, const Respond& respond);
  void snapshot(const http::Request& request, const Respond& respond);
  void acknowledge(const http::Request& request, const Respond& respond);

  Spool& spool_;
  ReadThread look_ups_;
  ReadThread snapshots_;
};

}  // namespace twinspool::admin
