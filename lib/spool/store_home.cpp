#include "spool/store_home.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "spool/generation.h"
#include "spool/page_file.h"
#include "spool/salvage.h"
#include "util/log.h"

namespace twinspool {
namespace {

std::pair<std::uint64_t, std::uint64_t> identity(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino};
}

// Its first commit made a WAL, and no stop of ours removes it.
bool uses_wal(const StoreFiles& files) {
  const Result<std::string> header = read_small_file(files.database);
  return header && header->size() > 18 && (*header)[18] == 2;
}

// What SQLite would not find, or would pass over in silence. Empty: nothing. Errc::invalid: a file that is not ours.
Result<std::string> find_damage(const StoreFiles& files, FileState state) {
  if (state == FileState::empty) return "the file is empty";
  if (state == FileState::ours) {
    if (file_size(files.wal) == 0) return std::string();
    const Result<PageFile> pages = PageFile::open(files.database, files.wal);
    if (!pages) return tl::unexpected(pages.error());
    return pages->wal().lost_commits ? "its WAL is damaged before its end" : std::string();
  }
  // The header is not one of ours. It was damaged, if what is in it is ours.
  auto salvage = Salvage::open(files.database, files.wal);
  if (!salvage) return tl::unexpected(salvage.error());
  if ((*salvage)->looks_like_ours()) return "its header is damaged";
  const std::string what = state == FileState::foreign ? " is a SQLite database of another program"
                                                       : " is not a database (damaged or another kind of file)";
  return fail(Errc::invalid, files.database + what +
                                 ": move it and its -wal away and keep them, or set store.path to another name; "
                                 "nothing was changed");
}

}  // namespace

Result<StoreHome> StoreHome::open(const std::string& path, const std::string& boot_id) {
  Result<StoreFiles> files = prepare_files(path);
  if (!files) return tl::unexpected(files.error());
  Result<StoreLock> lock = StoreLock::take(*files);
  if (!lock) return tl::unexpected(lock.error());
  StoreHome home(std::move(*files), std::move(*lock));

  // A start needs room itself: for the copy of a WAL, and for SQLite's shared memory.
  const std::uint64_t needed = std::max(home.reserve_.bytes() / 2, file_size(home.files_.wal));
  if (free_bytes(home.files_.directory) < needed) home.reserve_.release();

  const Result<RunFile> last = read_run_file(home.files_);
  if (!last) return tl::unexpected(last.error());
  tidy_generations(home.files_);
  const Result<FileState> state = inspect(home.files_);
  if (!state) return tl::unexpected(state.error());
  if (*state == FileState::absent && (last->state != RunFile::State::absent || file_size(home.files_.wal) > 0)) {
    const std::string& witness = last->state != RunFile::State::absent ? home.files_.run : home.files_.wal;
    return fail(Errc::invalid, home.files_.name + " is missing but " + witness +
                                   " says that a queue was here: bring it back (is the partition mounted?), or "
                                   "remove " +
                                   witness + " to start with an empty queue; nothing was changed");
  }
  const bool was_here = last->state != RunFile::State::absent || file_size(home.files_.wal) > 0;
  home.is_new_ = *state == FileState::absent || (*state == FileState::empty && !was_here);
  if (home.is_new_) {
    if (Result<void> created = create_empty(home.files_.database); !created) return tl::unexpected(created.error());
  } else {
    home.wal_is_missing_ =
        last->state == RunFile::State::running && ::access(home.files_.wal.c_str(), F_OK) != 0 && uses_wal(home.files_);
    Result<std::string> damage = find_damage(home.files_, *state);
    if (!damage) return tl::unexpected(damage.error());
    home.damage_ = std::move(*damage);
    if (Result<void> adopted = adopt(home.files_, *last, boot_id, !home.damage_.empty()); !adopted)
      return tl::unexpected(adopted.error());
  }
  home.is_complete_ = last->state != RunFile::State::absent;
  home.was_clean_ = last->state == RunFile::State::clean;
  home.run_ = RunFile{RunFile::State::running, boot_id, ::getpid(), false};
  return home;
}

Result<void> StoreHome::mark_running() {
  run_.state = RunFile::State::running;
  return write_run_file(files_, run_);
}

Result<void> StoreHome::mark_clean() {
  run_.state = RunFile::State::clean;
  return write_run_file(files_, run_);
}

void StoreHome::mark_io_error() {
  run_.io_error = true;
  if (Result<void> marked = mark_running(); !marked) log::error("store.run_file", {{"error", marked.error().what}});
}

void StoreHome::move_to(const StoreFiles& files) {
  files_ = files;
  damage_.clear();
  is_new_ = false;
  was_clean_ = false;
  run_.io_error = false;
}

void StoreHome::remember_files() { open_files_ = {identity(files_.database), identity(files_.wal)}; }

bool StoreHome::files_are_there() const {
  return open_files_[0] == identity(files_.database) && open_files_[1] == identity(files_.wal) &&
         (files_.name == files_.database || identity(files_.name) == open_files_[0]);
}

}  // namespace twinspool
