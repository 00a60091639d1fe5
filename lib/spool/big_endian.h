// Numbers as SQLite's files write them. The caller knows that the bytes are there.
#pragma once

#include <cstdint>

namespace twinspool {

inline std::uint32_t big_endian16(const char* bytes) {
  return static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[0])) << 8 | static_cast<std::uint8_t>(bytes[1]);
}

inline std::uint32_t big_endian32(const char* bytes) { return big_endian16(bytes) << 16 | big_endian16(bytes + 2); }

inline std::uint32_t little_endian32(const char* bytes) { return __builtin_bswap32(big_endian32(bytes)); }

inline void put_big_endian32(char* to, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) *to++ = static_cast<char>(number >> shift);
}

}  // namespace twinspool
