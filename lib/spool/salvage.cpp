#include "spool/salvage.h"

#include <algorithm>

namespace twinspool {
namespace {

constexpr std::size_t kDepthMax = 20;  // of a tree

// In the order of sequences, also where the number of one row is damaged.
std::int64_t place_of(const BtreePage& page) {
  const std::size_t last = page.cells() - 1;
  std::int64_t ids[] = {page.id(0).value_or(INT64_MAX), page.id(last / 2).value_or(INT64_MAX),
                        page.id(last).value_or(INT64_MAX)};
  std::sort(std::begin(ids), std::end(ids));
  return ids[1];
}

}  // namespace

bool Salvage::is_small(std::string_view table) {
  constexpr std::string_view kSmall[] = {"store",      "figures",      "boots",     "twins",
                                         "components", "source_names", "lane_notes"};
  return std::find(std::begin(kSmall), std::end(kSmall), table) != std::end(kSmall);
}

Salvage::Salvage(PageFile file, std::vector<TableShape> tables) : file_(std::move(file)), tables_(std::move(tables)) {}

Result<std::unique_ptr<Salvage>> Salvage::open(const std::string& database, const std::string& wal) {
  auto tables = our_tables();
  if (!tables) return tl::unexpected(tables.error());
  auto file = PageFile::open(database, wal);
  if (!file) return tl::unexpected(file.error());
  std::unique_ptr<Salvage> salvage(new Salvage(std::move(*file), std::move(*tables)));
  Salvage& s = *salvage;
  for (std::size_t i = 0; i < s.tables_.size(); ++i) {
    const TableShape& table = s.tables_[i];
    if (table.name == "messages") s.messages_ = i;
    if (table.name == "twins") s.twins_ = i;
    if (table.name == "components") s.components_ = i;
    s.trees_.push_back({table.root, i, false});
  }
  for (const std::size_t i : {s.twins_, s.components_}) s.trees_.push_back({s.tables_[i].name_index_root, i, true});
  s.add_roots_of_schema();
  s.leaves_.resize(s.tables_.size());
  s.reached_.resize(std::size_t{s.file_.pages()} + 1);
  std::vector<Step> later;
  for (std::size_t i = 0; i < s.trees_.size(); ++i)
    (is_small(s.tables_[s.trees_[i].table].name) ? s.stack_ : later).push_back({s.trees_[i].root, i, 0});
  while (!s.stack_.empty()) {
    const Step step = s.stack_.back();
    s.stack_.pop_back();
    s.walk(step);
  }
  s.stack_ = std::move(later);
  s.sort_leaves();
  s.learn_names();
  return salvage;
}

// Where the file's own schema can be read and puts a table elsewhere, both places are looked at.
void Salvage::add_roots_of_schema() {
  Page page;
  if (!read(1, page)) return;
  const BtreePage schema(page, 1);
  for (std::size_t cell = 0; cell < schema.cells(); ++cell) {
    const auto row = schema.row(cell, [this](PageNumber number, Page& to) { return read(number, to); });
    if (!row || row->values.size() != 5) continue;  // type, name, tbl_name, rootpage, sql
    const auto* type = std::get_if<std::string>(&row->values[0]);
    const auto* name = std::get_if<std::string>(&row->values[1]);
    const auto* root = std::get_if<std::int64_t>(&row->values[3]);
    if (type == nullptr || name == nullptr || root == nullptr || *type != "table") continue;
    if (*root <= 0 || *root > file_.pages()) continue;
    for (std::size_t i = 0; i < tables_.size(); ++i)
      if (tables_[i].name == *name && tables_[i].root != *root)
        trees_.push_back({static_cast<PageNumber>(*root), i, false});
  }
}

std::optional<Row> Salvage::figures() {
  for (const Tree& tree : trees_) {
    const TableShape& table = tables_[tree.table];
    Page page;
    if (table.name != "figures" || !read(tree.root, page)) continue;
    auto row = BtreePage(page, tree.root).row(0, [](PageNumber, Page&) { return false; });
    if (row && table.fits(*row) && row->id == 1) return row;
  }
  return std::nullopt;
}

Sequence Salvage::newest_at_a_glance() {
  std::int64_t newest = 0;
  for (const Tree& tree : trees_) {
    if (tree.table != messages_) continue;
    PageNumber number = tree.root;
    for (std::size_t depth = 0; depth < kDepthMax; ++depth) {
      Page page;
      if (!read(number, page)) break;
      const BtreePage node(page, number);
      if (node.kind() == PageKind::table_interior) {
        number = node.children().back();
        continue;
      }
      for (std::size_t cell = 0; cell < node.cells(); ++cell) {
        auto row = node.row(cell, [this](PageNumber at, Page& to) { return read(at, to); });
        if (row && tables_[messages_].fits(*row)) newest = std::max(newest, row->id);
      }
      break;
    }
  }
  return static_cast<Sequence>(newest);
}

bool Salvage::looks_like_ours() {
  Page page;
  for (const Tree& tree : trees_) {
    const TableShape& table = tables_[tree.table];
    if (table.name != "store" || !read(tree.root, page)) continue;
    auto row = BtreePage(page, tree.root).row(0, [](PageNumber, Page&) { return false; });
    if (!row || !table.fits(*row)) continue;
    const std::string& key = std::get<std::string>(row->values[table.column("digest_key")]);
    if (key.size() == 32 && key.find_first_not_of("0123456789abcdef") == std::string::npos) return true;
  }
  while (survey(4096)) {
  }
  for (Cursor at = 0; const auto rows = this->rows(messages_, at); ++at)
    for (const Row& row : *rows)
      if (verified(tables_[messages_], row)) return true;
  return false;
}

PageUse Salvage::use(PageNumber page) {
  const PageNumber number = map_of(page);
  if (number == 0 || number == page) return {};
  if (number != map_number_) {
    map_number_ = number;
    map_readable_ = read(number, map_);
  }
  return map_readable_ ? use_of(page, map_) : PageUse{};
}

// By the pointer map alone.
std::optional<std::size_t> Salvage::owner(PageNumber page) {
  for (std::size_t depth = 0; depth < kDepthMax; ++depth) {
    const PageUse use = this->use(page);
    if (use.kind == PageUse::Kind::node) {
      page = use.parent;
      continue;
    }
    for (std::size_t i = 0; i < trees_.size(); ++i)
      if (trees_[i].root == page) return i;  // also where the map's word about the root is damaged
    return std::nullopt;
  }
  return std::nullopt;
}

bool Salvage::survey(std::size_t pages) {
  for (; pages > 0 && !stack_.empty(); --pages) {
    const Step step = stack_.back();
    stack_.pop_back();
    walk(step);
  }
  for (; pages > 0 && stack_.empty() && scanned_ < file_.pages(); --pages) scan(++scanned_);
  if (!stack_.empty() || scanned_ < file_.pages()) return true;
  if (!std::exchange(surveyed_, true)) finish_survey();
  return false;
}

void Salvage::walk(const Step& step) {
  const Tree& tree = trees_[step.tree];
  Page page;
  if (step.page == 0 || step.page > file_.pages() || reached_[step.page]) {
    tree_broken_ = true;
    return;
  }
  const PageUse use = this->use(step.page);
  if (use.kind == PageUse::Kind::free) {  // a pointer gone wrong: what is free has left the queue
    tree_broken_ = true;
    return;
  }
  if (!read(step.page, page)) {
    tree_broken_ = true;
    return;
  }
  const BtreePage node(page, step.page);
  const bool leaf = node.kind() == (tree.name_index ? PageKind::index_leaf : PageKind::table_leaf);
  const bool interior = node.kind() == (tree.name_index ? PageKind::index_interior : PageKind::table_interior);
  if (!leaf && (!interior || step.depth >= kDepthMax)) {
    ++damaged_pages_;
    tree_broken_ = true;
    return;
  }
  // Another table's page, by a pointer gone wrong, is left to its own tree.
  if (use.kind == PageUse::Kind::node && step.depth > 0) {
    const auto by_map = owner(step.page);
    if (by_map && trees_[*by_map].table != tree.table) {
      tree_broken_ = true;
      return;
    }
  }
  reached_[step.page] = true;
  if (tree.name_index) {
    keep_names(tree, node);
  } else if (leaf) {
    keep(step.tree, node, {0, step.page, false});
  }
  if (!interior) return;
  std::vector<PageNumber> children = node.children();
  for (auto child = children.rbegin(); child != children.rend(); ++child)
    stack_.push_back({*child, step.tree, step.depth + 1});
}

// A page that no tree led to.
void Salvage::scan(PageNumber number) {
  if (reached_[number] || number == 1 || map_of(number) == number) return;
  const PageUse use = this->use(number);
  if (use.kind == PageUse::Kind::free || use.kind == PageUse::Kind::overflow) return;
  const auto tree = owner(number);
  if (!tree && !tree_broken_) return;  // what a sound tree does not lead to is not there
  Page page;
  if (!read(number, page)) return;
  const BtreePage node(page, number);
  if (tree) {
    if (trees_[*tree].name_index) {
      keep_names(trees_[*tree], node);
    } else if (node.kind() == PageKind::table_leaf) {
      keep(*tree, node, {0, number, false});
    } else if (node.kind() == PageKind::other) {
      ++damaged_pages_;
    }
  } else if (use.kind == PageUse::Kind::unknown && holds_messages(node)) {
    for (std::size_t i = 0; i < trees_.size(); ++i)
      if (trees_[i].table == messages_ && !trees_[i].name_index) return keep(i, node, {0, number, false});
  }
}

bool Salvage::holds_messages(const BtreePage& page) {
  if (page.kind() != PageKind::table_leaf) return false;
  for (std::size_t cell = 0; cell < page.cells(); ++cell) {
    auto row = page.row(cell, [this](PageNumber number, Page& to) { return read(number, to); });
    if (row && tables_[messages_].fits(*row)) return true;
  }
  return false;
}

void Salvage::keep(std::size_t tree, const BtreePage& page, const Leaf& leaf) {
  if (page.cells() == 0) return;
  const std::size_t table = trees_[tree].table;
  leaves_[table].push_back({place_of(page), leaf.page, leaf.unfinished});
}

Salvage::NameMap& Salvage::names_of(std::size_t table) { return table == twins_ ? twin_names_ : component_names_; }

void Salvage::keep_names(const Tree& tree, const BtreePage& page) {
  if (page.kind() != PageKind::index_leaf && page.kind() != PageKind::index_interior) return;
  for (std::size_t cell = 0; cell < page.cells(); ++cell) {
    auto row = page.row(cell, [this](PageNumber number, Page& to) { return read(number, to); });
    if (!row || row->values.size() != 2) continue;
    const auto* name = std::get_if<std::string>(&row->values[0]);
    const auto* number = std::get_if<std::int64_t>(&row->values[1]);
    if (name == nullptr || number == nullptr || *number <= 0 || *number > UINT32_MAX) continue;
    names_of(tree.table)[static_cast<std::uint32_t>(*number)].push_back(*name);
  }
}

void Salvage::sort_leaves() {
  for (std::vector<Leaf>& leaves : leaves_)
    std::stable_sort(leaves.begin(), leaves.end(), [](const Leaf& a, const Leaf& b) { return a.first < b.first; });
}

void Salvage::finish_survey() {
  // Rows of a transaction that was not finished may have been acknowledged, if it is its end that is damaged.
  Page page;
  for (std::size_t i = 0; i < file_.unfinished().size(); ++i) {
    if (!file_.read_unfinished(i, page)) continue;
    const BtreePage node(page, file_.unfinished()[i]);
    if (holds_messages(node)) leaves_[messages_].push_back({place_of(node), static_cast<std::uint32_t>(i), true});
  }
  sort_leaves();
  learn_names();
}

void Salvage::learn_names() {
  for (const std::size_t table : {twins_, components_}) {
    const TableShape& shape = tables_[table];
    for (Cursor at = 0; const auto rows = this->rows(table, at); ++at) {
      for (const Row& row : *rows) {
        if (row.id <= 0 || row.id > UINT32_MAX) continue;
        auto& known = names_of(table)[static_cast<std::uint32_t>(row.id)];
        const std::string& name = std::get<std::string>(row.values[shape.column("name")]);
        if (std::find(known.begin(), known.end(), name) == known.end()) known.insert(known.begin(), name);
      }
    }
  }
}

std::optional<std::vector<Row>> Salvage::rows(std::size_t table, Cursor cursor) {
  if (cursor >= leaves_[table].size()) return std::nullopt;
  const Leaf& leaf = leaves_[table][cursor];
  std::vector<Row> rows;
  Page page;
  if (!(leaf.unfinished ? file_.read_unfinished(leaf.page, page) : read(leaf.page, page))) return rows;
  const BtreePage node(page, leaf.unfinished ? file_.unfinished()[leaf.page] : leaf.page);
  for (std::size_t cell = 0; cell < node.cells(); ++cell) {
    auto row = node.row(cell, [this](PageNumber number, Page& to) { return read(number, to); });
    if (row && tables_[table].fits(*row)) rows.push_back(std::move(*row));
  }
  return rows;
}

std::optional<Telemetry> Salvage::verified(const TableShape& table, const Row& row) {
  const auto number = [&](std::string_view column) { return std::get<std::int64_t>(row.values[table.column(column)]); };
  const auto text = [&](std::string_view column) { return std::get<std::string>(row.values[table.column(column)]); };
  const std::int64_t twin = number("twin");
  const std::int64_t component = number("component");
  if (row.id <= 0 || twin <= 0 || twin > UINT32_MAX || component < 0 || component > UINT32_MAX) return std::nullopt;
  const auto twins = twin_names_.find(static_cast<std::uint32_t>(twin));
  if (twins == twin_names_.end()) return std::nullopt;
  std::vector<std::string> none{""};
  const auto components = component_names_.find(static_cast<std::uint32_t>(component));
  if (component != 0 && components == component_names_.end()) return std::nullopt;
  std::vector<std::string>& parts = component == 0 ? none : components->second;

  Telemetry telemetry{{},          {}, text("message_id"), text("source_time"), text("traceparent"), text("tracestate"),
                      text("body")};
  for (std::string& name : twins->second) {
    for (std::string& part : parts) {
      telemetry.twin = name;
      telemetry.component = part;
      if (checksum_.of(static_cast<Sequence>(row.id), telemetry) != number("checksum")) continue;
      std::swap(name, twins->second.front());
      std::swap(part, parts.front());
      return telemetry;
    }
  }
  return std::nullopt;
}

std::vector<Salvage::Name> Salvage::names(std::string_view table) const {
  std::vector<Name> names;
  for (const auto& [number, candidates] : table == "twins" ? twin_names_ : component_names_)
    names.push_back({number, candidates.front()});
  std::sort(names.begin(), names.end(), [](const Name& a, const Name& b) { return a.number < b.number; });
  return names;
}

}  // namespace twinspool
