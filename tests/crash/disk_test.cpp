#include "crash/disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "crash/posix.h"
#include "support/catch.h"

namespace twinspool::crash {
namespace {

// By the calls themselves, as everybody under test makes them.
TEST_CASE("below the mount there is a file system", "[crash][disk]") {
  namespace fs = std::filesystem;
  Disk disk{Image{}};
  const Mounted mounted(disk);
  const std::string root = kMount;
  REQUIRE(::mkdir((root + "/d").c_str(), 0750) == 0);
  const int file = ::open((root + "/d/a").c_str(), O_RDWR | O_CREAT | O_EXCL, 0640);
  REQUIRE(file >= kFirstFile);
  CHECK(::write(file, "hello", 5) == 5);
  CHECK(::pwrite(file, "J", 1, 0) == 1);
  CHECK(::pwrite(file, "!", 1, 6) == 1);
  char text[8] = {};
  CHECK(::pread(file, text, sizeof text, 0) == 7);
  CHECK(std::string(text, 7) == std::string("Jello\0!", 7));
  CHECK(::ftruncate(file, 2) == 0);
  CHECK(::fsync(file) == 0);
  CHECK(::close(file) == 0);
  CHECK(fs::file_size(root + "/d/a") == 2);

  CHECK(::link((root + "/d/a").c_str(), (root + "/b").c_str()) == 0);
  CHECK(fs::hard_link_count(root + "/b") == 2);
  CHECK(::symlink("d/a", (root + "/l").c_str()) == 0);
  CHECK(fs::is_symlink(root + "/l"));
  CHECK(fs::read_symlink(root + "/l") == "d/a");
  CHECK(fs::equivalent(root + "/l", root + "/b"));
  CHECK(::rename((root + "/b").c_str(), (root + "/l").c_str()) == 0);
  CHECK_FALSE(fs::is_symlink(root + "/l"));
  CHECK(::rmdir((root + "/d").c_str()) == -1);
  CHECK(errno == ENOTEMPTY);
  CHECK(::unlink((root + "/d/a").c_str()) == 0);
  CHECK(::rmdir((root + "/d").c_str()) == 0);
  CHECK(::access((root + "/d").c_str(), F_OK) == -1);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(root)) names.push_back(entry.path());
  CHECK(names == std::vector<std::string>{root + "/l"});
}

TEST_CASE("outside of the mount the kernel's files are", "[crash][disk]") {
  Disk disk{Image{}};
  const Mounted mounted(disk);
  CHECK(std::filesystem::exists("/proc/self/exe"));
  const int file = ::open("/proc/self/cmdline", O_RDONLY);
  REQUIRE(file >= 0);
  CHECK(file < kFirstFile);
  char text[4];
  CHECK(::read(file, text, sizeof text) == 4);
  CHECK(::close(file) == 0);
}

TEST_CASE("what was done is recorded, and a dead process does nothing more", "[crash][disk]") {
  Disk disk{Image{}};
  const int file = disk.open("/a-wal", O_RDWR | O_CREAT);
  REQUIRE(disk.write(file, "x") == 1);
  REQUIRE(disk.sync(file) == 0);
  REQUIRE(disk.write(file, "y") == 1);
  CHECK(disk.recorded() == 4);
  disk.set_faults([](Disk::Call call, const std::string&) { return Disk::Answer{call == Disk::Call::sync ? EIO : 0}; });
  CHECK(disk.sync(file) == -EIO);
  CHECK(disk.ops().back().kind == Op::Kind::failed_sync);
  disk.freeze();
  CHECK(disk.write(file, "z") == -EIO);
  CHECK(disk.image().node(disk.ops().back().node).content.text() == "xy");
  CHECK(disk.close(file) == 0);
  disk.thaw();
  CHECK(disk.open("/b", O_RDONLY) == -ENOENT);
}

}  // namespace
}  // namespace twinspool::crash
