// Who gives out tokens in the stand-in: an OAuth2 token endpoint as Entra's, and the managed-identity endpoints of an
// Azure VM and of Azure Arc. It checks what it is sent as strictly as the real ones are documented to, remembers what
// it issued, and lies on request. Pure but for the key files of Arc's challenge: time is an argument.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "http/message.h"
#include "util/error.h"
#include "util/time.h"

namespace twinspool::test {

struct IssuerSettings {
  std::string tenant = "stand-in-tenant";
  std::string client_id = "stand-in-client";
  std::string client_secret = "stand-in-secret";
  std::string certificate_file;  // PEM, of the key that signs assertions
  std::string federated_token = "stand-in-federated-token";
  std::string scope = "https://digitaltwins.azure.net/.default";
  std::string user_assigned;  // client id that managed identity must name; empty: none
  std::string arc_key_directory;
  Duration lifetime = std::chrono::hours(1);
  std::optional<std::int64_t> refresh_in;  // seconds
};

class StandInIssuer {
 public:
  struct Now {
    TimePoint monotonic;
    WallTime wall;
  };
  struct Reply {
    http::Response response;
    bool hang = false;   // never answered
    bool reset = false;  // the connection ends
  };

  IssuerSettings settings;

  // "500,hang,ok": one step a request. A status, or hang, reset, html, junk, empty, echo (sends back what it was sent),
  // no_token, no_life, zero_life, negative_life, huge_life, line_break, wrong_type, evil_path (Arc), ok.
  Result<void> set_faults(std::string_view steps, bool repeat, const std::string& retry_after);
  void clear_faults() { faults_.clear(); }

  // POST .../oauth2/v2.0/token. `host` is how the request reached us: the assertion's audience must name it.
  Reply token(const http::Request& request, const Now& now);
  // GET /metadata/identity/oauth2/token
  Reply managed_identity(const http::Request& request, const Now& now);

  bool valid(std::string_view bearer, TimePoint now) const;
  void revoke() { issued_.clear(); }

  std::uint64_t requests() const { return requests_; }
  std::uint64_t tokens() const { return tokens_; }
  const std::string& last_refusal() const { return last_refusal_; }

 private:
  struct Fault {
    std::string name;
    std::string retry_after;
  };
  std::optional<Fault> next_fault();
  std::optional<Reply> failed(const Fault& fault, const http::Request& request) const;
  http::Response refuse(int status, std::string_view error, const std::string& description);
  std::optional<http::Response> check_request(const http::Request& request);
  std::optional<http::Response> check_proof(const http::Request& request, const std::string& audience, WallTime now);
  std::optional<std::string> why_bad_assertion(const std::string& assertion, const std::string& audience, WallTime now);
  std::optional<http::Response> check_arc(const http::Request& request, bool evil);
  http::Response issue(const std::string& fault, bool as_text, const Now& now);

  std::deque<Fault> faults_;
  bool repeat_ = false;
  std::map<std::string, TimePoint, std::less<>> issued_;  // token → its end
  std::set<std::string> assertion_ids_;
  std::string arc_key_;  // content of the file of the newest challenge
  std::uint64_t requests_ = 0;
  std::uint64_t tokens_ = 0;
  std::string last_refusal_;
};

}  // namespace twinspool::test
