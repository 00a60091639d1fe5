#include "disk_writes.h"

#include <cinttypes>
#include <cstdio>
#include <memory>

namespace twinspool {

std::optional<std::uint64_t> disk_written_bytes() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/io", "re"), std::fclose);
  char line[128];
  std::uint64_t bytes = 0;
  while (file != nullptr && std::fgets(line, sizeof line, file.get()) != nullptr)
    if (std::sscanf(line, "write_bytes: %" SCNu64, &bytes) == 1) return bytes;
  return std::nullopt;
}

}  // namespace twinspool
