#include "spool/btree_page.h"

#include <random>

#include "support/catch.h"

namespace twinspool {
namespace {

TEST_CASE("bytes that make no sense give nothing, and no harm", "[spool][salvage]") {
  std::mt19937_64 random(7);
  const PageReader endless = [&](PageNumber, Page& page) {  // an overflow chain that never ends
    page.fill('\x01');
    return true;
  };
  std::size_t rows = 0;
  for (int round = 0; round < 20000; ++round) {
    Page page;
    for (char& byte : page) byte = static_cast<char>(random());
    const PageNumber number = round % 10 == 0 ? 1 : 2;
    constexpr char kKinds[] = {2, 5, 10, 13};
    page[number == 1 ? 100 : 0] = kKinds[round % 4];
    page[number == 1 ? 103 : 3] = 0;  // few cells, or the number alone would be refused
    const BtreePage node(page, number);
    (void)node.children();
    for (std::size_t cell = 0; cell < node.cells() + 2; ++cell) {
      (void)node.id(cell);
      const auto row = node.row(cell, endless);
      if (!row) continue;
      ++rows;
      std::size_t bytes = 0;
      for (const Value& value : row->values)
        if (const auto* text = std::get_if<std::string>(&value)) bytes += text->size();
      CHECK(bytes <= kRecordBytesMax);
    }
    (void)use_of(static_cast<PageNumber>(random()), page);
  }
  CHECK(rows < 200'000);
}

TEST_CASE("the pointer map has a page for every 819 that follow it", "[spool][salvage]") {
  CHECK(map_of(1) == 0);
  CHECK(map_of(2) == 2);
  CHECK(map_of(3) == 2);
  CHECK(map_of(821) == 2);
  CHECK(map_of(822) == 822);
  CHECK(map_of(823) == 822);
  Page map{};
  map[5] = 5;  // of page 4: a node below page 9
  map[9] = 9;
  CHECK(use_of(4, map).kind == PageUse::Kind::node);
  CHECK(use_of(4, map).parent == 9);
  CHECK(use_of(3, map).kind == PageUse::Kind::unknown);
}

}  // namespace
}  // namespace twinspool
