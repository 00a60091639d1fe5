// Whatever the bytes and their split, the response parser says the same, also of where the connection ended.
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
  bool whole = false;
  bool operator==(const Trace&) const = default;
};

Trace parse(std::string_view bytes, std::size_t step) {
  const http::ParserLimits limits{
      .head_bytes_max = 512, .headers_max = 8, .target_bytes_max = 64, .body_bytes_max = 32};
  Trace trace;
  http::ResponseParser parser(limits, [&](http::Response&& response, bool keep_alive) {
    ENSURE(response.body.size() <= limits.body_bytes_max);
    ENSURE(response.status >= 200 && response.status <= 599);
    ENSURE(response.status != 204 || response.body.empty());
    trace.text += std::to_string(response.status) + '\n';
    for (std::size_t i = 0; i < response.headers.size(); ++i) {
      const auto [name, value] = response.headers.at(i);
      trace.text += std::string(name) + '=' + std::string(value) + '\n';
    }
    trace.text += response.body + (keep_alive ? "\nk" : "\nc");
  });
  parser.expect_head_answer(!bytes.empty() && bytes.size() % 5 == 0);
  while (!bytes.empty() && parser.fault() == http::Fault::none) {
    const std::size_t eaten = parser.feed(bytes.substr(0, step));
    ENSURE(eaten > 0 || parser.fault() != http::Fault::none);
    bytes.remove_prefix(eaten);
  }
  trace.whole = parser.end().has_value();
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
