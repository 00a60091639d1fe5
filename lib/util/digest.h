// Keyed short digests (SipHash-2-4, by libsodium): neither chance nor a sender who does not know the key makes two
// inputs look alike. 128 bits for identity (the dedup window), 64 for checksums of rows.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace twinspool {

struct Digest128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const Digest128&, const Digest128&) = default;
};

using DigestKey = std::array<std::uint8_t, 16>;

DigestKey random_digest_key();

// One per thread. Every part is preceded by its length, so ("ab","c") and ("a","bc") differ.
class Digester {
 public:
  explicit Digester(const DigestKey& key) : key_(key) {}

  Digest128 digest128(std::initializer_list<std::string_view> parts);
  std::uint64_t digest64(std::initializer_list<std::string_view> parts);

 private:
  const std::string& joined(std::initializer_list<std::string_view> parts);

  DigestKey key_;
  std::string input_;  // of the digest under way; its memory is kept for the next
};

}  // namespace twinspool
