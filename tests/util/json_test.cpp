#include "util/json.h"

#include <limits>
#include <string>

#include "support/catch.h"

using namespace twinspool;
using json::Document;
using json::why_not_an_object;
using json::Writer;

namespace {
std::string nested(std::size_t depth) {  // {"a":{"a":...{}...}}
  std::string text;
  for (std::size_t i = 1; i < depth; ++i) text += "{\"a\":";
  text += "{}";
  return text + std::string(depth - 1, '}');
}
}  // namespace

TEST_CASE("every whole JSON object is accepted", "[util][json]") {
  for (const char* text :
       {"{}", " \t\r\n{ } \n", R"({"a":1,"b":[1,2,{"c":null}],"d":"\u00e9\ud83d\ude00"})", R"({"":""})",
        R"({"a":1,"a":2})", "{\"k\":\"\xF0\x9F\x98\x80\"}", R"({"a":-0.0e+10,"b":true,"c":false})"}) {
    INFO(text);
    CHECK(why_not_an_object(text) == std::nullopt);
  }
}

TEST_CASE("numbers of any size and precision are JSON", "[util][json]") {
  for (const char* text :
       {R"({"a":123456789012345678901234567890})", R"({"a":1e999})", R"({"a":-1E+400,"s":"1e999\" -"})",
        R"({"a":[18446744073709551616, 0.1e-9999 ,-99999999999999999999]})"}) {
    INFO(text);
    CHECK(why_not_an_object(text) == std::nullopt);
  }
  for (const char* text :
       {R"({"a":01e999})", R"({"a":1e999,"b":1.})", R"({"a":1e999,"b":-})", R"({"a":1e999x})", R"({"a":1e999 1})",
        R"({"a":1e999,"b":+1})", R"({"a":1e999,"b":1e})", R"({"a":1e9991e5e})"}) {
    INFO(text);
    CHECK(why_not_an_object(text).has_value());
  }
}

TEST_CASE("what is not an object is refused by its kind", "[util][json]") {
  CHECK(why_not_an_object("[1]") == "the body is an array, not an object");
  CHECK(why_not_an_object("\"{}\"") == "the body is a JSON string, not an object");
  CHECK(why_not_an_object("1.5") == "the body is a number, not an object");
  CHECK(why_not_an_object("true") == "the body is a boolean, not an object");
  CHECK(why_not_an_object("null") == "the body is null, not an object");
  CHECK(why_not_an_object("") == "the body is empty");
  CHECK(why_not_an_object(" \n") == "the body is empty");
}

TEST_CASE("what is not whole, valid JSON in UTF-8 is refused", "[util][json]") {
  for (const char* text : {"{",
                           "}",
                           "{}}",
                           "{} x",
                           "{}{}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{,}",
                           "{'a':1}",
                           "{a:1}",
                           "{\"a\":tru}",
                           "{\"a\":01}",
                           "{\"a\":.5}",
                           "{\"a\":NaN}",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":\"\n\"}",
                           "{\"a\":\"\\ud800\"}",
                           "{\"a\":1 \"b\":2}",
                           "{\"a\":[1,]}",
                           "{\"a\":\"",
                           "//\n{}",
                           "{\"a\":1}\f"}) {
    INFO(text);
    CHECK(why_not_an_object(text).has_value());
  }
  CHECK(why_not_an_object("{\"a\":\"\xff\"}") == "the body is not valid UTF-8");
  CHECK(why_not_an_object("{\"a\":\"\xc0\x80\"}") == "the body is not valid UTF-8");
  CHECK(why_not_an_object("\xEF\xBB\xBF{}") == "the body is not valid JSON: it starts with a byte order mark");
  CHECK(why_not_an_object(std::string_view("{}\0", 3)).has_value());
  CHECK(why_not_an_object(std::string_view("{\"a\0\":1}", 8)).has_value());
}

TEST_CASE("depth is limited, and the refusal says so", "[util][json]") {
  CHECK(why_not_an_object(nested(1000)) == std::nullopt);
  CHECK(why_not_an_object(nested(1100)).value_or("").find("nested more than 1024 levels") != std::string::npos);
}

TEST_CASE("a short text after a long one does not see the long one's bytes", "[util][json]") {
  CHECK(why_not_an_object("{\"a\":\"" + std::string(100000, 'x') + "\"}") == std::nullopt);
  CHECK(why_not_an_object("{\"a\":\"x").has_value());
  CHECK(why_not_an_object("{\"a\":1}") == std::nullopt);
}

TEST_CASE("values are found by their path, as text", "[util][json]") {
  const auto document = Document::parse(
      R"({"error": {"code":"Bad\u0020One","details":[{"n":1.50 },{"n": -7}]}, "ok":true, "none":null, "big":1e999, "e":[]})");
  REQUIRE(document);
  CHECK(document->value("error.code") == "Bad One");
  CHECK(document->value("error.details.0.n") == "1.50");
  CHECK(document->integer("error.details.1.n") == -7);
  CHECK(document->value("ok") == "true");
  CHECK(document->value("none") == "null");
  CHECK(document->value("big") == "1e999");
  CHECK(document->size("error.details") == 2);
  CHECK(document->size("error") == 2);
  CHECK(document->size("") == 5);
  CHECK(document->size("e") == 0);
  CHECK(document->value("error") == std::nullopt);
  CHECK(document->value("nothing.here") == std::nullopt);
  CHECK(document->integer("error.details.0.n") == std::nullopt);
  CHECK(document->integer("error.code") == std::nullopt);
}

TEST_CASE("what lies below an overlong name is passed over, so that no answer takes its square of memory",
          "[util][json]") {
  const std::string name(json::kPathBytesMax, 'n');
  const auto document =
      Document::parse("{\"a\":{\"" + name + "\":[1,[2],{\"b\":3}],\"c\":4},\"" + name + "\":[5],\"d\":6}");
  REQUIRE(document);
  CHECK(document->value("a.c") == "4");
  CHECK(document->value("d") == "6");
  CHECK(document->size("a") == 2);
  CHECK(document->size(name) == 1);
  CHECK(document->value(name + ".0") == std::nullopt);
  CHECK(document->value("a." + name + ".0") == std::nullopt);
}

TEST_CASE("a document may be any JSON value, and what is none is refused", "[util][json]") {
  CHECK(Document::parse("[1,\"x\"]")->value("1") == "x");
  CHECK(Document::parse(" \"x\" ")->value("") == "x");
  CHECK(Document::parse("12 ")->integer("") == 12);
  CHECK_FALSE(Document::parse("{\"a\":"));
  CHECK_FALSE(Document::parse(""));
}

TEST_CASE("the writer sets commas, escapes text, and writes nothing that is not JSON", "[util][json]") {
  Writer writer;
  writer.begin_object();
  writer.key("a").begin_array().integer(1).integer(-2).begin_object().end_object().end_array();
  writer.key("q\"").string("x\"\\\n\x01\xff\xC3\xA9");
  writer.key("n").number(0.5).key("i").number(std::numeric_limits<double>::infinity());
  writer.key("b").boolean(false).key("z").null().key("r").raw("[3]");
  writer.end_object();
  const std::string text = writer.take();
  CHECK(text ==
        "{\"a\":[1,-2,{}],\"q\\\"\":\"x\\\"\\\\\\n\\u0001\uFFFD\u00E9\",\"n\":0.5,\"i\":null,\"b\":false,\"z\":null,"
        "\"r\":[3]}");
  CHECK(why_not_an_object(text) == std::nullopt);
}
