// Schema, rows and every SQL statement. Synchronous; one thread; knows nothing of limits, waiting or callbacks.
//
// Writes happen between begin() and commit(). After any error roll back: figures and names then are as before begin().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spool/clocks.h"
#include "spool/figures.h"
#include "spool/names.h"
#include "spool/row_checksum.h"
#include "spool/sequence_set.h"
#include "spool/spool.h"
#include "spool/sqlite.h"
#include "util/digest.h"

namespace twinspool {

constexpr std::size_t kErrorTextBytesMax = 2048;  // of a quarantined message's error

class Store {
 public:
  struct Departure {  // a message leaves the queue
    Finished finished;
    std::string_view reason;  // why it was quarantined or dropped
    Moment at;
    bool keep = false;  // delivered only: for a replay, unless it is one
  };
  struct Arrival {  // what the store notes of a message beside what will be sent
    SourceNumber source = 0;
    std::uint64_t body_digest = 0;
    Moment at;
    Sequence replay_of = 0;  // delivered before under this sequence, and put back
    Sequence retry_of = 0;   // quarantined before
  };
  struct Known {  // a message the deduplication window may want; texts until the visitor returns
    std::string_view twin;
    std::string_view component;
    std::string_view message_id;
    std::uint64_t body_digest = 0;
    Sequence sequence = 0;
    Moment accepted;
    Moment left;            // for one that is still queued: accepted
    bool put_back = false;  // a replay or a retry: it did not come from a sender
  };
  struct Front {  // a row at the front of the queue
    Sequence sequence = 0;
    std::uint64_t bytes = 0;
    Moment accepted;
  };

  // `is_new`: the file is empty and becomes a store. Every setting that durability hangs on is read back.
  static Result<std::unique_ptr<Store>> open(const std::string& database, bool is_new, const SpoolClocks& clocks);
  Store(const Store&) = delete;

  const Figures& figures() const { return figures_; }
  const Moment& opened() const { return opened_; }
  const DigestKey& digest_key() const { return digest_key_; }
  void count_duplicate() { ++figures_.duplicates; }  // persisted with the next commit; a rollback forgets it

  Result<SourceNumber> number_of_source(
      const std::string& name);  // a new one gets a number; between begin() and commit()

  Result<void> begin();
  Result<void> commit();
  void persist_figures() { persisted_.reset(); }  // by the next commit, even where rows tell them
  void rollback();
  bool writing() const { return transaction_.has_value(); }
  // Nothing was written since it was opened, and nothing is to be.
  bool is_as_found() const { return wal_pages() == 0 && persisted_ == figures_; }

  // The next sequence goes to `telemetry`; `message` gets what the store adds to it.
  Result<void> append(const Telemetry& telemetry, const Arrival& arrival, Message& message);
  Result<bool> remove(const Departure& departure);  // false: no such message is queued
  Result<void> trim_trace(std::int64_t keep_ms, const Moment& now, std::size_t rows_max);
  // What is kept for a replay goes from its front: what is older than `keep_ms`, and what is above `bytes_max`. True:
  // there was more to trim than `rows_max`.
  Result<bool> trim_kept(std::int64_t keep_ms, std::uint64_t bytes_max, const Moment& now, std::size_t rows_max);
  Result<void> note(const LaneNote& note);

  // Rows with a wrong checksum or an unknown twin go to `damaged`, never to `result`. Rows in `leaving` are passed
  // over.
  Result<void> read(const ReadRequest& request, const SequenceSet& leaving, ReadResult& result,
                    std::vector<Sequence>& damaged);
  Result<std::vector<Front>> front(Sequence after, std::size_t rows_max);  // in sequence order
  Result<Front> oldest();                                                  // sequence 0: the queue is empty

  // For units that know further tables. A row as sql::read_messages has it, from column `first` on; false: damaged.
  Result<bool> decode(const sqlite::Statement& row, Message& message, int first = 0);
  Result<std::vector<LaneNote>> lane_notes();

  // Newest first, until `visit` returns false.
  using Visit = std::function<bool(const Known&)>;
  Result<void> visit_queued(Sequence after, const Visit& visit);
  Result<void> visit_left(std::int64_t after_n, const Visit& visit);  // by the trace

  Result<std::uint32_t> free_pages();        // of the file
  Result<void> vacuum(std::uint32_t pages);  // gives that many back to the file system, from the end of the file

  // For what carries rows from one file to another: raw access, within begin() and commit(), figures kept true by hand.
  sqlite::Database& database() { return database_; }
  Figures& figures_to_set() { return figures_; }
  Names& twins() { return twins_; }
  Names& components() { return components_; }

  Result<void> checkpoint() { return database_.checkpoint(); }
  Result<bool> restart_wal() { return database_.restart_wal(); }
  Result<bool> empty_wal() { return database_.empty_wal(); }
  std::uint32_t wal_pages() const { return database_.wal_pages(); }
  std::uint64_t wal_bytes() const;  // that cannot be written over yet

 private:
  struct Statements {
    sqlite::Statement append_message, take_message, delete_message, quarantine_message, keep_message, front_of_kept,
        trim_kept, append_trace, front_of_trace, trim_trace, newest_of_trace, put_note, delete_note, put_figures,
        read_messages, front_messages;
  };

  explicit Store(sqlite::Database database);
  Result<void> set_up(bool is_new, const SpoolClocks& clocks);
  Result<void> verify_settings();
  Result<void> load(const SpoolClocks& clocks);
  Result<void> load_identity(std::int64_t wall_ms);
  Result<void> load_boot(const SpoolClocks& clocks);
  Result<void> load_figures();
  Result<void> add_newest_rows();
  Result<void> check_figures();
  Result<void> check_kept();
  Result<void> load_sources(const char* query, std::string_view figures);
  Result<void> prepare_statements();
  Result<void> write_figures();
  Result<void> keep(const Departure& departure, std::uint64_t bytes);
  Result<void> visit(const char* sql, std::int64_t after, const Visit& visit);

  sqlite::Database database_;
  std::optional<sqlite::Transaction> transaction_;
  Statements statements_;
  Names twins_;
  Names components_;
  Names sources_;
  RowChecksum checksum_;
  DigestKey digest_key_{};
  Moment opened_;
  Figures figures_;
  Figures committed_;
  std::optional<Figures> persisted_;  // as their row has them (spool/figures.h); nullopt: it is to be written
};

}  // namespace twinspool
