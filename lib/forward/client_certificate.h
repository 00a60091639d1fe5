// auth.kind client_certificate: the proof is an assertion signed with the key of a certificate that the application's
// registration knows.
#pragma once

#include "config/config.h"
#include "forward/client_credentials.h"

namespace twinspool::forward {

constexpr std::size_t kPemBytesMax = 64 * 1024;  // of the certificate file, and of the key file

MakeProof client_certificate_proof(const AuthConfig& config, std::function<WallTime()> wall_clock);

}  // namespace twinspool::forward
