#include "util/secret_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace twinspool {

namespace {

struct Descriptor {
  explicit Descriptor(int opened) : number(opened) {}
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  Descriptor(Descriptor&&) = delete;
  const int number;
};

bool same(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

std::optional<FileMark> FileMark::of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return of(status);
}

FileMark FileMark::of(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim, status.st_ctim};
}

bool operator==(const FileMark& a, const FileMark& b) {
  return a.device == b.device && a.inode == b.inode && a.size == b.size && same(a.modified, b.modified) &&
         same(a.changed, b.changed);
}

namespace {

enum class Others : std::uint8_t { welcome, refused };

Result<SecretFile> read(const std::string& what, const std::string& path, std::size_t bytes_max, Others others) {
  const auto wrong = [&](const std::string& why) { return fail(Errc::invalid, what + " " + path + ": " + why); };
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.number < 0 || ::fstat(file.number, &status) != 0) return wrong(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return wrong("it is not a regular file");
  if (others == Others::refused && (status.st_mode & 0007) != 0) {
    return wrong("others than its owner and group may use it; accepted after: chmod o= " + path);
  }
  SecretFile result{.text = std::string(bytes_max + 1, '\0'), .mark = FileMark::of(status)};
  std::size_t size = 0;
  while (size < result.text.size()) {
    const ssize_t count = ::read(file.number, result.text.data() + size, result.text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return wrong(std::strerror(errno));
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > bytes_max) return wrong("it is larger than " + std::to_string(bytes_max) + " bytes");
  result.text.resize(size);
  return result;
}

}  // namespace

Result<std::string> read_file(const std::string& what, const std::string& path, std::size_t bytes_max) {
  auto file = read(what, path, bytes_max, Others::welcome);
  if (!file) return tl::unexpected(file.error());
  return std::move(file->text);
}

Result<SecretFile> read_secret_file(const std::string& what, const std::string& path, std::size_t bytes_max) {
  return read(what, path, bytes_max, Others::refused);
}

Result<SecretFile> read_secret_line(const std::string& what, const std::string& path, std::size_t bytes_max) {
  auto read = read_secret_file(what, path, bytes_max);
  if (!read) return read;
  auto line = one_visible_line(std::move(read->text));
  if (!line) return fail(Errc::invalid, what + " " + path + ": it " + line.error().what);
  read->text = std::move(*line);
  return read;
}

Result<std::string> one_visible_line(std::string text) {
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  text.erase(std::find_if_not(text.rbegin(), text.rend(), is_space).base(), text.end());
  if (text.empty()) return fail(Errc::invalid, "is empty");
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; })) {
    return fail(Errc::invalid, "is not one line of visible ASCII without spaces");
  }
  return text;
}

}  // namespace twinspool
