#include "out_of_memory.h"

#include <cstdlib>
#include <new>

#include "util/log.h"

namespace twinspool {

namespace {

constexpr std::size_t kKeptForTheLastWord = 64 * 1024;
char* kept = nullptr;

[[noreturn]] void last_word() {
  std::set_new_handler(nullptr);  // should the log itself want more than was kept, std::bad_alloc ends it as well
  std::free(kept);
  log::error("daemon.out_of_memory",
             {{"why", "an allocation failed"},
              {"now", "ends; what was acknowledged is on disk"},
              {"remedy", "more memory, or a higher MemoryMax; lower ingest.batch_max, ingest.connections_max"}});
  std::_Exit(1);
}

}  // namespace

void end_when_out_of_memory() {
  kept = static_cast<char*>(std::malloc(kKeptForTheLastWord));
  std::set_new_handler(last_word);
}

}  // namespace twinspool
