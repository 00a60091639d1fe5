// Events with their facts as fields in systemd's journal (https://systemd.io/JOURNAL_NATIVE_PROTOCOL):
//   journalctl -u twinspoold TWINSPOOL_EVENT=forward.held TWINSPOOL_TWIN=pump -o verbose
//
// Any thread. Never waits: a journal that does not keep up, or is away, is the caller's to get round.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "util/log.h"

namespace twinspool::log {

// One entry, as the datagram that makes it: MESSAGE, PRIORITY (syslog(3)), TWINSPOOL_EVENT, and each fact as TWINSPOOL_
// and its key in capitals. Values may be any bytes. Pure.
std::string journal_entry(int priority, std::string_view message, std::string_view event,
                          std::initializer_list<Fact> facts);

class Journal {
 public:
  explicit Journal(std::string_view socket_path);
  ~Journal();
  Journal(Journal&&) = delete;

  bool send(const std::string& entry) const;  // false: it has not got there

 private:
  const std::string path_;
  const int socket_;  // -1: none to be had
};

}  // namespace twinspool::log
