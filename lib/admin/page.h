// GET /: the operators' page, one HTML document without outside resources. It reads /status, /history, /lanes and
// /quarantine of the server it came from; that of the admin socket also retries.
//
// A nonce of each answer lets the browser run the page's own script and nothing that a message, a twin's name or an
// answer of the cloud might bring along (Content Security Policy Level 3).
#pragma once

#include "admin/guard.h"
#include "http/message.h"

namespace twinspool::admin {

http::Response page(Door door);

}  // namespace twinspool::admin
