#include "spool/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "spool/read_thread.h"
#include "spool/schema.h"

namespace twinspool {

namespace {

constexpr mode_t kMode = 0640;

Error failed(const std::string& doing) {
  const int number = errno;
  const Errc code = number == EEXIST ? Errc::busy : number == ENOSPC || number == EDQUOT ? Errc::full : Errc::invalid;
  return {code, doing + ": " + std::strerror(number)};
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

// Under another name until it is whole; gone with the object.
class Draft {
 public:
  explicit Draft(const std::string& file) : path_(file + ".part." + std::to_string(getpid())) {}
  ~Draft() {
    if (made_) unlink(path_.c_str());
  }
  Draft(Draft&&) = delete;
  const std::string& path() const { return path_; }

  Result<void> make() {
    const int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kMode);
    if (fd < 0) return tl::unexpected(failed("cannot make " + path_));
    made_ = true;
    fchmod(fd, kMode);  // whatever the umask
    close(fd);
    return {};
  }

  Result<void> name(const std::string& file) const {
    if (Result<void> synced = sync(path_, O_RDONLY); !synced) return synced;
    if (link(path_.c_str(), file.c_str()) != 0) return tl::unexpected(failed(file));
    const std::string directory = std::filesystem::path(file).parent_path().string();
    return sync(directory.empty() ? "." : directory, O_RDONLY | O_DIRECTORY);
  }

 private:
  static Result<void> sync(const std::string& path, int flags) {
    const int fd = open(path.c_str(), flags | O_CLOEXEC);
    if (fd < 0) return tl::unexpected(failed("cannot open " + path));
    const bool synced = fsync(fd) == 0;
    Error error = synced ? Error{} : failed("cannot sync " + path);
    close(fd);
    if (!synced) return tl::unexpected(std::move(error));
    return {};
  }

  std::string path_;
  bool made_ = false;
};

Result<Snapshot> verify(const std::string& path) {
  Result<sqlite::Database> copy = open_for_questions(path);
  if (!copy) return tl::unexpected(copy.error());
  const Result<std::string> check = copy->text("PRAGMA quick_check(1)");
  if (!check) return tl::unexpected(check.error());
  const Result<std::int64_t> id = copy->integer("PRAGMA application_id");
  if (!id) return tl::unexpected(id.error());
  if (*check != "ok" || *id != kApplicationId)
    return fail(Errc::storage, "the copy is not a sound queue (" + *check + "): run twinspool check on the queue");
  const Result<std::int64_t> queued = copy->integer("SELECT count(*) FROM messages");
  if (!queued) return tl::unexpected(queued.error());
  const Result<std::int64_t> figure = copy->integer("SELECT queued_messages FROM summary");
  if (!figure) return tl::unexpected(figure.error());
  if (*queued != *figure)
    return fail(Errc::storage, "the copy has " + std::to_string(*queued) + " messages where its figures say " +
                                   std::to_string(*figure) + ": run twinspool check on the queue");
  const Result<std::int64_t> quarantined = copy->integer("SELECT count(*) FROM quarantined_messages");
  if (!quarantined) return tl::unexpected(quarantined.error());
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return tl::unexpected(failed(path));
  return Snapshot{.file = {},
                  .bytes = static_cast<std::uint64_t>(status.st_size),
                  .queued_messages = static_cast<std::uint64_t>(*queued),
                  .quarantine_messages = static_cast<std::uint64_t>(*quarantined)};
}

}  // namespace

Result<Snapshot> take_snapshot(sqlite::Database& database, const std::string& file) {
  struct stat status {};
  if (lstat(file.c_str(), &status) == 0)
    return fail(Errc::busy, file + " is there already, and a snapshot never overwrites: give another name");
  Draft draft(file);
  if (Result<void> made = draft.make(); !made) return tl::unexpected(made.error());
  if (Result<void> copied = database.execute("VACUUM INTO " + quoted(draft.path())); !copied)
    return fail(copied.error().code, "cannot copy the queue to " + file + ": " + copied.error().what);
  Result<Snapshot> snapshot = verify(draft.path());
  if (!snapshot) return snapshot;
  if (Result<void> named = draft.name(file); !named) return tl::unexpected(named.error());
  snapshot->file = file;
  return snapshot;
}

}  // namespace twinspool
