#include "support/standin_records.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "util/json.h"
#include "util/time.h"

namespace twinspool::test {

Result<StandInRecords> StandInRecords::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0) return fail(Errc::storage, "cannot open " + path + ": " + std::strerror(errno));
  StandInRecords records(descriptor);
  std::array<char, 65536> buffer{};
  std::uint64_t at = 0;
  for (ssize_t count = 0; (count = ::pread(descriptor, buffer.data(), buffer.size(), static_cast<off_t>(at))) > 0;) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      ++at;
      if (buffer[i] == '\n') records.ends_.push_back(at);
    }
  }
  records.written_ = records.ends_.size();
  records.written_bytes_ = records.ends_.empty() ? 0 : records.ends_.back();
  if (::ftruncate(descriptor, static_cast<off_t>(records.written_bytes_)) != 0) {
    return fail(Errc::storage, "cannot cut " + path + ": " + std::strerror(errno));
  }
  return records;
}

StandInRecords::StandInRecords(StandInRecords&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      unwritten_(std::move(other.unwritten_)),
      written_(other.written_),
      written_bytes_(other.written_bytes_),
      ends_(std::move(other.ends_)) {}

StandInRecords::~StandInRecords() {
  if (descriptor_ < 0) return;
  flush();
  ::close(descriptor_);
}

void StandInRecords::add(const Telemetry& telemetry, const std::string& connection) {
  json::Writer line;
  line.begin_object();
  line.key("n").integer(static_cast<std::int64_t>(ends_.size()));
  line.key("at").string(to_rfc3339(wall_now()));
  line.key("twin").string(telemetry.twin);
  line.key("component").string(telemetry.component);
  line.key("message_id").string(telemetry.message_id);
  line.key("source_time").string(telemetry.source_time);
  line.key("traceparent").string(telemetry.traceparent);
  line.key("tracestate").string(telemetry.tracestate);
  line.key("body").string(telemetry.body);  // valid UTF-8 JSON by then, so nothing is lost in a JSON string
  line.key("connection").string(connection);
  line.end_object();
  unwritten_ += line.take();
  unwritten_ += '\n';
  ends_.push_back(written_bytes_ + unwritten_.size());
}

void StandInRecords::flush() {
  std::size_t done = 0;
  while (done < unwritten_.size()) {
    const ssize_t count = ::write(descriptor_, unwritten_.data() + done, unwritten_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    ENSURE(count > 0);  // a cloud that cannot remember would call lost what was not: better none
    done += static_cast<std::size_t>(count);
  }
  written_ = ends_.size();
  written_bytes_ += unwritten_.size();
  unwritten_.clear();
}

std::string StandInRecords::lines(std::size_t from, std::size_t bytes_max) const {
  if (from >= ends_.size()) return {};
  const std::uint64_t start = from == 0 ? 0 : ends_[from - 1];
  std::uint64_t end = start;
  for (std::size_t i = from; i < ends_.size() && ends_[i] <= written_bytes_; ++i) {
    if (end != start && ends_[i] - start > bytes_max) break;
    end = ends_[i];
  }
  std::string text(end - start, '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count =
        ::pread(descriptor_, text.data() + done, text.size() - done, static_cast<off_t>(start + done));
    ENSURE(count > 0);
    done += static_cast<std::size_t>(count);
  }
  return text;
}

}  // namespace twinspool::test
