#include "spool/wal_readers.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <utility>

namespace twinspool {
namespace {

constexpr off_t kFirstReadMark = 123;  // of the five, after the locks for writing, checkpoint and recovery at 120
constexpr off_t kReadMarks = 5;

}  // namespace

WalReaders::WalReaders(const std::string& shm_path) : descriptor_(::open(shm_path.c_str(), O_RDWR | O_CLOEXEC)) {}

WalReaders::~WalReaders() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

WalReaders::WalReaders(WalReaders&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

std::optional<pid_t> WalReaders::holder() const {
  struct flock query {};
  query.l_type = F_WRLCK;
  query.l_whence = SEEK_SET;
  query.l_start = kFirstReadMark;
  query.l_len = kReadMarks;
  if (descriptor_ < 0 || ::fcntl(descriptor_, F_GETLK, &query) != 0 || query.l_type == F_UNLCK) return std::nullopt;
  return query.l_pid;
}

std::string process_name(pid_t pid) {
  std::string name;
  std::ifstream("/proc/" + std::to_string(pid) + "/comm") >> name;
  return name;
}

}  // namespace twinspool
