// config/twinspool.yaml is the manual of the keys: here it is held to what the parser does.
#include <algorithm>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>

#include "config/load.h"
#include "support/catch.h"

using namespace twinspool;

namespace {

std::string example() {
  std::ifstream file(TWINSPOOL_SOURCE_DIR "/config/twinspool.yaml");
  REQUIRE(file);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string with_defaults_uncommented() {
  static const std::regex commented_key("^( *)# ( *(- )?[a-z_]+:( .*)?)$");
  std::istringstream lines(example());
  std::string result;
  for (std::string line; std::getline(lines, line);) result += std::regex_replace(line, commented_key, "$1$2") + "\n";
  return result;
}

}  // namespace

TEST_CASE("the example configuration changes nothing", "[config][example]") {
  const auto config = parse_config(example(), "twinspool.yaml");
  if (!config) FAIL(config.error().what);
  CHECK(*config == Config{});
}

TEST_CASE("the example's commented values are the defaults", "[config][example]") {
  const auto config = parse_config(with_defaults_uncommented(), "twinspool.yaml");
  if (!config) FAIL(config.error().what);
  CHECK(*config == Config{});
}

TEST_CASE("the example shows every key once and in the parser's order", "[config][example]") {
  const std::string text = with_defaults_uncommented();
  std::vector<std::string> shown;
  std::istringstream lines(text);
  static const std::regex key("^ *(- )?([a-z_]+):.*");
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, key)) shown.push_back(match[2]);
  }
  std::vector<std::string> read;
  for (const std::string& full : config_keys()) read.push_back(full.substr(full.rfind('.') + 1));
  CHECK(shown == read);
}
