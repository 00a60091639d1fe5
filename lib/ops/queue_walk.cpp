#include "ops/queue_walk.h"

#include "ops/text.h"

namespace twinspool::ops {

QueueWalk::QueueWalk(const Where& where) : where_(where), at_(where.after) {
  if (!where.twin.empty()) twins_ = {where.twin, query_encoded(where.twin)};
}

Result<void> QueueWalk::begin() {
  Result<std::string> path = find_store(where_.store.file, where_.store.config);
  if (!path) return tl::unexpected(path.error());
  path_ = std::move(*path);
  Result<sqlite::Database> database = open_store(path_);
  if (!database) return tl::unexpected(database.error());
  const Result<Sequence> newest = newest_sequence(*database);
  if (!newest) return tl::unexpected(newest.error());
  const Result<std::int64_t> queued = database->integer("SELECT queued_messages FROM summary");
  if (!queued) return tl::unexpected(queued.error());
  through_ = *newest;
  queued_ = static_cast<std::uint64_t>(*queued);
  return {};
}

Result<std::vector<QueuedMessage>> QueueWalk::next(std::size_t count) {
  for (;;) {
    Result<sqlite::Database> database = open_store(path_);
    if (!database) return tl::unexpected(database.error());
    Result<QueueSlice> slice = read_queue(*database, {.after = at_, .twins = twins_, .messages_max = count});
    if (!slice) return tl::unexpected(slice.error());
    at_ = slice->scanned_through;
    while (!slice->messages.empty() && slice->messages.back().sequence > through_) slice->messages.pop_back();
    if (!slice->messages.empty() || slice->reached_end || at_ >= through_) return std::move(slice->messages);
  }
}

}  // namespace twinspool::ops
