#include "support/standin_records.h"

#include <filesystem>
#include <fstream>

#include "support/catch.h"
#include "support/temp_dir.h"
#include "util/json.h"

namespace twinspool::test {
namespace {

Telemetry message(const std::string& id) {
  Telemetry telemetry;
  telemetry.twin = "pump%2F1";
  telemetry.message_id = id;
  telemetry.body = "{\"text\": \"\xc3\xa9\\n\\u0000\\\"\"}";
  return telemetry;
}

}  // namespace

TEST_CASE("a record holds every byte of the body and is in the file after a flush", "[support][records]") {
  const TempDir directory;
  const std::string path = directory.file("records.ndjson");
  auto records = StandInRecords::open(path);
  REQUIRE(records);
  records->add(message("a"), "1.2");
  CHECK(std::filesystem::file_size(path) == 0);
  CHECK(records->lines(0, 1000).empty());
  CHECK(records->size() == 0);  // who waits for one and then reads the file would find it empty
  records->flush();
  CHECK(records->size() == 1);

  const std::string line = records->lines(0, 1000);
  CHECK(std::filesystem::file_size(path) == line.size());
  const auto document = json::Document::parse(line);
  REQUIRE(document);
  CHECK(document->value("body") == message("a").body);
  CHECK(document->value("twin") == "pump%2F1");
  CHECK(document->value("connection") == "1.2");
  CHECK(document->integer("n") == 0);
}

TEST_CASE("records are found by number, whole lines only, also after a restart", "[support][records]") {
  const TempDir directory;
  const std::string path = directory.file("records.ndjson");
  {
    auto records = StandInRecords::open(path);
    REQUIRE(records);
    for (const std::string id : {"a", "b", "c"}) records->add(message(id), "1.1");
  }  // the destructor flushes
  std::ofstream(path, std::ios::app) << R"({"n":3,"cut off by a ki)";

  auto records = StandInRecords::open(path);
  REQUIRE(records);
  REQUIRE(records->size() == 3);
  CHECK(records->lines(1, 1).find(R"("message_id":"b")") != std::string::npos);
  CHECK(records->lines(1, 1).find(R"("message_id":"c")") == std::string::npos);
  CHECK(records->lines(3, 1000).empty());
  records->add(message("d"), "1.1");
  records->flush();
  const auto document = json::Document::parse(records->lines(3, 1000));
  REQUIRE(document);
  CHECK(document->integer("n") == 3);
}

}  // namespace twinspool::test
