// What happens where the system has no memory left to give.
#pragma once

namespace twinspool {

// From here on an allocation that fails ends the process, at once and with one line in the log that says so. Not
// std::bad_alloc: there is no part of the daemon that could go on without the memory it asked for, and whoever starts
// again (systemd does, after 2 s) finds on disk whatever was acknowledged. What can do without, does: SQLite refuses
// the commit (503), accept(2) lets clients wait, a connection that cannot be set up is closed.
void end_when_out_of_memory();

}  // namespace twinspool
