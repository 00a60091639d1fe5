#include "sim/world.h"

#include <algorithm>
#include <cerrno>

namespace twinspool::sim {
namespace {

constexpr int kQuietTurns = 30;
constexpr std::int64_t kDayMs = 24 * 3600 * std::int64_t{1000};

}  // namespace

void World::step() {
  ++events_;
  if (!up()) start();
  const int what = number(1, 1000);
  if (what <= 350) {
    send(number(1, 8));
  } else if (what <= 550) {
    commit();
  } else if (what <= 680) {
    settle();
  } else if (what <= 830) {
    pass(std::chrono::milliseconds(number(1, 3000)));
  } else if (what <= 860) {
    pass(std::chrono::seconds(number(5, 900)));
  } else if (what <= 920) {
    cloud_.set_weather(chance(40) ? Weather::fair : static_cast<Weather>(number(0, kWeathers - 1)));
  } else if (what <= 935) {
    cloud_.delete_twin(random_twin());
  } else if (what <= 950) {
    cloud_.create_twin(random_twin());
  } else if (what <= 957) {
    issuer_.change_weather(random_);
  } else if (what <= 960) {
    issuer_.revoke();
  } else if (what <= 966) {
    change_disk();
  } else if (what <= 969) {
    jump_clock();
  } else if (!up()) {
    return;
  } else if (what <= 971) {
    forwarder_->kick();
  } else if (what <= 975) {
    paused_ = !paused_;
    if (paused_) {
      forwarder_->pause(WallTime{});
    } else {
      forwarder_->resume();
    }
  } else if (what <= 977) {
    reload();
  } else if (what <= 985) {
    crash();
  } else if (what <= 990) {
    crash_amid_writes();
  } else if (what <= 995) {
    cut_power();
  } else {
    restart_cleanly();
  }
  check_figures();
}

void World::send(int messages) {
  for (int i = 0; i < messages; ++i) {
    const std::string index = std::to_string(++sent_count_);
    const int twin = chance(50) ? 1 : number(1, kTwins);
    Telemetry telemetry{.twin = "twin-" + std::to_string(twin),
                        .component = chance(10) ? "motor" : "",
                        .message_id = "id-" + index,
                        .source_time = chance(20) ? "" : "2027-01-15T08:00:00." + index + "Z",
                        .traceparent = chance(10) ? "00-" + index : "",
                        .tracestate = chance(10) ? "sim=" + index : "",
                        .body = R"({ "index":)" + index + (chance(3) ? R"(,"poison":true})" : "}")};
    oracle_.sent(telemetry, sent_count_);
    applications_[static_cast<std::size_t>(twin) % applications_.size()]->send(std::move(telemetry));
  }
  for (const auto& application : applications_) application->go_on();
}

// Until it has happened, change_disk() comes to it again, or heal().
void World::change_disk() {
  using Call = crash::Disk::Call;
  const auto of_store = [](const std::string& name) { return name.starts_with("queue.db"); };
  disk_is_faulty_ = true;
  switch (number(1, 5)) {
    case 1: {  // one write fails, or takes half of its bytes
      disk_.set_faults(
          [this, of_store, left = number(0, 20), cut = chance(50)](Call call, const std::string& name) mutable {
            if (call != Call::write || !of_store(name) || left-- != 0) return crash::Disk::Answer{};
            disk_is_faulty_ = false;
            return crash::Disk::Answer{cut ? 0 : EIO, cut};
          });
      return;
    }
    case 2: {  // one sync fails
      disk_.set_faults([this, of_store, left = number(0, 10)](Call call, const std::string& name) mutable {
        if (call != Call::sync || !of_store(name) || left-- != 0) return crash::Disk::Answer{};
        disk_is_faulty_ = false;
        return crash::Disk::Answer{EIO};
      });
      return;
    }
    case 3: {  // full, but for a write now and then
      disk_.set_free_bytes(0);
      disk_.set_faults([of_store, every = number(1, 5), n = 0](Call call, const std::string& name) mutable {
        return crash::Disk::Answer{call == Call::write && of_store(name) && ++n % every == 0 ? ENOSPC : 0};
      });
      return;
    }
    default:
      end_disk_faults();
  }
}

void World::end_disk_faults() {
  disk_.set_faults({});
  disk_.set_free_bytes(std::uint64_t{64} << 30);
  disk_is_faulty_ = false;
}

void World::jump_clock() {
  const std::int64_t by = number(1, 400) * (chance(50) ? kDayMs : 1000);
  clocks_.wall_ms += chance(50) ? by : -by;
}

// One that fails, which a store with a fault tries each time, is no event.
void World::commit() {
  if (!up()) return;
  const std::uint64_t before = spool_->stats().commits;
  spool_->commit_batch();
  loop_.run_turn();  // it tells
  events_ += spool_->stats().commits - before;
}

void World::pass(Duration time) {
  settle();
  loop_.advance(time);
  clocks_.pass(to_ms(time));
  for (const auto& application : applications_) application->try_again();
  settle();
}

// Applications, the store and the network do all they can do at this moment, so that no answer is still on its way when
// a request times out: then "the answer was lost" is the cloud's doing alone, and the oracle can tell.
void World::settle() {
  for (int quiet = 0; quiet < kQuietTurns;) {
    const std::uint64_t before = events_ + cloud_.requests() + issuer_.requests();
    for (const auto& application : applications_) application->go_on();
    commit();
    quiet = events_ + cloud_.requests() + issuer_.requests() == before ? quiet + 1 : 0;
  }
}

void World::check_figures() {
  if (!up()) return;
  const SpoolStats& stats = spool_->stats();
  if (stats.accepted != stats.queued_messages + stats.delivered + stats.quarantined + stats.dropped)
    violated("the figures do not reconcile");
  const forward::Forwarder::Stats forwarder = forwarder_->stats();
  if (forwarder.window_messages > forward::kWindowMessagesMax) violated("the window outgrew its bound");
  if (forwarder.in_flight > std::size_t{forward_config_.connections} * forward_config_.pipeline)
    violated("more in flight than forward.connections");
}

void World::heal() {
  end_disk_faults();
  cloud_.set_weather(Weather::fair);
  cloud_.create_all_twins();
  issuer_.fair_weather();
  if (!up()) start();
  if (!up()) return violated("the daemon does not start on a disk that is well");
  paused_ = false;
  forwarder_->resume();
  std::size_t unacknowledged = 0;
  for (int minutes = 0; minutes < 24 * 60; ++minutes) {
    pass(std::chrono::minutes(1));
    unacknowledged = 0;
    for (const auto& application : applications_) unacknowledged += application->unacknowledged();
    if (spool_->stats().queued_messages == 0 && unacknowledged == 0) break;
  }
  pass(std::chrono::seconds(5));
  check_figures();
  if (unacknowledged != 0)
    violated(std::to_string(unacknowledged) + " messages were never acknowledged: " + spool_->stats().fault);
  if (const auto left = spool_->stats().queued_messages; left != 0)
    violated(std::to_string(left) + " messages never left the queue: " + forwarder_->stats().why);
}

std::vector<std::string> World::violations() {
  std::vector<std::string> all = violations_;
  all.insert(all.end(), oracle_.violations().begin(), oracle_.violations().end());
  for (const std::string& what : oracle_.missing(quarantined_ids())) all.push_back(what);
  return all;
}

}  // namespace twinspool::sim
