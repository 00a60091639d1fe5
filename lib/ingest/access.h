// Who may send over a socket, and for which twins: listen[].allow_users, allow_groups and twins. Loop thread.
//
// The kernel says who the peer is (SO_PEERCRED, SO_PEERGROUPS), as of when it connected; nothing that a request claims
// matters. Names are looked up once, when the socket is opened.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "ingest/telemetry_checks.h"
#include "net/socket.h"

namespace twinspool::ingest {

class Access {
 public:
  Access() = default;  // everybody, every twin
  // Errc::invalid for a user or group that this machine does not have.
  static Result<Access> of(const ListenConfig& config);

  Checked check_peer(const net::PeerCredentials& peer) const;  // 403 that says who is allowed and as whom it is seen
  // `twin` as it stands in a path, percent-encoded; it is compared as people read it.
  Checked check_twin(std::string_view twin) const;
  bool every_twin() const { return twins_.empty(); }

 private:
  std::string socket_;
  std::vector<uid_t> users_;
  std::vector<gid_t> groups_;
  bool every_peer_ = true;
  std::string allowed_;             // for people: "user scada (998), group plc (997)"
  std::vector<std::string> twins_;  // globs; empty: every twin
};

// `*` stands for any text, also none; everything else for itself.
bool matches(std::string_view glob, std::string_view text);

}  // namespace twinspool::ingest
