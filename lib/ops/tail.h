// twinspool tail: messages as they are accepted, until Ctrl-C or the end of the pipe.
#pragma once

#include "ops/exit_code.h"
#include "ops/store_path.h"

namespace twinspool::ops {

struct TailOptions {
  StoreOptions store;
  std::string twin;
  std::size_t show = 0;  // of the newest that wait already
  bool json = false;
};
ExitCode run_tail(const TailOptions& options);

}  // namespace twinspool::ops
