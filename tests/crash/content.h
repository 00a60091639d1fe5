// The bytes of a file, in pages that copies share: a state of the disk differs from the next by a few of them, and
// there are a million to make.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace twinspool::crash {

constexpr std::uint64_t kBlockBytes = 4096;

class Content {
 public:
  std::uint64_t size() const { return size_; }
  std::size_t read(std::uint64_t offset, char* to, std::size_t count) const;  // less at the end of the file
  void write(std::uint64_t offset, std::string_view bytes);                   // a hole before it reads as zeros
  void resize(std::uint64_t size);
  std::uint64_t hash() const;
  std::string text() const;

 private:
  struct Block {
    std::array<char, kBlockBytes> bytes{};
    mutable std::uint64_t hash = 0;  // 0: not computed
  };
  Block& to_write(std::size_t index);

  std::uint64_t size_ = 0;
  std::vector<std::shared_ptr<Block>> blocks_;  // none, or fewer than the size says: zeros
};

// Good enough to tell states apart, and fast. Never 0.
std::uint64_t hash_of(std::string_view bytes, std::uint64_t seed = 0);
std::uint64_t mixed(std::uint64_t hash, std::uint64_t value);

}  // namespace twinspool::crash
