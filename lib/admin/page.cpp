#include "admin/page.h"

#include <string>
#include <string_view>

#include "util/base64.h"
#include "util/digest.h"

namespace twinspool {

extern const std::string_view admin_page_html;  // page.html

namespace admin {
namespace {

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

std::string random_nonce() {
  const DigestKey random = random_digest_key();
  return base64({reinterpret_cast<const char*>(random.data()), random.size()});
}

}  // namespace

http::Response page(Door door) {
  const std::string nonce = random_nonce();
  std::string html = replaced(std::string(admin_page_html), "@DOOR@", door == Door::socket ? "socket" : "tcp");
  return {.status = 200,
          .headers = {{"Content-Type", "text/html; charset=utf-8"},
                      {"Content-Security-Policy", "default-src 'none'; script-src 'nonce-" + nonce +
                                                      "'; style-src 'nonce-" + nonce +
                                                      "'; connect-src 'self'; img-src data:; base-uri 'none'; "
                                                      "form-action 'none'; frame-ancestors 'none'"},
                      {"Referrer-Policy", "no-referrer"}},
          .body = replaced(std::move(html), "@NONCE@", nonce)};
}

}  // namespace admin
}  // namespace twinspool
