#include "util/digest.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <string>

#include "util/error.h"

namespace twinspool {

namespace {

template <auto Free>
struct With {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Mac = std::unique_ptr<EVP_MAC, With<EVP_MAC_free>>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, With<EVP_MAC_CTX_free>>;

MacContext make_context(EVP_MAC* mac, const DigestKey& key, std::size_t size) {
  MacContext context(EVP_MAC_CTX_new(mac));
  ENSURE(context != nullptr);
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
  ENSURE(EVP_MAC_init(context.get(), key.data(), key.size(), params) == 1);
  return context;
}

std::array<std::uint8_t, 8> little_endian(std::uint64_t number) {
  std::array<std::uint8_t, 8> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return bytes;
}

std::uint64_t from_little_endian(const std::uint8_t* bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) number |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  return number;
}

}  // namespace

DigestKey random_digest_key() {
  DigestKey key{};
  ENSURE(RAND_bytes(key.data(), static_cast<int>(key.size())) == 1);
  return key;
}

struct Digester::Impl {
  DigestKey key;
  MacContext wide;
  MacContext narrow;
  std::string input;  // of one update: its calls cost more than to copy what they are given

  template <std::size_t Size>
  std::array<std::uint8_t, Size> run(EVP_MAC_CTX* context, std::initializer_list<std::string_view> parts) {
    // The key is given each time: without one, SipHash in OpenSSL 3.0 goes on from the state of the last digest.
    ENSURE(EVP_MAC_init(context, key.data(), key.size(), nullptr) == 1);
    input.clear();
    for (const std::string_view part : parts) {
      const auto length = little_endian(part.size());
      input.append(length.begin(), length.end()).append(part);
    }
    ENSURE(EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(input.data()), input.size()) == 1);
    std::array<std::uint8_t, Size> out{};
    std::size_t written = 0;
    ENSURE(EVP_MAC_final(context, out.data(), &written, out.size()) == 1 && written == out.size());
    return out;
  }
};

Digester::Digester(const DigestKey& key) : impl_(std::make_unique<Impl>()) {
  const Mac mac(EVP_MAC_fetch(nullptr, "SIPHASH", nullptr));
  ENSURE(mac != nullptr);
  impl_->key = key;
  impl_->wide = make_context(mac.get(), key, 16);
  impl_->narrow = make_context(mac.get(), key, 8);
}

Digester::~Digester() = default;
Digester::Digester(Digester&&) noexcept = default;
Digester& Digester::operator=(Digester&&) noexcept = default;

Digest128 Digester::digest128(std::initializer_list<std::string_view> parts) {
  const auto bytes = impl_->run<16>(impl_->wide.get(), parts);
  return {.high = from_little_endian(bytes.data() + 8), .low = from_little_endian(bytes.data())};
}

std::uint64_t Digester::digest64(std::initializer_list<std::string_view> parts) {
  return from_little_endian(impl_->run<8>(impl_->narrow.get(), parts).data());
}

}  // namespace twinspool
