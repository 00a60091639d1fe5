#include "spool/page_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <utility>

#include "spool/big_endian.h"
#include "spool/files.h"

namespace twinspool {
namespace {

constexpr std::uint64_t kWalHeaderBytes = 32;
constexpr std::uint64_t kFrameHeaderBytes = 24;
constexpr std::uint64_t kFrameBytes = kFrameHeaderBytes + kPageBytes;
constexpr std::uint32_t kWalMagic = 0x377f0682;  // the lowest bit: checksums are big-endian
constexpr PageNumber kPagesMax = 1u << 30;
constexpr std::uint64_t kSaltVotes = 16;  // frames that are asked when the header is damaged

using Salts = std::pair<std::uint32_t, std::uint32_t>;

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

std::uint64_t size_of(int file) {
  struct stat info {};
  return file >= 0 && ::fstat(file, &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

struct Checksum {  // SQLite's, of a WAL: Fibonacci-weighted sums over pairs of words
  std::uint32_t first = 0, second = 0;
  friend bool operator==(const Checksum&, const Checksum&) = default;

  void add(const char* bytes, std::size_t count, bool big) {
    for (std::size_t i = 0; i + 8 <= count; i += 8) {
      first += (big ? big_endian32(bytes + i) : little_endian32(bytes + i)) + second;
      second += (big ? big_endian32(bytes + i + 4) : little_endian32(bytes + i + 4)) + first;
    }
  }
};

struct Frame {
  std::array<char, kFrameHeaderBytes> header;
  Page page;

  PageNumber number() const { return big_endian32(header.data()); }
  PageNumber pages_after_commit() const { return big_endian32(header.data() + 4); }  // 0: no commit
  Salts salts() const { return {big_endian32(header.data() + 8), big_endian32(header.data() + 12)}; }
  Checksum written() const { return {big_endian32(header.data() + 16), big_endian32(header.data() + 20)}; }
  Checksum after(Checksum seed, bool big) const {
    seed.add(header.data(), 8, big);
    seed.add(page.data(), page.size(), big);
    return seed;
  }
};

bool read_whole_frame(int file, std::uint64_t index, Frame& frame) {
  const std::uint64_t offset = kWalHeaderBytes + index * kFrameBytes;
  return read_at(file, offset, frame.header.data(), frame.header.size()) &&
         read_at(file, offset + kFrameHeaderBytes, frame.page.data(), frame.page.size());
}

struct WalHeader {
  Salts salts;
  bool big = false;
  std::optional<Checksum> seed;  // nullopt: damaged, so the first frame has nothing to continue
};

// A damaged header is replaced by what most of the first frames say.
WalHeader wal_header(int file, std::uint64_t frames) {
  std::array<char, kWalHeaderBytes> bytes{};
  WalHeader header;
  if (!read_at(file, 0, bytes.data(), bytes.size())) return header;
  const std::uint32_t magic = big_endian32(bytes.data());
  header.big = (magic & 1) != 0;
  Checksum sum;
  sum.add(bytes.data(), 24, header.big);
  header.salts = {big_endian32(bytes.data() + 16), big_endian32(bytes.data() + 20)};
  const Checksum written{big_endian32(bytes.data() + 24), big_endian32(bytes.data() + 28)};
  if ((magic & ~1u) == kWalMagic && big_endian32(bytes.data() + 8) == kPageBytes && sum == written) {
    header.seed = written;
    return header;
  }
  std::map<Salts, int> votes;
  Frame frame;
  for (std::uint64_t i = 0; i < std::min(frames, kSaltVotes) && read_whole_frame(file, i, frame); ++i)
    ++votes[frame.salts()];
  int most = 0;
  for (const auto& [salts, count] : votes) {
    if (count > most) header.salts = salts;
    most = std::max(most, count);
  }
  // The byte order is that of the machine that wrote it: the one in which frames continue each other.
  Frame next;
  for (std::uint64_t i = 0; i + 1 < std::min(frames, kSaltVotes); ++i) {
    if (!read_whole_frame(file, i, frame) || !read_whole_frame(file, i + 1, next)) break;
    for (const bool big : {false, true})
      if (next.after(frame.written(), big) == next.written()) header.big = big;
  }
  return header;
}

}  // namespace

PageFile::Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

PageFile::Descriptor& PageFile::Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

Result<PageFile> PageFile::open(const std::string& database, const std::string& wal) {
  PageFile file;
  file.database_ = Descriptor(::open(database.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.database_.get() < 0) return tl::unexpected(errno_error("cannot read", database));
  // A cut file may end within a page.
  file.pages_ = static_cast<PageNumber>(
      std::min<std::uint64_t>((size_of(file.database_.get()) + kPageBytes - 1) / kPageBytes, kPagesMax));
  file.wal_file_ = Descriptor(::open(wal.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.wal_file_.get() >= 0) file.index_wal(size_of(file.wal_file_.get()));
  return file;
}

void PageFile::index_wal(std::uint64_t bytes) {
  if (bytes < kWalHeaderBytes + kFrameBytes) return;
  const std::uint64_t frames = (bytes - kWalHeaderBytes) / kFrameBytes;
  const WalHeader header = wal_header(wal_file_.get(), frames);

  std::vector<std::pair<PageNumber, std::uint32_t>> transaction;
  std::optional<Checksum> written = header.seed;   // by the frame before
  std::optional<Checksum> computed = header.seed;  // over all frames up to it
  PageNumber committed_page = 0;                   // the frame before was a commit, of this page
  std::uint64_t damaged = 0;                       // since the last frame that was believed
  int commits_after_damage = -1;                   // in frames that continue each other; -1: no damage before them
  bool first_unseeded = !header.seed;
  Frame frame;
  for (std::uint64_t i = 0; i < frames; ++i) {
    const bool readable = read_whole_frame(wal_file_.get(), i, frame);
    const bool ours = readable && frame.salts() == header.salts;
    const auto continues = [&](const std::optional<Checksum>& seed) {
      return seed && frame.after(*seed, header.big) == frame.written();
    };
    // Without a header's checksum the first frame cannot be checked; its successor tells whether it was believable.
    const bool believed = ours && frame.number() > 0 && frame.number() <= kPagesMax &&
                          (continues(written) || continues(computed) || std::exchange(first_unseeded, false));
    if (computed && readable) computed = frame.after(*computed, header.big);
    written = readable ? std::optional(frame.written()) : std::nullopt;
    if (!believed) {
      // Frames of an earlier round of the WAL have other salts: two of them in a row are its end, one may be damage.
      ++damaged;
      committed_page = 0;
      // Two starts after power cuts may leave the rest of a commit that was torn behind another that is: not one chain.
      commits_after_damage = -1;
      if (!ours && damaged > 1) break;
      continue;
    }
    if (damaged > 0) {
      wal_.damaged += std::exchange(damaged, 0);
      commits_after_damage = 0;
    }
    wal_.frames = i + 1;
    const bool padding = committed_page == frame.number() && frame.pages_after_commit() > 0;
    if (commits_after_damage > 0 && !padding) wal_.lost_commits = true;
    transaction.emplace_back(frame.number(), static_cast<std::uint32_t>(i));
    if (frame.pages_after_commit() > 0) {
      for (const auto& [page, at] : transaction) frames_[page] = at;
      transaction.clear();
      pages_ = std::max(pages_, std::min(frame.pages_after_commit(), kPagesMax));
      if (commits_after_damage >= 0 && !padding) ++commits_after_damage;
    }
    committed_page = frame.pages_after_commit() > 0 ? frame.number() : 0;
  }
  for (const auto& [page, at] : transaction) {
    unfinished_.push_back(page);
    unfinished_frames_.push_back(at);
  }
  if (wal_.lost_commits && database_has_all()) wal_.lost_commits = false;
}

// A checkpoint had put everything there, and the WAL was to begin anew: its first block may be garbage after a power
// cut.
bool PageFile::database_has_all() const {
  Page in_wal;
  Page in_database;
  return std::all_of(frames_.begin(), frames_.end(), [&](const auto& entry) {
    const auto& [number, frame] = entry;
    return read_frame(frame, in_wal) &&
           read_at(database_.get(), std::uint64_t{number - 1} * kPageBytes, in_database.data(), in_database.size()) &&
           in_wal == in_database;
  });
}

bool PageFile::read_frame(std::uint64_t frame, Page& page) const {
  const std::uint64_t offset = kWalHeaderBytes + frame * kFrameBytes + kFrameHeaderBytes;
  return read_at(wal_file_.get(), offset, page.data(), page.size());
}

bool PageFile::read(PageNumber number, Page& page) const {
  if (number == 0 || number > pages_) return false;
  const auto in_wal = frames_.find(number);
  const bool got = in_wal != frames_.end()
                       ? read_frame(in_wal->second, page)
                       : read_at(database_.get(), std::uint64_t{number - 1} * kPageBytes, page.data(), page.size());
  if (!got) ++unreadable_;
  return got;
}

bool PageFile::read_unfinished(std::size_t index, Page& page) const {
  return read_frame(unfinished_frames_.at(index), page);
}

}  // namespace twinspool
