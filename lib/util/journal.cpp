#include "util/journal.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace twinspool::log {
namespace {

void append_field(std::string& entry, std::string_view name, std::string_view value) {
  entry += name;
  if (value.find('\n') == std::string_view::npos) {
    entry.append("=").append(value).append("\n");
    return;
  }
  entry += '\n';
  auto size = static_cast<std::uint64_t>(value.size());
  for (int byte = 0; byte < 8; ++byte, size >>= 8) entry += static_cast<char>(size & 0xff);  // little-endian
  entry.append(value).append("\n");
}

std::string field_name(std::string_view key) {
  std::string name = "TWINSPOOL_";
  for (const char c : key) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

}  // namespace

std::string journal_entry(int priority, std::string_view message, std::string_view event,
                          std::initializer_list<Fact> facts) {
  std::string entry;
  append_field(entry, "MESSAGE", message);
  append_field(entry, "PRIORITY", std::to_string(priority));
  append_field(entry, "SYSLOG_IDENTIFIER", "twinspoold");
  append_field(entry, "TWINSPOOL_EVENT", event);
  for (const Fact& fact : facts) append_field(entry, field_name(fact.key), fact.value);
  return entry;
}

Journal::Journal(std::string_view socket_path)
    : path_(socket_path), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {}

Journal::~Journal() {
  if (socket_ >= 0) close(socket_);
}

bool Journal::send(const std::string& entry) const {
  sockaddr_un address{};
  if (socket_ < 0 || path_.empty() || path_.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  // By its name each time: the journal may have been restarted. The interface takes every address as a sockaddr.
  return sendto(socket_, entry.data(), entry.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                sizeof address) == static_cast<ssize_t>(entry.size());
}

}  // namespace twinspool::log
