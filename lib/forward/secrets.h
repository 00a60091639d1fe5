// A peer may send back what it was sent: no text of it is shown before this. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace twinspool::forward {

// `text` with every occurrence of each secret, as it is and as a form has it, replaced by [secret]. Before any cut,
// which might leave a part of one.
std::string without_secrets(std::string text, const std::vector<std::string>& secrets);

}  // namespace twinspool::forward
