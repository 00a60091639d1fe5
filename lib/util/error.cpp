#include "util/error.h"

#include <cstdio>
#include <cstdlib>

namespace twinspool {

void ensure_failed(const char* condition, const char* file, int line) {
  // One line, on nothing but stdio: whatever broke may have been the logger.
  std::fprintf(stderr, "twinspool: bug: ENSURE(%s) failed at %s:%d\n", condition, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace twinspool
