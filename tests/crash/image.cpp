#include "crash/image.h"

#include <set>

#include "util/error.h"

namespace twinspool::crash {

bool is_volatile(const std::string& name) {
  return name.ends_with("-shm") || name.ends_with(".lock") || name.ends_with(".reserve");
}

NodeId Image::add(Node::Kind kind, std::string target) {
  const NodeId id = next_++;
  nodes_[id].kind = kind;
  nodes_[id].target = std::move(target);
  return id;
}

void Image::know(NodeId id, Node::Kind kind, const std::string& target) {
  const auto [node, added] = nodes_.try_emplace(id);
  if (!added) return;
  node->second.kind = kind;
  node->second.target = target;
  next_ = std::max(next_, id + 1);
}

void Image::apply(const Op& op) {
  switch (op.kind) {
    case Op::Kind::write:
      return node(op.node).content.write(op.offset, *op.bytes);
    case Op::Kind::resize:
      return node(op.node).content.resize(op.offset);
    case Op::Kind::entries:
      for (const Op::Entry& entry : op.entries) {
        auto& entries = node(entry.directory).entries;
        if (entry.node)
          entries[entry.name] = *entry.node;
        else
          entries.erase(entry.name);
      }
      return;
    case Op::Kind::sync:
    case Op::Kind::failed_sync:
      return;
  }
}

std::uint64_t Image::hash(NodeId id) const {
  const Node& node = nodes_.at(id);
  std::uint64_t hash = mixed(static_cast<std::uint64_t>(node.kind), hash_of(node.target));
  if (node.kind == Node::Kind::file) return mixed(hash, node.content.hash());
  for (const auto& [name, entry] : node.entries)
    if (!is_volatile(name)) hash = mixed(mixed(hash, hash_of(name)), this->hash(entry));
  return hash;
}

void Image::forget_nameless() {
  std::set<NodeId> named{kRoot};
  std::vector<NodeId> to_visit{kRoot};
  while (!to_visit.empty()) {
    const NodeId id = to_visit.back();
    to_visit.pop_back();
    for (const auto& [name, entry] : node(id).entries)
      if (named.insert(entry).second) to_visit.push_back(entry);
  }
  std::erase_if(nodes_, [&](const auto& one) { return !named.contains(one.first); });
}

std::optional<NodeId> Image::find(const std::string& path) const {
  NodeId at = kRoot;
  std::size_t begin = 0;
  while (begin < path.size()) {
    if (path[begin] == '/') {
      ++begin;
      continue;
    }
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const auto found = node(at).entries.find(path.substr(begin, end - begin));
    if (found == node(at).entries.end()) return std::nullopt;
    at = found->second;
    begin = end;
  }
  return at;
}

std::vector<std::string> Image::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : node(kRoot).entries) names.push_back(name);
  return names;
}

}  // namespace twinspool::crash
