#include "ops/doctor.h"

#include "support/catch.h"

using namespace twinspool;
using namespace twinspool::ops;
using namespace std::chrono_literals;
using forward::Outcome;
using forward::Verdict;
using Found = Finding::Result;

namespace {

const WallTime kNow = from_unix_ms(1'800'000'000'000);

Finding probed(Verdict verdict, int status, bool made_up = true) {
  return judge_probe({.verdict = verdict, .status = status, .code = "Code", .text = "text"}, {"pump", made_up});
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a clock before this program was written is broken, one that nobody keeps is a warning", "[ops][doctor]") {
  CHECK(judge_clock(kNow, true).result == Found::good);
  CHECK(judge_clock(kNow, false).result == Found::warning);
  CHECK(judge_clock(from_unix_ms(0), true).result == Found::broken);
  CHECK(has(judge_clock(from_unix_ms(0), true).text, "1970-01-01"));
}

TEST_CASE("a clock is compared with the cloud's, and five minutes are borne", "[ops][doctor]") {
  const std::int64_t seconds = to_unix_ms(kNow) / 1000;
  CHECK(judge_skew(kNow, seconds).result == Found::good);
  CHECK(judge_skew(kNow, seconds + 299).result == Found::good);
  CHECK(has(judge_skew(kNow, seconds + 3600).text, "1h behind"));
  CHECK(has(judge_skew(kNow, seconds - 3600).text, "1h ahead of"));
}

TEST_CASE("a disk is full at store.min_free, and too small where the queue cannot grow to its limit", "[ops][doctor]") {
  const StoreConfig limits{.max_size = 100 * kMiB, .min_free = 10 * kMiB};
  CHECK(judge_disk("/d", 1000 * kMiB, 0, limits).result == Found::good);
  CHECK(judge_disk("/d", 10 * kMiB, 0, limits).result == Found::broken);
  CHECK(judge_disk("/d", 50 * kMiB, 0, limits).result == Found::warning);
  CHECK(judge_disk("/d", 50 * kMiB, 70 * kMiB, limits).result == Found::good);
}

TEST_CASE("an answer to the probe is judged as the forwarder judges answers", "[ops][doctor]") {
  CHECK(probed(Verdict::delivered, 204).result == Found::good);
  CHECK(probed(Verdict::hold_lane, 404).result == Found::good);
  CHECK(probed(Verdict::hold_lane, 404, false).result == Found::broken);
  CHECK(has(probed(Verdict::hold_lane, 404, false).remedy, "the twin pump"));
  CHECK(has(probed(Verdict::hold_endpoint, 403).remedy, "Azure Digital Twins Data Owner"));
  CHECK(has(probed(Verdict::hold_endpoint, 302).remedy, "portals"));
  CHECK(has(probed(Verdict::renew_token, 401).remedy, "auth.tenant"));
  CHECK(probed(Verdict::pause_endpoint, 429).result == Found::warning);
  CHECK(probed(Verdict::retry_lane, 500).result == Found::warning);
  CHECK(probed(Verdict::quarantine, 400).result == Found::broken);
  CHECK(probed(Verdict::retry_path, 0).result == Found::broken);
}
