// Whatever the bytes and their split, the request parser says the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/parser.h"
#include "util/error.h"

namespace {

using namespace twinspool;

struct Trace {
  std::string text;
  http::Fault fault = http::Fault::none;
  bool operator==(const Trace&) const = default;
};

std::string describe(const http::Request& request) {
  std::string text = request.method + ' ' + request.target + '\n';
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    const auto [name, value] = request.headers.at(i);
    ENSURE(!name.empty());
    for (const char c : value) ENSURE(static_cast<unsigned char>(c) >= 0x20 || c == '\t');
    text += std::string(name) + '=' + std::string(value) + '\n';
  }
  return text + request.body + '\n';
}

Trace parse(std::string_view bytes, std::size_t step) {
  const http::ParserLimits limits{
      .head_bytes_max = 512, .headers_max = 8, .target_bytes_max = 64, .body_bytes_max = 32};
  Trace trace;
  http::RequestParser* pausing = nullptr;
  http::RequestParser parser(
      limits, {.on_head =
                   [&](const http::Request& head) {
                     trace.text += "head " + describe(head);
                     return http::RequestParser::Admission{.body_bytes_max = head.target.size() % 48,
                                                           .drop_body = head.method == "PUT"};
                   },
               .on_request =
                   [&](http::Request&& request, bool keep_alive, bool too_large) {
                     ENSURE(request.body.size() < 48);
                     trace.text += "request " + describe(request) + (keep_alive ? "k" : "c") + (too_large ? "!" : ".");
                     pausing->pause();
                   }});
  pausing = &parser;
  while (!bytes.empty() && parser.fault() == http::Fault::none) {
    const std::size_t eaten = parser.feed(bytes.substr(0, step));
    ENSURE(eaten > 0 || parser.fault() != http::Fault::none);
    bytes.remove_prefix(eaten);
  }
  trace.fault = parser.fault();
  return trace;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Trace whole = parse(bytes, bytes.size());
  ENSURE(parse(bytes, 1) == whole);
  ENSURE(parse(bytes, 7) == whole);
  return 0;
}
