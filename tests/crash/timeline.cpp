#include "crash/timeline.h"

#include <algorithm>
#include <random>

namespace twinspool::crash {
namespace {

bool touches(const Op& op, NodeId node) {
  if (op.kind != Op::Kind::entries) return op.node == node;
  return std::any_of(op.entries.begin(), op.entries.end(), [&](const auto& one) { return one.directory == node; });
}

// The part of a write within each sector of the file, to `visit` as offset and bytes.
template <class Visit>
void each_sector(const Op& op, std::uint64_t sector, const Visit& visit) {
  const std::string_view bytes = *op.bytes;
  for (std::uint64_t done = 0; done < bytes.size();) {
    const std::uint64_t offset = op.offset + done;
    const std::uint64_t part = std::min<std::uint64_t>(bytes.size() - done, sector - offset % sector);
    visit(offset, bytes.substr(done, part));
    done += part;
  }
}

}  // namespace

void Timeline::advance(const Op& op) {
  if (op.kind == Op::Kind::sync) return sync(op.node);
  if (op.kind == Op::Kind::failed_sync) return sync_failed(op.node);
  for (const Op::Entry& entry : op.entries)
    if (entry.node) durable_.know(*entry.node, entry.kind, entry.target);
  pending_.push_back({op});
}

void Timeline::sync(NodeId node) {
  std::erase_if(pending_, [&](const Pending& one) {
    if (!touches(one.op, node)) return false;
    if (!one.poisoned) make_durable(one.op);
    return true;
  });
}

void Timeline::sync_failed(NodeId node) {
  if (durable_.node(node).kind == Node::Kind::directory) return;  // its names wait for the journal
  for (Pending& one : pending_) {
    if (!touches(one.op, node) || one.op.kind != Op::Kind::write) continue;
    one.poisoned = true;
    if (poison_ == Poison::stuck)
      each_sector(one.op, kBlockBytes,
                  [&](std::uint64_t offset, std::string_view) { stuck_[node].insert(offset / kBlockBytes); });
  }
}

void Timeline::make_durable(const Op& op) {
  const auto stuck = stuck_.find(op.node);
  if (op.kind != Op::Kind::write || stuck == stuck_.end()) return durable_.apply(op);
  Content& content = durable_.node(op.node).content;
  each_sector(op, kBlockBytes, [&](std::uint64_t offset, std::string_view bytes) {
    if (!stuck->second.contains(offset / kBlockBytes)) content.write(offset, bytes);
  });
}

// How one state is drawn.
class Timeline::Draw {
 public:
  Draw(const Timeline& timeline, std::uint64_t seed) : timeline_(timeline), random_(seed), state_(timeline.durable_) {}

  Image image() {
    const std::vector<Pending>& pending = timeline_.pending_;
    const bool in_order = chance(4);  // a prefix, its last one torn: what a file system in data=ordered does
    const std::uint64_t sector = chance(2) ? 512 : kBlockBytes;
    const std::size_t kept = in_order ? random_() % (pending.size() + 1) : 0;
    const unsigned one_in = 2u + static_cast<unsigned>(random_() % 3);
    const bool mostly_kept = chance(2);
    for (std::size_t i = 0; i < pending.size(); ++i) {
      const Op& op = pending[i].op;
      if (in_order ? i < kept : chance(one_in) != mostly_kept)
        state_.apply(op);
      else if (op.kind == Op::Kind::write && (in_order ? i == kept : chance(3)))
        tear(op, sector, in_order);
    }
    if (chance(3)) trash(pending[random_() % pending.size()].op, sector);
    return std::move(state_);
  }

 private:
  bool chance(unsigned one_in) { return random_() % one_in == 0; }

  void tear(const Op& op, std::uint64_t sector, bool in_order) {
    bool on = true;
    each_sector(op, sector, [&](std::uint64_t offset, std::string_view bytes) {
      on = in_order ? on && !chance(4) : chance(2);
      if (on) state_.node(op.node).content.write(offset, bytes);
    });
  }

  // The whole sector, also what had been there before.
  void trash(const Op& op, std::uint64_t sector) {
    if (op.kind != Op::Kind::write) return;
    const std::uint64_t at = (op.offset + random_() % op.bytes->size()) / sector * sector;
    Content& content = state_.node(op.node).content;
    const std::uint64_t end = std::max<std::uint64_t>(content.size(), op.offset + op.bytes->size());
    std::string garbage(std::min(sector, end - at), '\0');
    for (char& byte : garbage) byte = static_cast<char>(random_());
    content.write(at, garbage);
  }

  const Timeline& timeline_;
  std::mt19937_64 random_;
  Image state_;
};

Image Timeline::state(std::uint64_t variant, std::uint64_t seed) const {
  const std::size_t count = pending_.size();
  if (variant == 1 || count == 0) return durable_;
  if (variant >= 2 + 2 * count) return Draw(*this, mixed(mixed(seed, variant), count)).image();
  Image state = durable_;
  const std::size_t special = variant == 0 ? count : (variant - 2) / 2;
  const bool alone = variant != 0 && variant % 2 == 0;
  for (std::size_t i = 0; i < count; ++i)
    if (alone ? i == special : i != special) state.apply(pending_[i].op);
  return state;
}

}  // namespace twinspool::crash
