#include "ingest/telemetry_target.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ingest/text.h"

namespace twinspool::ingest {
namespace {

constexpr std::array<std::string_view, 4> kApiVersions = {"2020-10-31", "2022-05-31", "2023-06-30", "2023-10-31"};
constexpr std::string_view kApiVersionsText = "2020-10-31, 2022-05-31, 2023-06-30, 2023-10-31";

tl::unexpected<ApiError> invalid(std::string message) {
  return tl::unexpected(ApiError{.status = 400, .code = "InvalidArgument", .message = std::move(message)});
}

bool starts_with_ignoring_case(std::string_view text, std::string_view lower_case) {
  if (text.size() < lower_case.size()) return false;
  return std::equal(lower_case.begin(), lower_case.end(), text.begin(),
                    [](char wanted, char c) { return wanted == (c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); });
}

// RFC 9112: a server takes a target in absolute form too.
std::string_view without_authority(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!starts_with_ignoring_case(target, scheme)) continue;
    const std::size_t path = target.find('/', scheme.size());
    return path == std::string_view::npos ? std::string_view() : target.substr(path);
  }
  return target;
}

std::string_view take_segment(std::string_view& path) {  // "/a/b" gives "a" and leaves "/b"
  path.remove_prefix(1);
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

std::optional<TelemetryPath> match(std::string_view path) {
  constexpr std::size_t kSegmentsMax = 5;
  std::array<std::string_view, kSegmentsMax> segments;
  std::size_t count = 0;
  while (!path.empty()) {
    if (path.front() != '/' || count == kSegmentsMax) return std::nullopt;
    segments[count++] = take_segment(path);
  }
  if (count < 3 || segments[0] != "digitaltwins" || segments[count - 1] != "telemetry") return std::nullopt;
  TelemetryPath found{.twin = segments[1], .component = {}, .has_component = count == kSegmentsMax, .query = {}};
  if (count == 3) return found;
  if (count != kSegmentsMax || segments[2] != "components") return std::nullopt;
  found.component = segments[3];
  return found;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<char> decoded_byte(std::string_view encoded) {  // of "%2F..."
  if (encoded.size() < 3) return std::nullopt;
  const int high = hex_value(encoded[1]);
  const int low = hex_value(encoded[2]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

bool is_path_byte(char c) {  // RFC 3986: pchar without pct-encoded
  const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return alphanumeric || std::string_view("-._~!$&'()*+,;=:@").find(c) != std::string_view::npos;
}

bool is_api_version_name(std::string_view name) {
  return name == "api-version" || name == "api%2Dversion" || name == "api%2dversion";
}

}  // namespace

std::string decoded_or_raw(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = text[at] == '%' ? decoded_byte(text.substr(at)) : std::nullopt;
    out += byte.value_or(text[at]);
    if (byte) at += 2;
  }
  return out;
}

std::string path_encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (alphanumeric || std::string_view("-._~!*'()").find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

bool is_batch_target(std::string_view target) {
  const std::string_view path = without_authority(target);
  return decoded_or_raw(path.substr(0, path.find('?'))) == "/telemetry:batch";
}

tl::expected<TelemetryPath, ApiError> parse_telemetry_target(std::string_view target) {
  target = without_authority(target);
  const std::size_t mark = target.find('?');
  const std::string_view path = target.substr(0, mark);
  auto found = match(path);
  if (!found) {
    return tl::unexpected(ApiError{.status = 404,
                                   .code = "NotFound",
                                   .message = "there is nothing at " + quoted(path) +
                                              ", only POST /digitaltwins/{id}/telemetry, "
                                              "POST /digitaltwins/{id}/components/{componentPath}/telemetry and "
                                              "POST /telemetry:batch"});
  }
  if (mark != std::string_view::npos) found->query = target.substr(mark + 1);
  return *found;
}

tl::expected<void, ApiError> check_id(std::string_view what, std::string_view id) {
  const auto refuse = [&](std::string_view why) {
    return invalid("the " + std::string(what) + " " + quoted(id) + " " + std::string(why));
  };
  if (id.empty()) return invalid("the " + std::string(what) + " in the path is empty");
  if (id.size() > kIdBytesMax) {
    return refuse("is " + std::to_string(id.size()) + " bytes, the limit is " + std::to_string(kIdBytesMax));
  }
  std::array<char, kIdBytesMax> bytes{};
  std::size_t count = 0;
  for (std::size_t at = 0; at < id.size(); ++at) {
    if (id[at] == '%') {
      const auto byte = decoded_byte(id.substr(at));
      if (!byte) return refuse("has a % that is not followed by two hexadecimal digits");
      bytes[count++] = *byte;
      at += 2;
    } else if (is_path_byte(id[at])) {
      bytes[count++] = id[at];
    } else {
      return refuse("has a character that a URL cannot carry: write it as the %XX of its UTF-8 bytes, a blank as %20");
    }
  }
  const std::string_view decoded(bytes.data(), count);
  if (decoded == "." || decoded == "..") return refuse("is a step in a path, not a name");
  if (const auto fault = text_fault(decoded); !fault.empty())
    return refuse(std::string(fault) + " when its %XX are decoded");
  return {};
}

tl::expected<void, ApiError> check_api_version(std::string_view query) {
  bool found = false;
  while (!query.empty()) {
    const std::string_view parameter = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), parameter.size() + 1));
    const std::size_t equals = parameter.find('=');
    if (!is_api_version_name(parameter.substr(0, equals))) continue;
    if (found) return invalid("the query has more than one api-version");
    found = true;
    const std::string_view value = equals == std::string_view::npos ? std::string_view() : parameter.substr(equals + 1);
    const auto known = [&](std::string_view text) {
      return std::find(kApiVersions.begin(), kApiVersions.end(), text) != kApiVersions.end();
    };
    if (known(value) || known(decoded_or_raw(value))) continue;
    return invalid("api-version " + quoted(value) + " is not known, these are: " + std::string(kApiVersionsText));
  }
  if (!found) return invalid("the query has no api-version, add ?api-version=2023-10-31");
  return {};
}

}  // namespace twinspool::ingest
