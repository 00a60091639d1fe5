#include "ops/store_path.h"

#include <unistd.h>

#include <cerrno>

#include "config/load.h"
#include "ops/sockets.h"
#include "spool/read_thread.h"
#include "spool/schema.h"

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

Result<sqlite::Database> open_store(const std::string& path) {
  if (access(path.c_str(), F_OK) != 0 && errno == ENOENT)
    return fail(Errc::invalid, "there is no queue at " + path + ": give --config, or --store FILE");
  Result<sqlite::Database> database = open_for_questions(path);
  const Result<std::int64_t> id =
      database ? database->integer("PRAGMA application_id") : tl::unexpected(database.error());
  if (!id && id.error().code == Errc::corrupt)
    return fail(Errc::corrupt, path + " is damaged, or no queue: " + id.error().what + ": twinspool check says more");
  if (!id)
    return fail(id.error().code,
                path + ": " + id.error().what + ": be in the group that may read it (twinspool), or use sudo");
  if (*id != kApplicationId) return fail(Errc::invalid, path + " is not a queue of twinspool");
  return database;
}

}  // namespace twinspool::ops
