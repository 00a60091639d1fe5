#include "ops/export.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "ops/draw.h"
#include "ops/message_text.h"
#include "ops/screen.h"
#include "ops/text.h"
#include "util/json.h"

namespace twinspool::ops {

namespace {

constexpr std::size_t kSlice = 1000;  // messages
constexpr mode_t kMode = 0640;        // as the queue's own files
constexpr std::size_t kBarColumns = 24;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

struct Exported {
  std::uint64_t messages = 0, damaged = 0;
  Sequence last = 0;
};

ExitCode say(const std::string& what) {
  std::fprintf(stderr, "twinspool: %s\n", what.c_str());
  return kFailed;
}

Result<File> make_file(const std::string& path) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode);
  if (descriptor >= 0) return File(fdopen(descriptor, "w"), std::fclose);
  const bool is_there = errno == EEXIST;
  return fail(Errc::invalid, path + " cannot be made: " + std::strerror(errno) +
                                 (is_there ? ": an export overwrites nothing, so name another file" : ""));
}

std::string summary(const Exported& exported, bool json) {
  if (!json) {
    return fmt::format(
        "{} messages{}{}\n", grouped(exported.messages),
        exported.messages > 0 ? fmt::format(", the last one {}", exported.last) : "",
        exported.damaged > 0 ? fmt::format("; {} are damaged on disk and were left out", exported.damaged) : "");
  }
  json::Writer out;
  out.begin_object().key("messages").integer(static_cast<std::int64_t>(exported.messages));
  out.key("damaged").integer(static_cast<std::int64_t>(exported.damaged));
  out.key("last_sequence").integer(static_cast<std::int64_t>(exported.last)).end_object();
  return out.take() + "\n";
}

Result<Exported> write_all(QueueWalk& walk, std::FILE* output) {
  Exported exported;
  ProgressLine progress;
  for (;;) {
    const Result<std::vector<QueuedMessage>> messages = walk.next(kSlice);
    if (!messages) return tl::unexpected(messages.error());
    if (messages->empty()) break;
    for (const QueuedMessage& message : *messages) {
      exported.last = message.sequence;
      ++(message.sound ? exported.messages : exported.damaged);
      if (message.sound && std::fputs(batch_line(message.telemetry).c_str(), output) < 0)
        return fail(Errc::storage, std::string("cannot write: ") + std::strerror(errno));
    }
    const double part = static_cast<double>(exported.messages) / std::max(1.0, static_cast<double>(walk.queued()));
    progress.show(
        fmt::format("export {} {} of {}", bar(part, kBarColumns), grouped(exported.messages), grouped(walk.queued())));
  }
  const bool to_file = output != stdout;
  if (std::fflush(output) != 0 || (to_file && fsync(fileno(output)) != 0))
    return fail(Errc::storage, std::string("cannot write: ") + std::strerror(errno));
  return exported;
}

}  // namespace

ExitCode run_export(const ExportOptions& options) {
  QueueWalk walk(options.from);
  if (Result<void> begun = walk.begin(); !begun) return say(begun.error().what);
  const bool to_file = !options.file.empty() && options.file != "-";
  Result<File> file = to_file ? make_file(options.file) : File(nullptr, std::fclose);
  if (!file) return say(file.error().what);
  const Result<Exported> exported = write_all(walk, to_file ? file->get() : stdout);
  if (!exported)
    return say(fmt::format("{}; the export is not whole{}", exported.error().what,
                           walk.at() > 0 ? fmt::format(": it can go on with --after {}", walk.at()) : ""));
  std::fputs(summary(*exported, options.json).c_str(), to_file ? stdout : stderr);
  return exported->damaged == 0 ? kDone : kFailed;
}

}  // namespace twinspool::ops
