#include "spool/read_thread.h"

#include "util/thread_name.h"

namespace twinspool {

Result<sqlite::Database> open_for_questions(const std::string& path) {
  Result<sqlite::Database> database = sqlite::Database::open(path, sqlite::Database::Mode::read_only);
  if (!database) return database;
  if (Result<void> set = database->execute("PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY"); !set)
    return tl::unexpected(set.error());
  return database;
}

ReadThread::ReadThread(net::EventLoop& loop, std::string database, Duration limit)
    : path_(std::move(database)), limit_(limit), waker_(loop, [this] { drain(); }), thread_([this] { run(); }) {}

ReadThread::~ReadThread() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  work_.notify_one();
  thread_.join();
}

void ReadThread::enqueue(Question question) {
  {
    const std::lock_guard lock(mutex_);
    if (questions_.size() < kQuestionsMax) {
      questions_.push_back(std::move(question));
    } else {
      answers_.push_back(question(fail(Errc::busy, "as many look-ups as may wait are waiting: try again later")));
      waker_.wake();
    }
  }
  work_.notify_one();
}

void ReadThread::run() {
  name_thread("questions");
  for (;;) {
    Question question;
    {
      std::unique_lock lock(mutex_);
      work_.wait(lock, [this] { return ending_ || !questions_.empty(); });
      if (ending_) return;
      question = std::move(questions_.front());
      questions_.pop_front();
    }
    Then answer = question(open());
    const std::lock_guard lock(mutex_);
    answers_.push_back(std::move(answer));
    waker_.wake();
  }
}

Result<sqlite::Database> ReadThread::open() {
  Result<sqlite::Database> database = open_for_questions(path_);
  if (database)
    database->interrupt_when(
        [this, until = monotonic_now() + limit_] { return ending_.load() || monotonic_now() > until; });
  return database;
}

void ReadThread::drain() {
  std::vector<Then> answers;
  {
    const std::lock_guard lock(mutex_);
    answers.swap(answers_);
  }
  for (const Then& answer : answers) answer();
}

}  // namespace twinspool
