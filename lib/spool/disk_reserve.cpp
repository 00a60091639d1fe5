#include "spool/disk_reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "spool/files.h"

namespace twinspool {
namespace {

constexpr std::uint64_t kShareOfFileSystem = 8;

std::uint64_t wanted_bytes(const std::string& path) {
  struct statvfs info {};
  const std::string directory = std::filesystem::path(path).parent_path();
  if (::statvfs(directory.empty() ? "." : directory.c_str(), &info) != 0) return DiskReserve::kBytesMax;
  const std::uint64_t share = std::uint64_t{info.f_blocks} * info.f_frsize / kShareOfFileSystem;
  return std::clamp(share, DiskReserve::kBytesMin, DiskReserve::kBytesMax);
}

// Blocks, not the size: a file that was only made long reserves nothing.
bool holds(const std::string& path, std::uint64_t bytes) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && static_cast<std::uint64_t>(info.st_blocks) * 512 >= bytes;
}

}  // namespace

DiskReserve::DiskReserve(std::string path)
    : path_(std::move(path)), bytes_(wanted_bytes(path_)), held_(holds(path_, bytes_)) {}

Result<void> DiskReserve::take() {
  if (held_) return {};
  const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (file < 0) return tl::unexpected(errno_error("cannot make the reserve", path_));
  const int failed = ::posix_fallocate(file, 0, static_cast<off_t>(bytes_));
  ::close(file);
  if (failed != 0) {
    release();
    errno = failed;
    return tl::unexpected(errno_error("cannot hold a reserve of " + std::to_string(bytes_) + " bytes in", path_));
  }
  held_ = true;
  return {};
}

void DiskReserve::release() {
  ::unlink(path_.c_str());
  held_ = false;
}

}  // namespace twinspool
