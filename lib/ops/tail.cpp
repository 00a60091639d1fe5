#include "ops/tail.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "ops/interrupt.h"
#include "ops/message_text.h"
#include "ops/screen.h"
#include "ops/text.h"
#include "spool/queue_reader.h"

namespace twinspool::ops {

namespace {

constexpr Duration kLookEvery = std::chrono::milliseconds(250);
constexpr std::size_t kAtOnceMax = 2000;  // messages of one look; more than people read, and than a pipe needs

}  // namespace

ExitCode run_tail(const TailOptions& options) {
  const auto say = [](const std::string& what) {
    std::fprintf(stderr, "twinspool: %s\n", what.c_str());
    return kFailed;
  };
  const Result<std::string> path = find_store(options.store.file, options.store.config);
  if (!path) return say(path.error().what);
  const std::vector<std::string> twins = {options.twin, query_encoded(options.twin)};
  Interrupt interrupt;
  NewcomerReader reader(kAtOnceMax);
  do {
    Result<sqlite::Database> database = open_store(*path);
    const Result<Newcomers> found = database ? reader.next(*database, options.show) : tl::unexpected(database.error());
    if (!found) return say(found.error().what);
    if (found->passed_over > 0)
      std::fprintf(stderr, "twinspool: %s messages came faster than they can be shown\n",
                   grouped(found->passed_over).c_str());
    const std::size_t columns = terminal_size(STDOUT_FILENO).columns;
    for (const Newcomer& message : found->messages) {
      if (!options.twin.empty() && std::find(twins.begin(), twins.end(), message.telemetry.twin) == twins.end())
        continue;
      std::fputs((options.json ? newcomer_json(message) + "\n" : newcomer_line(message, columns)).c_str(), stdout);
    }
    if (std::fflush(stdout) != 0) break;  // nobody reads any more
  } while (interrupt.wait(kLookEvery));
  return kDone;
}

}  // namespace twinspool::ops
