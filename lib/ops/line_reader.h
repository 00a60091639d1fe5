// Lines of a file or of standard input, numbered, each of a bounded length.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ops/interrupt.h"
#include "util/error.h"

namespace twinspool::ops {

constexpr std::size_t kLineBytesMax = 1 << 20;  // far above what the daemon takes as one message

class LineReader {
 public:
  // Empty or "-": standard input. `interrupt` ends a wait for a slow writer, and outlives the reader.
  static Result<LineReader> open(const std::string& file, Interrupt& interrupt);

  // Without its line end; nullopt: the end. Errc::invalid names the line that is too long, or why reading failed;
  // Errc::closed: interrupted.
  Result<std::optional<std::string>> next();
  std::uint64_t number() const { return number_; }  // of the line that next() gave last, from 1
  double part_read() const;                         // of a regular file, else 0

 private:
  struct Descriptor {
    int number = -1;
    ~Descriptor();
  };
  explicit LineReader(Interrupt& interrupt) : interrupt_(&interrupt) {}
  Result<bool> read_more();  // false: the end

  Interrupt* interrupt_;
  std::unique_ptr<Descriptor> file_;
  std::string name_;
  std::string buffer_;
  std::size_t at_ = 0;  // of buffer_
  std::uint64_t number_ = 0, bytes_ = 0, size_ = 0;
};

}  // namespace twinspool::ops
