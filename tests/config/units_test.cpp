#include "config/units.h"

#include "config/config.h"
#include "support/catch.h"

using namespace twinspool;

TEST_CASE("durations are read with each unit, and only whole", "[config][units]") {
  CHECK(parse_duration("500ms") == Duration(500ms));
  CHECK(parse_duration("30s") == Duration(30s));
  CHECK(parse_duration("5m") == Duration(5min));
  CHECK(parse_duration("24h") == Duration(24h));
  CHECK(parse_duration("7d") == Duration(168h));
  CHECK(parse_duration("0") == Duration(0));
  CHECK(parse_duration("0ms") == Duration(0));
  for (const char* wrong : {"", "5", "ms", "5 s", "-5s", "+5s", "1.5h", "1h30m", "5S", "5sec", "s5", " 5s", "5s ",
                            "0x5s", "99999999999999999999s", "106752d", "18446744073709551615ms"}) {
    INFO(wrong);
    CHECK_FALSE(parse_duration(wrong));
  }
  CHECK(parse_duration("5").error().what.find("500ms") != std::string::npos);
}

TEST_CASE("sizes are read in binary units and bytes, and decimal units are refused", "[config][units]") {
  CHECK(parse_size("4096") == 4096u);
  CHECK(parse_size("12B") == 12u);
  CHECK(parse_size("64KiB") == 64 * kKiB);
  CHECK(parse_size("3MiB") == 3 * kMiB);
  CHECK(parse_size("4GiB") == 4 * kGiB);
  CHECK(parse_size("2TiB") == 2048 * kGiB);
  CHECK(parse_size("9223372036854775807") == 9223372036854775807u);
  CHECK_FALSE(parse_size("9223372036854775808"));  // as with a unit: what is stored has a sign
  for (const char* wrong : {"", "KiB", "64KB", "64kb", "64K", "1.5GiB", "-1", "64 KiB", "18446744073709551616",
                            "16777216TiB", "8388608TiB"}) {
    INFO(wrong);
    CHECK_FALSE(parse_size(wrong));
  }
  CHECK(parse_size("64KB").error().what.find("KiB") != std::string::npos);
}

TEST_CASE("a mode is four octal digits without set-id bits", "[config][units]") {
  CHECK(parse_mode("0660") == 0660u);
  CHECK(parse_mode("0777") == 0777u);
  for (const char* wrong : {"", "660", "0668", "4755", "00660", "0o66", "rw-r"}) {
    INFO(wrong);
    CHECK_FALSE(parse_mode(wrong));
  }
}

TEST_CASE("numbers are read whole or not at all", "[config][units]") {
  CHECK(parse_count("18446744073709551615") == UINT64_MAX);
  CHECK_FALSE(parse_count("1x"));
  CHECK_FALSE(parse_count("-1"));
  CHECK(parse_number("1.5") == 1.5);
  for (const char* wrong : {"", "nan", "inf", "1,5", "2x"}) CHECK_FALSE(parse_number(wrong));
}

TEST_CASE("durations and sizes are written as they are read", "[config][units]") {
  for (const char* text : {"0", "500ms", "30s", "5m", "25h", "7d"}) CHECK(duration_text(*parse_duration(text)) == text);
  for (const char* text : {"0", "513B", "64KiB", "3MiB", "4GiB", "2TiB"}) CHECK(size_text(*parse_size(text)) == text);
}
