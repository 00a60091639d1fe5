#include "crash/run.h"

#include <optional>

#include "crash/timeline.h"
#include "util/error.h"

namespace twinspool::crash {

Telemetry message(std::size_t number, std::size_t body_bytes) {
  const std::string n = std::to_string(number);
  if (body_bytes == 0) body_bytes = number % 11 == 7 ? 6000 : 60 + number % 5 * 50;
  Telemetry message{.twin = "twin-" + std::to_string(number % 5), .message_id = "id-" + n};
  if (number % 3 == 0) message.component = "motor";
  if (number % 4 == 0) message.traceparent = "00-" + n;
  message.source_time = "2026-01-02T03:04:05.678Z";
  message.body = "{\"n\":" + n + ",\"pad\":\"" + std::string(body_bytes, static_cast<char>('a' + number % 26)) + "\"}";
  return message;
}

Run::Run(StoreConfig config, Image durable, Plants plants)
    : disk_(durable),
      gateway_(disk_, Clocks{}, config),
      config_(std::move(config)),
      plants_(std::move(plants)),
      durable_(std::move(durable)) {
  prepare_process();
  seed_random(1);
  disk_.set_lies(plants_.lies);
}

void Run::note(Event event) {
  if (event.at == 0) event.at = disk_.recorded();
  event.at -= first_op_;
  now_.apply(event);
  events_.push_back(std::move(event));
}

// With a thread of its own the store tells of a commit before it does anything else.
void Run::note_committed(Event event) {
  event.at = plants_.acknowledge_early ? disk_.recorded() : disk_.committed_at(std::max(round_, first_op_));
  note(std::move(event));
}

bool Run::try_start() {
  unrecorded_.clear();
  return gateway_.start().has_value();
}

void Run::start() { ENSURE(try_start()); }

void Run::stop() {
  round_ = disk_.recorded();
  gateway_.spool().flush_and_close([] {});
  gateway_.commit();                                          // its answers
  const bool all = gateway_.spool().stats().unrecorded == 0;  // not on a disk that fails
  gateway_.stop();
  if (all) note_recorded();
}

void Run::settle() {
  round_ = disk_.recorded();
  gateway_.settle();
  if (gateway_.spool().stats().unrecorded == 0) note_recorded();
}

void Run::acknowledged(const std::string& id, Sequence sequence) {
  waiting_.insert(sequence);
  note_committed({.what = Event::What::acknowledged, .id = id, .sequence = sequence});
}

void Run::commit() {
  round_ = disk_.recorded();
  gateway_.commit();
  if (gateway_.spool().stats().unrecorded == 0) note_recorded();
}

void Run::send(int count, std::size_t body_bytes) {
  for (int i = 0; i < count; ++i) {
    auto telemetry = std::make_shared<const Telemetry>(message(++sent_, body_bytes));
    note({.what = Event::What::sent, .telemetry = telemetry});
    if (plants_.acknowledge_early) acknowledged(telemetry->message_id, sent_);
    gateway_.spool().append(*telemetry, [this, telemetry](const auto& answer) {
      if (!answer)
        ++refused_;
      else if (!plants_.acknowledge_early)
        acknowledged(telemetry->message_id, answer->sequence);
    });
  }
  commit();
}

void Run::note_recorded() {
  for (const Sequence sequence : std::exchange(unrecorded_, {}))
    note_committed({.what = Event::What::recorded, .sequence = sequence});
}

void Run::finish_oldest(int count, Finished::How how) {
  for (int i = 0; i < count && !waiting_.empty(); ++i) {
    const Sequence sequence = *waiting_.begin();
    waiting_.erase(waiting_.begin());
    if (!gateway_.spool().claim(sequence)) continue;  // a limit has dropped it
    note({.what = Event::What::finishing, .sequence = sequence, .how = how});
    unrecorded_.push_back(sequence);
    Finished finished{.sequence = sequence, .how = how, .status = 204};
    if (how == Finished::How::quarantined) {
      finished.status = 400;
      finished.error_code = "ValidationFailed";
    }
    gateway_.spool().finish(std::move(finished));
  }
}

void Run::finish(int count) { finish_oldest(count, Finished::How::delivered); }

void Run::deliver(int count) {
  finish(count);
  commit();
}

void Run::quarantine() {
  finish_oldest(1, Finished::How::quarantined);
  commit();
}

void Run::recall(const Recall& order) {
  const bool purges = order.what == Recall::What::purge;
  const bool replays = order.what == Recall::What::replay;
  std::vector<std::string> ids;
  for (const Oracle::Known* known : now_.left(replays ? Finished::How::delivered : Finished::How::quarantined)) {
    if (!order.twin.empty() && order.twin != known->telemetry->twin) continue;
    ids.push_back(known->telemetry->message_id);
    note({.what = purges ? Event::What::purging : Event::What::recalling, .id = ids.back()});
  }
  std::optional<Result<Recalled>> answer;
  gateway_.spool().recall(order, [&](Result<Recalled> given) { answer = std::move(given); });
  gateway_.settle();
  ENSURE(answer && *answer && (*answer)->messages == ids.size() && !ids.empty());
  for (const std::string& id : ids) note({.what = purges ? Event::What::purged : Event::What::recalled, .id = id});
}

void Run::begin_recording() {
  durable_ = disk_.image();
  first_op_ = disk_.recorded();
  at_begin_ = now_;
  events_.clear();
}

void Run::cut_power() {
  gateway_.kill();
  gateway_.clocks().reboot();
  Timeline timeline(durable_);
  for (std::size_t i = first_op_; i < disk_.recorded(); ++i) timeline.advance(disk_.ops()[i]);
  disk_.image_to_damage() = timeline.durable();
  begin_recording();
}

Recording Run::recording(const Oracle::Rules& rules) const {
  Recording recording{
      .durable = durable_, .oracle = at_begin_, .ops = {}, .events = events_, .rules = rules, .config = config_};
  recording.ops.assign(disk_.ops().begin() + static_cast<std::ptrdiff_t>(first_op_), disk_.ops().end());
  return recording;
}

}  // namespace twinspool::crash
