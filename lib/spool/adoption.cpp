#include "spool/adoption.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

#include "spool/generation.h"
#include "spool/wal_frame.h"
#include "util/log.h"
#include "util/time.h"

namespace twinspool {
namespace {

constexpr std::size_t kRunFileBytes = 256;              // always, so that it can be overwritten in place
constexpr std::uint64_t kUnfinishedBytesMax = 1 << 20;  // a new store is a tenth of it
constexpr off_t kShmInUseByte = 128;  // every connection holds a read lock on this byte of the -shm file

std::string_view value_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.starts_with(key) && line.substr(key.size()).starts_with(' ')) return line.substr(key.size() + 1);
  }
  return {};
}

std::string to_text(const RunFile& run) {
  std::string text = "boot " + run.boot_id + "\npid " + std::to_string(run.pid) + "\nstate " +
                     (run.state == RunFile::State::clean ? "clean" : "running") + "\nio_error " +
                     (run.io_error ? "1" : "0") + "\n";
  text.resize(std::max(text.size(), kRunFileBytes), '\n');
  return text;
}

Result<void> overwrite_in_place(const std::string& path, const std::string& content) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return tl::unexpected(errno_error("cannot write", path));
  const bool written =
      ::pwrite(file, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()) && ::fsync(file) == 0;
  Error error = errno_error("cannot write", path);
  ::close(file);
  if (!written) return tl::unexpected(std::move(error));
  return {};
}

// 0: nobody has the database open. Asked before SQLite is: closing the file would drop our own locks on it.
pid_t user_of(const StoreFiles& files) {
  const int shm = ::open(files.shm.c_str(), O_RDWR | O_CLOEXEC);
  if (shm < 0) return 0;
  struct flock query {};
  query.l_type = F_WRLCK;
  query.l_whence = SEEK_SET;
  query.l_start = kShmInUseByte;
  query.l_len = 1;
  const bool held = ::fcntl(shm, F_GETLK, &query) == 0 && query.l_type != F_UNLCK;
  ::close(shm);
  return held ? query.l_pid : 0;
}

// Read and written, not cloned: the point is that new blocks reach the disk. A page at a time: larger writes make large
// folios in the page cache, and the kernel then counts a whole one as written (/proc/self/io) for every page that
// SQLite writes into it.
Result<void> copy_to(int from, int to, const std::string& path) {
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t got = ::read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected(errno_error("cannot read", path));
    if (got == 0) break;
    for (ssize_t done = 0; done < got;) {
      const ssize_t written = ::write(to, buffer.data() + done, static_cast<std::size_t>(got - done));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return tl::unexpected(errno_error("cannot copy", path));
      done += written;
    }
  }
  return {};
}

Result<void> renew(const StoreFiles& files, const std::string& path, bool pads = false) {
  const std::string fresh = path + ".new";
  const int from = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (from < 0) return tl::unexpected(errno_error("cannot read", path));
  struct stat info {};
  const int to = ::fstat(from, &info) == 0
                     ? ::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, info.st_mode & 0777)
                     : -1;
  Result<void> copied = to < 0 ? tl::unexpected(errno_error("cannot create", fresh)) : copy_to(from, to, path);
  if (copied && pads) copied = pad_wal(to, path);
  if (copied && ::fsync(to) != 0) copied = tl::unexpected(errno_error("cannot sync the copy of", path));
  // Group and mode as before, or an operator's reader would be locked out; the owner changes only for root.
  if (to >= 0 && (::fchown(to, info.st_uid, info.st_gid) != 0 || ::fchmod(to, info.st_mode & 0777) != 0))
    log::warn("store.adopt", {{"file", path}, {"note", "owner and mode could not be kept"}});
  ::close(from);
  if (to >= 0) ::close(to);
  if (copied && ::rename(fresh.c_str(), path.c_str()) != 0)
    copied = tl::unexpected(errno_error("cannot replace", path));
  if (copied) return sync_directory(files.directory);
  (void)::unlink(fresh.c_str());  // only ever our half-made copy
  return copied;
}

