// The members of one JSON object with the bytes of their values as they stand in the text. Pure; any thread.
//
// For texts whose values are kept byte for byte: a parser's values would have to be written again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "util/error.h"

namespace twinspool::json {

enum class Kind : std::uint8_t { object, array, string, number, boolean, null };

struct Member {
  std::string name;      // unescaped
  std::string_view raw;  // the value's bytes, within the text
  Kind kind = Kind::null;
};

// In the text's order; a name may stand there twice. Errc::invalid where `text` is not one valid JSON object: what is
// wrong with it, "the line is a JSON string, not an object".
Result<std::vector<Member>> members_of(std::string_view text);

// The text of a string value: "a\u00e9\n" without its quotes and escapes. `raw` is a Member's of Kind::string.
// Errc::invalid for half a surrogate pair, which is no character.
Result<std::string> unescaped(std::string_view raw);

}  // namespace twinspool::json
