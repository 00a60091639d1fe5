// Who else reads the database, and so keeps its WAL from beginning anew: an operator's sqlite3 with an open transaction
// makes it grow by all that is written meanwhile. Writer thread.
//
// Every reader holds a shared lock on one of the read marks in the -shm file (https://sqlite.org/walformat.html,
// section 2.3), and the kernel names who holds a lock that is in the way.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace twinspool {

class WalReaders {
 public:
  // Opened once SQLite has the file open, and to be destroyed only after SQLite has closed it: a process that closes
  // any descriptor of a file loses all its POSIX locks on it, SQLite's own included.
  explicit WalReaders(const std::string& shm_path);
  ~WalReaders();
  WalReaders(WalReaders&& other) noexcept;
  WalReaders& operator=(WalReaders&&) = delete;

  std::optional<pid_t> holder() const;  // of other processes, one of those that read now

 private:
  int descriptor_;
};

std::string process_name(pid_t pid);  // empty where it cannot be told

}  // namespace twinspool