Result<void> pad_in_place(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return tl::unexpected(errno_error("cannot open", path));
  Result<void> padded = pad_wal(file, path);
  if (padded && ::fsync(file) != 0) padded = tl::unexpected(errno_error("cannot sync", path));
  ::close(file);
  return padded;
}

// After a reboot. When that fails, the cache has what the disk does not: from here on it is as after an I/O error in
// this boot, also for the next start.
Result<void> complete_wal(const StoreFiles& files, const std::string& boot_id) {
  Result<void> padded = pad_in_place(files.wal);
  if (!padded && padded.error().code == Errc::full) {  // nothing was written that would only be in the cache
    log::warn("store.adopt", {{"skipped", padded.error().what}});
    return {};
  }
  if (!padded) padded = renew(files, files.wal, true);
  if (padded) return {};
  const RunFile failed{RunFile::State::running, boot_id, ::getpid(), true};
  if (Result<void> noted = write_run_file(files, failed); !noted)
    log::error("store.run_file", {{"error", noted.error().what}});
  return padded;
}

// What the disk holds of the old database may be another thing than what was read, so it is not thrown away.
Result<void> keep_old(const StoreFiles& files) {
  const std::string aside = aside_name(files, "failed", to_unix_ms(wall_now()));
  if (::link(files.database.c_str(), aside.c_str()) != 0)
    return tl::unexpected(errno_error("cannot keep the old file as", aside));
  log::warn("store.adopt", {{"old_kept_as", aside}});
  return {};
}

}  // namespace

Result<RunFile> read_run_file(const StoreFiles& files) {
  const Result<std::string> text = read_small_file(files.run);
  if (!text) return tl::unexpected(text.error());
  RunFile run;
  if (text->empty()) return run;
  run.state = value_of(*text, "state") == "clean" ? RunFile::State::clean : RunFile::State::running;
  run.boot_id = value_of(*text, "boot");
  run.io_error = value_of(*text, "io_error") == "1";
  const std::string_view pid = value_of(*text, "pid");
  std::from_chars(pid.data(), pid.data() + pid.size(), run.pid);
  return run;
}

Result<void> write_run_file(const StoreFiles& files, const RunFile& run) {
  Result<void> replaced = replace_file(files.run, to_text(run));
  if (!replaced && replaced.error().code == Errc::full) return overwrite_in_place(files.run, to_text(run));
  return replaced;
}

Result<void> adopt(const StoreFiles& files, const RunFile& last, const std::string& boot_id, bool damaged) {
  if (last.state == RunFile::State::clean || file_size(files.database) == 0) return {};
  const bool same_boot = last.state == RunFile::State::absent || last.boot_id == boot_id;
  const bool io_error = same_boot && last.io_error;
  // A first start that did not come to its end left no note of what its disk did: all of it may be in the cache alone.
  const bool unfinished = last.state == RunFile::State::absent && file_size(files.database) <= kUnfinishedBytesMax;
  if (file_size(files.wal) == 0 && !io_error && !unfinished) return {};
  if (!same_boot && damaged) return {};

  if (const pid_t user = user_of(files); user != 0) {
    if (io_error)
      return fail(Errc::busy, "process " + std::to_string(user) + " has " + files.database +
                                  " open, and after an I/O error its files must be copied first: end that process");
    log::warn("store.adopt", {{"skipped", "another process has the database open"}, {"pid", user}});
    return {};
  }
  if (!same_boot) return complete_wal(files, boot_id);
  if (file_size(files.wal) > 0) {
    Result<void> renewed = renew(files, files.wal, !damaged);
    if (!renewed && (io_error || renewed.error().code != Errc::full)) return renewed;
    if (!renewed) {  // a full disk must not stop the drain, and no I/O error was seen
      log::warn("store.adopt", {{"skipped", renewed.error().what}});
      return {};
    }
  }
  if (io_error) {
    if (Result<void> kept = keep_old(files); !kept) return kept;
  }
  if (io_error || unfinished) {
    if (Result<void> renewed = renew(files, files.database); !renewed) return renewed;
  }
  log::info("store.adopt", {{"wal_bytes", file_size(files.wal)}, {"io_error", io_error}});
  return {};
}

}  // namespace twinspool
