#include "ops/list.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "ops/message_text.h"
#include "ops/queue_walk.h"
#include "spool/whereabouts.h"

namespace twinspool::ops {

namespace {

ExitCode say(const std::string& what) {
  std::fprintf(stderr, "twinspool: %s\n", what.c_str());
  return kFailed;
}

struct Shown {
  std::string text, json;
};

Result<std::optional<Shown>> find_queued(sqlite::Database& database, Sequence sequence) {
  const Result<QueueSlice> slice =
      read_queue(database, {.after = sequence - 1, .twins = {}, .messages_max = 1, .rows_scanned_max = 1});
  if (!slice) return tl::unexpected(slice.error());
  if (slice->messages.empty() || slice->messages[0].sequence != sequence) return std::nullopt;
  return Shown{message_text(slice->messages[0]), message_json(slice->messages[0])};
}

Result<std::optional<Shown>> find_quarantined(sqlite::Database& database, Sequence sequence) {
  const Result<std::vector<Quarantined>> found = list_quarantined(database, sequence - 1, 1);
  if (!found) return tl::unexpected(found.error());
  if (found->empty() || (*found)[0].sequence != sequence) return std::nullopt;
  return Shown{quarantined_text((*found)[0]), quarantined_json((*found)[0])};
}

Result<std::optional<Shown>> find_departed(sqlite::Database& database, Sequence sequence) {
  const Result<std::optional<LeftMessage>> left = find_left(database, sequence);
  if (!left) return tl::unexpected(left.error());
  if (!*left) return std::nullopt;
  return Shown{left_text(**left), left_json(**left)};
}

// Looked for in the order in which a message goes, and the queue once more, so that none falls in between.
Result<std::optional<Shown>> find_anywhere(sqlite::Database& database, Sequence sequence) {
  for (const auto find : {find_queued, find_quarantined, find_departed, find_queued}) {
    Result<std::optional<Shown>> found = find(database, sequence);
    if (!found || *found) return found;
  }
  return std::nullopt;
}

}  // namespace

ExitCode run_list(const ListOptions& options) {
  QueueWalk walk({.store = options.store, .twin = options.twin, .after = options.after});
  if (Result<void> begun = walk.begin(); !begun) return say(begun.error().what);
  std::uint64_t listed = 0;
  while (listed < options.limit) {
    const Result<std::vector<QueuedMessage>> messages =
        walk.next(static_cast<std::size_t>(std::min<std::uint64_t>(options.limit - listed, 1000)));
    if (!messages) return say(messages.error().what);
    if (messages->empty()) break;
    for (const QueuedMessage& message : *messages) {
      if (listed++ == 0 && !options.json) std::fputs(list_heading().c_str(), stdout);
      std::fputs((options.json ? message_json(message) + "\n" : list_line(message)).c_str(), stdout);
    }
    if (std::fflush(stdout) != 0) return kDone;  // whoever read it has seen enough
  }
  if (options.json) return kDone;
  if (listed == 0) std::puts(options.twin.empty() ? "nothing waits" : "nothing waits of that twin");
  if (listed == options.limit && walk.queued() > listed)
    std::printf("%llu messages wait in all; go on with --after %llu, or list more with --limit\n",
                static_cast<unsigned long long>(walk.queued()), static_cast<unsigned long long>(walk.at()));
  return kDone;
}

ExitCode run_show(const ShowOptions& options) {
  if (options.sequence == 0) {
    std::fputs("twinspool: sequences count from 1, as `twinspool list` shows them\n", stderr);
    return kUsage;
  }
  const Result<std::string> path = find_store(options.store.file, options.store.config);
  if (!path) return say(path.error().what);
  Result<sqlite::Database> database = open_store(*path);
  if (!database) return say(database.error().what);
  const Result<std::optional<Shown>> shown = find_anywhere(*database, options.sequence);
  if (!shown) return say(shown.error().what);
  if (!*shown) {
    return say(std::to_string(options.sequence) +
               " is not known: never given, or it left longer ago than store.dedup_window and store.keep_delivered "
               "remember");
  }
  std::fputs((options.json ? (*shown)->json + "\n" : (*shown)->text).c_str(), stdout);
  return kDone;
}

}  // namespace twinspool::ops
