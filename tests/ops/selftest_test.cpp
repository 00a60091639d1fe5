#include "ops/selftest.h"

#include <filesystem>

#include "support/catch.h"
#include "support/temp_dir.h"
#include "util/json.h"

using namespace twinspool;
using namespace twinspool::ops;
using namespace std::chrono_literals;

namespace {

const StorageReport kReport{.directory = "/d",
                            .syncs = 1000,
                            .sync_p50_ms = 2,
                            .sync_p99_ms = 9,
                            .rates = {{1, 400, 8192}, {8, 2000, 2048}, {64, 9000, 1024}}};

}  // namespace

TEST_CASE("wear counts the bytes of as many as share a sync at that rate", "[ops][selftest]") {
  CHECK(wear_at(10, kReport).bytes_per_message == 8192);
  CHECK(wear_at(3999, kReport).bytes_per_message == 8192);
  CHECK(wear_at(4000, kReport).bytes_per_message == 2048);
  CHECK(wear_at(32'000, kReport).bytes_per_message == 1024);
  CHECK(wear_at(10, kReport).bytes_per_day == 10 * 86400 * 8192.0);
  CHECK(wear_at(10, StorageReport{}).bytes_per_day == 0);
}

TEST_CASE("the report is for people or for programs, and says when there is no rate to wear by", "[ops][selftest]") {
  const std::string text = render_storage(kReport, wear_at(10, kReport), false);
  CHECK(text.find("a sync takes 2.00 ms (p50), 9.00 ms (p99)") != std::string::npos);
  CHECK(text.find("At 10 messages/s about 6.6 GiB a day") != std::string::npos);
  CHECK(render_storage(kReport, wear_at(0, kReport), false).find("--rate N") != std::string::npos);
  const auto document = json::Document::parse(render_storage(kReport, wear_at(10, kReport), true));
  REQUIRE(document.has_value());
  CHECK(document->integer("rates.2.in_flight") == 64);
}

TEST_CASE("a measurement writes, counts and cleans up", "[ops][selftest]") {
  const TempDir dir;
  const auto report = measure_storage(dir.path().string(), 20ms);
  REQUIRE(report.has_value());
  CHECK(report->syncs > 0);
  REQUIRE(report->rates.size() == 3);
  for (const StorageRate& rate : report->rates) CHECK(rate.messages_per_second > 0);
  CHECK(std::filesystem::is_empty(dir.path()));
}
