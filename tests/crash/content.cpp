#include "crash/content.h"

#include <algorithm>
#include <cstring>

namespace twinspool::crash {
namespace {

constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15;

}  // namespace

std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * kFactor;
  return hash ^ hash >> 29;
}

std::uint64_t hash_of(std::string_view bytes, std::uint64_t seed) {
  std::uint64_t hash = mixed(seed, bytes.size());
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    hash = mixed(hash, word);
    bytes.remove_prefix(8);
  }
  std::uint64_t rest = 0;
  if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
  return mixed(hash, rest) | 1;
}

std::size_t Content::read(std::uint64_t offset, char* to, std::size_t count) const {
  if (offset >= size_) return 0;
  const auto got = static_cast<std::size_t>(std::min<std::uint64_t>(count, size_ - offset));
  for (std::size_t done = 0; done < got;) {
    const std::size_t index = (offset + done) / kBlockBytes;
    const std::size_t within = (offset + done) % kBlockBytes;
    const std::size_t part = std::min(got - done, static_cast<std::size_t>(kBlockBytes) - within);
    if (index < blocks_.size() && blocks_[index])
      std::memcpy(to + done, blocks_[index]->bytes.data() + within, part);
    else
      std::memset(to + done, 0, part);
    done += part;
  }
  return got;
}

Content::Block& Content::to_write(std::size_t index) {
  if (index >= blocks_.size()) blocks_.resize(index + 1);
  std::shared_ptr<Block>& block = blocks_[index];
  if (!block)
    block = std::make_shared<Block>();
  else if (block.use_count() > 1)
    block = std::make_shared<Block>(*block);
  block->hash = 0;
  return *block;
}

void Content::write(std::uint64_t offset, std::string_view bytes) {
  if (bytes.empty()) return;
  size_ = std::max<std::uint64_t>(size_, offset + bytes.size());
  while (!bytes.empty()) {
    const std::size_t within = offset % kBlockBytes;
    const std::size_t part = std::min(bytes.size(), static_cast<std::size_t>(kBlockBytes) - within);
    std::memcpy(to_write(offset / kBlockBytes).bytes.data() + within, bytes.data(), part);
    offset += part;
    bytes.remove_prefix(part);
  }
}

void Content::resize(std::uint64_t size) {
  if (size < size_) {
    const std::uint64_t blocks = (size + kBlockBytes - 1) / kBlockBytes;
    if (blocks < blocks_.size()) blocks_.resize(blocks);
    const std::size_t within = size % kBlockBytes;
    if (within != 0 && size / kBlockBytes < blocks_.size() && blocks_[size / kBlockBytes]) {
      Block& last = to_write(size / kBlockBytes);
      std::memset(last.bytes.data() + within, 0, kBlockBytes - within);
    }
  }
  size_ = size;
}

std::uint64_t Content::hash() const {
  std::uint64_t hash = mixed(1, size_);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (!blocks_[i]) continue;
    const Block& block = *blocks_[i];
    if (block.hash == 0) block.hash = hash_of({block.bytes.data(), block.bytes.size()});
    hash = mixed(mixed(hash, i), block.hash);
  }
  return hash;
}

std::string Content::text() const {
  std::string all(size_, '\0');
  read(0, all.data(), all.size());
  return all;
}

}  // namespace twinspool::crash
