#include "forward/secrets.h"

#include "forward/form.h"

namespace twinspool::forward {

std::string without_secrets(std::string text, const std::vector<std::string>& secrets) {
  const auto replace = [&text](const std::string& secret) {
    if (secret.empty()) return;
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at)) {
      text.replace(at, secret.size(), "[secret]");
      at += std::string_view("[secret]").size();
    }
  };
  for (const std::string& secret : secrets) {
    replace(secret);
    replace(form_encoded(secret));
  }
  return text;
}

}  // namespace twinspool::forward
