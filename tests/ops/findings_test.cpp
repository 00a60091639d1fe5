#include "ops/findings.h"

#include <sstream>

#include "support/catch.h"
#include "util/json.h"

using namespace twinspool;
using namespace twinspool::ops;

TEST_CASE("an error of the network is taken apart into what failed and what to do", "[ops][doctor]") {
  const Finding split = broken_by("dns", "cannot look up 'x'; check forward.endpoint", "unused");
  CHECK(split.text == "cannot look up 'x'");
  CHECK(split.remedy == "check forward.endpoint");
  CHECK(broken_by("dns", "cannot look up 'x'", "do this").remedy == "do this");
  const Finding several =
      broken_by("tcp", "cannot connect to a: refused; cannot connect to b: refused; check the port; or x", "");
  CHECK(several.text == "cannot connect to a: refused; cannot connect to b: refused");
  CHECK(several.remedy == "check the port; or x");
}

TEST_CASE("a finding has lines of 80 columns, its remedy below it, and nothing that moves the cursor",
          "[ops][doctor]") {
  const std::string text =
      render_finding(broken("tls", std::string(100, 'a') + " \x1b[2J " + std::string(70, 'b'), "mend it"), Colour::off);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 80);
  CHECK(text.find("tls       BROKEN  aaa") == 0);
  CHECK(text.find("              do: mend it\n") != std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(render_finding(good("dns", "x"), Colour::on) == "dns       \033[1;32mok      \033[0mx\n");
  CHECK(render_finding(skipped("tls", "x"), Colour::on) == "tls       -       x\n");
}

TEST_CASE("the verdict names the first broken step, for people and for programs", "[ops][doctor]") {
  std::vector<Finding> findings = {good("config", "x"), warning("daemon", "y", "start it")};
  CHECK(render_verdict(findings) == "\nNothing is broken; see the warnings.\n");
  CHECK(json::Document::parse(findings_json(findings))->value("healthy") == "true");
  findings.push_back(broken("clock", "z", "set it"));
  findings.push_back(broken("tls", "z", "wait"));
  CHECK(render_verdict(findings) == "\nThe first broken step is clock.\n");
  const auto document = json::Document::parse(findings_json(findings));
  REQUIRE(document.has_value());
  CHECK(document->value("healthy") == "false");
  CHECK(document->value("broken") == "clock");
  CHECK(document->value("steps.1.result") == "warning");
  CHECK(document->value("steps.2.remedy") == "set it");
}
