// This program has a getaddrinfo of its own before the C library's: names that end in .hang hang until a test lets them
// go.
#include <dlfcn.h>
#include <netdb.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>

#include "net/socket.h"
#include "support/catch.h"
#include "support/run_until.h"

namespace {

struct Resolver {
  std::mutex mutex;
  std::condition_variable changed;
  bool released = false;
  std::map<std::string, int> asked;  // by name
  int hanging = 0;

  static Resolver& get() {
    static Resolver* const one = new Resolver;  // a thread may end after main
    return *one;
  }
  int hang(const std::string& name) {
    std::unique_lock lock(mutex);
    ++asked[name];
    ++hanging;
    changed.wait(lock, [this] { return released; });
    --hanging;
    changed.notify_all();
    return EAI_AGAIN;
  }
  void release() {  // and waits until all have gone on
    std::unique_lock lock(mutex);
    released = true;
    changed.notify_all();
    changed.wait(lock, [this] { return hanging == 0; });
    released = false;
  }
  int count(const std::string& name) {
    const std::lock_guard lock(mutex);
    return asked[name];
  }
  int now_hanging() {
    const std::lock_guard lock(mutex);
    return hanging;
  }
};

}  // namespace

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
  using Real = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const Real real = reinterpret_cast<Real>(dlsym(RTLD_NEXT, "getaddrinfo"));
  const std::string name = node == nullptr ? "" : node;
  if (!name.ends_with(".hang")) return real(node, service, hints, result);
  if (hints != nullptr && (hints->ai_flags & AI_NUMERICHOST) != 0) return EAI_NONAME;
  return Resolver::get().hang(name);
}

namespace twinspool::net {
namespace {

using Found = Result<std::vector<Address>>;

struct Asked {  // a look-up with its answer
  Asked(EventLoop& loop, const std::string& host, std::uint16_t port = 443)
      : pending(look_up(loop, host, port, [this](Found result) {
          REQUIRE_FALSE(found.has_value());
          found = std::move(result);
        })) {
    CHECK_FALSE(found.has_value());  // never before the call has returned
  }
  std::optional<Found> found;
  std::unique_ptr<Pending> pending;
};

bool all_answered(const std::vector<std::unique_ptr<Asked>>& asked) {
  return std::all_of(asked.begin(), asked.end(), [](const auto& one) { return one->found.has_value(); });
}

std::vector<Address> addresses(EventLoop& loop, const std::string& host, std::uint16_t port) {
  Asked asked(loop, host, port);
  REQUIRE(run_until(loop, [&] { return asked.found.has_value(); }));
  if (!*asked.found) FAIL(asked.found->error().what);
  return **asked.found;
}

}  // namespace

TEST_CASE("an address as text is its own answer, without a resolver", "[net][lookup]") {
  EventLoop loop;
  const auto v6 = addresses(loop, "::1", 8443);
  REQUIRE(v6.size() == 1);
  CHECK(v6[0].text() == "[::1]:8443");
  const auto v4 = addresses(loop, "192.0.2.7", 443);
  REQUIRE(v4.size() == 1);
  CHECK(v4[0].text() == "192.0.2.7:443");
}

TEST_CASE("a name gives each of its addresses once", "[net][lookup]") {
  EventLoop loop;
  const auto found = addresses(loop, "localhost", 443);
  REQUIRE_FALSE(found.empty());
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (std::size_t j = i + 1; j < found.size(); ++j) CHECK(found[i].text() != found[j].text());
  }
}

TEST_CASE("an unknown host is unreachable, with its name and the resolver's reason", "[net][lookup]") {
  EventLoop loop;
  Asked asked(loop, "not a host name", 1);
  REQUIRE(run_until(loop, [&] { return asked.found.has_value(); }));
  REQUIRE_FALSE(asked.found->has_value());
  CHECK(asked.found->error().code == Errc::unreachable);
  CHECK(asked.found->error().what.starts_with("cannot look up 'not a host name': "));
}

TEST_CASE("names that hang do not hold up others, and who asks the same shares one look-up", "[net][lookup]") {
  EventLoop loop;
  std::vector<std::unique_ptr<Asked>> hanging;
  for (int n = 0; n < 64; ++n) hanging.push_back(std::make_unique<Asked>(loop, "cloud.hang"));
  for (int n = 0; n < 6; ++n) hanging.push_back(std::make_unique<Asked>(loop, "other" + std::to_string(n) + ".hang"));
  REQUIRE(
      run_until(loop, [] { return Resolver::get().now_hanging() == 7; }));  // each on its thread, begun when it may be
  CHECK_FALSE(addresses(loop, "localhost", 443).empty());
  CHECK(Resolver::get().count("cloud.hang") == 1);
  Resolver::get().release();
  REQUIRE(run_until(loop, [&] { return all_answered(hanging); }));
  for (const auto& asked : hanging) {
    REQUIRE_FALSE(asked->found->has_value());
    CHECK(asked->found->error().code == Errc::unreachable);
  }
}

TEST_CASE("a look-up that hangs may be given up, and neither it nor the loop's end waits for it", "[net][lookup]") {
  {
    EventLoop loop;
    Asked given_up(loop, "abandoned.hang");
    REQUIRE(run_until(loop, [] { return Resolver::get().now_hanging() == 1; }));
    given_up.pending.reset();
    Asked at_the_end(loop, "abandoned.hang");
  }  // the loop ends here, with the look-up still under way
  CHECK(Resolver::get().now_hanging() == 1);
  EventLoop later;
  Asked again(later, "abandoned.hang");
  Resolver::get().release();
  CHECK(run_until(later, [&] { return again.found.has_value(); }));
  CHECK(Resolver::get().count("abandoned.hang") == 1);
}

TEST_CASE("beyond the limit of look-ups under way another name is refused, and the same name shared", "[net][lookup]") {
  EventLoop loop;
  std::vector<std::unique_ptr<Asked>> hanging;
  for (std::size_t n = 0; n < kLookUpsMax; ++n) {
    hanging.push_back(std::make_unique<Asked>(loop, "limit" + std::to_string(n) + ".hang"));
  }
  Asked refused(loop, "one-more.hang");
  REQUIRE(run_until(loop, [&] { return refused.found.has_value(); }));
  REQUIRE_FALSE(refused.found->has_value());
  CHECK(refused.found->error().code == Errc::full);
  CHECK(refused.found->error().what.find("'one-more.hang': 16 look-ups are under way") != std::string::npos);
  Asked shared(loop, "limit3.hang");
  REQUIRE(run_until(loop, [] { return Resolver::get().now_hanging() == static_cast<int>(kLookUpsMax); }));
  CHECK(Resolver::get().count("limit3.hang") == 1);
  Resolver::get().release();
  REQUIRE(run_until(loop, [&] { return shared.found.has_value() && all_answered(hanging); }));
  CHECK_FALSE(shared.found->has_value());
  CHECK_FALSE(addresses(loop, "localhost", 443).empty());
}

}  // namespace twinspool::net
