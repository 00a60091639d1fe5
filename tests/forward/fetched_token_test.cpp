#include "forward/fetched_token.h"

#include <optional>

#include "support/catch.h"
#include "support/run_until.h"

namespace twinspool::forward {
namespace {

constexpr RetryConfig kRetry{.initial = 1s, .max = 60s, .multiplier = 2, .retry_after_max = 1h};

struct FakeFetch final : TokenFetch {
  struct Attempt final : net::Pending {
    explicit Attempt(int& open) : count(open) { ++count; }
    ~Attempt() override { --count; }
    int& count;
  };
  std::unique_ptr<net::Pending> begin(Done given) override {
    ++begun;
    done = std::move(given);
    return std::make_unique<Attempt>(open);
  }
  Done done;
  int begun = 0;
  int open = 0;
};

struct Fixture {
  net::EventLoop loop{net::EventLoop::Clock::manual};
  FakeFetch* fetch = new FakeFetch;  // the source's
  std::optional<FetchedToken> source{std::in_place, loop, "client_secret", std::unique_ptr<TokenFetch>(fetch),
                                     TokenSchedule(5min, kRetry, 1)};
  std::vector<Result<std::string>> got;

  void pass(Duration time) {
    loop.advance(time);
    run_turns(loop, 2);
  }
  void succeed(const std::string& token, Duration life = 1h) {
    fetch->done(AccessToken{token, {.expires_in = life, .refresh_in = std::nullopt}});
    run_turns(loop, 2);
  }
  void fail_with(const std::string& what) {
    fetch->done(tl::unexpected(TokenFailure{what, {}}));
    run_turns(loop, 2);
  }
  void get() {
    source->get([this](Result<std::string> result) { got.push_back(std::move(result)); });
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "the first token is fetched before anybody asks, once", "[forward][token]") {
  CHECK(source->status().state == TokenStatus::State::fetching);
  pass(0s);
  CHECK(fetch->begun == 1);
  get();
  get();
  pass(1s);
  CHECK(fetch->begun == 1);
  CHECK(got.empty());
  succeed("one");
  REQUIRE(got.size() == 2);
  CHECK(*got[0] == "one");
  CHECK(*got[1] == "one");
  CHECK(fetch->open == 0);
  const TokenStatus status = source->status();
  CHECK(status.state == TokenStatus::State::valid);
  CHECK(status.expires_in == Duration(1h - 1s));
  CHECK(status.next_fetch_in > Duration(45min));
}

TEST_CASE_METHOD(Fixture, "a token is given at once while it is good, and renewed ahead of its end",
                 "[forward][token]") {
  pass(0s);
  succeed("one");
  pass(55min);
  CHECK(fetch->begun == 2);
  get();
  REQUIRE(got.size() == 1);
  CHECK(*got[0] == "one");  // the renewal is under way
  succeed("two");
  get();
  CHECK(*got[1] == "two");
}

TEST_CASE_METHOD(Fixture, "while renewals fail the old token is given until its end, then the reason",
                 "[forward][token]") {
  pass(0s);
  succeed("one");
  pass(55min);
  fail_with("no way");
  get();
  REQUIRE(got.size() == 1);
  CHECK(*got[0] == "one");
  CHECK(source->status().state == TokenStatus::State::valid);
  CHECK(source->status().last_error == "no way");
  for (int minute = 0; minute < 5; ++minute) {
    pass(1min);
    fail_with("no way at all");
  }
  get();
  CHECK(got.size() == 1);  // the next attempt decides
  pass(1min);
  fail_with("still no way");
  REQUIRE(got.size() == 2);
  CHECK(got[1].error().what == "still no way");
  CHECK(source->status().state == TokenStatus::State::failing);
}

TEST_CASE_METHOD(Fixture, "who asks again and again comes no sooner than the backoff", "[forward][token]") {
  pass(0s);
  for (int n = 0; n < 12; ++n) {
    get();
    if (fetch->done) fail_with("no way");
    fetch->done = nullptr;
    pass(1ms);
  }
  CHECK(fetch->begun <= 2);
  CHECK(!got.empty());
}

TEST_CASE_METHOD(Fixture, "a refused token is fetched anew at once, and not given meanwhile", "[forward][token]") {
  pass(0s);
  succeed("one");
  source->refused("older");
  pass(0s);
  CHECK(fetch->begun == 1);
  source->refused("one");
  source->refused("one");  // by the answers that were on their way
  get();
  CHECK(got.empty());
  pass(0s);
  CHECK(fetch->begun == 2);
  succeed("two");
  REQUIRE(got.size() == 1);
  CHECK(*got[0] == "two");
}

TEST_CASE_METHOD(Fixture, "a source that takes over goes on with the good token, and renews it in time",
                 "[forward][token]") {
  auto* late_fetch = new FakeFetch;
  const auto make = [&] {
    return std::make_unique<FetchedToken>(loop, "client_secret", std::unique_ptr<TokenFetch>(late_fetch),
                                          TokenSchedule(5min, kRetry, 2));
  };
  pass(0s);
  SECTION("a good one") {
    succeed("one");
    const auto late = make();
    late->take_over(*source);
    pass(1min);
    CHECK(late_fetch->begun == 0);
    late->get([this](Result<std::string> result) { got.push_back(std::move(result)); });
    REQUIRE(got.size() == 1);
    CHECK(*got[0] == "one");
    pass(54min);
    CHECK(late_fetch->begun == 1);
  }
  SECTION("none") {
    const auto late = make();
    late->take_over(*source);
    pass(0s);
    CHECK(late_fetch->begun == 1);
  }
}

TEST_CASE_METHOD(Fixture, "a source that ends gives its attempt up and calls nobody", "[forward][token]") {
  pass(0s);
  get();
  CHECK(fetch->open == 1);
  source.reset();
  run_turns(loop, 2);
  CHECK(got.empty());
}

}  // namespace twinspool::forward
