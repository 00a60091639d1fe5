#include "ops/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace twinspool::ops {

namespace {

constexpr std::size_t kReadBytes = 64 * 1024;

}  // namespace

LineReader::Descriptor::~Descriptor() {
  if (number > STDIN_FILENO) close(number);
}

Result<LineReader> LineReader::open(const std::string& file, Interrupt& interrupt) {
  LineReader reader(interrupt);
  const bool standard = file.empty() || file == "-";
  reader.name_ = standard ? "standard input" : file;
  reader.file_ = std::make_unique<Descriptor>();
  reader.file_->number = standard ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (reader.file_->number < 0) return fail(Errc::invalid, file + " cannot be read: " + std::strerror(errno));
  struct stat about {};
  if (fstat(reader.file_->number, &about) == 0 && S_ISREG(about.st_mode))
    reader.size_ = static_cast<std::uint64_t>(about.st_size);
  return reader;
}

Result<bool> LineReader::read_more() {
  if (!interrupt_->wait_readable(file_->number)) return fail(Errc::closed, "interrupted");
  buffer_.resize(kReadBytes);
  at_ = 0;
  ssize_t count = 0;
  do {
    count = ::read(file_->number, buffer_.data(), buffer_.size());
  } while (count < 0 && errno == EINTR);
  const int error = errno;
  buffer_.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  bytes_ += buffer_.size();
  if (count < 0) return fail(Errc::invalid, name_ + " cannot be read: " + std::strerror(error));
  return count > 0;
}

Result<std::optional<std::string>> LineReader::next() {
  std::string line;
  for (;;) {
    if (at_ == buffer_.size()) {
      const Result<bool> more = read_more();
      if (!more) return tl::unexpected(more.error());
      if (!*more) break;
    }
    const std::size_t end = buffer_.find('\n', at_);
    line.append(buffer_, at_, std::min(end, buffer_.size()) - at_);
    at_ = end == std::string::npos ? buffer_.size() : end + 1;
    if (line.size() > kLineBytesMax)
      return fail(Errc::invalid, name_ + ", line " + std::to_string(number_ + 1) +
                                     " is longer than a message may be: NDJSON has one message a line");
    if (end == std::string::npos) continue;
    ++number_;
    return std::optional(std::move(line));
  }
  if (line.empty()) return std::optional<std::string>();
  ++number_;
  return std::optional(std::move(line));
}

double LineReader::part_read() const {
  return size_ == 0 ? 0 : std::min(1.0, static_cast<double>(bytes_) / static_cast<double>(size_));
}

}  // namespace twinspool::ops
