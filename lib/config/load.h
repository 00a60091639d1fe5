// twinspool.yaml → Config. Unknown keys, wrong units, impossible combinations and features that this version does not
// have yet are refused with `file:line:column: key: what is wrong; what is accepted`, all of them at once, not only the
// first.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "util/error.h"

namespace twinspool {

Result<Config> load_config(const std::string& path);  // Errc::invalid; `what` may have several lines
Result<Config> parse_config(const std::string& yaml,
                            const std::string& name);  // `name` stands for the file in messages

// Every key that is read, in the order of the manual, list entries as []: forward.tls.ca_file, listen[].path, and the
// sections.
std::vector<std::string> config_keys();

// Whether a reload may go from one to the other while running; else which keys need a restart.
std::vector<std::string> keys_that_need_restart(const Config& running, const Config& wanted);

}  // namespace twinspool
