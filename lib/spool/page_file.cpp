#include "spool/page_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "spool/files.h"
#include "spool/wal_frame.h"

namespace twinspool {
namespace {

constexpr PageNumber kPagesMax = 1u << 30;

std::uint64_t size_of(int file) {
  struct stat info {};
  return file >= 0 && ::fstat(file, &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

struct PageAt {
  PageNumber page;
  std::uint32_t frame;
};

// Which frames are of commits. A commit with a damaged frame in it or before it is doubtful: a power cut may have torn
// it, and then nobody heard of it. Only what was synced is continued, so a frame behind it tells that it was whole; its
// padding does not, nor does what stands behind further damage: the rest of another commit that was torn, before or
// after a start.
class Transactions {
 public:
  explicit Transactions(bool begins_damaged) : torn_(begins_damaged) {}

  void damaged() {
    torn_ = true;
    after_doubtful_ = false;
  }
  void add(PageAt at, std::uint32_t pages_after_commit, bool padding) {
    if (after_doubtful_ && !padding) {
      take(doubtful_);
      pages_ = std::max(pages_, doubtful_pages_);
      after_doubtful_ = false;
      lost_ = true;
    }
    open_.push_back(at);
    if (pages_after_commit == 0) return;
    if (std::exchange(torn_, false)) after_doubtful_ = true;
    if (!after_doubtful_) {
      pages_ = std::max(pages_, pages_after_commit);
      return take(open_);
    }
    doubtful_pages_ = std::max(doubtful_pages_, pages_after_commit);
    doubtful_.insert(doubtful_.end(), open_.begin(), open_.end());
    open_.clear();
  }

  const std::vector<PageAt>& committed() const { return committed_; }
  std::vector<PageAt> unfinished() const {
    std::vector<PageAt> all = doubtful_;
    all.insert(all.end(), open_.begin(), open_.end());
    return all;
  }
  PageNumber pages() const { return pages_; }  // of the database, after the largest commit
  bool lost() const { return lost_; }          // SQLite drops some that were whole

 private:
  void take(std::vector<PageAt>& from) {
    committed_.insert(committed_.end(), from.begin(), from.end());
    from.clear();
  }
  std::vector<PageAt> committed_, doubtful_, open_;
  bool torn_;                    // the open one
  bool after_doubtful_ = false;  // the last frame ended the newest doubtful one
  PageNumber pages_ = 0, doubtful_pages_ = 0;
  bool lost_ = false;
};

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
  const WalHeader header = read_wal_header(wal_file_.get(), frames);
  if (header.superseded) return;

  Transactions transactions(!header.seed);
  std::optional<WalChecksum> written = header.seed;   // by the frame before
  std::optional<WalChecksum> computed = header.seed;  // over all frames up to it
  std::uint64_t damaged = 0;                          // since the last frame that was believed
  bool first_unseeded = !header.seed;
  WalFrame frame;
  WalFrame before{};  // the last that was believed
  for (std::uint64_t i = 0; i < frames; ++i) {
    const bool readable = read_wal_frame(wal_file_.get(), i, frame);
    const bool ours = readable && frame.salts() == header.salts;
    const auto continues = [&](const std::optional<WalChecksum>& seed) {
      return seed && frame.after(*seed, header.big) == frame.written();
    };
    bool believed = ours && frame.number() > 0 && frame.number() <= kPagesMax;
    if (believed && !continues(written) && !continues(computed)) {
      believed = std::exchange(first_unseeded, false);
      if (believed) unchecked_ = static_cast<std::uint32_t>(i);
    }
    if (computed && readable) computed = frame.after(*computed, header.big);
    written = readable ? std::optional(frame.written()) : std::nullopt;
    if (!believed) {
      // Frames of an earlier round of the WAL have other salts: two of them in a row are its end, one may be damage.
      ++damaged;
      transactions.damaged();
      if (!ours && damaged > 1) break;
      continue;
    }
    wal_.damaged += std::exchange(damaged, 0);
    wal_.frames = i + 1;
    transactions.add({frame.number(), static_cast<std::uint32_t>(i)}, frame.pages_after_commit(), frame.pads(before));
    before = frame;
  }
  for (const auto& [page, at] : transactions.committed()) frames_[page] = at;
  for (const auto& [page, at] : transactions.unfinished()) {
    unfinished_.push_back(page);
    unfinished_frames_.push_back(at);
  }
  pages_ = std::max(pages_, std::min(transactions.pages(), kPagesMax));
  // Behind a valid header SQLite takes what is before the damage, though the database may be newer.
  const bool drops = transactions.lost() || (!header.valid && !frames_.empty() && header.seed);
  wal_.lost_commits = drops && (header.valid || !database_has_all());
}

// A checkpoint had put everything there, and the WAL was to begin anew: its first block may be garbage after a power
// cut, and what cannot be checked without it a mixture of both rounds.
bool PageFile::database_has_all() const {
  Page in_wal;
  Page in_database;
  return std::all_of(frames_.begin(), frames_.end(), [&](const auto& entry) {
    const auto& [number, frame] = entry;
    if (frame == unchecked_) return true;
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
