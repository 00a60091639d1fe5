#include "crash/timeline.h"

#include <set>

#include "support/catch.h"

namespace twinspool::crash {
namespace {

struct Example {
  Example() {
    file = image.add(Node::Kind::file);
    image.node(kRoot).entries["file"] = file;
    image.node(file).content.write(0, std::string(3 * kBlockBytes, 'o'));
  }
  Op write(std::uint64_t offset, const std::string& bytes) const {
    return {
        .kind = Op::Kind::write, .node = file, .offset = offset, .bytes = std::make_shared<const std::string>(bytes)};
  }
  Op sync(bool fails = false) const { return {.kind = fails ? Op::Kind::failed_sync : Op::Kind::sync, .node = file}; }
  std::string text(const Image& state) const { return state.node(file).content.text(); }

  Image image;
  NodeId file = 0;
};

TEST_CASE("what is synced is in every state, what is not in some", "[crash][timeline]") {
  const Example example;
  Timeline timeline(example.image);
  timeline.advance(example.write(0, "synced"));
  timeline.advance(example.sync());
  timeline.advance(example.write(kBlockBytes, "one"));
  timeline.advance(example.write(2 * kBlockBytes, "two"));
  REQUIRE(timeline.pending() == 2);

  std::set<std::pair<bool, bool>> seen;
  std::set<std::uint64_t> hashes;
  for (std::uint64_t variant = 0; variant < 200; ++variant) {
    const Image state = timeline.state(variant, 1);
    const std::string text = example.text(state);
    CHECK(text.starts_with("synced"));
    CHECK(text.size() == 3 * kBlockBytes);
    seen.emplace(text.substr(kBlockBytes, 3) == "one", text.substr(2 * kBlockBytes, 3) == "two");
    hashes.insert(state.hash());
  }
  CHECK(seen.size() == 4);    // each alone, both, none
  CHECK(hashes.size() > 20);  // and a block in flight that is garbage
  CHECK(example.text(timeline.state(0, 1)).substr(2 * kBlockBytes, 3) == "two");
  CHECK(timeline.state(1, 1).hash() == timeline.durable().hash());
}

TEST_CASE("a write is torn at sectors", "[crash][timeline]") {
  const Example example;
  Timeline timeline(example.image);
  timeline.advance(example.write(0, std::string(2 * kBlockBytes, 'n')));
  bool torn = false;
  for (std::uint64_t variant = 4; variant < 200 && !torn; ++variant) {
    const std::string text = example.text(timeline.state(variant, 7));
    std::size_t changes = 0;
    for (std::size_t i = 512; i < text.size(); i += 512) changes += text[i] != text[i - 1] ? 1u : 0u;
    torn = changes > 2;
  }
  CHECK(torn);
}

TEST_CASE("a name is durable with its directory, not with its file", "[crash][timeline]") {
  Example example;
  Timeline timeline(example.image);
  const NodeId fresh = example.image.add(Node::Kind::file);
  Op named;
  named.kind = Op::Kind::entries;
  named.entries = {{.directory = kRoot, .name = "fresh", .node = fresh}};
  timeline.advance(named);
  timeline.advance({.kind = Op::Kind::sync, .node = fresh});
  CHECK_FALSE(timeline.durable().find("fresh"));
  timeline.advance({.kind = Op::Kind::sync, .node = kRoot});
  CHECK(timeline.durable().find("fresh"));
}

TEST_CASE("what a failed sync leaves is never durable by a later one", "[crash][timeline]") {
  const Example example;
  Timeline dropped(example.image);
  Timeline stuck(example.image, Timeline::Poison::stuck);
  for (Timeline* timeline : {&dropped, &stuck}) {
    timeline->advance(example.write(0, "lost"));
    timeline->advance(example.sync(true));
    CHECK(example.text(timeline->state(0, 1)).starts_with("lost"));  // as the page cache shows it
    timeline->advance(example.write(100, "later"));
    timeline->advance(example.sync());
    CHECK(example.text(timeline->durable()).starts_with("oooo"));
  }
  CHECK(example.text(dropped.durable()).substr(100, 5) == "later");
  CHECK(example.text(stuck.durable()).substr(100, 5) == "ooooo");
}

}  // namespace
}  // namespace twinspool::crash
