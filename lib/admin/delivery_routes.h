// The admin routes by which an operator steers the delivery:
//   POST /pause    messages are accepted and kept, nothing is sent
//   POST /resume   after a pause
//   POST /kick     what waits for a time is tried now; 409 while paused
// Each answers {"state","since","message"}. Loop thread.
#pragma once

#include <functional>

#include "admin/admin_server.h"

namespace twinspool::admin {

class DeliverySwitch {
 public:
  virtual ~DeliverySwitch() = default;
  virtual void pause() = 0;
  virtual bool resume() = 0;  // false: it was not paused
  virtual bool paused() const = 0;
  virtual bool kick() = 0;  // false: there is nothing to try, because forward.endpoint is empty
};

// `delivery` outlives the requests to `admin`.
void add_delivery_routes(AdminServer& admin, DeliverySwitch& delivery, std::function<Facts()> facts);

}  // namespace twinspool::admin
