#include "config/load_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <sstream>

namespace twinspool {

namespace {

constexpr int kDepthMax = 16;             // a configuration needs 4
constexpr std::size_t kNodesMax = 10000;  // with aliases, a short text can unfold into billions

Place place_of(const YAML::Mark& mark) { return mark.is_null() ? Place{} : Place{mark.line + 1, mark.column + 1}; }

class Converter {
 public:
  explicit Converter(Problems& problems) : problems_(problems) {}

  Tree convert(const YAML::Node& node, int depth) {
    Tree tree;
    tree.place = place_of(node.Mark());
    if (depth > kDepthMax || ++nodes_ > kNodesMax) {
      if (!gave_up_) problems_.add(tree.place, "", "too deeply nested or too large for a configuration");
      gave_up_ = true;
      return tree;
    }
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        return tree;
      case YAML::NodeType::Scalar:
        tree.kind = Tree::Kind::scalar;
        tree.text = node.Scalar();
        return tree;
      case YAML::NodeType::Sequence:
        tree.kind = Tree::Kind::list;
        for (const auto& item : node) {
          if (gave_up_) break;
          tree.children.push_back(convert(item, depth + 1));
        }
        return tree;
      case YAML::NodeType::Map:
        tree.kind = Tree::Kind::map;
        for (const auto& member : node) {
          if (gave_up_) break;
          add_member(tree, member.first, member.second, depth);
        }
        return tree;
    }
    return tree;
  }

 private:
  void add_member(Tree& map, const YAML::Node& key, const YAML::Node& value, int depth) {
    const Place place = place_of(key.Mark());
    if (!key.IsScalar()) {
      problems_.add(place, "", "a key must be a plain word");
      return;
    }
    const std::string& name = key.Scalar();
    const auto same =
        std::find_if(map.keys.begin(), map.keys.end(), [&](const Tree::Key& k) { return k.name == name; });
    if (same != map.keys.end()) {
      problems_.add(place, name, fmt::format("stands twice, first in line {}; leave one of the two", same->place.line));
      return;
    }
    map.keys.push_back({name, place});
    map.children.push_back(convert(value, depth + 1));
  }

  Problems& problems_;
  std::size_t nodes_ = 0;
  bool gave_up_ = false;
};

// Notes where the last document began.
class DocumentStarts : public YAML::EventHandler {
 public:
  YAML::Mark last;

  void OnDocumentStart(const YAML::Mark& mark) override { last = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Not YAML::LoadAll: where a document begins with a stray token (",a"), it takes for ever the next empty document, and
// YAML::Load takes the first one, as if nothing were written.
std::optional<YAML::Mark> second_document(const std::string& yaml) {
  std::istringstream stream(yaml);
  YAML::Parser parser(stream);
  DocumentStarts starts;
  if (!parser.HandleNextDocument(starts) || !parser.HandleNextDocument(starts)) return std::nullopt;
  return starts.last;
}

}  // namespace

Tree parse_yaml(const std::string& yaml, Problems& problems) {
  try {
    if (const auto second = second_document(yaml)) {
      problems.add(place_of(*second), "", "this is no YAML, or a second document (---) begins here; one is accepted");
      return {};
    }
    return Converter(problems).convert(YAML::Load(yaml), 0);
  } catch (const YAML::Exception& error) {
    problems.add(place_of(error.mark), "", "not valid YAML: " + error.msg);
    return {};
  }
}

}  // namespace twinspool
