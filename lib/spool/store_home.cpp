#include "spool/store_home.h"

#include <unistd.h>

#include "util/log.h"

namespace twinspool {

Result<StoreHome> StoreHome::open(const std::string& path, const std::string& boot_id) {
  Result<StoreFiles> files = prepare_files(path);
  if (!files) return tl::unexpected(files.error());
  Result<StoreLock> lock = StoreLock::take(*files);
  if (!lock) return tl::unexpected(lock.error());
  StoreHome home(std::move(*files), std::move(*lock));

  // A start needs a little room itself: for the copy of a WAL, and for SQLite's shared memory.
  if (free_bytes(home.files_.directory) < home.reserve_.bytes() / 2) home.reserve_.release();

  const Result<RunFile> last = read_run_file(home.files_);
  if (!last) return tl::unexpected(last.error());
  const Result<FileState> state = inspect(home.files_);
  if (!state) return tl::unexpected(state.error());
  home.is_new_ = *state != FileState::ours;
  if (home.is_new_ && (last->state != RunFile::State::absent || file_size(home.files_.wal) > 0)) {
    const std::string& witness = last->state != RunFile::State::absent ? home.files_.run : home.files_.wal;
    return fail(Errc::invalid, home.files_.database + (*state == FileState::empty ? " is empty" : " is missing") +
                                   " but " + witness +
                                   " says that a queue was here: bring it back (is the partition mounted?), or "
                                   "remove " +
                                   witness + " to start with an empty queue; nothing was changed");
  }
  if (home.is_new_) {
    if (Result<void> created = create_empty(home.files_.database); !created) return tl::unexpected(created.error());
  } else if (Result<void> adopted = adopt(home.files_, *last, boot_id); !adopted) {
    return tl::unexpected(adopted.error());
  }
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

}  // namespace twinspool
