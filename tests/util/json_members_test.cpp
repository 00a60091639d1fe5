#include "util/json_members.h"

#include "support/catch.h"

namespace twinspool::json {
namespace {

std::string shown(std::string_view text) {
  const auto members = members_of(text);
  if (!members) return members.error().what;
  std::string out;
  for (const Member& member : *members) out += member.name + "=" + std::string(member.raw) + ";";
  return out;
}

TEST_CASE("members come in order with the bytes of their values", "[util][json]") {
  CHECK(shown(R"( {"a" : {"x":[1, {"y":"}"}]} ,"b":"say \"}\"", "c":[],"d":-1.50e+3,"e":true,"f":null} )") ==
        R"(a={"x":[1, {"y":"}"}]};b="say \"}\"";c=[];d=-1.50e+3;e=true;f=null;)");
  CHECK(shown("{}").empty());
  CHECK(shown(R"({"a":1e400,"a":123456789012345678901234567890})") == "a=1e400;a=123456789012345678901234567890;");
  CHECK(members_of(R"({"a":{},"b":[],"c":"","d":1,"e":false,"f":null})")->at(4).kind == Kind::boolean);
}

TEST_CASE("what is no object says what it is", "[util][json]") {
  CHECK(shown("[1]") == "the line is an array, not an object");
  CHECK(shown("{\"a\":1").starts_with("the line is not valid JSON"));
  CHECK(shown("{}{}").starts_with("the line is not valid JSON"));
}

TEST_CASE("names and texts lose their escapes", "[util][json]") {
  CHECK(members_of(R"({"\u0061\n":1})")->front().name == "a\n");
  CHECK(*unescaped(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
  CHECK(*unescaped(R"("\u00e9\u20ac\ud83d\ude00é")") == "é€😀é");
  CHECK(*unescaped("\"\\u0000\"") == std::string(1, '\0'));
  for (const char* half : {R"("\ud83d")", R"("\ude00")", R"("\ud83dx")", R"("\ud83d\u0041")"})
    CHECK(unescaped(half).error().what == "a string has half a surrogate pair");
}

}  // namespace
}  // namespace twinspool::json
