#include "util/digest.h"

#include <openssl/rand.h>
#include <sodium/crypto_shorthash_siphash24.h>

#include <bit>
#include <cstring>

#include "util/error.h"

namespace twinspool {
namespace {

std::uint64_t word_of(const std::uint8_t* bytes) {  // little-endian, as SipHash writes its results
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return std::endian::native == std::endian::little ? word : __builtin_bswap64(word);
}

}  // namespace

DigestKey random_digest_key() {
  DigestKey key{};
  ENSURE(RAND_bytes(key.data(), static_cast<int>(key.size())) == 1);
  return key;
}

const std::string& Digester::joined(std::initializer_list<std::string_view> parts) {
  input_.clear();
  for (const std::string_view part : parts) {
    char length[8];
    for (std::size_t i = 0; i < sizeof length; ++i)
      length[i] = static_cast<char>(std::uint64_t{part.size()} >> (8 * i) & 0xff);
    input_.append(length, sizeof length).append(part);
  }
  return input_;
}

// Neither function needs sodium_init(): they take no randomness and come in one implementation.
Digest128 Digester::digest128(std::initializer_list<std::string_view> parts) {
  const std::string& input = joined(parts);
  std::array<std::uint8_t, crypto_shorthash_siphashx24_BYTES> out{};
  crypto_shorthash_siphashx24(out.data(), reinterpret_cast<const unsigned char*>(input.data()), input.size(),
                              key_.data());
  return {.high = word_of(out.data() + 8), .low = word_of(out.data())};
}

std::uint64_t Digester::digest64(std::initializer_list<std::string_view> parts) {
  const std::string& input = joined(parts);
  std::array<std::uint8_t, crypto_shorthash_siphash24_BYTES> out{};
  crypto_shorthash_siphash24(out.data(), reinterpret_cast<const unsigned char*>(input.data()), input.size(),
                             key_.data());
  return word_of(out.data());
}

}  // namespace twinspool
