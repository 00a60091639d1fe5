#include "spool/window_log.h"

#include <algorithm>

#include "util/base64.h"

namespace twinspool {
namespace {

namespace sql {
constexpr const char* append_segment =
    "INSERT INTO window_segments(first_sequence, last_sequence, trace_n, at_ms, boot, uptime_ms, clock_synced, "
    "checksum, entries) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)";
constexpr const char* all_segments =
    "SELECT n, first_sequence, last_sequence, trace_n, at_ms, boot, uptime_ms, clock_synced, checksum, entries FROM "
    "window_segments ORDER BY n";
constexpr const char* trim_segments = "DELETE FROM window_segments WHERE n <= ?";
}  // namespace sql

constexpr std::size_t kEntryBytes = 32;

void put(std::string& out, std::uint64_t number, std::size_t bytes) {
  char little_endian[8];
  for (std::size_t i = 0; i < sizeof little_endian; ++i) little_endian[i] = static_cast<char>(number >> (8 * i) & 0xff);
  out.append(little_endian, bytes);
}

std::uint64_t get(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < count; ++i) number |= std::uint64_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
  return number;
}

struct Header {
  Sequence first = 0, last = 0;
  std::int64_t trace_n = 0;
  Moment at;
};

std::int64_t checksum(Digester& digester, const Header& header, std::string_view entries) {
  std::string numbers;
  for (const std::uint64_t number :
       {header.first, header.last, static_cast<std::uint64_t>(header.trace_n),
        static_cast<std::uint64_t>(header.at.wall_ms), static_cast<std::uint64_t>(header.at.boot),
        static_cast<std::uint64_t>(header.at.uptime_ms), std::uint64_t{header.at.clock_synced}})
    put(numbers, number, 8);
  return static_cast<std::int64_t>(digester.digest64({numbers, entries}));
}

}  // namespace

std::string packed(const std::vector<DedupWindow::Entry>& entries, std::int64_t uptime_ms) {
  std::string bytes;
  bytes.reserve(entries.size() * kEntryBytes);
  for (const DedupWindow::Entry& entry : entries) {
    const std::int64_t left_ms = std::clamp<std::int64_t>(entry.expires_ms - uptime_ms, 0, UINT32_MAX);
    put(bytes, entry.key.high, 8);
    put(bytes, entry.key.low, 8);
    put(bytes, entry.body, 8);
    put(bytes, entry.sequence - entries.front().sequence, 4);
    put(bytes, static_cast<std::uint64_t>(left_ms), 4);
  }
  return bytes;
}

std::optional<std::vector<DedupWindow::Entry>> unpacked(std::string_view bytes, Sequence first, std::int64_t passed_ms,
                                                        std::int64_t uptime_ms) {
  if (bytes.size() % kEntryBytes != 0) return std::nullopt;
  std::vector<DedupWindow::Entry> entries;
  entries.reserve(bytes.size() / kEntryBytes);
  for (std::size_t at = 0; at < bytes.size(); at += kEntryBytes) {
    const std::int64_t left_ms = static_cast<std::int64_t>(get(bytes, at + 28, 4)) - passed_ms;
    if (left_ms <= 0) continue;
    entries.push_back({{get(bytes, at, 8), get(bytes, at + 8, 8)},
                       get(bytes, at + 16, 8),
                       first + get(bytes, at + 24, 4),
                       uptime_ms + left_ms});
  }
  return entries;
}

Result<bool> WindowLog::load(Store& store, const std::function<void(const DedupWindow::Entry&)>& visit) {
  covers_ = {};
  segments_.clear();
  before_.reset();
  Digester digester(store.digest_key());
  Result<sqlite::Statement> row = store.database().prepare(sql::all_segments);
  if (!row) return tl::unexpected(row.error());
  for (;;) {
    const Result<bool> there = row->step();
    if (!there) return tl::unexpected(there.error());
    if (!*there) return true;
    const auto number = [&](int column) { return static_cast<Sequence>(row->integer(column)); };
    const Header header{number(1),
                        number(2),
                        row->integer(3),
                        {row->integer(4), row->integer(5), row->integer(6), row->integer(7) != 0}};
    const std::string_view text = row->text(9);
    const bool follows = header.first > covers_.through && header.last >= header.first;
    if (!follows || checksum(digester, header, text) != row->integer(8)) return false;
    const Moment& now = store.opened();
    const std::optional<std::string> bytes = base64_decoded(text);
    if (!bytes) return false;
    const auto entries = unpacked(*bytes, header.first, age_ms(header.at, now, now), now.uptime_ms);
    if (!entries) return false;
    for (const DedupWindow::Entry& entry : *entries) visit(entry);
    covers_ = {header.last, header.trace_n};
    segments_.push_back(
        {row->integer(0), bytes->size() / kEntryBytes, entries->empty() ? INT64_MIN : entries->back().expires_ms});
  }
}

Result<void> WindowLog::append(Store& store, const std::vector<DedupWindow::Entry>& entries, bool all,
                               const Moment& at) {
  ENSURE(!entries.empty() && entries.size() <= kSegmentEntriesMax);
  if (!before_) before_ = State{covers_, segments_};
  Header header{entries.front().sequence, entries.back().sequence, covers_.trace_n, at};
  if (all) {
    const Result<std::int64_t> newest = store.database().integer("SELECT max(n) FROM trace");
    if (!newest) return tl::unexpected(newest.error());
    header.trace_n = std::max(*newest, header.trace_n);  // an empty trace has no newest row
  }
  Digester digester(store.digest_key());
  const std::string text = base64(packed(entries, at.uptime_ms));
  Result<sqlite::Statement> insert = store.database().prepare(sql::append_segment);
  if (!insert) return tl::unexpected(insert.error());
  Result<void> inserted = insert->bind(1, header.first)
                              .bind(2, header.last)
                              .bind(3, header.trace_n)
                              .bind(4, at.wall_ms)
                              .bind(5, at.boot)
                              .bind(6, at.uptime_ms)
                              .bind(7, at.clock_synced)
                              .bind(8, checksum(digester, header, text))
                              .bind(9, text)
                              .run();
  if (!inserted) return inserted;
  covers_ = {header.last, header.trace_n};
  segments_.push_back({store.database().last_insert_rowid(), entries.size(), entries.back().expires_ms});
  return trim(store, at);
}

Result<void> WindowLog::trim(Store& store, const Moment& at) {
  std::size_t younger = 0;
  for (const Segment& segment : segments_) younger += segment.entries;
  std::size_t gone = 0;
  for (; gone < segments_.size(); ++gone) {
    younger -= segments_[gone].entries;
    if (younger < kDedupEntriesMax && segments_[gone].expires_ms > at.uptime_ms) break;
  }
  if (gone == 0) return {};
  Result<sqlite::Statement> trim = store.database().prepare(sql::trim_segments);
  if (!trim) return tl::unexpected(trim.error());
  Result<void> trimmed = trim->bind(1, segments_[gone - 1].n).run();
  segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(gone));
  return trimmed;
}

void WindowLog::committed() { before_.reset(); }

void WindowLog::rolled_back() {
  if (!before_) return;
  covers_ = before_->covers;
  segments_ = std::move(before_->segments);
  before_.reset();
}

Result<void> WindowLog::clear(Store& store) {
  if (!before_) before_ = State{covers_, segments_};
  covers_ = {};
  segments_.clear();
  return store.database().execute("DELETE FROM window_segments");
}

}  // namespace twinspool
