#include "util/utf8.h"

#include "support/catch.h"

using namespace twinspool;

TEST_CASE("characters of one to four bytes are UTF-8", "[util][utf8]") {
  CHECK(is_utf8(""));
  CHECK(is_utf8("a\u00E9\u20AC\U0001F600\u007F"));
  CHECK(is_utf8(std::string_view("\0", 1)));
  CHECK(utf8_length_at("\u20ACx", 0) == 3);
  CHECK(utf8_length_at("\u20ACx", 3) == 1);
  CHECK(is_utf8("\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF"));
}

TEST_CASE("overlong forms, surrogates, cut characters and what lies above U+10FFFF are not UTF-8", "[util][utf8]") {
  for (const char* text : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3\x28", "\xE0\x9F\xBF", "\xE2\x82",
                           "\xE2\x82\x28", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
                           "\xF5\x80\x80\x80", "\xFF", "a\xF0\x9F\x98"}) {
    CHECK_FALSE(is_utf8(text));
  }
}
