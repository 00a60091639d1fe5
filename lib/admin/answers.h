// The shapes of the admin API's answers. Pure.
#pragma once

#include <string>
#include <string_view>

#include "http/message.h"

namespace twinspool::admin {

http::Response json_response(int status, std::string body);

// {"error":{"code","message"}}, as the message socket's errors.
http::Response error_response(int status, std::string_view code, std::string_view message);

}  // namespace twinspool::admin
