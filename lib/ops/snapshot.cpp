#include "ops/snapshot.h"

#include <cstdio>

#include "config/load.h"
#include "ops/sockets.h"
#include "spool/read_thread.h"
#include "spool/snapshot.h"
#include "util/json.h"

namespace twinspool::ops {

namespace {

ExitCode say(const std::string& what) {
  std::fprintf(stderr, "twinspool: %s\n", what.c_str());
  return kFailed;
}

}  // namespace

ExitCode run_snapshot(const std::string& file, const std::string& config, bool json) {
  const auto loaded = load_config(config.empty() ? kDefaultConfigPath : config);
  if (!loaded) return say("the configuration does not say where the queue is:\n" + loaded.error().what);
  Result<sqlite::Database> database = open_for_questions(loaded->store.path);
  if (!database) return say(database.error().what + ": be in the group that may read it (twinspool), or use sudo");
  const Result<Snapshot> taken = take_snapshot(*database, file);
  if (!taken) return say(taken.error().what);
  if (json) {
    json::Writer out;
    out.begin_object().key("file").string(taken->file);
    out.key("bytes").integer(static_cast<std::int64_t>(taken->bytes));
    out.key("queued_messages").integer(static_cast<std::int64_t>(taken->queued_messages));
    out.key("quarantine_messages").integer(static_cast<std::int64_t>(taken->quarantine_messages)).end_object();
    std::printf("%s\n", out.take().c_str());
  } else {
    std::printf("%s: %llu bytes, %llu messages wait, %llu are in quarantine; verified\n", taken->file.c_str(),
                static_cast<unsigned long long>(taken->bytes), static_cast<unsigned long long>(taken->queued_messages),
                static_cast<unsigned long long>(taken->quarantine_messages));
  }
  return kDone;
}

}  // namespace twinspool::ops
