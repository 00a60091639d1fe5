// UTF-8, checked: what a sender called text may be anything.
#pragma once

#include <cstddef>
#include <string_view>

namespace twinspool {

// How many bytes the character at `at` takes; 0 where no valid character starts there (cut off, overlong, a surrogate,
// above U+10FFFF). `at` is inside `text`.
std::size_t utf8_length_at(std::string_view text, std::size_t at);

bool is_utf8(std::string_view text);

}  // namespace twinspool
