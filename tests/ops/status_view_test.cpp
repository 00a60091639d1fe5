#include "ops/status_view.h"

#include "support/catch.h"

using namespace twinspool;

namespace {

std::string outlook(const std::string& queued, const std::string& forecast) {
  const auto document =
      json::Document::parse(R"({"queue":{"messages":)" + queued + R"(},"forecast":)" + forecast + "}");
  REQUIRE(document.has_value());
  return ops::StatusView(*document).outlook();
}

std::string forecast(const std::string& eta, const std::string& full) {
  return R"({"drain_eta_seconds":)" + eta + R"(,"time_to_full_seconds":)" + full +
         R"(,"arrivals_per_second":2.5,"departures_per_second":110.0})";
}

}  // namespace

TEST_CASE("the outlook is one sentence: drained, full, neither, or not known yet", "[ops][status]") {
  CHECK(outlook("7", forecast("720", "null")) == "drained in about 12m (110/s go out, 2.5/s come in)");
  CHECK(outlook("7", forecast("null", "7200")) == "full in about 2h (110/s go out, 2.5/s come in)");
  CHECK(outlook("7", forecast("null", "0")) == "full; 110/s go out, 2.5/s come in");
  CHECK(outlook("7", forecast("null", "null")) == "neither drained nor full in sight (110/s go out, 2.5/s come in)");
  CHECK(outlook("0", forecast("0", "null")) == "110/s go out, 2.5/s come in");
  CHECK(outlook("7", R"({"arrivals_per_second":null})") == "not watched long enough yet");
  CHECK(outlook("7", "{}") == "not watched long enough yet");
}

TEST_CASE("rates and spans are for people", "[ops][status]") {
  CHECK(ops::human_rate(0.25) == "0.2/s");
  CHECK(ops::human_rate(12'345) == "12345/s");
  CHECK(ops::human_rate(-1) == "0/s");
  CHECK(ops::human_seconds(-5) == "0us");
  CHECK(ops::human_seconds(3600) == "1h");
  CHECK(ops::human_seconds(1e300) == ops::human_seconds(9e9));
}
