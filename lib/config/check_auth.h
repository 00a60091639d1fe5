// The rules of the auth section: what each kind needs, what does not belong to it, and what a value must look like.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.h"

namespace twinspool {

std::string_view to_string(AuthKind kind);  // as auth.kind has it

// `why_bad_url` is the rule of https URLs, which auth.authority shares with forward.endpoint.
void check_auth(const AuthConfig& auth,
                const std::function<std::optional<std::string>(const std::string& url)>& why_bad_url,
                const std::function<void(const std::string& key, std::string what)>& problem);

// workload_identity: what is empty is taken from the variables that a workload identity's platform sets:
// AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE, and AZURE_AUTHORITY_HOST for an authority that is the
// default.
void fill_from_environment(AuthConfig& auth);

}  // namespace twinspool
