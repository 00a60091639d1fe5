#include "forward/token_answer.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "forward/form.h"
#include "forward/secrets.h"
#include "util/json.h"

namespace twinspool::forward {

namespace {

using std::chrono::seconds;

constexpr std::size_t kTokenTextBytesMax = 900;  // with "no token: " before it, it fits into the status's why

struct Advice {
  std::string_view code;  // AADSTS number, or the OAuth error where there is none
  std::string_view remedy;
};
// Facts from Microsoft's list of Entra error codes; what they mean for a gateway is ours.
constexpr Advice kAdvice[] = {
    {"7000215", "write the secret's value, not its id, into auth.client_secret_file"},
    {"7000222",
     "the secret is over: make a new one for the app registration and write it into auth.client_secret_file"},
    {"700016", "check auth.client_id and auth.tenant: this tenant has no such application"},
    {"90002", "check auth.tenant, and that auth.authority is the cloud of this tenant"},
    {"900023", "check auth.tenant: it is a tenant's id or one of its domain names"},
    {"700027",
     "upload the certificate of auth.cert_file to the app registration, or check that auth.key_file is its key"},
    {"700024", "check this gateway's clock: the assertion is not valid at the authority's time"},
    {"700021", "check auth.client_id, and that the federated credential belongs to this application"},
    {"70021", "check issuer, subject and audience of the federated credential of the application"},
    {"700211", "check the issuer of the federated credential of the application"},
    {"700212", "check the audience of the federated credential of the application"},
    {"700213", "check the subject of the federated credential of the application"},
    {"70011", "check auth.scope"},
    {"1002012", "check auth.scope: it ends with /.default"},
    {"500011", "check auth.scope: this tenant does not know that resource"},
    {"7000112", "enable the application in its tenant"},
    {"53003", "a conditional access policy refuses this gateway: ask the tenant's administrator"},
    {"invalid_client", "check auth.client_id and the secret or certificate that belongs to it"},
    {"unauthorized_client", "check auth.client_id and auth.tenant"},
    {"invalid_scope", "check auth.scope"},
    {"invalid_resource", "check auth.scope"},
};

bool is_transient(int status, std::string_view error) {
  return status == 408 || status == 410 || status == 429 || status >= 500 || error == "temporarily_unavailable" ||
         error == "server_error";
}

std::string_view aadsts_number(std::string_view description) {
  constexpr std::string_view kMark = "AADSTS";
  const auto at = description.find(kMark);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = description.substr(at + kMark.size());
  return rest.substr(0, std::min(rest.find_first_not_of("0123456789"), rest.size()));
}

std::optional<std::int64_t> whole_number(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  std::int64_t number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  if (error == std::errc::result_out_of_range && stop == end) {
    return text->starts_with('-') ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
  }
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

Duration at_most_max(std::int64_t number) {
  return number > kTokenLifeMax / seconds(1) ? kTokenLifeMax : seconds(number);
}

// expires_in is counted by our monotonic clock. expires_on, which managed identity has, is a moment of the issuer's.
Result<Duration> life_of(const json::Document& answer, const http::Response& response, const AnswerRules& rules) {
  if (const auto stated = answer.value("expires_in")) {
    const auto number = whole_number(stated);
    if (!number) return fail(Errc::protocol, "an expires_in that is no whole number of seconds");
    if (*number <= 0) return fail(Errc::protocol, "an expires_in of " + std::to_string(*number) + " seconds");
    return at_most_max(*number);
  }
  if (const auto end = whole_number(answer.value("expires_on"))) {
    const auto date = response.headers.get("date") ? http_date(*response.headers.get("date")) : std::nullopt;
    const std::int64_t now = date ? *date : to_unix_ms(rules.now) / 1000;
    if (*end <= now) return fail(Errc::protocol, "an expires_on that has passed already");
    return at_most_max(*end - now);
  }
  return kTokenLifeUnstated;
}

bool same_without_case(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char given, char wanted) {
    return (given >= 'A' && given <= 'Z' ? static_cast<char>(given - 'A' + 'a') : given) == wanted;
  });
}

std::string_view advice_for(std::string_view error, std::string_view description) {
  for (const std::string_view code : {aadsts_number(description), error}) {
    if (code.empty()) continue;
    for (const Advice& advice : kAdvice) {
      if (advice.code == code) return advice.remedy;
    }
  }
  return {};
}

class AnswerReader {
 public:
  AnswerReader(const http::Response& answer, const TokenAnswerRules& rules) : answer_(answer), rules_(rules) {}

