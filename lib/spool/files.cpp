#include "spool/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "spool/page_file.h"
#include "spool/schema.h"

namespace twinspool {
namespace {

constexpr std::size_t kHeaderBytes = 100;  // of a SQLite file
constexpr unsigned long kBlockBytesMin = 4096;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(Descriptor&&) = delete;
  int get() const { return number_; }
  bool valid() const { return number_ >= 0; }

 private:
  int number_;
};

Result<void> write_all(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return tl::unexpected(errno_error("cannot write", path));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

std::uint32_t big_endian(std::string_view bytes, std::size_t offset) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<std::uint8_t>(bytes[offset + i]);
  return number;
}

// What SQLite would take for a reason to refuse the file, or to treat it in another way than we made it.
bool is_header_of_ours(std::string_view header) {
  const bool pages = header[16] == 0x10 && header[17] == 0 && header[20] == 0;            // of 4 KiB, all of it used
  const bool journal = header[18] >= 1 && header[18] <= 2 && header[19] == header[18];    // 2: a WAL
  return pages && journal && big_endian(header, 52) != 0 && big_endian(header, 64) == 1;  // incremental vacuum
}

FileState state_of(std::string_view header) {
  using namespace std::string_view_literals;
  if (header.size() < kHeaderBytes || !header.starts_with("SQLite format 3\0"sv)) return FileState::no_header;
  if (big_endian(header, 68) == kApplicationId && !is_header_of_ours(header)) return FileState::no_header;
  return big_endian(header, 68) == kApplicationId ? FileState::ours : FileState::foreign;
}

Result<void> make_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0750) == 0) return sync_directory(std::filesystem::path(directory).parent_path());
  if (errno != EEXIST) return tl::unexpected(errno_error("cannot make the directory of the queue", directory));
  return {};
}

}  // namespace

Result<void> check_block_size(const std::string& directory) {
  struct statvfs info {};
  if (::statvfs(directory.c_str(), &info) != 0)
    return tl::unexpected(errno_error("cannot ask for the file system of", directory));
  if (info.f_bsize < kBlockBytesMin)
    return fail(Errc::invalid, directory + " is on a file system with blocks of " + std::to_string(info.f_bsize) +
                                   " bytes, and a full one would kill the daemon: 4096 are needed (mkfs.ext4 -b 4096; "
                                   "small partitions get 1024 by default)");
  return {};
}

Error errno_error(const std::string& doing, const std::string& path) {
  const int number = errno;
  const Errc code = number == ENOSPC || number == EDQUOT ? Errc::full : Errc::storage;
  return Error{code, doing + " " + path + ": " + std::strerror(number)};
}

Result<void> sync_directory(const std::string& directory) {
  const Descriptor opened(::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.valid() || ::fsync(opened.get()) != 0)
    return tl::unexpected(errno_error("cannot sync the directory", directory));
  return {};
}

Result<void> sync_file(const std::string& path) {
  const Descriptor opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened.valid() || ::fsync(opened.get()) != 0) return tl::unexpected(errno_error("cannot sync", path));
  return {};
}

void place_in(StoreFiles& files, const std::string& database) {
  files.directory = std::filesystem::path(database).parent_path();
  files.database = database;
  files.wal = database + "-wal";
  files.shm = database + "-shm";
  files.journal = database + "-journal";
}

Result<StoreFiles> locate_files(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code code;
  fs::path name = fs::absolute(path, code);
  if (code || path.empty() || !name.has_filename())
    return fail(Errc::invalid, "store.path is not a file name: " + path);
  // Links of the operator's are followed up to the store itself; the store's own leads to its generation.
  fs::path database = name;
  for (int links = 0; fs::is_symlink(name, code); ++links) {
    const fs::path target = fs::read_symlink(name, code);
    const bool ours = target.is_relative() && target.filename() == name.filename() &&
                      target.parent_path().string().starts_with(name.filename().string() + ".gen-");
    database = (name.parent_path() / target).lexically_normal();
    if (ours) break;
    if (code || links == 40 || !fs::exists(fs::symlink_status(database, code)))
      return fail(Errc::invalid, path + " is a link to a file that is not there");
    name = fs::canonical(database.parent_path(), code) / database.filename();
    database = name;
  }
  StoreFiles files;
  files.name = name;
  place_in(files, database);
  files.lock = files.name + ".lock";
  files.run = files.name + ".run";
  files.reserve = files.name + ".reserve";
  return files;
}

