#include "admin/answers.h"

#include "util/json.h"

namespace twinspool::admin {

http::Response json_response(int status, std::string body) {
  return {.status = status, .headers = {{"Content-Type", "application/json; charset=utf-8"}}, .body = std::move(body)};
}

http::Response error_response(int status, std::string_view code, std::string_view message) {
  json::Writer out;
  out.begin_object().key("error").begin_object();
  out.key("code").string(code).key("message").string(message);
  out.end_object().end_object();
  return json_response(status, out.take());
}

}  // namespace twinspool::admin
