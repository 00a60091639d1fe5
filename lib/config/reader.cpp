#include "config/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <numeric>

#include "config/units.h"

namespace twinspool {

namespace {

// listen[3].path → listen[].path
std::string without_indexes(std::string_view path) {
  std::string generic;
  bool inside = false;
  for (const char c : path) {
    if (c == ']') inside = false;
    if (!inside) generic += c;
    if (c == '[') inside = true;
  }
  return generic;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string_view last_part(std::string_view key) { return key.substr(key.rfind('.') + 1); }

std::string_view first_parts(std::string_view key) {
  const auto dot = key.rfind('.');
  return dot == std::string_view::npos ? std::string_view{} : key.substr(0, dot);
}

// The key somebody may have meant: of the same section within two edits, else one of that very name elsewhere.
std::optional<std::string> suggestion(const std::vector<std::string>& known, const std::string& section,
                                      const std::string& name) {
  std::optional<std::string> best;
  std::size_t best_distance = 3;
  for (const std::string& key : known) {
    const bool here = first_parts(key) == section;
    const std::size_t distance = last_part(key) == name ? (here ? 0 : 2)
                                 : here                 ? edit_distance(last_part(key), name)
                                                        : 3;
    if (distance >= best_distance || (distance >= name.size())) continue;
    best_distance = distance;
    best = here ? std::string(last_part(key)) : key;
  }
  return best;
}

std::string names_of(const std::vector<std::string>& known, const std::string& section) {
  std::string names;
  for (const std::string& key : known) {
    if (first_parts(key) == section) (names += names.empty() ? "" : ", ") += last_part(key);
  }
  return names;
}

std::string joined(std::span<const std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) (text += text.empty() ? "" : ", ") += name;
  return text;
}

// systemd sets CREDENTIALS_DIRECTORY for the daemon alone; the same file is read by whoever checks it or asks the
// daemon.
const char* environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr && name == "CREDENTIALS_DIRECTORY") return "/run/credentials/twinspoold.service";
  return value;
}

bool is_name_char(char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0; }

const char* kind_text(Tree::Kind kind) {
  switch (kind) {
    case Tree::Kind::nothing:
      return "no value";
    case Tree::Kind::scalar:
      return "a single value";
    case Tree::Kind::list:
      return "a list";
    case Tree::Kind::map:
      return "a mapping";
  }
  return "something else";
}

template <class T, class Text>
std::optional<std::string> out_of_range(T value, const Range<T>& range, const Text& text) {
  if ((value >= range.min && value <= range.max) || (range.or_zero && value == T{})) return std::nullopt;
  return fmt::format("{} is out of range; {}{} to {} are accepted", text(value), range.or_zero ? "0, or " : "",
                     text(range.min), text(range.max));
}

std::string plain(std::uint64_t value) { return std::to_string(value); }
std::string plain_number(double value) { return fmt::format("{}", value); }

}  // namespace

Place Reading::place_of(const std::string& key) const {
  for (std::string around = key; !around.empty(); around = around.substr(0, around.find_last_of(".["))) {
    if (const auto found = places.find(around); found != places.end()) return found->second;
    if (around.find_last_of(".[") == std::string::npos) break;
  }
  return {};
}

void Reading::report_unknown() {
  for (const Unknown& key : unknown) {
    const auto meant = suggestion(known, key.section, key.name);
    const std::string path = key.section.empty() ? key.name : key.section + "." + key.name;
    problems.add(key.place, path,
                 "unknown key; " + (meant ? fmt::format("did you mean {}?", *meant)
                                          : "accepted here: " + names_of(known, key.section)));
  }
  unknown.clear();
}

Section::Section(Reading& reading, const Tree* tree, std::string path)
    : reading_(reading), tree_(tree), path_(std::move(path)) {
  if (tree_ == nullptr || tree_->kind == Tree::Kind::map) return;
  // A section whose keys are all commented out is a key without a value.
  if (tree_->kind != Tree::Kind::nothing) {
    reading_.problems.add(tree_->place, path_,
                          fmt::format("{} stands here; keys with values are accepted", kind_text(tree_->kind)));
  }
  tree_ = nullptr;
}

Section::~Section() {
  if (tree_ == nullptr) return;
  for (const Tree::Key& key : tree_->keys) {
    if (std::find(asked_.begin(), asked_.end(), key.name) != asked_.end()) continue;
    reading_.unknown.push_back({key.place, without_indexes(path_), key.name});
  }
}

