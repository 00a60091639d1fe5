// What is explored, by name.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "crash/run.h"

namespace twinspool::crash {

struct Workload {
  std::string name;
  std::function<Recording(const Plants& plants)> record;
  unsigned share = 10;  // of the states, in hundredths
};

const std::vector<Workload>& workloads();
const Workload& workload(const std::string& name);

}  // namespace twinspool::crash
