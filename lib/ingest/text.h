// What senders put into ids and headers, checked and made fit to be quoted back. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace twinspool::ingest {

// What keeps `text` from being UTF-8 without control characters (C0, DEL and C1): "is not valid UTF-8"; empty: nothing
// does.
std::string_view text_fault(std::string_view text);

// `text` between quotes, made printable and cut, so that it can stand in a message whatever a sender put into it.
std::string quoted(std::string_view text);

}  // namespace twinspool::ingest
