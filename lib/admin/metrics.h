// What GET /metrics says: the components' own figures in Prometheus' text format. Pure.
//
// accepted = queued + delivered + quarantined + dropped, in every answer: these come from the figures that are on disk,
// so also after a crash. The other counters begin with the process.
#pragma once

#include <string>

#include "admin/status.h"

namespace twinspool::admin {

constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

std::string metrics_text(const Facts& facts);

}  // namespace twinspool::admin
