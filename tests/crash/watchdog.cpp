#include "crash/watchdog.h"

#include <signal.h>
#include <unistd.h>

#include <cstring>

namespace twinspool::crash {
namespace {

constexpr unsigned kSecondsMax = 30;
std::string current;

void say(const char* text) { (void)!::write(STDOUT_FILENO, text, std::strlen(text)); }

void hung(int) {
  say("\nhung: ");
  say(current.c_str());
  say("\n");
  ::abort();
}

}  // namespace

void Watchdog::watch(std::string place) {
  static const bool once = [] {
    ::signal(SIGALRM, hung);
    return true;
  }();
  (void)once;
  current = std::move(place);
  ::alarm(kSecondsMax);
}

}  // namespace twinspool::crash
