// The name of a thread, as top -H, gdb and perf show it.
#pragma once

#include <pthread.h>

namespace twinspool {

// Of the calling thread; at most 15 characters.
inline void name_thread(const char* name) { ::pthread_setname_np(::pthread_self(), name); }

}  // namespace twinspool
