#include "spool/schema.h"

#include "spool/fixture.h"
#include "spool/integrity.h"
#include "spool/store_sql.h"
#include "support/catch.h"

namespace twinspool {
namespace {

std::string plan(TestSpool& store, const std::string& query) {
  // One text for the whole plan.
  Result<sqlite::Database> reader = sqlite::Database::open(store.config.path, sqlite::Database::Mode::read_only);
  Result<sqlite::Statement> row = reader->prepare("EXPLAIN QUERY PLAN " + query);
  REQUIRE(row);
  std::string text;
  while (*row->step()) text += std::string(row->text(3)) + "\n";
  return text;
}

TEST_CASE("user_version counts the migrations, and migrating again changes nothing", "[spool][schema]") {
  const TempDir dir;
  const std::string path = dir.write("a.db", "");
  Result<sqlite::Database> database = sqlite::Database::open(path, sqlite::Database::Mode::read_write);
  REQUIRE(database);
  REQUIRE(migrate(*database));
  CHECK(*database->integer("PRAGMA user_version") == static_cast<std::int64_t>(migrations().size()));
  CHECK(*database->integer("PRAGMA application_id") == kApplicationId);
  const std::string before = *database->text("SELECT group_concat(sql) FROM sqlite_schema");
  REQUIRE(migrate(*database));
  CHECK(*database->text("SELECT group_concat(sql) FROM sqlite_schema") == before);
}

TEST_CASE("a database of an older version is brought up to date and keeps its rows", "[spool][schema]") {
  TestSpool store;
  store.sources = {{"/one", {}}};
  store.open();
  store.append(telemetry("pump", "a"), 1);
  store.append(telemetry("pump", "b"), 1);
  store.deliver(1);
  store.close();
  const std::string first = migrations()[0];
  store.write_sql("DROP VIEW sources; DROP VIEW summary; " + first.substr(first.find("CREATE VIEW sources")) +
                  "PRAGMA user_version = 1");
  const std::string summary = store.sql("SELECT queued_messages||'|'||accepted||'|'||newest_sequence FROM summary");
  CHECK(summary == "1|2|2");
  CHECK(check_integrity(store.config.path, true, {})->sound());

  store.open();
  CHECK(store.sql("PRAGMA user_version") == std::to_string(migrations().size()));
  CHECK(store.sql("SELECT queued_messages||'|'||accepted||'|'||newest_sequence FROM summary") == summary);
  CHECK(store.read()->messages.at(0).telemetry == telemetry("pump", "b"));
  CHECK(store.append(telemetry("pump", "a"))->duplicate);
  CHECK(store.append(telemetry("pump", "c"), 1)->sequence == 3);
  CHECK(store.sql("SELECT queued_messages||'|'||accepted||'|'||newest_sequence FROM summary") == "2|3|3");
  CHECK(store.sql("SELECT messages FROM sources") == "2");
  CHECK(check_integrity(store.config.path, true, {})->sound());
}

TEST_CASE("a newer schema is refused and the file stays as it is", "[spool][schema]") {
  TestSpool store;
  store.open();
  store.close();
  store.write_sql("PRAGMA user_version = 99");
  const Result<void> opened = store.try_open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == Errc::invalid);
  CHECK(opened.error().what.find("newer version wrote it") != std::string::npos);
  CHECK(store.sql("PRAGMA user_version") == "99");
}

TEST_CASE("every table is strict and no column has a default or takes NULL", "[spool][schema]") {
  TestSpool store;
  store.open();
  CHECK(store.sql("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 AND "
                  "name NOT LIKE 'sqlite_%'") == "0");
  CHECK(store.sql("SELECT group_concat(t.name || '.' || c.name) FROM pragma_table_list t, pragma_table_info(t.name) c "
                  "WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND c.pk = 0 AND "
                  "(c.\"notnull\" = 0 OR c.dflt_value IS NOT NULL)") == "");
}

TEST_CASE("rows on the hot path have no index but their number", "[spool][schema]") {
  TestSpool store;
  store.open();
  CHECK(store.sql("SELECT group_concat(tbl_name) FROM (SELECT tbl_name FROM sqlite_schema WHERE type = 'index' "
                  "ORDER BY tbl_name)") == "boots,components,source_names,twins");
}

TEST_CASE("what is asked often is a look at row numbers, without a scan or a sort", "[spool][schema]") {
  TestSpool store;
  store.open();
  for (const char* statement : {sql::take_message, sql::delete_message, sql::quarantine_message, sql::keep_message})
    CHECK(plan(store, statement) == "SEARCH messages USING INTEGER PRIMARY KEY (rowid=?)\n");
  CHECK(plan(store, sql::read_messages) == "SEARCH messages USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)\n");
  CHECK(plan(store, sql::trim_trace) == "SEARCH trace USING INTEGER PRIMARY KEY (rowid<?)\n");
  CHECK(plan(store, sql::trim_kept) == "SEARCH kept_messages USING INTEGER PRIMARY KEY (rowid<?)\n");
  CHECK(plan(store, sql::front_of_kept) == "SCAN kept_messages\n");
  CHECK(plan(store, sql::newest_of_trace) == "SEARCH trace\n");
  CHECK(plan(store, sql::delete_note) == "SEARCH lane_notes USING INTEGER PRIMARY KEY (rowid=?)\n");
  CHECK(plan(store, sql::put_figures) == "SEARCH figures USING INTEGER PRIMARY KEY (rowid=?)\n");
  CHECK(plan(store, sql::front_messages) == "SEARCH messages USING INTEGER PRIMARY KEY (rowid>?)\n");
  // From an end of the table, in the order of its rows: as far as the reader goes and no further.
  CHECK(plan(store, sql::newest_queued) == "SEARCH messages USING INTEGER PRIMARY KEY (rowid>?)\n");
  CHECK(plan(store, sql::newest_left) == "SEARCH trace USING INTEGER PRIMARY KEY (rowid>?)\n");
  CHECK(plan(store, sql::front_of_trace) == "SCAN trace\n");
}

TEST_CASE("a look at the summary reads the rows beyond the figures and no others", "[spool][schema]") {
  TestSpool store;
  store.open();
  for (const char* view : {"summary", "sources"}) {
    const std::string text = plan(store, std::string("SELECT * FROM ") + view);
    CAPTURE(view, text);
    CHECK(text.find("SEARCH messages USING INTEGER PRIMARY KEY (rowid>?)") != std::string::npos);
  }
  CHECK(plan(store, sql::newest_rows) == "SEARCH messages USING INTEGER PRIMARY KEY (rowid>?)\n");
}

TEST_CASE("select * from queue limit 5 looks at five rows", "[spool][schema]") {
  TestSpool store;
  store.open();
  const std::string text = plan(store, "SELECT * FROM queue LIMIT 5");
  CHECK(text.starts_with("SCAN m\nSEARCH t USING INTEGER PRIMARY KEY"));
  CHECK(text.find("TEMP B-TREE") == std::string::npos);
  CHECK(text.find("MATERIALIZE") == std::string::npos);
}

TEST_CASE("the views show people what is queued, held, set aside and delivered", "[spool][schema]") {
  TestSpool store;
  store.open();
  store.append({.twin = "pump", .component = "motor", .message_id = "a", .source_time = "then", .body = "{\"x\":1}"});
  store.append(telemetry("pump", "b"));
  store.append(telemetry("valve", "c"));
  store.append(telemetry("valve", "d"));
  const TwinNumber pump = store.committed[0].twin;
  store.spool->note_lane({.twin = pump,
                          .state = "held",
                          .since_ms = 1,
                          .retry_at_ms = 1'780'000'060'000,
                          .status = 404,
                          .error_code = "DigitalTwinNotFound"});
  store.deliver(3);
  store.quarantine(4);

  CHECK(
      store.sql(
          "SELECT sequence||'|'||twin||'|'||component||'|'||message_id||'|'||source_time||'|'||accepted_at||'|'||body "
          "FROM queue WHERE sequence = 1") == "1|pump|motor|a|then|2026-05-28T20:26:40.000Z|{\"x\":1}");
  CHECK(store.sql("SELECT count(age) + sum(traceparent = '') + sum(tracestate = '') FROM queue") == "6");
  CHECK(store.sql("SELECT sum(bytes) = (SELECT queued_bytes FROM summary) FROM queue") == "1");
  CHECK(store.sql("SELECT twin||'|'||depth||'|'||oldest||'|'||state||'|'||retry_at||'|'||last_status||'|'||last_code "
                  "FROM lanes") ==
        "pump|2|2026-05-28T20:26:40.000Z|held|2026-05-28T20:27:40.000Z|404|DigitalTwinNotFound");
  CHECK(store.sql(
            "SELECT sequence||'|'||twin||'|'||status||'|'||error_code||'|'||error_message||'|'||attempts||'|'||reason "
            "FROM quarantine") == "4|valve|400|ValidationFailed|no|3|refused");
  CHECK(store.sql("SELECT sequence||'|'||twin||'|'||message_id||'|'||status FROM delivered") == "3|valve|c|204");
  CHECK(store.sql("SELECT queued_messages||'|'||accepted||'|'||delivered||'|'||quarantined||'|'||newest_sequence FROM "
                  "summary") == "2|4|1|1|4");
}

}  // namespace
}  // namespace twinspool
