// auth.kind client_secret: the proof is a secret from a file (or a systemd credential, which is one).
#pragma once

#include "config/config.h"
#include "forward/client_credentials.h"

namespace twinspool::forward {

constexpr std::size_t kClientSecretBytesMax = 4096;

MakeProof client_secret_proof(const AuthConfig& config);

}  // namespace twinspool::forward
