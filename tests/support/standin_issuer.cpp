#include "support/standin_issuer.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>

#include "support/ps256.h"
#include "support/standin_answers.h"
#include "util/base64.h"
#include "util/json.h"

namespace twinspool::test {
namespace {

constexpr std::array<std::string_view, 15> kFaults{
    "ok",      "hang",      "reset",         "html",      "junk",       "empty",      "echo",     "no_token",
    "no_life", "zero_life", "negative_life", "huge_life", "line_break", "wrong_type", "evil_path"};
constexpr std::int64_t kAssertionSecondsMax = 600;
constexpr std::int64_t kSkewSeconds = 300;

int status_of(const std::string& fault) {
  if (fault.size() != 3 || fault.find_first_not_of("0123456789") != std::string::npos) return 0;
  return std::stoi(fault);
}

std::string header(const http::Request& request, std::string_view name) {
  return std::string(request.headers.get(name).value_or(std::string_view()));
}

}  // namespace

Result<void> StandInIssuer::set_faults(std::string_view steps, bool repeat, const std::string& retry_after) {
  std::deque<Fault> faults;
  while (!steps.empty()) {
    const std::size_t end = std::min(steps.find(','), steps.size());
    const std::string name(steps.substr(0, end));
    if (std::find(kFaults.begin(), kFaults.end(), name) == kFaults.end() && status_of(name) < 200) {
      return fail(Errc::invalid, "'" + name + "' is no step");
    }
    faults.push_back({name, retry_after});
    steps.remove_prefix(std::min(end + 1, steps.size()));
  }
  faults_ = std::move(faults);
  repeat_ = repeat;
  return {};
}

std::optional<StandInIssuer::Fault> StandInIssuer::next_fault() {
  if (faults_.empty()) return std::nullopt;
  Fault fault = faults_.front();
  if (faults_.size() > 1 || !repeat_) faults_.pop_front();
  return fault;
}

// The faults that need no look at the request.
std::optional<StandInIssuer::Reply> StandInIssuer::failed(const Fault& fault, const http::Request& request) const {
  if (fault.name == "hang") return Reply{.response = {}, .hang = true};
  if (fault.name == "reset") return Reply{.response = {}, .reset = true};
  if (fault.name == "html") {
    return Reply{.response = text_answer(200, "text/html", "<!doctype html><title>Sign in</title>Guest network\n")};
  }
  if (fault.name == "junk") return Reply{.response = text_answer(200, "application/json", "{\"access_token\": \"cut")};
  if (fault.name == "empty") return Reply{.response = text_answer(200, "application/json", "")};
  if (fault.name == "echo") {
    json::Writer body;
    body.begin_object().key("error").string("invalid_request");
    body.key("error_description")
        .string("AADSTS9000: you sent " + request.body + " with " + header(request, "Authorization"));
    body.end_object();
    return Reply{.response = text_answer(400, "application/json", body.take())};
  }
  if (const int status = status_of(fault.name); status != 0) {
    Reply reply{.response = text_answer(status, "application/json",
                                        R"({"error":"temporarily_unavailable","error_description":)"
                                        R"("AADSTS90033: A transient error has occurred. Please try again."})")};
    if (!fault.retry_after.empty()) reply.response.headers.add("Retry-After", fault.retry_after);
    return reply;
  }
  return std::nullopt;
}

http::Response StandInIssuer::refuse(int status, std::string_view error, const std::string& description) {
  last_refusal_ = description;
  json::Writer body;
  body.begin_object().key("error").string(error);
  body.key("error_description").string(description + "\r\nTrace ID: 0\r\nTimestamp: 2026-01-01 00:00:00Z").end_object();
  return text_answer(status, "application/json; charset=utf-8", body.take());
}

StandInIssuer::Reply StandInIssuer::token(const http::Request& request, const Now& now) {
  ++requests_;
  const auto fault = next_fault();
  if (fault) {
    if (auto reply = failed(*fault, request)) return *std::move(reply);
  }
  if (auto refusal = check_request(request)) return {.response = *std::move(refusal)};
  const std::string audience = "https://" + header(request, "Host") + std::string(path_of(request.target));
  if (auto refusal = check_proof(request, audience, now.wall)) return {.response = *std::move(refusal)};
  return {.response = issue(fault ? fault->name : "", false, now)};
}

std::optional<http::Response> StandInIssuer::check_request(const http::Request& request) {
  if (request.method != "POST") return refuse(400, "invalid_request", "AADSTS900561: The endpoint only accepts POST.");
  if (header(request, "Content-Type") != "application/x-www-form-urlencoded") {
    return refuse(400, "invalid_request", "AADSTS900144: The request body is not a form.");
  }
  if (path_of(request.target) != "/" + settings.tenant + "/oauth2/v2.0/token") {
    return refuse(400, "invalid_request", "AADSTS90002: Tenant not found.");
  }
  if (form_value(request.body, "grant_type") != "client_credentials") {
    return refuse(400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.");
  }
  if (form_value(request.body, "client_id") != settings.client_id) {
    return refuse(400, "unauthorized_client", "AADSTS700016: Application was not found in the directory.");
  }
  if (form_value(request.body, "scope") != settings.scope) {
    return refuse(400, "invalid_scope", "AADSTS70011: The provided value for scope is not valid.");
  }
  return std::nullopt;
}

std::optional<http::Response> StandInIssuer::check_proof(const http::Request& request, const std::string& audience,
                                                         WallTime now) {
  const auto secret = form_value(request.body, "client_secret");
  const auto assertion = form_value(request.body, "client_assertion");
  if (secret && assertion) return refuse(400, "invalid_request", "AADSTS900144: Two proofs at once.");
  if (secret) {
    if (*secret == settings.client_secret) return std::nullopt;
    return refuse(401, "invalid_client",
                  "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the "
                  "client secret value, not the client secret ID.");
  }
  if (!assertion) return refuse(401, "invalid_client", "AADSTS7000218: The request body must contain a proof.");
  if (form_value(request.body, "client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer") {
    return refuse(400, "invalid_request", "AADSTS7000218: client_assertion_type is not supported.");
  }
  if (*assertion == settings.federated_token) return std::nullopt;
  if (const auto why = why_bad_assertion(*assertion, audience, now)) return refuse(401, "invalid_client", *why);
  return std::nullopt;
}

std::optional<std::string> StandInIssuer::why_bad_assertion(const std::string& assertion, const std::string& audience,
                                                            WallTime now) {
  const std::size_t first = assertion.find('.');
  const std::size_t second = first == std::string::npos ? first : assertion.find('.', first + 1);
  if (second == std::string::npos) return "AADSTS70021: No matching federated identity record found.";
  const auto head = from_base64url(assertion.substr(0, first));
  const auto body = from_base64url(assertion.substr(first + 1, second - first - 1));
  const auto signature = from_base64url(assertion.substr(second + 1));
  if (!head || !body || !signature) return "AADSTS50027: The assertion is no JWT: not base64url.";
  const auto header_part = json::Document::parse(*head);
  const auto claims = json::Document::parse(*body);
  if (!header_part || !claims) return "AADSTS50027: The assertion is no JWT: not JSON.";
  if (header_part->value("alg") != "PS256" || header_part->value("typ") != "JWT") {
    return "AADSTS5002738: alg must be PS256 and typ JWT.";
  }
  const Verifier verifier(settings.certificate_file);
  if (header_part->value("x5t#S256") != base64url(verifier.sha256_thumbprint())) {
    return "AADSTS700027: The certificate with identifier x5t#S256 used to sign the client assertion is not "
           "registered.";
  }
  if (!verifier.good_ps256(assertion.substr(0, second), *signature)) {
    return "AADSTS700027: Client assertion failed signature validation.";
  }
  if (claims->value("aud") != audience) return "AADSTS700023: The audience is not " + audience;
  if (claims->value("iss") != settings.client_id || claims->value("sub") != settings.client_id) {
    return "AADSTS700021: iss and sub must be the client id.";
  }
  const std::int64_t seconds = to_unix_ms(now) / 1000;
  const auto not_before = claims->integer("nbf");
  const auto expires = claims->integer("exp");
  if (!not_before || !expires || !claims->integer("iat") || *not_before > seconds + kSkewSeconds ||
      *expires <= seconds || *expires > *not_before + kAssertionSecondsMax) {
    return "AADSTS700024: Client assertion is not within its valid time range.";
  }
  const std::string id = claims->value("jti").value_or("");
  if (id.size() < 16 || !assertion_ids_.insert(id).second) return "AADSTS700025: jti is missing or was used before.";
  return std::nullopt;
}

StandInIssuer::Reply StandInIssuer::managed_identity(const http::Request& request, const Now& now) {
  ++requests_;
  const auto fault = next_fault();
  if (fault) {
    if (auto reply = failed(*fault, request)) return *std::move(reply);
  }
  if (request.method != "GET" || path_of(request.target) != "/metadata/identity/oauth2/token") {
    return {.response = refuse(404, "invalid_request", "There is no such resource.")};
  }
  if (header(request, "Metadata") != "true") {
    return {.response = refuse(400, "invalid_request", "Required metadata header not specified")};
  }
  const std::string version = query_value(request.target, "api-version").value_or("");
  const bool arc = version == "2020-06-01";
  if (!arc && version != "2018-02-01") return {.response = refuse(400, "invalid_request", "api-version is missing")};
  if (query_value(request.target, "resource").value_or("") + "/.default" != settings.scope) {
    return {.response = refuse(400, "invalid_resource", "AADSTS500011: The resource principal was not found.")};
  }
  if (query_value(request.target, "client_id").value_or("") != settings.user_assigned) {
    return {.response = refuse(400, "invalid_request", "Identity not found")};
  }
  if (arc) {
    if (auto refusal = check_arc(request, fault && fault->name == "evil_path")) {
      return {.response = *std::move(refusal)};
    }
  }
  return {.response = issue(fault ? fault->name : "", true, now)};
}

std::optional<http::Response> StandInIssuer::check_arc(const http::Request& request, bool evil) {
  const std::string authorization = header(request, "Authorization");
  if (!authorization.empty()) {
    const bool good = !arc_key_.empty() && authorization == "Basic " + arc_key_;
    arc_key_.clear();
    if (good) return std::nullopt;
    return refuse(401, "unauthorized_client", "The secret of the challenge is wrong.");
  }
  const std::string name = "challenge-" + std::to_string(requests_);
  std::string path = settings.arc_key_directory + "/" + name + ".key";
  arc_key_ = base64url("key of " + name + " at " + settings.arc_key_directory);
  std::ofstream(path) << arc_key_;
  ::chmod(path.c_str(), 0640);
  if (evil) path = settings.arc_key_directory + "/../../../etc/passwd";
  http::Response challenge = text_answer(401, "application/json", "{}");
  challenge.headers.add("WWW-Authenticate", "Basic realm=" + path);
  return challenge;
}

http::Response StandInIssuer::issue(const std::string& fault, bool as_text, const Now& now) {
  ++tokens_;
  std::string token = "issued-token-" + std::to_string(tokens_) + "-" + base64url(std::to_string(to_unix_ms(now.wall)));
  issued_[token] = now.monotonic + settings.lifetime;
  std::int64_t life = settings.lifetime / std::chrono::seconds(1);
  if (fault == "zero_life") life = 0;
  if (fault == "negative_life") life = -3600;
  if (fault == "huge_life") life = 9'000'000'000'000'000'000;
  if (fault == "line_break") token += "\r\nX-Injected: true";
  json::Writer body;
  const auto number = [&](std::string_view name, std::int64_t value) {
    body.key(name);
    if (as_text) {
      body.string(std::to_string(value));
    } else {
      body.integer(value);
    }
  };
  body.begin_object().key("token_type").string(fault == "wrong_type" ? "mac" : "Bearer");
  if (fault != "no_life") {
    number("expires_in", life);
    number("ext_expires_in", life);
  }
  if (as_text && fault != "no_life") number("expires_on", to_unix_ms(now.wall) / 1000 + life);
  if (settings.refresh_in) number("refresh_in", *settings.refresh_in);
  if (fault != "no_token") body.key("access_token").string(token);
  body.end_object();
  return text_answer(200, "application/json; charset=utf-8", body.take());
}

bool StandInIssuer::valid(std::string_view bearer, TimePoint now) const {
  const auto found = issued_.find(bearer);
  return found != issued_.end() && now < found->second;
}

}  // namespace twinspool::test
