#include "spool/integrity.h"

#include "spool/fixture.h"
#include "spool/repair.h"
#include "support/catch.h"

namespace twinspool {
namespace {

void overwrite(const std::string& path, std::streamoff at, const std::string& bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(at);
  file << bytes;
}

void fill(TestSpool& store) {
  for (int i = 0; i < 200; ++i)
    store.spool->append(telemetry("pump", std::to_string(i), "{\"t\":\"" + std::string(200, 'x') + "\"}"),
                        [](const auto&) {});
  store.commit();
}

IntegrityReport check(const TestSpool& store, bool deep) {
  const Result<IntegrityReport> report = check_integrity(store.config.path, deep, {});
  INFO((report ? "" : report.error().what));
  REQUIRE(report);
  return *report;
}

TEST_CASE("a sound store is found sound, in use or not, quickly or deeply", "[spool][integrity]") {
  TestSpool store;
  store.open();
  fill(store);
  store.quarantine(1);
  const bool deep = GENERATE(false, true);
  const IntegrityReport used = check(store, deep);
  CHECK(used.sound());
  CHECK(used.in_use);
  store.close();
  const IntegrityReport report = check(store, deep);
  for (const std::string& finding : report.findings) UNSCOPED_INFO(finding);
  CHECK(report.sound());
  CHECK_FALSE(report.in_use);
  CHECK(report.queued == 199);
  CHECK(report.quarantined == 1);
  CHECK(report.rows_checked == (deep ? 200 : 0));
}

TEST_CASE("a check finds what is wrong and changes nothing", "[spool][integrity]") {
  TestSpool store;
  store.open();
  fill(store);
  store.close();
  std::filesystem::remove(store.config.path + "-wal");  // all of it is in the database, and would be hidden by the WAL
  const std::string kind = GENERATE("header", "body", "figures", "page");
  if (kind == "header") overwrite(store.config.path, 0, "garbage");
  if (kind == "figures") store.write_sql("UPDATE figures SET queued_messages = 5");
  if (kind == "body") store.write_sql("UPDATE messages SET body = '{}' WHERE sequence = 5");
  const std::string whole = store.dir.read("queue.db");
  const auto row = static_cast<std::streamoff>(whole.rfind("xxxxxxxxxx"));
  if (kind == "page") overwrite(store.config.path, row / 4096 * 4096, std::string(4096, '\x55'));
  const std::string before = store.dir.read("queue.db");
  const IntegrityReport report = check(store, true);
  CHECK_FALSE(report.sound());
  if (kind == "body") {
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings[0].find("checksum of sequence") != std::string::npos);
    CHECK(check(store, false).sound());  // a quick look cannot tell
  }
  CHECK(store.dir.read("queue.db") == before);
}

TEST_CASE("a repair says what it can do, does it, and keeps the old file", "[spool][integrity]") {
  TestSpool store;
  store.open();
  fill(store);
  CHECK(plan_repair(store.config.path).error().code == Errc::busy);
  CHECK(apply_repair(store.config.path).error().code == Errc::busy);
  store.close();
  overwrite(store.config.path, 0, std::string(4096, '\x55'));  // header and schema
  const std::string before = store.dir.read("queue.db");
  const Result<RepairReport> plan = plan_repair(store.config.path);
  REQUIRE(plan);
  CHECK(plan->messages == 200);
  CHECK(plan->lost == 0);
  CHECK(plan->whole());
  CHECK(store.dir.read("queue.db") == before);

  const Result<RepairReport> applied = apply_repair(store.config.path);
  REQUIRE(applied);
  CHECK(applied->messages == 200);
  CHECK(applied->whole());
  std::ifstream kept(applied->kept_as, std::ios::binary);
  CHECK(std::string(std::istreambuf_iterator<char>(kept), {}) == before);
  CHECK(check(store, true).sound());
  store.open();
  CHECK(store.read()->messages.size() == 200);
}

TEST_CASE("what is not a store is neither repaired nor touched", "[spool][integrity]") {
  TestSpool store;
  CHECK(plan_repair(store.config.path).error().code == Errc::invalid);
  CHECK(apply_repair(store.config.path).error().code == Errc::invalid);
  CHECK_FALSE(check_integrity(store.config.path, false, {}));
  store.dir.write("queue.db", std::string(10000, 'x'));
  CHECK(plan_repair(store.config.path).error().code == Errc::invalid);
  CHECK(apply_repair(store.config.path).error().code == Errc::invalid);
  CHECK(store.dir.read("queue.db") == std::string(10000, 'x'));
}

}  // namespace
}  // namespace twinspool
