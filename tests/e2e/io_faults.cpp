// A disk that fails, under the real program: preloaded, it makes the n-th write or sync of the store's files fail, and
// keeps what a disk would hold if only synced pages had ever reached it.
//
// As Linux does: a page whose sync failed is clean afterwards, so a later sync that "succeeds" does not write it.
//   TWINSPOOL_IO_FAULTS  a file of four 32-bit words, mapped and shared with the test: which calls (1 writes, 2 syncs),
//                        how many are let through before, whether it then fails for ever, and how often it has failed
//   TWINSPOOL_IO_STORE   the beginning of the paths it concerns
//   TWINSPOOL_IO_SHADOW  a directory: <inode> is what the disk holds of that file
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace {

constexpr off_t kPage = 4096;
enum Call : std::uint32_t { kWrite = 1, kSync = 2 };

struct Control {
  std::atomic<std::uint32_t> calls, let_through, for_ever, failed;
};

struct State {
  Control* control = nullptr;
  std::string store, shadow;
  std::mutex mutex;
  std::map<ino_t, std::set<off_t>> dirty;  // pages
};

State& state() {
  static State* made = [] {
    auto* fresh = new State;  // outlives every destructor that still writes
    const char* control = std::getenv("TWINSPOOL_IO_FAULTS");
    const char* store = std::getenv("TWINSPOOL_IO_STORE");
    const char* shadow = std::getenv("TWINSPOOL_IO_SHADOW");
    if (control == nullptr || store == nullptr || shadow == nullptr) return fresh;
    const int file = ::open(control, O_RDWR | O_CLOEXEC);
    void* mapped = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    if (mapped == MAP_FAILED) return fresh;
    fresh->store = store;
    fresh->shadow = shadow;
    fresh->control = static_cast<Control*>(mapped);
    return fresh;
  }();
  return *made;
}

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

bool concerns(int file) {
  if (state().control == nullptr) return false;
  char path[4096];
  const ssize_t size = ::readlink(("/proc/self/fd/" + std::to_string(file)).c_str(), path, sizeof path);
  return size > 0 &&
         std::string_view(path, static_cast<std::size_t>(size)).substr(0, state().store.size()) == state().store;
}

bool fails(Call call) {
  Control& control = *state().control;
  if ((control.calls & call) == 0) return false;
  std::uint32_t left = control.let_through;
  while (left > 0) {
    if (control.let_through.compare_exchange_weak(left, left - 1)) return false;
  }
  if (control.for_ever == 0) control.calls = 0;
  ++control.failed;
  return true;
}

ino_t inode(int file) {
  struct stat info {};
  return ::fstat(file, &info) == 0 ? info.st_ino : 0;
}

void wrote(int file, off_t from, ssize_t bytes) {
  if (bytes <= 0) return;
  const std::lock_guard lock(state().mutex);
  std::set<off_t>& dirty = state().dirty[inode(file)];
  for (off_t page = from / kPage; page * kPage < from + bytes; ++page) dirty.insert(page);
}

void synced(int file, bool reached) {
  const std::lock_guard lock(state().mutex);
  const ino_t number = inode(file);
  const std::set<off_t> dirty = std::exchange(state().dirty[number], {});
  if (!reached) return;
  const int own = ::open(("/proc/self/fd/" + std::to_string(file)).c_str(), O_RDONLY | O_CLOEXEC);
  const int shadow =
      ::open((state().shadow + "/" + std::to_string(number)).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct stat info {};
  if (own >= 0 && shadow >= 0 && ::fstat(own, &info) == 0 && S_ISREG(info.st_mode)) {
    static const auto write_at = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
    char bytes[kPage];
    for (const off_t page : dirty) {
      const ssize_t got = ::pread(own, bytes, kPage, page * kPage);
      if (got > 0) (void)!write_at(shadow, bytes, static_cast<std::size_t>(got), page * kPage);
    }
    (void)!::ftruncate(shadow, info.st_size);
  }
  if (own >= 0) ::close(own);
  if (shadow >= 0) ::close(shadow);
}

}  // namespace

extern "C" {

ssize_t write(int file, const void* bytes, size_t count) {
  static const auto call = real<ssize_t (*)(int, const void*, size_t)>("write");
  if (!concerns(file)) return call(file, bytes, count);
  if (fails(kWrite)) {
    errno = EIO;
    return -1;
  }
  const off_t from = ::lseek(file, 0, SEEK_CUR);
  const ssize_t done = call(file, bytes, count);
  wrote(file, from, done);
  return done;
}

ssize_t pwrite(int file, const void* bytes, size_t count, off_t at) {
  static const auto call = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  if (!concerns(file)) return call(file, bytes, count, at);
  if (fails(kWrite)) {
    errno = EIO;
    return -1;
  }
  const ssize_t done = call(file, bytes, count, at);
  wrote(file, at, done);
  return done;
}

ssize_t pwrite64(int file, const void* bytes, size_t count, off64_t at) { return pwrite(file, bytes, count, at); }

int fsync(int file) {
  static const auto call = real<int (*)(int)>("fsync");
  if (!concerns(file)) return call(file);
  const bool reached = !fails(kSync) && call(file) == 0;
  synced(file, reached);
  if (!reached) errno = EIO;
  return reached ? 0 : -1;
}

int fdatasync(int file) { return fsync(file); }

}  // extern "C"
