// What the stand-in cloud does wrong, on request: plans of steps, one step a telemetry request. Pure.
//
// A plan for one twin goes before the plan for all; a plan that is used up is forgotten, unless it repeats its last
// step.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "util/error.h"
#include "util/time.h"

namespace twinspool::test {

enum class FaultKind : std::uint8_t {
  none,          // ok: as without a plan
  status,        // 503, 404, ...: answered with that status; nothing is recorded, unless it is a 2xx without html
  reset,         // the connection is closed before anything is recorded
  accept_reset,  // recorded, then closed: the answer is lost
  hang,          // never answered, nothing recorded
  accept_hang,   // recorded, never answered
  cut,           // recorded, then half of the answer's head, then closed
  cut_body,      // recorded, then a 200 whose body ends too early, then closed
  slow,          // recorded at once, answered after `delay`
};

struct Fault {
  FaultKind kind = FaultKind::none;
  int status = 0;           // FaultKind::status
  std::string code;         // error code of the body and of x-ms-error-code; empty: the usual one of that status
  bool html = false;        // the body is a page, as a proxy on the way would send it
  std::string retry_after;  // seconds or an HTTP date, as given
  std::string header;       // one more header, "name: value"
  Duration delay{0};        // FaultKind::slow
};

class FaultPlans {
 public:
  // `steps`: "503,503,reset,ok": the names of FaultKind with - for _, or a status. All steps share the facts of
  // `common`. Errc::invalid names the step that is none. Replaces the plan `twin` has; an empty twin means all twins.
  Result<void> set(const std::string& twin, std::string_view steps, const Fault& common, bool repeat);
  void clear();

  Fault next(const std::string& twin);  // uses up one step
  bool empty() const { return plans_.empty(); }

 private:
  struct Plan {
    std::deque<Fault> steps;
    bool repeat = false;
  };
  std::map<std::string, Plan> plans_;
};

}  // namespace twinspool::test
