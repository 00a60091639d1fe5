// Reading of small files, and of files that hold a secret: those are refused where others may use them. What was read
// appears in no error text.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "util/error.h"

namespace twinspool {

struct FileMark {  // tells a file from another, and from itself before it was written to
  dev_t device{};
  ino_t inode{};
  off_t size{};
  timespec modified{};
  timespec changed{};

  static std::optional<FileMark> of(const std::string& path);  // nullopt: not there
  static FileMark of(const struct stat& status);
  friend bool operator==(const FileMark& a, const FileMark& b);
};

struct SecretFile {
  std::string text;
  FileMark mark;
};

// `what` names the file's role in errors: "auth.cert_file". Errc::invalid where it is missing, no regular file or
// larger than `bytes_max`.
Result<std::string> read_file(const std::string& what, const std::string& path, std::size_t bytes_max);

// The same for a secret, also refused where others than its owner and group may read, write or execute it: the text
// then names the chmod.
Result<SecretFile> read_secret_file(const std::string& what, const std::string& path, std::size_t bytes_max);

// The same for a secret that is one line of visible ASCII: `text` is that line, without white space around it.
Result<SecretFile> read_secret_line(const std::string& what, const std::string& path, std::size_t bytes_max);

// The one line of visible ASCII in `text`, without white space around it; Errc::invalid says what else it is.
Result<std::string> one_visible_line(std::string text);

}  // namespace twinspool
