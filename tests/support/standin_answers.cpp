#include "support/standin_answers.h"

#include <array>
#include <ctime>

#include "util/json.h"

namespace twinspool::test {
namespace {

std::string usual_code(int status) {
  switch (status) {
    case 400:
      return "ValidationFailed";
    case 408:
      return "RequestTimeout";
    case 429:
      return "TooManyRequests";
    case 500:
      return "InternalError";
    case 503:
      return "ServiceUnavailable";
    default:
      return {};
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string http_date_now() {
  std::array<char, 64> text{};
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  return {text.data(), std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc)};
}

}  // namespace

http::Response error_answer(int status, std::string_view code, std::string_view message) {
  json::Writer body;
  body.begin_object().key("error").begin_object();
  if (!code.empty()) body.key("code").string(code);
  body.key("message").string(message).end_object().end_object();
  http::Response response = text_answer(status, "application/json; charset=utf-8", body.take());
  if (!code.empty()) response.headers.add("x-ms-error-code", code);
  return response;
}

http::Response unauthorized_answer() {
  return text_answer(401, "application/json", R"({"statusCode":401,"message":"Unauthorized"})");
}

http::Response text_answer(int status, std::string_view content_type, std::string body) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", content_type);
  response.body = std::move(body);
  return response;
}

http::Response fault_answer(const Fault& fault) {
  http::Response response;
  if (fault.html) {
    response = text_answer(fault.status, "text/html", "<!doctype html><title>Sign in</title><p>Guest network</p>\n");
  } else if (fault.status == 401 && fault.code.empty()) {
    response = unauthorized_answer();
  } else if ((fault.status == 403 && fault.code.empty()) || fault.status < 400) {
    response.status = fault.status;
    if (fault.status >= 300) response.headers.add("Location", "https://login.example/");
  } else if (fault.status == 404 && fault.code.empty()) {
    response = error_answer(404, "", "Sub-Domain not found.");
  } else {
    const std::string code = fault.code.empty() ? usual_code(fault.status) : fault.code;
    response = error_answer(fault.status, code, "The stand-in was asked to answer so.");
  }
  if (!fault.retry_after.empty()) response.headers.add("Retry-After", fault.retry_after);
  if (const std::size_t colon = fault.header.find(':'); colon != std::string::npos) {
    std::string_view value = std::string_view(fault.header).substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    response.headers.add(std::string_view(fault.header).substr(0, colon), value);
  }
  return response;
}

std::string accepted_answer(std::string_view traceparent) {
  std::string head = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nDate: " + http_date_now() +
                     "\r\nStrict-Transport-Security: max-age=2592000\r\n"
                     "mise-correlation-id: 4e0b6c2e-9f63-4d0a-8a6c-2d3a1f6f0c11\r\n";
  if (traceparent.size() == 55) {  // version, trace id, parent id, flags: our span answers with the client's trace id
    head += "traceresponse: " + std::string(traceparent.substr(0, 36)) + "b7ad6b7169203331-01\r\n";
  }
  return head + "\r\n";
}

std::string_view path_of(std::string_view target) { return target.substr(0, target.find('?')); }

std::optional<Telemetry> telemetry_target(std::string_view target) {
  constexpr std::string_view kStart = "/digitaltwins/";
  constexpr std::string_view kEnd = "/telemetry";
  constexpr std::string_view kMiddle = "/components/";
  std::string_view path = path_of(target);
  if (path.substr(0, kStart.size()) != kStart || path.size() < kStart.size() + kEnd.size()) return std::nullopt;
  path.remove_prefix(kStart.size());
  if (path.substr(path.size() - kEnd.size()) != kEnd) return std::nullopt;
  path.remove_suffix(kEnd.size());
  Telemetry telemetry;
  const std::size_t slash = path.find('/');
  telemetry.twin = path.substr(0, slash);
  if (slash != std::string_view::npos) {
    const std::string_view rest = path.substr(slash);
    if (rest.substr(0, kMiddle.size()) != kMiddle) return std::nullopt;
    telemetry.component = rest.substr(kMiddle.size());
    if (telemetry.component.empty() || telemetry.component.find('/') != std::string::npos) return std::nullopt;
  }
  if (telemetry.twin.empty()) return std::nullopt;
  return telemetry;
}

std::optional<std::string> query_value(std::string_view target, std::string_view name) {
  const std::size_t question = target.find('?');
  if (question == std::string_view::npos) return std::nullopt;
  return form_value(target.substr(question + 1), name);
}

std::optional<std::string> form_value(std::string_view form, std::string_view name) {
  while (!form.empty()) {
    const std::size_t end = std::min(form.find('&'), form.size());
    const std::string_view field = form.substr(0, end);
    const std::size_t equals = std::min(field.find('='), field.size());
    if (field.substr(0, equals) == name) {
      return percent_decoded(field.substr(std::min(equals + 1, field.size())));
    }
    form.remove_prefix(std::min(end + 1, form.size()));
  }
  return std::nullopt;
}

}  // namespace twinspool::test
