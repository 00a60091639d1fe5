// auth.kind managed_identity: the machine itself is known to the cloud, an agent beside us gives out its tokens.
//
// Azure VM: GET http://169.254.169.254/metadata/identity/oauth2/token with `Metadata: true`. Azure Arc: the agent on
// loopback first answers 401 and names a key file that only members of its group can read; the content of that file is
// sent back. Neither TLS nor a proxy: both are on this machine, and no other address is accepted.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "forward/token_fetch.h"

namespace twinspool::forward {

struct IdentityEnvironment {         // what the platform tells by the environment; empty: not set
  std::string identity_endpoint;     // IDENTITY_ENDPOINT
  std::string imds_endpoint;         // IMDS_ENDPOINT
  bool arc_agent_installed = false;  // its program is there
  std::string arc_key_directory = "/var/opt/azcmagent/tokens";

  static IdentityEnvironment of_process();
};

struct IdentityEndpoint {
  bool arc = false;
  std::string host;
  std::uint16_t port = 80;
  std::string authority;  // the Host header
  std::string path;
  std::string key;  // what names it, for advice: IDENTITY_ENDPOINT
};

// Both variables: Arc at IDENTITY_ENDPOINT. IMDS_ENDPOINT alone: the VM's, there. None: Arc where its agent is
// installed, else the VM's usual address. Errc::invalid for anything but http to loopback or 169.254.169.254.
Result<IdentityEndpoint> identity_endpoint(const IdentityEnvironment& environment);

constexpr std::size_t kArcKeyBytesMax = 4096;

// The key file that a challenge (the value of WWW-Authenticate) names, if it may be read: a *.key directly in
// `directory`. Whoever answers on that port chooses this path: it is checked before anything is opened.
Result<std::string> arc_key_path(std::string_view challenge, const std::string& directory);

Result<std::unique_ptr<TokenFetch>> make_managed_identity(const FetchSettings& settings, const AuthConfig& config,
                                                          const IdentityEnvironment& environment);

}  // namespace twinspool::forward
