// The C client against the real daemon, which is killed and started again while messages stream in.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "spool/sqlite.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "twinspool/client.h"

using namespace twinspool;

namespace {

constexpr std::int64_t kEnough = 60'000;  // only ends a test that hangs

class Daemon {
 public:
  explicit Daemon(const TempDir& directory) : directory_(directory) {
    config_ =
        directory.write("twinspool.yaml", "listen: [{path: " + socket() +
                                              ", mode: \"0600\", group: \"\"}]\nadmin: {path: " + directory.file("a") +
                                              ", mode: \"0600\", group: \"\"}\nstore: {path: " + database() +
                                              ", min_free: 1MiB}\nforward: {endpoint: \"https://127.0.0.1:1\"}\n");
  }
  ~Daemon() {
    if (pid_ > 0) kill();
  }
  Daemon(Daemon&&) = delete;

  std::string socket() const { return directory_.file("s"); }
  std::string database() const { return directory_.file("queue.db"); }

  void start() {
    const std::string log = directory_.file("log");
    pid_ = ::fork();
    if (pid_ == 0) {
      const int descriptor = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(descriptor, STDOUT_FILENO);
      ::dup2(descriptor, STDERR_FILENO);
      ::execl(TWINSPOOL_DAEMON, TWINSPOOL_DAEMON, "--config", config_.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    REQUIRE(pid_ > 0);
  }
  void kill() { end(SIGKILL); }
  int stop() { return end(SIGTERM); }

 private:
  int end(int signal) {
    int status = 0;
    ::kill(pid_, signal);
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

  const TempDir& directory_;
  std::string config_;
  pid_t pid_ = -1;
};

struct Sent {
  std::string id, body;
};

// Sends until told to stop; every message is settled, however often the daemon dies meanwhile.
class Sender {
 public:
  Sender(const std::string& socket, std::string twin, std::size_t batch) : twin_(std::move(twin)), batch_(batch) {
    ENSURE(twinspool_open(&client_, socket.c_str()) == TWINSPOOL_OK);
    thread_ = std::thread([this] { run(); });
  }
  ~Sender() {
    stop();
    twinspool_close(client_);
  }
  Sender(Sender&&) = delete;

  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::size_t count() const { return count_; }
  const std::vector<Sent>& acknowledged() const { return acknowledged_; }  // after stop
  unsigned retries() const { return retries_; }
  const std::string& failure() const { return failure_; }

 private:
  void run() {
    while (!stopping_) {
      std::vector<Sent> next(batch_ == 0 ? 1 : batch_);
      for (Sent& sent : next) {
        sent.id.resize(TWINSPOOL_ID_SIZE);
        ENSURE(twinspool_new_id(sent.id.data()) == TWINSPOOL_OK);
        sent.id.pop_back();
        sent.body = "{\"n\": " + std::to_string(made_++) + "}";
      }
      const int status = send(next);
      if (status != TWINSPOOL_OK) {
        failure_ = std::string(twinspool_status_name(status)) + ": " + twinspool_text(client_);
        return;
      }
      retries_ += twinspool_attempts(client_) - 1;
      count_ += next.size();
      acknowledged_.insert(acknowledged_.end(), next.begin(), next.end());
    }
  }

  int send(const std::vector<Sent>& next) {
    std::vector<twinspool_message> messages(next.size());
    for (std::size_t i = 0; i < next.size(); ++i) {
      messages[i].twin = twin_.c_str();
      messages[i].id = next[i].id.c_str();
      messages[i].body = next[i].body.data();
      messages[i].body_bytes = next[i].body.size();
    }
    constexpr std::int64_t kImpatient = 5;  // so that messages also stay behind in the client and are resumed
    int status = batch_ == 0 ? twinspool_send_message(client_, messages.data(), kImpatient)
                             : twinspool_send_batch(client_, messages.data(), messages.size(), kImpatient);
    if (status == TWINSPOOL_TIMED_OUT || status == TWINSPOOL_NOT_PERMITTED) status = twinspool_resume(client_, kEnough);
    return status;
  }

  twinspool_client* client_ = nullptr;
  std::string twin_;
  std::size_t batch_;  // 0: singly
  std::uint64_t made_ = 0;
  std::atomic<std::size_t> count_ = 0;
  std::atomic<bool> stopping_ = false;
  unsigned retries_ = 0;
  std::string failure_;
  std::vector<Sent> acknowledged_;
  std::thread thread_;
};

void wait_for(const Sender& sender, std::size_t count) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(kEnough);
  while (sender.count() < count && sender.failure().empty() && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// `twin` as it stands in the database, percent-encoded.
void check_stored(const std::string& database, const Sender& sender, const std::string& twin) {
  auto opened = sqlite::Database::open(database, sqlite::Database::Mode::read_only);
  REQUIRE(opened.has_value());
  auto rows = opened->prepare("SELECT message_id, body FROM queue WHERE twin = ? ORDER BY sequence");
  REQUIRE(rows.has_value());
  rows->bind(1, twin);
  for (const Sent& sent : sender.acknowledged()) {
    const Result<bool> row = rows->step();
    REQUIRE(row.has_value());
    REQUIRE(*row);
    REQUIRE(std::string(rows->text(0)) == sent.id);  // lost, doubled or out of order: the ids would not be in step
    REQUIRE(std::string(rows->text(1)) == sent.body);
  }
  CHECK_FALSE(*rows->step());
}

}  // namespace

TEST_CASE("nothing acknowledged is lost and nothing is stored twice through kill -9 and restarts", "[client][daemon]") {
  const TempDir directory;
  Daemon daemon(directory);
  daemon.start();
  std::size_t stored = 0;
  {
    Sender first(daemon.socket(), "pump-1", 0);
    Sender second(daemon.socket(), "pump-2", 0);
    Sender batches(daemon.socket(), "pump 3 (a \"batch\")", 20);
    constexpr int kKills = 6;
    for (int round = 1; round <= kKills; ++round) {
      wait_for(first, first.count() + 40);
      wait_for(second, second.count() + 40);
      wait_for(batches, batches.count() + 40);
      daemon.kill();
      daemon.start();
    }
    first.stop();
    second.stop();
    batches.stop();
    CHECK(first.failure().empty());
    CHECK(second.failure().empty());
    CHECK(batches.failure().empty());
    CHECK(first.retries() + second.retries() >= kKills);  // the kills were felt
    check_stored(daemon.database(), first, "pump-1");
    check_stored(daemon.database(), second, "pump-2");
    check_stored(daemon.database(), batches, "pump%203%20(a%20%22batch%22)");
    stored = first.count() + second.count() + batches.count();
  }
  CHECK(stored >= 6 * 120);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a client waits for a daemon that is started later", "[client][daemon]") {
  const TempDir directory;
  Daemon daemon(directory);
  twinspool_client* client = nullptr;
  REQUIRE(twinspool_open(&client, daemon.socket().c_str()) == TWINSPOOL_OK);
  CHECK(twinspool_send(client, "pump-1", "{}", 2, 0) == TWINSPOOL_TIMED_OUT);
  daemon.start();
  CHECK(twinspool_resume(client, kEnough) == TWINSPOOL_OK);
  CHECK(twinspool_sequence(client) == 1);
  CHECK(twinspool_send(client, "pump-1", "[1]", 3, kEnough) == TWINSPOOL_REFUSED);
  CHECK(std::string(twinspool_error_code(client)) == "ValidationFailed");

  twinspool_message again{};  // an application that repeats its own id after a restart of itself
  again.twin = "pump-1";
  again.id = "kept";
  again.body = "{}";
  again.body_bytes = 2;
  CHECK(twinspool_send_message(client, &again, kEnough) == TWINSPOOL_OK);
  CHECK(twinspool_duplicates(client) == 0);
  CHECK(twinspool_send_message(client, &again, kEnough) == TWINSPOOL_OK);
  CHECK(twinspool_duplicates(client) == 1);
  again.body = "{ }";
  again.body_bytes = 3;
  CHECK(twinspool_send_message(client, &again, kEnough) == TWINSPOOL_REFUSED);
  CHECK(std::string(twinspool_answer_body(client)).find("MessageIdReused") != std::string::npos);
  twinspool_close(client);
  CHECK(daemon.stop() == 0);
}
