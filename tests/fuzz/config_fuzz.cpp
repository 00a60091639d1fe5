// Any bytes are a configuration or a refusal with a text, never a crash.
#include <cstddef>
#include <cstdint>
#include <string>

#include "config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string yaml(reinterpret_cast<const char*>(data), size);
  const auto config = twinspool::parse_config(yaml, "fuzz.yaml");
  if (config) {
    ENSURE(!config->listen.empty());
    ENSURE(twinspool::keys_that_need_restart(*config, *config).empty());
  } else {
    ENSURE(config.error().code == twinspool::Errc::invalid);
    ENSURE(config.error().what.starts_with("fuzz.yaml:"));
  }
  return 0;
}
