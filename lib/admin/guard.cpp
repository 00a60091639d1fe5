#include "admin/guard.h"

#include <string>
#include <string_view>

#include "admin/answers.h"
#include "config/loopback.h"

namespace twinspool::admin {

namespace {

std::string_view name_of(std::string_view host) {  // without the port
  const auto bracket = host.rfind(']');
  const auto colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return host.substr(0, colon);
}

bool is_own_name(std::string_view name, Door door) {
  if (is_loopback_host(name)) return true;
  return door == Door::socket && name.find_first_of(".[]") == std::string_view::npos;
}

// Of a page that this server gave out, or of no page at all.
bool is_of_this_site(const http::Request& request, std::string_view host) {
  const auto origin = request.headers.get("Origin");
  if (origin && *origin != "http://" + std::string(host)) return false;
  const auto site = request.headers.get("Sec-Fetch-Site");
  if (!site || *site == "same-origin" || *site == "none") return true;
  return request.method == "GET" && request.headers.get("Sec-Fetch-Mode") == "navigate" &&
         request.headers.get("Sec-Fetch-Dest") == "document";
}

}  // namespace

std::optional<http::Response> why_refused(const http::Request& request, Door door) {
  const std::string_view host = request.headers.get("Host").value_or("");
  if (!is_own_name(name_of(host), door))
    return error_response(
        403, "Forbidden",
        "Host: " + std::string(host) + " is not this machine's own name: localhost, 127.0.0.1 and [::1] are answered");
  if (!is_of_this_site(request, host))
    return error_response(403, "Forbidden", "the request comes from a page of another site");
  if (door == Door::tcp && request.method != "GET") {
    http::Response refusal = error_response(
        405, "MethodNotAllowed", "admin.http is for reading: GET; what changes something goes to the admin socket");
    refusal.headers.add("Allow", "GET");
    return refusal;
  }
  return std::nullopt;
}

}  // namespace twinspool::admin
