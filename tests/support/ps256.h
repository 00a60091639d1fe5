// The other side of PS256: what a token endpoint does with a signature, written apart from the signing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace twinspool::test {

class Verifier {
 public:
  explicit Verifier(const std::string& certificate_file);  // PEM; ENSUREs that it is one
  ~Verifier();
  std::string sha256_thumbprint() const;
  bool good_ps256(std::string_view text, std::string_view signature) const;  // salt of 32 bytes, no other

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::optional<std::string> from_base64url(std::string_view text);

}  // namespace twinspool::test
