#include "spool/wal_frame.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "spool/big_endian.h"
#include "spool/files.h"

namespace twinspool {
namespace {

constexpr std::uint32_t kWalMagic = 0x377f0682;  // the lowest bit: checksums are big-endian
constexpr std::uint64_t kSectorBytes = 4096;     // as SQLite assumes with psow=0

bool write_at(int file, std::uint64_t offset, const char* from, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t put = ::pwrite(file, from, bytes, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    from += put;
    offset += static_cast<std::uint64_t>(put);
    bytes -= static_cast<std::size_t>(put);
  }
  return true;
}

}  // namespace

void WalChecksum::add(const char* bytes, std::size_t count, bool big) {
  for (std::size_t i = 0; i + 8 <= count; i += 8) {
    first += (big ? big_endian32(bytes + i) : little_endian32(bytes + i)) + second;
    second += (big ? big_endian32(bytes + i + 4) : little_endian32(bytes + i + 4)) + first;
  }
}

PageNumber WalFrame::number() const { return big_endian32(header.data()); }
PageNumber WalFrame::pages_after_commit() const { return big_endian32(header.data() + 4); }
WalSalts WalFrame::salts() const { return {big_endian32(header.data() + 8), big_endian32(header.data() + 12)}; }
WalChecksum WalFrame::written() const { return {big_endian32(header.data() + 16), big_endian32(header.data() + 20)}; }

WalChecksum WalFrame::after(WalChecksum seed, bool big) const {
  seed.add(header.data(), 8, big);
  seed.add(page.data(), page.size(), big);
  return seed;
}

bool WalFrame::pads(const WalFrame& before) const {
  return pages_after_commit() != 0 && before.pages_after_commit() == pages_after_commit() &&
         before.number() == number() && before.page == page;
}

void WalFrame::set_written(const WalChecksum& checksum) {
  put_big_endian32(header.data() + 16, checksum.first);
  put_big_endian32(header.data() + 20, checksum.second);
}

bool read_at(int file, std::uint64_t offset, char* to, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = ::pread(file, to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

bool read_wal_frame(int file, std::uint64_t index, WalFrame& frame) {
  const std::uint64_t offset = kWalHeaderBytes + index * kFrameBytes;
  return read_at(file, offset, frame.header.data(), frame.header.size()) &&
         read_at(file, offset + kFrameHeaderBytes, frame.page.data(), frame.page.size());
}

namespace {

// The header is not valid. If it was not the whole block that was lost, the first frame continues its checksum: what is
// written there, or what should be.
bool first_frame_continues(int file, const WalChecksum& seed, WalHeader& header) {
  WalFrame frame;
  if (!read_wal_frame(file, 0, frame) || frame.number() == 0) return false;
  for (const bool big : {false, true}) {
    if (frame.after(seed, big) != frame.written()) continue;
    header.salts = frame.salts();
    header.big = big;
    header.seed = seed;
    return true;
  }
  return false;
}

void ask_frames(int file, std::uint64_t frames, WalHeader& header) {
  WalFrame frame;
  WalFrame next;
  std::uint64_t i = 0;
  for (bool found = false; !found; ++i) {
    if (i + 1 >= frames) return;
    if (!read_wal_frame(file, i, frame) || !read_wal_frame(file, i + 1, next)) continue;
    for (const bool big : {false, true}) {
      if (frame.number() == 0 || next.salts() != frame.salts() || next.after(frame.written(), big) != next.written())
        continue;
      header.salts = frame.salts();
      header.big = big;
      found = true;
      break;
    }
  }
  // Each round counts the first salt up, but one after an invalid header. And what an earlier round has left stands
  // behind all of a later one, so other salts before these are of a later one. (The first frame is of the lost block.)
  bool others = false;
  for (std::uint64_t at = 1; at < frames && !header.superseded; ++at) {
    if (!read_wal_frame(file, at, frame)) continue;
    const bool of_these = frame.salts() == header.salts;
    header.superseded = frame.salts().first == header.salts.first + 1 || (others && of_these);
    others = others || (!of_these && frame.number() != 0);
  }
}

}  // namespace

WalHeader read_wal_header(int file, std::uint64_t frames) {
  std::array<char, kWalHeaderBytes> bytes{};
  WalHeader header;
  if (!read_at(file, 0, bytes.data(), bytes.size())) return header;
  const std::uint32_t magic = big_endian32(bytes.data());
  header.big = (magic & 1) != 0;
  WalChecksum sum;
  sum.add(bytes.data(), 24, header.big);
  header.salts = {big_endian32(bytes.data() + 16), big_endian32(bytes.data() + 20)};
  const WalChecksum written{big_endian32(bytes.data() + 24), big_endian32(bytes.data() + 28)};
  if ((magic & ~1u) == kWalMagic && big_endian32(bytes.data() + 8) == kPageBytes && sum == written) {
    header.valid = true;
    header.seed = written;
  } else if (!first_frame_continues(file, written, header) && !first_frame_continues(file, sum, header)) {
    ask_frames(file, frames, header);
  }
  return header;
}

namespace {

// False: nothing was missing.
Result<bool> pad_newest_commit(int file, const WalHeader& header, const std::string& path) {
  WalFrame frame;
  WalFrame commit{};         // the newest, or what pads it
  std::uint64_t frames = 0;  // up to that
  std::uint64_t ends = 0;    // where the commit does, its padding aside
  WalChecksum last = *header.seed;
  for (std::uint64_t i = 0; read_wal_frame(file, i, frame); ++i) {
    if (frame.number() == 0 || frame.salts() != header.salts || frame.after(last, header.big) != frame.written()) break;
    last = frame.written();
    if (frame.pages_after_commit() == 0) continue;
    if (frames != i || !frame.pads(commit)) ends = kWalHeaderBytes + (i + 1) * kFrameBytes;
    frames = i + 1;
    commit = frame;
  }
  const std::uint64_t at = kWalHeaderBytes + frames * kFrameBytes;
  if (frames == 0 || at >= (ends + kSectorBytes - 1) / kSectorBytes * kSectorBytes) return false;
  commit.set_written(commit.after(commit.written(), header.big));
  std::string pad(commit.header.data(), commit.header.size());
  pad.append(commit.page.data(), commit.page.size());
  std::string found = pad;
  for (char& byte : found) byte = static_cast<char>(~byte);
  (void)read_at(file, at, found.data(), found.size());  // the file may end within it: the rest differs
  const auto there = static_cast<std::size_t>(std::mismatch(pad.begin(), pad.end(), found.begin()).first - pad.begin());
  if (!write_at(file, at + there, pad.data() + there, pad.size() - there))
    return tl::unexpected(errno_error("cannot complete the last commit of", path));
  return true;
}

}  // namespace

Result<void> pad_wal(int file, const std::string& path) {
  const WalHeader header = read_wal_header(file, 0);
  if (!header.valid) return {};
  // What stands behind it may continue it: a commit in flight, of which nothing else was missing. That is the newest
  // then.
  for (;;) {
    const Result<bool> padded = pad_newest_commit(file, header, path);
    if (!padded) return tl::unexpected(padded.error());
    if (!*padded) return {};
  }
}

}  // namespace twinspool
