// A kernel that is short of something, under the real program: preloaded, it makes accept fail for as long as a test
// wants, and counts how often it did.
//   TWINSPOOL_ACCEPT_FAULTS  a file of two 32-bit words, mapped and shared with the test: the errno that every accept
//                            ends with (0: none), and how many have
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>

namespace {

struct Control {
  std::atomic<std::uint32_t> error, failed;
};

Control* control() {
  static Control* const mapped = []() -> Control* {
    const char* path = std::getenv("TWINSPOOL_ACCEPT_FAULTS");
    const int file = path == nullptr ? -1 : ::open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return nullptr;
    void* memory = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    return memory == MAP_FAILED ? nullptr : static_cast<Control*>(memory);
  }();
  return mapped;
}

}  // namespace

extern "C" int accept4(int socket, sockaddr* address, socklen_t* size, int flags) {
  if (Control* faults = control(); faults != nullptr && faults->error != 0) {
    ++faults->failed;
    errno = static_cast<int>(faults->error);
    return -1;
  }
  return static_cast<int>(::syscall(SYS_accept4, socket, address, size, flags));
}
