#include "spool/btree_page.h"

#include <algorithm>
#include <string_view>

#include "spool/big_endian.h"

namespace twinspool {
namespace {

constexpr std::size_t kLocalMax = kPageBytes - 35;  // of a table's leaf
constexpr std::size_t kIndexLocalMax = (kPageBytes - 12) * 64 / 255 - 23;
constexpr std::size_t kLocalMin = (kPageBytes - 12) * 32 / 255 - 23;
constexpr std::size_t kOverflowBytes = kPageBytes - 4;

// A varint at the front of `bytes`, which loses it.
std::optional<std::uint64_t> take_varint(std::string_view& bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 9 && i < bytes.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    number = i == 8 ? number << 8 | byte : number << 7 | (byte & 0x7fu);
    if (i == 8 || byte < 0x80) {
      bytes.remove_prefix(i + 1);
      return number;
    }
  }
  return std::nullopt;
}

std::optional<std::int64_t> take_integer(std::string_view& bytes, std::uint64_t type) {
  if (type == 8 || type == 9) return static_cast<std::int64_t>(type - 8);
  constexpr std::size_t kSizes[] = {0, 1, 2, 3, 4, 6, 8};
  const std::size_t size = kSizes[type];
  if (bytes.size() < size) return std::nullopt;
  std::uint64_t number = size > 0 && (bytes[0] & 0x80) != 0 ? ~std::uint64_t{0} : 0;
  for (std::size_t i = 0; i < size; ++i) number = number << 8 | static_cast<std::uint8_t>(bytes[i]);
  bytes.remove_prefix(size);
  return static_cast<std::int64_t>(number);
}

std::optional<std::vector<Value>> values_of(std::string_view record) {
  std::string_view header = record;
  const auto header_bytes = take_varint(header);
  if (!header_bytes || *header_bytes > record.size()) return std::nullopt;
  const std::size_t length_bytes = record.size() - header.size();
  if (*header_bytes < length_bytes) return std::nullopt;
  header = record.substr(length_bytes, static_cast<std::size_t>(*header_bytes) - length_bytes);
  std::string_view body = record.substr(static_cast<std::size_t>(*header_bytes));
  std::vector<Value> values;
  while (!header.empty()) {
    const auto type = take_varint(header);
    if (!type) return std::nullopt;
    if (*type == 0) {
      values.emplace_back(std::int64_t{0});
    } else if (*type <= 6 || *type == 8 || *type == 9) {
      const auto number = take_integer(body, *type);
      if (!number) return std::nullopt;
      values.emplace_back(*number);
    } else if (*type >= 13 && *type % 2 == 1) {
      if ((*type - 13) / 2 > body.size()) return std::nullopt;
      const auto size = static_cast<std::size_t>((*type - 13) / 2);
      values.emplace_back(std::string(body.substr(0, size)));
      body.remove_prefix(size);
    } else {
      return std::nullopt;  // reals and blobs are not ours
    }
  }
  if (!body.empty()) return std::nullopt;
  return values;
}

}  // namespace

BtreePage::BtreePage(const Page& page, PageNumber number) : page_(page), header_(number == 1 ? 100 : 0) {
  switch (page[header_]) {
    case 13:
      kind_ = PageKind::table_leaf;
      break;
    case 5:
      kind_ = PageKind::table_interior;
      break;
    case 10:
      kind_ = PageKind::index_leaf;
      break;
    case 2:
      kind_ = PageKind::index_interior;
      break;
    default:
      return;
  }
  cells_ = big_endian16(page.data() + header_ + 3);
  if (cells_ > (kPageBytes - header_ - 8) / 4) kind_ = PageKind::other;  // a cell and its pointer take more
  if (kind_ == PageKind::other) cells_ = 0;
}

std::optional<std::size_t> BtreePage::cell_at(std::size_t cell) const {
  const bool leaf = kind_ == PageKind::table_leaf || kind_ == PageKind::index_leaf;
  const std::size_t pointers = header_ + (leaf ? 8 : 12);
  if (cell >= cells_ || pointers + 2 * cells_ > kPageBytes) return std::nullopt;
  const std::size_t at = big_endian16(page_.data() + pointers + 2 * cell);
  if (at < pointers + 2 * cells_ || at + 4 > kPageBytes) return std::nullopt;
  return at;
}

std::vector<PageNumber> BtreePage::children() const {
  std::vector<PageNumber> children;
  if (kind_ != PageKind::table_interior && kind_ != PageKind::index_interior) return children;
  for (std::size_t cell = 0; cell < cells_; ++cell)
    if (const auto at = cell_at(cell)) children.push_back(big_endian32(page_.data() + *at));
  children.push_back(big_endian32(page_.data() + header_ + 8));
  return children;
}

std::optional<std::int64_t> BtreePage::id(std::size_t cell) const {
  const auto at = cell_at(cell);
  if (!at || kind_ != PageKind::table_leaf) return std::nullopt;
  std::string_view bytes(page_.data() + *at, kPageBytes - *at);
  if (!take_varint(bytes)) return std::nullopt;
  const auto id = take_varint(bytes);
  return id ? std::optional(static_cast<std::int64_t>(*id)) : std::nullopt;
}

std::optional<Row> BtreePage::row(std::size_t cell, const PageReader& read) const {
  const auto at = cell_at(cell);
  if (!at || kind_ == PageKind::table_interior) return std::nullopt;
  std::string_view bytes(page_.data() + *at, kPageBytes - *at);
  if (kind_ == PageKind::index_interior) bytes.remove_prefix(4);  // the child on the left
  const auto stated = take_varint(bytes);
  if (!stated || *stated > kRecordBytesMax) return std::nullopt;
  const auto size = static_cast<std::size_t>(*stated);
  Row row;
  if (kind_ == PageKind::table_leaf) {
    const auto id = take_varint(bytes);
    if (!id) return std::nullopt;
    row.id = static_cast<std::int64_t>(*id);
  }
  const std::size_t local_max = kind_ == PageKind::table_leaf ? kLocalMax : kIndexLocalMax;
  std::size_t local = size;
  if (local > local_max) {
    local = kLocalMin + (size - kLocalMin) % kOverflowBytes;
    if (local > local_max) local = kLocalMin;
  }
  const bool whole = local == size;
  if (local + (whole ? 0 : 4) > bytes.size()) return std::nullopt;
  std::string record;
  if (!whole) {
    record.reserve(size);
    record.append(bytes.substr(0, local));
    PageNumber next = big_endian32(bytes.data() + local);
    Page page;
    while (record.size() < size) {  // ends: every page adds to it
      if (!read(next, page)) return std::nullopt;
      record.append(page.data() + 4, std::min(kOverflowBytes, size - record.size()));
      next = big_endian32(page.data());
    }
  }
  auto values = values_of(whole ? bytes.substr(0, local) : std::string_view(record));
  if (!values) return std::nullopt;
  row.values = std::move(*values);
  return row;
}

PageUse use_of(PageNumber page, const Page& map) {
  const PageNumber first = map_of(page) + 1;
  if (page < first || page - first >= kUsesPerMap) return {};
  const char* entry = map.data() + std::size_t{page - first} * 5;
  const PageNumber parent = big_endian32(entry + 1);
  switch (*entry) {
    case 1:
      return parent == 0 ? PageUse{PageUse::Kind::root, 0} : PageUse{};
    case 2:
      return parent == 0 ? PageUse{PageUse::Kind::free, 0} : PageUse{};
    case 3:
    case 4:
      return {PageUse::Kind::overflow, parent};
    case 5:
      return {PageUse::Kind::node, parent};
    default:
      return {};
  }
}

}  // namespace twinspool
