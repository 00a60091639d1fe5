// When a sender that was refused because the queue is full should come again: when as much has left as opens it. Pure.
#pragma once

#include "config/config.h"
#include "spool/forecast.h"
#include "spool/spool.h"
#include "util/time.h"

namespace twinspool::ingest {

constexpr Duration kRetryWhenFullUnknown = std::chrono::seconds(30);  // nothing leaves, or nobody knows how fast
constexpr Duration kRetryWhenFullMin = std::chrono::seconds(1);
constexpr Duration kRetryWhenFullMax = std::chrono::minutes(10);

Duration retry_when_full(const SpoolStats& spool, const Outlook& outlook, const StoreConfig& limits);

}  // namespace twinspool::ingest
