#include "core_dumps.h"

#include <sys/resource.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "util/log.h"

namespace twinspool {

namespace {

bool holds_secrets(const Config& config) {
  return config.auth.kind != AuthKind::none || !config.forward.tls.key_file.empty() ||
         config.forward.proxy.find('@') != std::string::npos;
}

bool leave_memory_out_of_dumps() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> filter(std::fopen("/proc/self/coredump_filter", "we"),
                                                               std::fclose);
  return filter != nullptr && std::fputs("0", filter.get()) >= 0 && std::fflush(filter.get()) == 0;
}

}  // namespace

void keep_secrets_out_of_core_dumps(const Config& config) {
  if (!holds_secrets(config)) return;
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) {
    log::warn("daemon.core_dumps", {{"why", std::string("RLIMIT_CORE cannot be lowered: ") + std::strerror(errno)}});
  }
  if (!leave_memory_out_of_dumps()) {
    log::warn("daemon.core_dumps", {{"why",
                                     "/proc/self/coredump_filter cannot be written: a crash handler that takes "
                                     "dumps by pipe may see secrets"}});
  }
}

}  // namespace twinspool
