// No core dump where the process holds secrets: tokens, keys and passwords would be in it.
#pragma once

#include "config/config.h"

namespace twinspool {

// Where `config` names any secret: no core file (RLIMIT_CORE, for good), and no memory in a dump that a crash handler
// takes by pipe (coredump_filter), for which the kernel does not ask the limit. The process stays dumpable: it could
// not look at its own /proc/self otherwise, where its figures come from.
void keep_secrets_out_of_core_dumps(const Config& config);

}  // namespace twinspool
