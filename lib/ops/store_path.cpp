#include "ops/store_path.h"

#include <unistd.h>

#include "config/load.h"
#include "ops/sockets.h"

namespace twinspool::ops {

Result<std::string> find_store(const std::string& given, const std::string& config) {
  if (!given.empty()) return given;
  if (config.empty() && access(kDefaultConfigPath, R_OK) != 0) return Config{}.store.path;
  const auto loaded = load_config(config.empty() ? kDefaultConfigPath : config);
  if (!loaded)
    return fail(Errc::invalid,
                "the configuration does not say where the queue is (name the file):\n" + loaded.error().what);
  return loaded->store.path;
}

}  // namespace twinspool::ops
