#include "spool/disk_reserve.h"

#include <sys/stat.h>

#include <filesystem>

#include "support/catch.h"
#include "support/temp_dir.h"

namespace twinspool {
namespace {

std::uint64_t allocated_bytes(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
}

}  // namespace

TEST_CASE("a reserve holds real blocks, and gives them back", "[spool][reserve]") {
  TempDir dir;
  DiskReserve reserve(dir.file("reserve"));
  CHECK_FALSE(reserve.held());
  REQUIRE(reserve.take().has_value());
  CHECK(reserve.held());
  CHECK(allocated_bytes(dir.file("reserve")) >= reserve.bytes());
  reserve.release();
  CHECK_FALSE(reserve.held());
  CHECK(allocated_bytes(dir.file("reserve")) == 0);
  CHECK(reserve.take().has_value());
}

TEST_CASE("the reserve of an earlier process is taken over", "[spool][reserve]") {
  TempDir dir;
  REQUIRE(DiskReserve(dir.file("reserve")).take().has_value());
  CHECK(DiskReserve(dir.file("reserve")).held());
}

TEST_CASE("a file that is long but empty is no reserve", "[spool][reserve]") {
  TempDir dir;
  dir.write("reserve", "");
  std::filesystem::resize_file(dir.file("reserve"), DiskReserve::kBytesMax);
  DiskReserve reserve(dir.file("reserve"));
  CHECK_FALSE(reserve.held());
  REQUIRE(reserve.take().has_value());
  CHECK(allocated_bytes(dir.file("reserve")) >= reserve.bytes());
}

TEST_CASE("a reserve that cannot be made is an error that names the file, and nothing stays", "[spool][reserve]") {
  TempDir dir;
  DiskReserve reserve(dir.file("missing/reserve"));
  const auto taken = reserve.take();
  REQUIRE_FALSE(taken.has_value());
  CHECK(taken.error().what.find("missing/reserve") != std::string::npos);
  CHECK_FALSE(reserve.held());
}

}  // namespace twinspool