std::string Section::full(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

const Tree* Section::find(const std::string& key) {
  asked_.push_back(key);
  reading_.known.push_back(without_indexes(full(key)));
  if (tree_ == nullptr) return nullptr;
  for (std::size_t i = 0; i < tree_->keys.size(); ++i) {
    if (tree_->keys[i].name != key) continue;
    reading_.places[full(key)] = tree_->keys[i].place;
    return &tree_->children[i];
  }
  return nullptr;
}

void Section::problem(const std::string& key, std::string what) {
  reading_.problems.add(reading_.place_of(full(key)), full(key), std::move(what));
}

Section Section::section(const std::string& key) { return {reading_, find(key), full(key)}; }

const Tree* Section::list(const std::string& key) {
  const Tree* tree = find(key);
  if (tree == nullptr || tree->kind == Tree::Kind::nothing) return nullptr;
  if (tree->kind == Tree::Kind::list) return tree;
  problem(key, fmt::format("{} stands here; a list is accepted: [a, b]", kind_text(tree->kind)));
  return nullptr;
}

std::optional<std::string> Section::scalar(const std::string& key) {
  const Tree* tree = find(key);
  if (tree == nullptr) return std::nullopt;
  if (tree->kind == Tree::Kind::scalar) return expanded(*tree, key);
  problem(key, fmt::format("{} stands here; a single value is accepted", kind_text(tree->kind)));
  return std::nullopt;
}

std::optional<std::string> Section::expanded(const Tree& scalar, const std::string& key) {
  const std::string& text = scalar.text;
  std::string result;
  std::size_t at = 0;
  for (auto open = text.find("${"); open != std::string::npos; open = text.find("${", at)) {
    result.append(text, at, open - at);
    const auto close = text.find('}', open);
    const std::string name = close == std::string::npos ? "" : text.substr(open + 2, close - open - 2);
    if (name.empty() || !std::all_of(name.begin(), name.end(), is_name_char)) {
      problem(key, fmt::format("\"{}\" has a ${{ that names no variable; ${{NAME}} is accepted", text));
      return std::nullopt;
    }
    const char* value = environment(name);
    if (value == nullptr) {
      problem(key, fmt::format("the environment has no variable {}; set it, or write the value here", name));
      return std::nullopt;
    }
    result += value;
    at = close + 1;
  }
  result.append(text, at, std::string::npos);
  if (result.find('\0') != std::string::npos) {
    problem(key, "a zero byte stands in the text; plain text is accepted");
    return std::nullopt;
  }
  return result;
}

void Section::text(const std::string& key, std::string& into) {
  if (auto value = scalar(key)) into = std::move(*value);
}

void Section::texts(const std::string& key, std::vector<std::string>& into) {
  const Tree* tree = list(key);
  if (tree == nullptr) return;
  std::vector<std::string> values;
  for (const Tree& item : tree->children) {
    if (item.kind != Tree::Kind::scalar) {
      problem(key, fmt::format("{} stands in the list; single values are accepted", kind_text(item.kind)));
      return;
    }
    auto value = expanded(item, key);
    if (!value) return;
    values.push_back(std::move(*value));
  }
  into = std::move(values);
}

void Section::flag(const std::string& key, bool& into) {
  constexpr std::string_view kWords[] = {"false", "true"};
  if (const auto chosen = one_of(key, kWords)) into = *chosen == 1;
}

void Section::mode(const std::string& key, unsigned& into) {
  const auto value = scalar(key);
  if (!value) return;
  if (const auto mode = parse_mode(*value)) {
    into = *mode;
  } else {
    problem(key, mode.error().what);
  }
}

void Section::count(const std::string& key, std::uint64_t& into, Range<std::uint64_t> range) {
  const auto value = scalar(key);
  if (!value) return;
  const auto count = parse_count(*value);
  if (!count) {
    problem(key, fmt::format("{}; {}{} to {} are accepted", count.error().what, range.or_zero ? "0, or " : "",
                             range.min, range.max));
  } else if (const auto wrong = out_of_range(*count, range, plain)) {
    problem(key, *wrong);
  } else {
    into = *count;
  }
}

void Section::count(const std::string& key, std::uint32_t& into, Range<std::uint64_t> range) {
  std::uint64_t wide = into;
  count(key, wide, range);
  into = static_cast<std::uint32_t>(wide);
}

void Section::number(const std::string& key, double& into, Range<double> range) {
  const auto value = scalar(key);
  if (!value) return;
  const auto number = parse_number(*value);
  if (!number) {
    problem(key, fmt::format("{}; {} to {} are accepted", number.error().what, range.min, range.max));
  } else if (const auto wrong = out_of_range(*number, range, plain_number)) {
    problem(key, *wrong);
  } else {
    into = *number;
  }
}

void Section::size(const std::string& key, std::uint64_t& into, Range<std::uint64_t> range) {
  const auto value = scalar(key);
  if (!value) return;
  const auto size = parse_size(*value);
  if (!size) {
    problem(key, size.error().what);
  } else if (const auto wrong = out_of_range(*size, range, size_text)) {
    problem(key, *wrong);
  } else {
    into = *size;
  }
}

void Section::duration(const std::string& key, Duration& into, Range<Duration> range) {
  const auto value = scalar(key);
  if (!value) return;
  const auto duration = parse_duration(*value);
  if (!duration) {
    problem(key, duration.error().what);
  } else if (const auto wrong = out_of_range(*duration, range, duration_text)) {
    problem(key, *wrong);
  } else {
    into = *duration;
  }
}

void Section::word(const std::string& key, std::string& into, std::initializer_list<std::string_view> words) {
  const std::span<const std::string_view> names(words.begin(), words.size());
  if (const auto chosen = one_of(key, names)) into = std::string(names[*chosen]);
}

std::optional<std::size_t> Section::one_of(const std::string& key, std::span<const std::string_view> names) {
  const auto value = scalar(key);
  if (!value) return std::nullopt;
  const auto found = std::find(names.begin(), names.end(), *value);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  problem(key, fmt::format("\"{}\" is not one of the choices; {} are accepted", *value, joined(names)));
  return std::nullopt;
}

}  // namespace twinspool
