#include "forward/client_secret.h"

#include "util/secret_file.h"

namespace twinspool::forward {

MakeProof client_secret_proof(const AuthConfig& config) {
  return [file = config.client_secret_file](const std::string&) -> Result<Proof> {
    auto secret = read_secret_line("auth.client_secret_file", file, kClientSecretBytesMax);
    if (!secret) return tl::unexpected<Error>(secret.error());
    return Proof{.fields = {{"client_secret", secret->text}}, .secret = secret->text};
  };
}

}  // namespace twinspool::forward
