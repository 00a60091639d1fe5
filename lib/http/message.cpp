#include "http/message.h"

#include <charconv>

namespace twinspool::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// Whoever put a line break into a value gets a space instead: a field never ends early, whatever it was made from.
void append_field_text(std::string& out, std::string_view text) {
  const std::size_t at = out.size();
  out += text;
  for (std::size_t i = at; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned char>(out[i]);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) out[i] = ' ';
  }
}

void append_fields(std::string& out, const Headers& headers) {
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    append_field_text(out, name);
    out += ": ";
    append_field_text(out, value);
    out += "\r\n";
  }
}

void append_content_length(std::string& out, std::size_t bytes) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, bytes).ptr;
  out += "Content-Length: ";
  out.append(digits, end);
  out += "\r\n";
}

std::size_t head_size_guess(const Headers& headers) {
  std::size_t bytes = 160;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    bytes += name.size() + value.size() + 4;
  }
  return bytes;
}

}  // namespace

bool same_name(std::string_view left, std::string_view right) {
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i] != right[i] && lower(left[i]) != lower(right[i])) return false;
  }
  return true;
}

Headers::Headers(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  for (const auto& [name, value] : fields) add(name, value);
}

void Headers::reserve(std::size_t text_bytes, std::size_t fields) {
  text_.reserve(text_bytes);
  fields_.reserve(fields);
}

void Headers::add(std::string_view name, std::string_view value) {
  const auto at = static_cast<std::uint32_t>(text_.size());
  const auto name_size = static_cast<std::uint32_t>(name.size());
  text_ += name;
  text_ += value;
  fields_.push_back({.name_at = at,
                     .name_size = name_size,
                     .value_at = at + name_size,
                     .value_size = static_cast<std::uint32_t>(value.size())});
}

std::optional<std::string_view> Headers::get(std::string_view name) const {
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const auto [own_name, value] = at(i);
    if (same_name(own_name, name)) return value;
  }
  return std::nullopt;
}

std::size_t Headers::count(std::string_view name) const {
  std::size_t found = 0;
  for (std::size_t i = 0; i < fields_.size(); ++i) found += same_name(at(i).first, name) ? 1 : 0;
  return found;
}

std::pair<std::string_view, std::string_view> Headers::at(std::size_t index) const {
  const Field& field = fields_.at(index);
  const std::string_view text = text_;
  return {text.substr(field.name_at, field.name_size), text.substr(field.value_at, field.value_size)};
}

void Headers::clear() {
  text_.clear();
  fields_.clear();
}

std::string serialize(const Request& request) {
  std::string out;
  out.reserve(head_size_guess(request.headers) + request.method.size() + request.target.size() + request.body.size());
  out += request.method;
  out += ' ';
  out += request.target;
  out += " HTTP/1.1\r\n";
  append_fields(out, request.headers);
  const bool bodiless_method = request.method == "GET" || request.method == "HEAD" || request.method == "DELETE";
  if (!bodiless_method || !request.body.empty()) append_content_length(out, request.body.size());
  out += "\r\n";
  out += request.body;
  return out;
}

void append_response(std::string& out, const Response& response, const Framing& framing) {
  char code[8];
  const auto code_end = std::to_chars(code, code + sizeof code, response.status).ptr;
  out += "HTTP/1.1 ";
  out.append(code, code_end);
  out += ' ';
  out += reason_phrase(response.status);
  out += "\r\n";
  if (!framing.date.empty()) {
    out += "Date: ";
    out += framing.date;
    out += "\r\n";
  }
  append_fields(out, response.headers);
  const bool bodiless = response.status < 200 || response.status == 204 || response.status == 304;
  if (!bodiless) append_content_length(out, response.body.size());
  if (!framing.keep_alive) out += "Connection: close\r\n";
  out += "\r\n";
  if (!bodiless && !framing.head_only) out += response.body;
}

std::string serialize(const Response& response, bool keep_alive) {
  std::string out;
  out.reserve(head_size_guess(response.headers) + response.body.size());
  append_response(out, response, {.keep_alive = keep_alive});
  return out;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

}  // namespace twinspool::http
