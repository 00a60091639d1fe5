#include "forward/workload_identity.h"

#include "forward/client_assertion.h"
#include "util/secret_file.h"

namespace twinspool::forward {

MakeProof workload_identity_proof(const AuthConfig& config) {
  return [file = config.federated_token_file](const std::string&) -> Result<Proof> {
    // Its modes are not checked: Kubernetes projects this file, which is worth something for minutes only, with 0644.
    const auto text = read_file("auth.federated_token_file", file, kFederatedTokenBytesMax);
    if (!text) return tl::unexpected<Error>(text.error());
    auto token = one_visible_line(*text);
    if (!token) return fail(Errc::invalid, "auth.federated_token_file " + file + ": it " + token.error().what);
    return Proof{.fields = {{"client_assertion_type", std::string(kAssertionType)}, {"client_assertion", *token}},
                 .secret = *token};
  };
}

}  // namespace twinspool::forward
