// OAuth2 client credentials: POST {authority}/{tenant}/oauth2/v2.0/token with a proof of who we are. The kinds
// client_secret, client_certificate and workload_identity differ in their proof alone.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "forward/form.h"
#include "forward/token_fetch.h"

namespace twinspool::forward {

struct Proof {
  FormFields fields;   // beside grant_type, client_id and scope
  std::string secret;  // what of it must appear in no text
};
// Made anew for every attempt, from files that are read anew: who rotates a secret only writes the file.
using MakeProof = std::function<Result<Proof>(const std::string& token_url)>;

// Errc::invalid for a bad authority or TLS files that cannot be used.
Result<std::unique_ptr<TokenFetch>> make_client_credentials(const FetchSettings& settings, const AuthConfig& config,
                                                            MakeProof make_proof);

}  // namespace twinspool::forward