Result<StoreFiles> prepare_files(const std::string& path) {
  Result<StoreFiles> files = locate_files(path);
  if (!files) return files;
  const std::string beside = std::filesystem::path(files->name).parent_path();
  if (Result<void> made = make_directory(beside); !made) return tl::unexpected(made.error());
  if (Result<void> checked = check_block_size(beside); !checked) return tl::unexpected(checked.error());
  return files;
}

Result<StoreLock> StoreLock::take(const StoreFiles& files) {
  StoreLock lock(::open(files.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (lock.descriptor_ < 0) return tl::unexpected(errno_error("cannot open", files.lock));
  if (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return tl::unexpected(errno_error("cannot lock", files.lock));
    const Result<std::string> holder = read_small_file(files.lock);
    std::string pid = holder ? *holder : std::string();
    while (!pid.empty() && pid.back() == '\n') pid.pop_back();
    return fail(Errc::busy,
                files.database + " is in use by another twinspoold, process " + (pid.empty() ? "unknown" : pid));
  }
  // For people only; the lock itself is the kernel's. On a full disk the old text may stay.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.descriptor_, 0) == 0) (void)write_all(lock.descriptor_, pid, files.lock);
  return lock;
}

StoreLock::~StoreLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<FileState> inspect(const StoreFiles& files) {
  struct stat info {};
  if (::stat(files.database.c_str(), &info) != 0) {
    if (errno != ENOENT) return tl::unexpected(errno_error("cannot look at", files.database));
    return FileState::absent;
  }
  if (!S_ISREG(info.st_mode)) return fail(Errc::invalid, files.database + " is not a regular file: move it away");
  if (info.st_size == 0) return FileState::empty;
  // A journal is there only while a new store is being made: what it rolls back needs no header yet.
  if (file_size(files.journal) > 0) return FileState::ours;

  const Result<std::string> header = read_small_file(files.database);
  if (!header) return tl::unexpected(header.error());
  const FileState state = state_of(*header);
  if (state != FileState::no_header || file_size(files.wal) == 0) return state;
  // A power cut during a checkpoint may have torn the page of the header. Then it is in the WAL, too, and whole.
  const Result<PageFile> pages = PageFile::open(files.database, files.wal);
  Page first;
  return pages && pages->read(1, first) ? state_of({first.data(), first.size()}) : state;
}

Result<void> create_empty(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!file.valid() || ::fchmod(file.get(), 0640) != 0 || ::fsync(file.get()) != 0)
    return tl::unexpected(errno_error("cannot create", path));
  return sync_directory(std::filesystem::path(path).parent_path());
}

Result<void> replace_file(const std::string& path, const std::string& content) {
  const std::string fresh = path + ".new";
  const Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!file.valid()) return tl::unexpected(errno_error("cannot create", fresh));
  if (Result<void> written = write_all(file.get(), content, fresh); !written) return written;
  if (::fsync(file.get()) != 0) return tl::unexpected(errno_error("cannot sync", fresh));
  if (::rename(fresh.c_str(), path.c_str()) != 0) return tl::unexpected(errno_error("cannot replace", path));
  return sync_directory(std::filesystem::path(path).parent_path());
}

Result<std::string> read_small_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    if (errno == ENOENT) return std::string();
    return tl::unexpected(errno_error("cannot read", path));
  }
  std::string content(4096, '\0');
  const ssize_t got = ::read(file.get(), content.data(), content.size());
  if (got < 0) return tl::unexpected(errno_error("cannot read", path));
  content.resize(static_cast<std::size_t>(got));
  return content;
}

void reserve_blocks(const std::string& path, std::uint64_t bytes) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.valid()) (void)::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes));
}

std::uint64_t free_bytes(const std::string& directory) {
  struct statvfs info {};
  if (::statvfs(directory.c_str(), &info) != 0) return UINT64_MAX;
  return std::uint64_t{info.f_bavail} * info.f_frsize;
}

std::uint64_t file_size(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

}  // namespace twinspool
