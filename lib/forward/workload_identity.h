// auth.kind workload_identity: the proof is a token of another issuer (Kubernetes, SPIFFE, ...), which renews it in a
// file.
#pragma once

#include "config/config.h"
#include "forward/client_credentials.h"

namespace twinspool::forward {

constexpr std::size_t kFederatedTokenBytesMax = 64 * 1024;

MakeProof workload_identity_proof(const AuthConfig& config);

}  // namespace twinspool::forward
