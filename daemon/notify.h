// Tells the service manager how we are (sd_notify(3)), if there is one: the datagram protocol of $NOTIFY_SOCKET,
// without a library. Any thread.
#pragma once

#include <string>

namespace twinspool {

// `state`: lines of NAME=VALUE, e.g. "READY=1\nSTATUS=Waiting for the cloud". Nobody to tell, or nobody who listens: no
// error.
void notify_service_manager(const std::string& state);

}  // namespace twinspool
