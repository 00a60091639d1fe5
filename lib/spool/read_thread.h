// Questions to the database that may take a while, on a thread of their own: neither the writer nor the loop waits.
//
// Each question gets a read-only connection of its own, so it sees whole commits and survives that the file is replaced
// by a newer one; it never checkpoints. A question is bounded in time (Errc::timeout), because a reader keeps the WAL
// from starting anew for as long as it reads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/event_loop.h"
#include "spool/sqlite.h"
#include "util/error.h"
#include "util/time.h"

namespace twinspool {

constexpr std::size_t kQuestionsMax = 16;  // that wait; Errc::busy above

class ReadThread {
 public:
  ReadThread(net::EventLoop& loop, std::string database, Duration limit);
  ~ReadThread();  // interrupts what runs; a `done` that has not run yet never will

  // `question` runs on the thread, `done` on the loop, on a later turn.
  template <class Answer>
  void ask(std::function<Result<Answer>(sqlite::Database&)> question, std::function<void(Result<Answer>)> done) {
    enqueue([question = std::move(question), done = std::move(done)](Result<sqlite::Database> database) {
      Result<Answer> answer = database ? question(*database) : tl::unexpected(database.error());
      return [done, answer = std::move(answer)] { done(answer); };
    });
  }

 private:
  using Then = std::function<void()>;                              // on the loop
  using Question = std::function<Then(Result<sqlite::Database>)>;  // on the thread
  void enqueue(Question question);
  void run();
  Result<sqlite::Database> open();
  void drain();

  const std::string path_;
  const Duration limit_;
  std::atomic<bool> ending_ = false;
  std::mutex mutex_;  // guards these
  std::condition_variable work_;
  std::deque<Question> questions_;
  std::vector<Then> answers_;
  net::Waker waker_;
  std::thread thread_;  // last
};

// Opens the database as an operator's tool does: reads only, and never checkpoints.
Result<sqlite::Database> open_for_questions(const std::string& path);

}  // namespace twinspool
