#include "spool/generation.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>

#include "util/log.h"
#include "util/time.h"

namespace twinspool {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDirectory = ".gen-";
constexpr const char* kMark = "half-built";
constexpr std::size_t kDegradedBytesMax = 3000;

std::string mark_of(const StoreFiles& files) { return files.directory + "/" + kMark; }

std::optional<std::uint64_t> number_of(const StoreFiles& files, const std::string& directory) {
  const std::string prefix = files.name + std::string(kDirectory);
  std::uint64_t number = 0;
  if (!directory.starts_with(prefix)) return std::nullopt;
  const char* end = directory.data() + directory.size();
  const auto parsed = std::from_chars(directory.data() + prefix.size(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end ? std::optional(number) : std::nullopt;
}

template <class Visit>
void each_entry(const std::string& directory, const Visit& visit) {
  std::error_code code;
  std::vector<std::string> paths;
  for (fs::directory_iterator at(directory, code), end; !code && at != end; at.increment(code))
    paths.push_back(at->path());
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) visit(path);
}

// A second name for a file; one that is gone has nothing to keep.
Result<void> keep_as(const std::string& path, const std::string& as) {
  if (::link(path.c_str(), as.c_str()) == 0 || errno == ENOENT) return {};
  return tl::unexpected(errno_error("cannot keep the old file as", as));
}

bool kept_elsewhere(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && info.st_nlink > 1;
}

// The old names of files that have another one by now. Where a plain file was replaced by the link, its own name is
// the link's.
void drop_old_names(const StoreFiles& files, const std::string& database) {
  if (database != files.name && kept_elsewhere(database)) ::unlink(database.c_str());
  if (kept_elsewhere(database + "-wal")) ::unlink((database + "-wal").c_str());
  ::unlink((database + "-shm").c_str());  // an index over the WAL, made anew by whoever opens it
}

std::string time_text(std::int64_t wall_ms) {  // 20261123T202041Z
  std::string text = to_rfc3339(from_unix_ms(wall_ms)).substr(0, 19) + "Z";
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

}  // namespace

Generation::Generation(Generation&& other) noexcept
    : files_(std::move(other.files_)), half_built_(std::exchange(other.half_built_, false)) {}

Generation::~Generation() {
  if (!half_built_) return;
  for (const std::string& path : {files_.database, files_.wal, files_.shm, files_.journal, mark_of(files_)})
    ::unlink(path.c_str());
  ::rmdir(files_.directory.c_str());
}

Result<Generation> Generation::begin(const StoreFiles& current) {
  if (files_aside(current).size() >= kAsideMax)
    return fail(Errc::full, std::to_string(kAsideMax) + " old files of the queue are kept beside it (" + current.name +
                                ".corrupt-*, .failed-*): move them away");
  std::uint64_t number = 0;
  each_entry(fs::path(current.name).parent_path(),
             [&](const std::string& path) { number = std::max(number, number_of(current, path).value_or(0)); });
  Generation made;
  const std::string directory = current.name + std::string(kDirectory) + std::to_string(number + 1);
  if (::mkdir(directory.c_str(), 0750) != 0) return tl::unexpected(errno_error("cannot make", directory));
  made.half_built_ = true;
  made.files_ = current;
  place_in(made.files_, directory + "/" + fs::path(current.name).filename().string());
  struct stat info {};
  const bool known = ::stat(current.database.c_str(), &info) == 0;
  if (known) (void)!::chown(directory.c_str(), info.st_uid, info.st_gid);  // only root can, and only root needs it
  if (Result<void> marked = create_empty(mark_of(made.files_)); !marked) return tl::unexpected(marked.error());
  if (Result<void> created = create_empty(made.files_.database); !created) return tl::unexpected(created.error());
  if (known) (void)!::chown(made.files_.database.c_str(), info.st_uid, info.st_gid);
  return made;
}

Result<void> Generation::switch_in(const StoreFiles& old, const std::string& aside) {
  const std::string parent = fs::path(files_.name).parent_path();
  Result<void> done = keep_as(old.database, aside);
  if (done) done = keep_as(old.wal, aside + "-wal");
  if (done) done = sync_directory(parent);
  const std::string link = files_.name + ".switch";
  const std::string target = fs::path(files_.directory).filename() / fs::path(files_.database).filename();
  ::unlink(link.c_str());  // of an interrupted switch
  if (done && ::symlink(target.c_str(), link.c_str()) != 0) done = tl::unexpected(errno_error("cannot make", link));
  if (done && ::unlink(mark_of(files_).c_str()) != 0)
    done = tl::unexpected(errno_error("cannot remove", mark_of(files_)));
  if (done) done = sync_directory(files_.directory);
  if (done && ::rename(link.c_str(), files_.name.c_str()) != 0)
    done = tl::unexpected(errno_error("cannot switch to the new file behind", files_.name));
  if (!done) {
    for (const char* suffix : {"", "-wal"}) ::unlink((aside + suffix).c_str());  // second names only
    return tl::unexpected(done.error());
  }
  half_built_ = false;
  // From here on the new file is the store. That this is not durable yet does no harm: the old one is whole.
  const Result<void> synced = sync_directory(parent);
  if (!synced) return tl::unexpected(synced.error());
  drop_old_names(files_, old.database);
  if (old.directory != parent) ::rmdir(old.directory.c_str());
  return {};
}

std::string aside_name(const StoreFiles& files, const std::string& why, std::int64_t wall_ms) {
  const std::string wanted = files.name + "." + why + "-" + time_text(wall_ms);
  std::string name = wanted;
  for (int n = 2; fs::exists(fs::symlink_status(name)); ++n) name = wanted + "-" + std::to_string(n);
  return name;
}

void tidy_generations(const StoreFiles& current) {
  const std::string parent = fs::path(current.name).parent_path();
  each_entry(parent, [&](const std::string& path) {
    if (!number_of(current, path) || path == current.directory) return;
    StoreFiles files = current;
    place_in(files, path + "/" + fs::path(current.name).filename().string());
    if (fs::exists(mark_of(files))) {
      log::info("store.half_built_removed", {{"directory", path}});
      for (const std::string& file : {files.database, files.wal, files.shm, files.journal, mark_of(files)})
        ::unlink(file.c_str());
    } else {
      drop_old_names(current, files.database);
    }
    ::rmdir(path.c_str());  // only if nothing is left in it
  });
  if (current.database != current.name) drop_old_names(current, current.name);
}

std::vector<Aside> files_aside(const StoreFiles& files) {
  std::vector<Aside> aside;
  each_entry(fs::path(files.name).parent_path(), [&](const std::string& path) {
    if (path.ends_with("-wal")) return;
    if (path.starts_with(files.name + ".corrupt-") || path.starts_with(files.name + ".failed-"))
      aside.push_back({path, file_size(path) + file_size(path + "-wal")});
  });
  return aside;
}

Degraded read_degraded(const StoreFiles& files) {
  const Result<std::string> text = read_small_file(files.name + ".degraded");
  Degraded degraded;
  if (!text || text->empty()) return degraded;
  const std::size_t line = text->find('\n');
  std::from_chars(text->data(), text->data() + std::min(line, text->size()), degraded.since_ms);
  degraded.since_ms = std::max<std::int64_t>(degraded.since_ms, 1);
  if (line != std::string::npos) degraded.what = text->substr(line + 1);
  while (degraded.what.ends_with('\n')) degraded.what.pop_back();
  return degraded;
}

Result<void> write_degraded(const StoreFiles& files, const Degraded& degraded) {
  return replace_file(files.name + ".degraded",
                      std::to_string(degraded.since_ms) + "\n" + degraded.what.substr(0, kDegradedBytesMax) + "\n");
}

Result<void> acknowledge_degraded(const StoreFiles& files) {
  const std::string path = files.name + ".degraded";
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return tl::unexpected(errno_error("cannot remove", path));
  return sync_directory(fs::path(path).parent_path());
}

}  // namespace twinspool
