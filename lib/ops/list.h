// twinspool list and show: what waits, read from the queue's file, with or without a daemon.
#pragma once

#include <cstdint>
#include <string>

#include "ops/exit_code.h"
#include "ops/store_path.h"

namespace twinspool::ops {

struct ListOptions {
  StoreOptions store;
  std::string twin;
  std::uint64_t after = 0;
  std::uint64_t limit = 20;
  bool json = false;
};
ExitCode run_list(const ListOptions& options);

struct ShowOptions {
  StoreOptions store;
  std::uint64_t sequence = 0;
  bool json = false;
};
ExitCode run_show(const ShowOptions& options);

}  // namespace twinspool::ops
