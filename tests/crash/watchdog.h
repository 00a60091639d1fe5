// A store that hangs or dies must not take the place with it where that happened.
#pragma once

#include <string>

namespace twinspool::crash {

class Watchdog {
 public:
  // From now on `place` is what is being done, for 30 s at most. A hang or a signal that kills ends the process, and it
  // is said where.
  static void watch(std::string place);
};

}  // namespace twinspool::crash
