// A file system at one moment, and what changes it. A value: copies share what is equal.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crash/content.h"

namespace twinspool::crash {

using NodeId = std::uint32_t;
constexpr NodeId kRoot = 1;

struct Node {
  enum class Kind : std::uint8_t { file, directory, link };
  Kind kind = Kind::file;
  Content content;
  std::string target;                     // of a link
  std::map<std::string, NodeId> entries;  // of a directory
};

struct Op {
  enum class Kind : std::uint8_t { write, resize, entries, sync, failed_sync };
  struct Entry {  // a name in a directory becomes another node's, or nobody's
    NodeId directory = 0;
    std::string name;
    std::optional<NodeId> node;
    Node::Kind kind = Node::Kind::file;  // of the node, and
    std::string target;                  // where it leads if it is a link: whoever applies this may not know it yet
  };
  Kind kind = Kind::write;
  NodeId node = 0;                           // not of entries
  std::uint64_t offset = 0;                  // of a write; the new size of a resize
  std::shared_ptr<const std::string> bytes;  // of a write
  std::vector<Entry> entries;                // all of them at once: a rename has two
};

class Image {
 public:
  Image() { nodes_[kRoot].kind = Node::Kind::directory; }

  Node& node(NodeId id) { return nodes_.at(id); }
  const Node& node(NodeId id) const { return nodes_.at(id); }
  NodeId add(Node::Kind kind, std::string target = {});
  // A node that another image knows, without a name and empty.
  void know(NodeId id, Node::Kind kind, const std::string& target);
  bool knows(NodeId id) const { return nodes_.contains(id); }
  const std::map<NodeId, Node>& nodes() const { return nodes_; }

  void apply(const Op& op);  // a sync changes nothing
  // Of everything that has a name and could be durable: no lock, no reserve, no shared memory.
  std::uint64_t hash() const { return hash(kRoot); }
  void forget_nameless();

  std::optional<NodeId> find(const std::string& path) const;  // from the root, links not followed
  std::vector<std::string> names() const;                     // of the root

 private:
  std::uint64_t hash(NodeId id) const;

  std::map<NodeId, Node> nodes_;
  NodeId next_ = kRoot + 1;
};

// Lost with the power by definition, or of no interest to whoever starts: changes to it make no other state.
bool is_volatile(const std::string& name);

}  // namespace twinspool::crash
