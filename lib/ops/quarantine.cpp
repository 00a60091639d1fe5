#include "ops/quarantine.h"

#include <fmt/format.h>

#include <cstdio>
#include <functional>

#include "ops/admin_call.h"
#include "ops/message_text.h"
#include "ops/text.h"

namespace twinspool::ops {

namespace {

std::string text_of(const json::Document& page, std::size_t index, const char* name) {
  return page.value(fmt::format("messages.{}.{}", index, name)).value_or("");
}

tl::expected<json::Document, ExitCode> ask_page(const std::string& admin_socket, const std::string& query,
                                                std::string* raw = nullptr) {
  const auto response = ask_admin(admin_socket, "GET", "/quarantine" + query);
  if (!response) return tl::unexpected(response.error());
  auto page = json::Document::parse(response->body);
  if (!page) {
    std::fprintf(stderr, "twinspool: the daemon's answer is not JSON: %s\n", page.error().what.c_str());
    return tl::unexpected(kFailed);
  }
  if (raw != nullptr) *raw = response->body;
  return std::move(*page);
}

ExitCode for_each_page(const std::string& admin_socket,
                       const std::function<void(const json::Document&, const std::string& raw)>& use) {
  std::string after = "0";
  for (;;) {
    std::string raw;
    const auto page = ask_page(admin_socket, "?limit=100&after=" + after, &raw);
    if (!page) return page.error();
    const std::size_t count = page->size("messages");
    if (count == 0 && after != "0") return kDone;
    use(*page, raw);
    if (count == 0) return kDone;
    after = text_of(*page, count - 1, "sequence");
  }
}

}  // namespace

std::string render_quarantine(const json::Document& page) {
  std::string text;
  for (std::size_t i = 0; i < page.size("messages"); ++i)
    text += printable(fmt::format("{}  {}  {}  {}  HTTP {} {}  {}", text_of(page, i, "sequence"),
                                  text_of(page, i, "quarantined_at"), text_of(page, i, "twin"),
                                  text_of(page, i, "message_id"), text_of(page, i, "status"),
                                  text_of(page, i, "error_code"), text_of(page, i, "error_message"))) +
            "\n";
  return text;
}

std::string render_quarantined(const json::Document& page) {
  std::string text;
  for (const char* name : {"sequence", "twin", "component", "message_id", "source_time", "traceparent", "tracestate",
                           "accepted_at", "quarantined_at", "reason", "status", "error_code", "error_message",
                           "attempts", "replay_of", "retry_of", "body"}) {
    const std::string value = text_of(page, 0, name);
    if (!value.empty()) text += fmt::format("{:<15} {}\n", name, printable(value));
  }
  return text;
}

std::string export_quarantine(const json::Document& page) {
  std::string text;
  for (std::size_t i = 0; i < page.size("messages"); ++i)
    text += batch_line({.twin = text_of(page, i, "twin"),
                        .component = text_of(page, i, "component"),
                        .message_id = text_of(page, i, "message_id"),
                        .source_time = text_of(page, i, "source_time"),
                        .traceparent = text_of(page, i, "traceparent"),
                        .tracestate = text_of(page, i, "tracestate"),
                        .body = text_of(page, i, "body")});
  return text;
}

ExitCode run_quarantine_list(const std::string& admin_socket, bool json) {
  return for_each_page(admin_socket, [&](const json::Document& page, const std::string& raw) {
    std::fputs(json ? (raw + "\n").c_str() : render_quarantine(page).c_str(), stdout);
  });
}

ExitCode run_quarantine_show(std::uint64_t sequence, const std::string& admin_socket, bool json) {
  std::string raw;
  const std::uint64_t after = sequence > 0 ? sequence - 1 : 0;
  const auto page = ask_page(admin_socket, fmt::format("?limit=1&after={}", after), &raw);
  if (!page) return page.error();
  if (text_of(*page, 0, "sequence") != std::to_string(sequence)) {
    std::fprintf(stderr, "twinspool: %s is not in the quarantine\n", std::to_string(sequence).c_str());
    return kFailed;
  }
  std::fputs(json ? (raw + "\n").c_str() : render_quarantined(*page).c_str(), stdout);
  return kDone;
}

ExitCode run_quarantine_export(const std::string& admin_socket) {
  return for_each_page(admin_socket, [](const json::Document& page, const std::string&) {
    std::fputs(export_quarantine(page).c_str(), stdout);
  });
}

}  // namespace twinspool::ops
