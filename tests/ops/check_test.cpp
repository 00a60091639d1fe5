#include "ops/check.h"

#include "ops/repair.h"
#include "support/catch.h"
#include "util/json.h"

namespace twinspool::ops {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_CASE("a check says what is wrong and what to do", "[ops][check]") {
  IntegrityReport report;
  report.database = "/var/lib/twinspool/queue.db";
  report.queued = 12;
  CHECK(contains(render_check(report, false), "12 queued"));
  CHECK(contains(render_check(report, false), "--deep reads every page"));
  report.findings = {"the file is empty"};
  report.findings_more = 3;
  CHECK(contains(render_check(report, false), "wrong: the file is empty"));
  CHECK(contains(render_check(report, false), "and 3 more"));
  CHECK(contains(render_check(report, false), "repair --plan"));
  const auto json = json::Document::parse(render_check(report, true));
  REQUIRE(json);
  CHECK(json->value("sound") == "false");
  CHECK(json->value("findings.0") == "the file is empty");
}

TEST_CASE("a repair says when only part was salvaged", "[ops][repair]") {
  RepairReport report;
  report.messages = 7;
  report.lost_known = true;
  report.lost = 2;
  CHECK(contains(render_repair(report, false, false), "nothing was changed"));
  CHECK(contains(render_repair(report, true, false), "only part of the queue"));
  report.lost = 0;
  CHECK_FALSE(contains(render_repair(report, true, false), "only part of the queue"));
  report.lost_known = false;
  CHECK(contains(render_repair(report, true, false), "not known"));
  const auto json = json::Document::parse(render_repair(report, true, true));
  REQUIRE(json);
  CHECK(json->value("lost") == "null");
  CHECK(json->integer("messages") == 7);
}

}  // namespace
}  // namespace twinspool::ops
