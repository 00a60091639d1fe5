// How much of the disk delivered messages may take while they are kept for a replay. Pure.
//
// They are worth less than what still waits: a quarter of the queue's own limit, and nothing at all while the disk has
// no room for the queue.
#pragma once

#include <cstdint>

#include "config/config.h"

namespace twinspool {

constexpr std::uint64_t kKeptBytesMaxWithoutLimit = kGiB;  // store.max_size: 0

inline std::uint64_t kept_bytes_max(const StoreConfig& config, bool disk_is_full) {
  if (disk_is_full) return 0;
  return config.max_size == 0 ? kKeptBytesMaxWithoutLimit : config.max_size / 4;
}

}  // namespace twinspool
