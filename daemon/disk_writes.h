// What the kernel counts of the disk's wear by this process.
#pragma once

#include <cstdint>
#include <optional>

namespace twinspool {

std::optional<std::uint64_t> disk_written_bytes();  // since its start (/proc/self/io); nullopt: not told

}  // namespace twinspool
