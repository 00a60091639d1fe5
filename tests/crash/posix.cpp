#include "crash/posix.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <memory>
#include <vector>

namespace twinspool::crash {
namespace {

Disk* mounted = nullptr;
std::uint64_t random_state = 1;
bool powersafe = false;

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

bool is_on_disk(const char* path) {
  static const std::size_t length = std::strlen(kMount);
  return mounted != nullptr && path != nullptr && std::strncmp(path, kMount, length) == 0 &&
         (path[length] == '/' || path[length] == '\0');
}
bool is_on_disk(int file) { return mounted != nullptr && file >= kFirstFile; }
std::string on_disk(const char* path) { return path + std::strlen(kMount); }

template <class Number>
Number answer(Number result) {
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

struct Listing {
  int file;
  std::vector<std::string> names;
  std::size_t next = 0;
  struct dirent entry {};
};
std::vector<std::unique_ptr<Listing>> listings;

Listing* listing_of(void* directory) {
  for (const auto& one : listings)
    if (one.get() == directory) return one.get();
  return nullptr;
}

int open_file(const char* name, const char* path, int flags, unsigned mode) {
  if (is_on_disk(path)) return answer(mounted->open(on_disk(path), flags));
  return real<int(const char*, int, ...)>(name)(path, flags, mode);
}

}  // namespace

Mounted::Mounted(Disk& disk) : before_(mounted) { mounted = &disk; }
Mounted::~Mounted() { mounted = before_; }
void seed_random(std::uint64_t seed) {
  random_state = seed;
  sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, static_cast<int>(seed | 1), nullptr);
}
void pretend_powersafe_overwrite(bool pretend) { powersafe = pretend; }

}  // namespace twinspool::crash

using namespace twinspool::crash;

// Two names where a call has one for files over 2 GiB: they are the same on every machine with 64 bits.
#define CALL(result, function, ...)                                   \
  extern "C" result crash_##function(__VA_ARGS__) __asm__(#function); \
  extern "C" __attribute__((used)) result crash_##function(__VA_ARGS__)

static unsigned mode_of(int flags, va_list rest) { return (flags & O_CREAT) != 0 ? va_arg(rest, unsigned) : 0; }

