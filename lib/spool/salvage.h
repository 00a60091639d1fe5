// Finds the rows of a damaged store, page by page and without SQLite.
//
// A page belongs to a table if the table's tree leads to it, or if the pointer map says so: two independent words, so a
// trashed schema, root or interior page hides nothing. Pages that both call free are not read: what they hold has left
// the queue. Where both words are gone, the shape of the rows decides, and their checksums.
//
// Names of twins and components stand twice, in the table and in its index; where they differ, the checksum of a row
// that needs the name says which is right.
//
// Blocking, in slices; one thread. Memory: 16 bytes a leaf page (0.4 % of the file), and the names.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "spool/page_file.h"
#include "spool/row_checksum.h"
#include "spool/table_shape.h"

namespace twinspool {

class Salvage {
 public:
  // Reads the trees of the small tables, so that their rows and names() can be asked for at once; those of the others,
  // and what lies off the trees, after the survey.
  static Result<std::unique_ptr<Salvage>> open(const std::string& database, const std::string& wal);
  static bool is_small(std::string_view table);

  const std::vector<TableShape>& tables() const { return tables_; }
  const PageFile& file() const { return file_; }

  // What can be told at once, from a few pages.
  bool looks_like_ours();
  std::optional<Row> figures();   // the only row of its table
  Sequence newest_at_a_glance();  // of the end of the queue, 0 where that cannot be read

  // Looks at no more than `pages` pages; false: all were looked at, and rows may be asked for.
  bool survey(std::size_t pages);
  std::uint64_t damaged_pages() const { return damaged_pages_ + file_.unreadable(); }

  // Every row that a page of the table holds, one page after the other. nullopt: there is no such page.
  using Cursor = std::size_t;  // from 0
  std::optional<std::vector<Row>> rows(std::size_t table, Cursor cursor);

  // Checks a row of messages or quarantined_messages: its texts, if the checksum says that they are those that were
  // stored. The names found are remembered as right.
  std::optional<Telemetry> verified(const TableShape& table, const Row& row);

  struct Name {
    std::uint32_t number = 0;
    std::string name;
  };
  std::vector<Name> names(std::string_view table) const;  // twins or components; the likeliest of each number

 private:
  struct Tree {
    PageNumber root = 0;
    std::size_t table = 0;
    bool name_index = false;
  };
  struct Leaf {
    std::int64_t first = 0;
    std::uint32_t page = 0;  // an index of the unfinished ones where `unfinished`
    bool unfinished = false;
  };
  struct Step {  // of the walk
    PageNumber page;
    std::size_t tree;
    std::size_t depth;
  };
  using NameMap = std::unordered_map<std::uint32_t, std::vector<std::string>>;  // the likeliest first

  Salvage(PageFile file, std::vector<TableShape> tables);
  bool read(PageNumber number, Page& page) { return file_.read(number, page); }
  void add_roots_of_schema();
  PageUse use(PageNumber page);
  std::optional<std::size_t> owner(PageNumber page);  // a tree
  void walk(const Step& step);
  void scan(PageNumber number);
  void keep(std::size_t tree, const BtreePage& page, const Leaf& leaf);
  void keep_names(const Tree& tree, const BtreePage& page);
  void finish_survey();
  void sort_leaves();
  void learn_names();
  bool holds_messages(const BtreePage& page);
  NameMap& names_of(std::size_t table);

  PageFile file_;
  std::vector<TableShape> tables_;
  std::size_t messages_ = 0, twins_ = 0, components_ = 0;
  std::vector<Tree> trees_;
  std::vector<Step> stack_;
  std::vector<bool> reached_;
  PageNumber scanned_ = 0;
  bool surveyed_ = false;
  bool tree_broken_ = false;
  std::vector<std::vector<Leaf>> leaves_;  // by table
  NameMap twin_names_, component_names_;
  std::uint64_t damaged_pages_ = 0;
  PageNumber map_number_ = 0;
  bool map_readable_ = false;
  Page map_{};
  RowChecksum checksum_;
};

}  // namespace twinspool