  TokenResult read() const {
    const auto document = json::Document::parse(answer_.body);
    if (is_page(answer_) || !document) return no_json();
    return answer_.status == 200 ? token(*document) : refusal(*document);
  }

 private:
  TokenResult no_json() const {
    const char* body = is_page(answer_)       ? " with an HTML page"
                       : answer_.body.empty() ? " without a body"
                                              : " with a body that is not JSON";
    if (is_transient(answer_.status, {})) return failure(body, {}, {.retry_after = asked_to_wait()});
    return failure(body, "a proxy or a captive portal may have answered: check " + rules_.key + " and the way to it",
                   {});
  }

  TokenResult token(const json::Document& document) const {
    auto token = document.value("access_token");
    if (!token || token->empty()) return lie("no access_token");
    if (token->size() > kAccessTokenBytesMax) {
      return lie("an access_token of more than " + std::to_string(kAccessTokenBytesMax) + " bytes");
    }
    if (!std::all_of(token->begin(), token->end(), [](char c) { return c > 0x20 && c < 0x7F; })) {
      return lie("an access_token that is not one line of visible ASCII");
    }
    const auto type = document.value("token_type");
    if (type && !same_without_case(*type, "bearer")) return lie("a token_type other than Bearer");
    const auto life = life_of(document, answer_, rules_.answer);
    if (!life) return lie(life.error().what);
    TokenLifetime lifetime{.expires_in = *life, .refresh_in = std::nullopt};
    const auto refresh_in = whole_number(document.value("refresh_in"));
    if (refresh_in && *refresh_in > 0) {
      if (const Duration early = at_most_max(*refresh_in); early < *life) lifetime.refresh_in = early;
    }
    return AccessToken{std::move(*token), lifetime};
  }

  TokenResult refusal(const json::Document& document) const {
    const std::string error = document.value("error").value_or("");
    const std::string description = document.value("error_description").value_or("");
    // Entra's texts go on with a trace id, a correlation id and a time, a line each.
    const std::string first_line = description.substr(0, description.find_first_of("\r\n"));
    std::string what = error.empty() ? "" : " " + error;
    if (!first_line.empty()) what += ": " + first_line;
    const bool transient = is_transient(answer_.status, error);
    return failure(what, std::string(advice_for(error, description)),
                   {.retry_after = transient ? asked_to_wait() : Duration::zero(), .needs_a_person = !transient});
  }

  TokenResult lie(const std::string& what) const {
    return failure(" with " + what, "that is no token endpoint's answer: check " + rules_.key + " and the way to it",
                   {});
  }

  Duration asked_to_wait() const { return retry_after(answer_.headers, rules_.answer); }

  // A long text of the peer is cut, never the remedy; secrets go before the cut, which might leave a part of one.
  TokenResult failure(const std::string& what, std::string remedy, TokenRetry retry) const {
    if (!remedy.empty()) remedy = "; " + remedy;
    std::string text = rules_.endpoint + " answered HTTP " + std::to_string(answer_.status) + what;
    text = without_secrets(std::move(text), rules_.secrets);
    return tl::unexpected(TokenFailure{printable(text, kTokenTextBytesMax - remedy.size()) + remedy, retry});
  }

  const http::Response& answer_;
  const TokenAnswerRules& rules_;
};

}  // namespace

TokenResult read_token_answer(const http::Response& answer, const TokenAnswerRules& rules) {
  return AnswerReader(answer, rules).read();
}

}  // namespace twinspool::forward
