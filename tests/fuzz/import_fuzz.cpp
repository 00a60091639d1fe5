// Any file for `twinspool import`: however its bytes arrive, its lines are the same; what the daemon makes of the batch
// is what it would make of the file itself; and what `twinspool export` writes of that comes back as it was.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/telemetry_batch.h"
#include "ops/line_reader.h"
#include "ops/message_text.h"
#include "util/error.h"

namespace {

using namespace twinspool;

constexpr std::size_t kPieceBytes = 8 * 1024;  // what a packet of a socket holds for sure
constexpr std::size_t kPiecesMax = 8;          // and how many of them wait

// Lines as the reader gives them where standard input gives these pieces, one a read.
std::vector<std::string> read_lines(const std::vector<std::string_view>& pieces) {
  int ends[2];
  ENSURE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  for (const std::string_view piece : pieces)
    ENSURE(::send(ends[0], piece.data(), piece.size(), MSG_DONTWAIT) == static_cast<ssize_t>(piece.size()));
  ::close(ends[0]);
  ENSURE(::dup2(ends[1], STDIN_FILENO) == STDIN_FILENO);
  ::close(ends[1]);

  ops::Interrupt interrupt;
  Result<ops::LineReader> reader = ops::LineReader::open("-", interrupt);
  ENSURE(reader);
  std::vector<std::string> lines;
  for (;;) {
    Result<std::optional<std::string>> line = reader->next();
    ENSURE(line);
    if (!*line) return lines;
    lines.push_back(std::move(**line));
    ENSURE(reader->number() == lines.size());
  }
}

std::vector<std::string_view> in_pieces(std::string_view bytes, std::size_t size) {
  std::vector<std::string_view> pieces;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), size))) {
    if (pieces.size() + 1 == kPiecesMax) size = bytes.size();
    pieces.push_back(bytes.substr(0, size));
  }
  return pieces;
}

std::vector<std::string> reference_lines(std::string_view bytes) {
  std::vector<std::string> lines;
  while (!bytes.empty()) {
    lines.emplace_back(bytes.substr(0, bytes.find('\n')));
    bytes.remove_prefix(std::min(bytes.size(), lines.back().size() + 1));
  }
  return lines;
}

tl::expected<ingest::AcceptedBatch, ingest::ApiError> read_batch(std::string body) {
  http::Request request{.method = "POST",
                        .target = "/telemetry:batch",
                        .headers = {{"Content-Type", "application/x-ndjson"}},
                        .body = std::move(body)};
  return ingest::read_batch(std::move(request), IngestConfig{}, {}, WallTime{});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > kPieceBytes) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> lines = read_lines({bytes});
  ENSURE(lines == reference_lines(bytes));
  ENSURE(read_lines(in_pieces(bytes, 1)) == lines);
  ENSURE(read_lines(in_pieces(bytes, size / kPiecesMax + 1)) == lines);

  std::string sent;
  for (const std::string& line : lines)
    if (line.find_first_not_of(" \t\r") != std::string::npos) sent += line + "\n";
  const auto batch = read_batch(sent);
  const auto whole = read_batch(bytes);
  ENSURE(batch.has_value() == whole.has_value());
  if (!batch) return 0;
  ENSURE(batch->messages == whole->messages);

  std::string exported;
  std::vector<Telemetry> expected = batch->messages;
  for (Telemetry& telemetry : expected) {
    exported += ops::batch_line(telemetry);
    std::replace(telemetry.body.begin(), telemetry.body.end(), '\r', ' ');  // white space between tokens
  }
  const auto again = read_batch(exported);
  ENSURE(again && again->messages == expected);
  return 0;
}
