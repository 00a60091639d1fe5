// The cloud's answers as they were recorded from the real service, and the reading of its request targets. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "spool/telemetry.h"
#include "support/standin_faults.h"

namespace twinspool::test {

// {"error":{"code","message"}} with x-ms-error-code; without a code neither of them.
http::Response error_answer(int status, std::string_view code, std::string_view message);
http::Response unauthorized_answer();  // the odd shape of a 401
http::Response fault_answer(const Fault& fault);
http::Response text_answer(int status, std::string_view content_type, std::string body);

// The head of a 204 with everything the real one has, `Content-Length: 0` included, which RFC 9110 forbids.
std::string accepted_answer(std::string_view traceparent);

// twin and component where the path is one of SendTelemetry's two.
std::optional<Telemetry> telemetry_target(std::string_view target);
// The percent-decoded value of a query parameter, or of a form body's field.
std::optional<std::string> query_value(std::string_view target, std::string_view name);
std::optional<std::string> form_value(std::string_view form, std::string_view name);
std::string_view path_of(std::string_view target);

}  // namespace twinspool::test
