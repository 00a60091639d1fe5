// The tables and views of queue.db, and how older files become newer ones.
//
// The views (queue, lanes, quarantine, delivered, kept, sources, summary) are an interface for people and scripts:
// columns may be added to them, never renamed. The tables behind them are ours.
#pragma once

#include <cstdint>
#include <span>

#include "spool/sqlite.h"

namespace twinspool {

constexpr std::uint32_t kApplicationId = 0x54775370;  // "TwSp", in the file's header: says whose file it is

// Migration n takes a file from user_version n to n + 1. Only ever appended to: files of every age are out there.
std::span<const char* const> migrations();

// Whether the tables and views are, letter by letter, those of that version, which is one of ours. A version that
// changes what they mean changes their text.
Result<bool> has_our_tables(sqlite::Database& database, std::size_t version);

// Brings the file to the newest schema in one transaction. Errc::invalid where a newer twinspool wrote it.
Result<void> migrate(sqlite::Database& database);

}  // namespace twinspool
