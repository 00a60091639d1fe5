// Whatever the cloud, or something between it and us, answers: only a success leaves the queue as delivered, only a
// refusal of the very message goes to the quarantine, nobody makes us wait for longer than we want to, and what is kept
// of the answer is a short printable text without the token that was sent. The first byte and the second choose the
// status; then come header lines up to an empty one, and the body.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "forward/outcome.h"
#include "util/error.h"
#include "util/utf8.h"

namespace {

using namespace twinspool;
using namespace twinspool::forward;

constexpr std::string_view kToken = "eyJ0eXAi.s3cr3t";
constexpr AnswerRules kRules{.retry_after_max = std::chrono::minutes(10),
                             .now = WallTime(std::chrono::milliseconds(1'795'557'600'000)),
                             .secret = kToken};

std::string_view take_line(std::string_view& rest) {
  const std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  return line;
}

http::Response answer_of(const std::uint8_t* data, std::size_t size) {
  constexpr int kLikely[] = {204, 200, 400, 401, 403, 404, 408, 413, 415, 422, 429, 431, 500, 502, 503, 504};
  http::Response answer;
  answer.status = data[0] % 2 == 0 ? kLikely[data[0] / 2 % std::size(kLikely)] : 200 + data[1] * 399 / 255;
  std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  for (std::string_view line = take_line(rest); !line.empty(); line = take_line(rest)) {
    const std::size_t colon = line.find(':');
    const bool control = std::any_of(line.begin(), line.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;  // the parser lets none through
    });
    if (colon != std::string_view::npos && colon > 0 && !control)
      answer.headers.add(line.substr(0, colon), line.substr(colon + 1));
  }
  answer.body = std::string(rest);
  return answer;
}

void check_text(std::string_view text, std::size_t bytes_max) {
  ENSURE(text.size() <= bytes_max && text.find(kToken) == std::string_view::npos && is_utf8(text));
  for (const char c : text) ENSURE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const http::Response answer = answer_of(data, size);
  const int status = answer.status;
  const Outcome outcome = classify(answer, kRules);

  ENSURE(outcome.status == status);
  ENSURE((outcome.verdict == Verdict::delivered) == (status == 204 || (status / 100 == 2 && !is_page(answer))));
  ENSURE((outcome.failure == FailureClass::none) == (outcome.verdict == Verdict::delivered));
  const bool of_message = status == 400 || status == 413 || status == 415 || status == 422;
  ENSURE((outcome.verdict == Verdict::quarantine) == (of_message && !is_page(answer)));
  ENSURE((outcome.verdict == Verdict::renew_token) == (status == 401));
  ENSURE(outcome.verdict != Verdict::retry_path);  // there was an answer

  ENSURE(outcome.retry_after >= Duration::zero() && outcome.retry_after <= kRules.retry_after_max);
  check_text(outcome.text, kAnswerTextBytesMax);
  check_text(outcome.code, kAnswerCodeBytesMax);
  check_text(describe(outcome), kAnswerTextBytesMax + kAnswerCodeBytesMax + 16);
  return 0;
}