CALL(int, open, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = mode_of(flags, rest);
  va_end(rest);
  return open_file("open", path, flags, mode);
}
CALL(int, open64, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = mode_of(flags, rest);
  va_end(rest);
  return open_file("open64", path, flags, mode);
}
CALL(int, openat, int directory, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = mode_of(flags, rest);
  va_end(rest);
  if (is_on_disk(path)) return answer(mounted->open(on_disk(path), flags));
  return real<int(int, const char*, int, ...)>("openat")(directory, path, flags, mode);
}
CALL(int, close, int file) { return is_on_disk(file) ? answer(mounted->close(file)) : real<int(int)>("close")(file); }
CALL(ssize_t, read, int file, void* to, size_t count) {
  if (is_on_disk(file)) return answer(mounted->read(file, static_cast<char*>(to), count));
  static auto* const next = real<ssize_t(int, void*, size_t)>("read");
  return next(file, to, count);
}
CALL(ssize_t, write, int file, const void* bytes, size_t count) {
  if (is_on_disk(file)) return answer(mounted->write(file, {static_cast<const char*>(bytes), count}));
  static auto* const next = real<ssize_t(int, const void*, size_t)>("write");
  return next(file, bytes, count);
}
CALL(ssize_t, pread64, int file, void* to, size_t count, off_t offset) {
  if (is_on_disk(file))
    return answer(mounted->read_at(file, static_cast<char*>(to), count, static_cast<std::uint64_t>(offset)));
  return real<ssize_t(int, void*, size_t, off_t)>("pread64")(file, to, count, offset);
}
CALL(ssize_t, pwrite64, int file, const void* bytes, size_t count, off_t offset) {
  if (is_on_disk(file))
    return answer(
        mounted->write_at(file, {static_cast<const char*>(bytes), count}, static_cast<std::uint64_t>(offset)));
  return real<ssize_t(int, const void*, size_t, off_t)>("pwrite64")(file, bytes, count, offset);
}
CALL(int, fsync, int file) { return is_on_disk(file) ? answer(mounted->sync(file)) : real<int(int)>("fsync")(file); }
CALL(int, fdatasync, int file) {
  return is_on_disk(file) ? answer(mounted->sync(file)) : real<int(int)>("fdatasync")(file);
}
CALL(int, ftruncate64, int file, off_t size) {
  if (is_on_disk(file)) return answer(mounted->resize(file, static_cast<std::uint64_t>(size)));
  return real<int(int, off_t)>("ftruncate64")(file, size);
}
CALL(int, posix_fallocate64, int file, off_t offset, off_t size) {
  if (is_on_disk(file)) return -mounted->allocate(file, static_cast<std::uint64_t>(offset + size));
  return real<int(int, off_t, off_t)>("posix_fallocate64")(file, offset, size);
}
CALL(int, fallocate64, int file, int mode, off_t offset, off_t size) {  // keeps the size: no change that is seen
  return is_on_disk(file) ? 0 : real<int(int, int, off_t, off_t)>("fallocate64")(file, mode, offset, size);
}
CALL(int, posix_fadvise64, int file, off_t offset, off_t size, int advice) {
  return is_on_disk(file) ? 0 : real<int(int, off_t, off_t, int)>("posix_fadvise64")(file, offset, size, advice);
}
CALL(int, flock, int file, int how) { return is_on_disk(file) ? 0 : real<int(int, int)>("flock")(file, how); }
CALL(int, fcntl64, int file, int what, ...) {
  va_list rest;
  va_start(rest, what);
  void* argument = va_arg(rest, void*);
  va_end(rest);
  if (!is_on_disk(file)) return real<int(int, int, ...)>("fcntl64")(file, what, argument);
  if (what == F_GETLK) static_cast<struct flock*>(argument)->l_type = F_UNLCK;  // one process, so nobody is in its way
  return 0;
}
CALL(int, rename, const char* from, const char* to) {
  if (is_on_disk(from)) return answer(mounted->rename(on_disk(from), on_disk(to)));
  return real<int(const char*, const char*)>("rename")(from, to);
}
CALL(int, link, const char* from, const char* to) {
  if (is_on_disk(from)) return answer(mounted->link(on_disk(from), on_disk(to)));
  return real<int(const char*, const char*)>("link")(from, to);
}
CALL(int, symlink, const char* target, const char* path) {
  if (is_on_disk(path)) return answer(mounted->symlink(target, on_disk(path)));
  return real<int(const char*, const char*)>("symlink")(target, path);
}
CALL(int, unlink, const char* path) {
  return is_on_disk(path) ? answer(mounted->unlink(on_disk(path))) : real<int(const char*)>("unlink")(path);
}
CALL(int, mkdir, const char* path, mode_t mode) {
  return is_on_disk(path) ? answer(mounted->mkdir(on_disk(path))) : real<int(const char*, mode_t)>("mkdir")(path, mode);
}
CALL(int, rmdir, const char* path) {
  return is_on_disk(path) ? answer(mounted->rmdir(on_disk(path))) : real<int(const char*)>("rmdir")(path);
}
CALL(ssize_t, readlink, const char* path, char* to, size_t count) {
  if (is_on_disk(path)) return answer(mounted->readlink(on_disk(path), to, count));
  return real<ssize_t(const char*, char*, size_t)>("readlink")(path, to, count);
}
CALL(int, access, const char* path, int mode) {
  if (!is_on_disk(path)) return real<int(const char*, int)>("access")(path, mode);
  struct stat info {};
  return answer(mounted->stat(on_disk(path), true, info));
}
#define STAT(function, follow)                                                        \
  CALL(int, function, const char* path, struct stat* info) {                          \
    if (is_on_disk(path)) return answer(mounted->stat(on_disk(path), follow, *info)); \
    return real<int(const char*, struct stat*)>(#function)(path, info);               \
  }
STAT(stat, true)
STAT(stat64, true)
STAT(lstat, false)
STAT(lstat64, false)
CALL(int, fstat64, int file, struct stat* info) {
  return is_on_disk(file) ? answer(mounted->fstat(file, *info)) : real<int(int, struct stat*)>("fstat64")(file, info);
}
#define STATVFS(function)                                                                         \
  CALL(int, function, const char* path, struct statvfs* info) {                                   \
    if (!is_on_disk(path)) return real<int(const char*, struct statvfs*)>(#function)(path, info); \
    std::memset(info, 0, sizeof *info);                                                           \
    info->f_bsize = info->f_frsize = kBlockBytes;                                                 \
    info->f_blocks = (std::uint64_t{64} << 30) / kBlockBytes;                                     \
    info->f_bfree = info->f_bavail = mounted->free_bytes() / kBlockBytes;                         \
    return 0;                                                                                     \
  }
STATVFS(statvfs)
STATVFS(statvfs64)
CALL(int, chown, const char* path, uid_t owner, gid_t group) {
  return is_on_disk(path) ? 0 : real<int(const char*, uid_t, gid_t)>("chown")(path, owner, group);
}
CALL(int, fchown, int file, uid_t owner, gid_t group) {
  return is_on_disk(file) ? 0 : real<int(int, uid_t, gid_t)>("fchown")(file, owner, group);
}
CALL(int, fchmod, int file, mode_t mode) { return is_on_disk(file) ? 0 : real<int(int, mode_t)>("fchmod")(file, mode); }
CALL(void*, mmap64, void* where, size_t count, int protection, int flags, int file, off_t offset) {
  if (!is_on_disk(file))
    return real<void*(void*, size_t, int, int, int, off_t)>("mmap64")(where, count, protection, flags, file, offset);
  char* memory = mounted->map(file, static_cast<std::uint64_t>(offset), count);
  if (memory != nullptr) return memory;
  errno = EIO;
  return MAP_FAILED;
}
CALL(int, munmap, void* memory, size_t count) {
  if (mounted != nullptr && mounted->is_mapping(memory)) return 0;
  return real<int(void*, size_t)>("munmap")(memory, count);
}
CALL(DIR*, fdopendir, int file) {
  if (!is_on_disk(file)) return real<DIR*(int)>("fdopendir")(file);
  listings.push_back(std::make_unique<Listing>(Listing{.file = file, .names = mounted->entries(file)}));
  return reinterpret_cast<DIR*>(listings.back().get());
}
CALL(struct dirent*, readdir, DIR* directory) {
  Listing* listing = listing_of(directory);
  if (listing == nullptr) return real<struct dirent*(DIR*)>("readdir")(directory);
  if (listing->next == listing->names.size()) return nullptr;
  const std::string& name = listing->names[listing->next++];
  listing->entry.d_type = DT_UNKNOWN;
  std::strncpy(listing->entry.d_name, name.c_str(), sizeof listing->entry.d_name - 1);
  return &listing->entry;
}
CALL(int, dirfd, DIR* directory) {
  const Listing* listing = listing_of(directory);
  return listing != nullptr ? listing->file : real<int(DIR*)>("dirfd")(directory);
}
CALL(int, closedir, DIR* directory) {
  const Listing* listing = listing_of(directory);
  if (listing == nullptr) return real<int(DIR*)>("closedir")(directory);
  const int file = listing->file;
  std::erase_if(listings, [&](const auto& one) { return one.get() == listing; });
  return answer(mounted->close(file));
}
CALL(int, RAND_bytes, unsigned char* to, int count) {
  for (int i = 0; i < count; ++i) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    to[i] = static_cast<unsigned char>(random_state >> 40);
  }
  return 1;
}
CALL(int, sqlite3_open_v2, const char* uri, sqlite3** connection, int flags, const char* vfs) {
  static auto* const next = real<int(const char*, sqlite3**, int, const char*)>("sqlite3_open_v2");
  std::string given = uri;
  if (const std::size_t at = given.find("psow=0"); powersafe && at != std::string::npos) given[at + 5] = '1';
  return next(given.c_str(), connection, flags, vfs);
}
CALL(int, sqlite3_file_control, sqlite3* connection, const char* name, int what, void* argument) {
  static auto* const next = real<int(sqlite3*, const char*, int, void*)>("sqlite3_file_control");
  const int result = next(connection, name, what, argument);
  if (powersafe && what == SQLITE_FCNTL_POWERSAFE_OVERWRITE) *static_cast<int*>(argument) = 0;
  return result;
}
