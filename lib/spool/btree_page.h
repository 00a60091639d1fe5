// What stands on one page of a SQLite file: its kind, its children, its records. Pure, and suspicious: bytes that make
// no sense give nothing, never a crash, and never more than kRecordBytesMax.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "spool/page_file.h"

namespace twinspool {

constexpr std::size_t kRecordBytesMax = 1 << 20;  // bodies are limited to 32 KiB long before

enum class PageKind : std::uint8_t { other, table_leaf, table_interior, index_leaf, index_interior };

using Value = std::variant<std::int64_t, std::string>;  // our tables hold nothing else

struct Row {
  std::int64_t id = 0;        // SQLite's rowid; 0 in an index
  std::vector<Value> values;  // as stored: a column that is the rowid holds 0 here
};

// Gives any page of the same file, for payloads that go on elsewhere; false: it cannot be had.
using PageReader = std::function<bool(PageNumber, Page&)>;

class BtreePage {
 public:
  // `number` tells where the header is: page 1 begins with the file's. The page must outlive this.
  BtreePage(const Page& page, PageNumber number);

  PageKind kind() const { return kind_; }
  std::size_t cells() const { return cells_; }

  std::vector<PageNumber> children() const;                                // of an interior page, in order
  std::optional<std::int64_t> id(std::size_t cell) const;                  // of a table's leaf
  std::optional<Row> row(std::size_t cell, const PageReader& read) const;  // of a leaf, or of an index's interior page

 private:
  std::optional<std::size_t> cell_at(std::size_t cell) const;

  const Page& page_;
  PageKind kind_ = PageKind::other;
  std::size_t header_ = 0;
  std::size_t cells_ = 0;
};

// What an auto-vacuum file notes about each page: an older, independent word on what a page is.
struct PageUse {
  enum class Kind : std::uint8_t { unknown, root, free, overflow, node };
  Kind kind = Kind::unknown;
  PageNumber parent = 0;  // of a node
};

constexpr PageNumber kUsesPerMap = kPageBytes / 5;
inline PageNumber map_of(PageNumber page) {  // the page that notes about `page`
  return page < 2 ? 0 : (page - 2) / (kUsesPerMap + 1) * (kUsesPerMap + 1) + 2;
}
PageUse use_of(PageNumber page, const Page& map);

}  // namespace twinspool
