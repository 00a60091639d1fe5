// Name look-up, of socket.h.
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "net/socket.h"
#include "util/thread_name.h"

namespace twinspool::net {
namespace {

using LookedUp = std::function<void(Result<std::vector<Address>>)>;

struct Answer {
  int code = 0;          // of getaddrinfo
  int system_error = 0;  // with EAI_SYSTEM
  std::vector<Address> found;
};

std::vector<Address> addresses_in(const addrinfo* list) {
  const auto same = [](const Address& left, const Address& right) {
    return std::memcmp(&left.storage, &right.storage, sizeof left.storage) == 0;
  };
  std::vector<Address> found;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    Address address;
    std::memcpy(&address.storage, entry->ai_addr, std::min<std::size_t>(entry->ai_addrlen, sizeof address.storage));
    if (std::none_of(found.begin(), found.end(), [&](const Address& known) { return same(known, address); })) {
      found.push_back(address);
    }
  }
  return found;
}

Answer ask(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* list = nullptr;
  Answer answer;
  answer.code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  answer.system_error = errno;
  if (answer.code != 0) return answer;
  answer.found = addresses_in(list);
  ::freeaddrinfo(list);
  return answer;
}

// One getaddrinfo, on its thread. Everything but host, port and began is under the desk's lock.
struct Job {
  std::string host;
  std::uint16_t port = 0;
  TimePoint began{};
  std::optional<Answer> answer;
  std::vector<Waker*> waiting;
};

// The look-ups of the process that are under way. It is never destroyed: a thread that hangs may outlive main.
class Desk {
 public:
  static Desk& of_process() {
    static Desk* const desk = new Desk;
    return *desk;
  }

  Result<std::shared_ptr<Job>> join(const std::string& host, std::uint16_t port, Waker& waker) {
    const std::lock_guard lock(mutex_);
    const TimePoint now = monotonic_now();
    const std::shared_ptr<Job> same = newest(host, port);
    const bool room = jobs_.size() < kLookUpsMax;
    if (same && (now - same->began < kLookUpShared || !room)) {
      same->waiting.push_back(&waker);
      return same;
    }
    if (!room) {
      return fail(Errc::full, "cannot look up '" + host + "': " + std::to_string(jobs_.size()) +
                                  " look-ups are under way and none comes to an end");
    }
    auto job = std::make_shared<Job>();
    job->host = host;
    job->port = port;
    job->began = now;
    job->waiting.push_back(&waker);
    try {
      std::thread([this, job] { run(job); }).detach();
    } catch (const std::system_error& error) {
      return fail(Errc::full, "cannot look up '" + host + "': no thread to be had: " + error.what());
    }
    jobs_.push_back(job);
    return job;
  }

  void leave(Job& job, Waker& waker) {
    const std::lock_guard lock(mutex_);
    std::erase(job.waiting, &waker);
  }

  Answer answer_of(const Job& job) {
    const std::lock_guard lock(mutex_);
    ENSURE(job.answer.has_value());
    return *job.answer;
  }

 private:
  std::shared_ptr<Job> newest(const std::string& host, std::uint16_t port) const {
    const auto found = std::find_if(jobs_.rbegin(), jobs_.rend(), [&](const std::shared_ptr<Job>& job) {
      return job->host == host && job->port == port;
    });
    return found == jobs_.rend() ? nullptr : *found;
  }

  void run(const std::shared_ptr<Job>& job) {
    name_thread("look-up");
    Answer answer = ask(job->host, job->port, 0);
    const std::lock_guard lock(mutex_);
    job->answer = std::move(answer);
    std::erase(jobs_, job);
    for (Waker* waker : job->waiting) waker->wake();  // under the lock: it is there until it has left
  }

  std::mutex mutex_;
  std::vector<std::shared_ptr<Job>> jobs_;
};

class LookUp final : public Pending {
 public:
  LookUp(EventLoop& loop, const std::string& host, std::uint16_t port, LookedUp done)
      : host_(host),
        done_(std::move(done)),
        at_once_(loop, [this] { finish(std::move(*literal_)); }),
        refused_(loop, [this] { finish_with(std::move(job_)); }),
        waker_(loop, [this] { finish(Desk::of_process().answer_of(**job_)); }) {
    Answer literal = ask(host, port, AI_NUMERICHOST);
    if (literal.code == 0) {
      literal_ = std::move(literal);
      at_once_.post();
      return;
    }
    job_ = Desk::of_process().join(host, port, waker_);
    if (!job_) refused_.post();
  }

  ~LookUp() override {
    if (job_ && *job_) Desk::of_process().leave(**job_, waker_);
  }

 private:
  void finish(Answer answer) {
    const LookedUp done = std::move(done_);  // which may destroy this
    if (answer.code == 0 && !answer.found.empty()) return done(std::move(answer.found));
    std::string reason = "no address";
    if (answer.code != 0) {
      reason = answer.code == EAI_SYSTEM ? std::strerror(answer.system_error) : ::gai_strerror(answer.code);
    }
    done(fail(Errc::unreachable, "cannot look up '" + host_ + "': " + reason));
  }

  void finish_with(Result<std::shared_ptr<Job>> refusal) {
    const LookedUp done = std::move(done_);
    done(tl::unexpected<Error>(refusal.error()));
  }

  const std::string host_;
  LookedUp done_;
  std::optional<Answer> literal_;
  Result<std::shared_ptr<Job>> job_;
  Deferred at_once_;
  Deferred refused_;
  Waker waker_;  // last: closed before what its callback uses
};

}  // namespace

std::unique_ptr<Pending> look_up(EventLoop& loop, const std::string& host, std::uint16_t port, LookedUp done) {
  return std::make_unique<LookUp>(loop, host, port, std::move(done));
}

}  // namespace twinspool::net
