#include "config/check_auth.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace twinspool {

namespace {

constexpr std::size_t kScopeBytesMax = 1024;
constexpr std::size_t kNameBytesMax = 253;  // of a tenant, which may be a domain, and of a client id
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view kScopeEnd = "/.default";

using Kinds = std::vector<AuthKind>;

struct Rule {
  const char* key;
  std::string AuthConfig::*value;
  const char* accepted;
  Kinds needed_by;
  Kinds allowed_for;               // beside those that need it
  const char* variable = nullptr;  // fills it for workload_identity
};

const std::vector<Rule>& rules() {
  using enum AuthKind;
  static const Kinds kCredentials{client_secret, client_certificate, workload_identity};
  static const std::vector<Rule> made{
      {"auth.token_file", &AuthConfig::token_file, "the path of a file with the token", {token_file}, {}},
      {"auth.tenant",
       &AuthConfig::tenant,
       "the id or a domain name of the tenant",
       kCredentials,
       {},
       "AZURE_TENANT_ID"},
      {"auth.client_id",
       &AuthConfig::client_id,
       "the application's (client) id",
       kCredentials,
       {managed_identity},
       "AZURE_CLIENT_ID"},
      {"auth.client_secret_file",
       &AuthConfig::client_secret_file,
       "the path of a file with the secret",
       {client_secret},
       {}},
      {"auth.cert_file", &AuthConfig::cert_file, "the path of a PEM certificate", {client_certificate}, {}},
      {"auth.key_file", &AuthConfig::key_file, "the path of the certificate's PEM key", {client_certificate}, {}},
      {"auth.federated_token_file",
       &AuthConfig::federated_token_file,
       "the path of the file with the federated token",
       {workload_identity},
       {},
       "AZURE_FEDERATED_TOKEN_FILE"},
  };
  return made;
}

bool in(const Kinds& kinds, AuthKind kind) { return std::find(kinds.begin(), kinds.end(), kind) != kinds.end(); }

bool made_of(std::string_view text, std::string_view others) {
  return text.size() <= kNameBytesMax && std::all_of(text.begin(), text.end(), [&](char c) {
           return kLetters.find(c) != std::string_view::npos || (c >= '0' && c <= '9') ||
                  others.find(c) != std::string_view::npos;
         });
}

std::string names_of(const Rule& rule) {
  std::string names;
  for (const Kinds* kinds : {&rule.needed_by, &rule.allowed_for}) {
    for (const AuthKind kind : *kinds) names += (names.empty() ? "" : ", ") + std::string(to_string(kind));
  }
  return names;
}

bool is_scope(std::string_view scope) {
  return scope.size() > kScopeEnd.size() && scope.size() <= kScopeBytesMax && scope.ends_with(kScopeEnd) &&
         std::all_of(scope.begin(), scope.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace

std::string_view to_string(AuthKind kind) {
  switch (kind) {
    case AuthKind::none:
      return "none";
    case AuthKind::token_file:
      return "token_file";
    case AuthKind::client_secret:
      return "client_secret";
    case AuthKind::client_certificate:
      return "client_certificate";
    case AuthKind::managed_identity:
      return "managed_identity";
    case AuthKind::workload_identity:
      return "workload_identity";
  }
  return "none";
}

void check_auth(const AuthConfig& auth,
                const std::function<std::optional<std::string>(const std::string& url)>& why_bad_url,
                const std::function<void(const std::string& key, std::string what)>& problem) {
  for (const Rule& rule : rules()) {
    const std::string& value = auth.*rule.value;
    if (value.empty() && in(rule.needed_by, auth.kind)) {
      problem(rule.key,
              fmt::format("empty, but auth.kind {} needs it; {} is accepted{}", to_string(auth.kind), rule.accepted,
                          rule.variable != nullptr && auth.kind == AuthKind::workload_identity
                              ? fmt::format(", here or in {}", rule.variable)
                              : ""));
    }
    if (!value.empty() && !in(rule.needed_by, auth.kind) && !in(rule.allowed_for, auth.kind)) {
      problem(rule.key, fmt::format("does not belong to auth.kind {}, but to {}; leave it out, or change auth.kind",
                                    to_string(auth.kind), names_of(rule)));
    }
  }
  if (!made_of(auth.tenant, "-.") || auth.tenant.starts_with('.')) {
    problem("auth.tenant",
            fmt::format("\"{}\" is no tenant; its id or one of its domain names is accepted", auth.tenant));
  }
  if (!made_of(auth.client_id, "-")) {
    problem("auth.client_id",
            fmt::format("\"{}\" is no client id; letters, digits and - are accepted", auth.client_id));
  }
  if (const auto why = why_bad_url(auth.authority)) problem("auth.authority", *why);
  if (!is_scope(auth.scope)) {
    problem("auth.scope",
            fmt::format("\"{}\" is not a scope of an application; RESOURCE{} is accepted", auth.scope, kScopeEnd));
  }
}

void fill_from_environment(AuthConfig& auth) {
  if (auth.kind != AuthKind::workload_identity) return;
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  for (const Rule& rule : rules()) {
    std::string& value = auth.*rule.value;
    if (rule.variable != nullptr && value.empty()) value = variable(rule.variable);
  }
  std::string authority = variable("AZURE_AUTHORITY_HOST");
  while (authority.ends_with('/')) authority.pop_back();
  if (!authority.empty() && auth.authority == AuthConfig{}.authority) auth.authority = authority;
}

}  // namespace twinspool
