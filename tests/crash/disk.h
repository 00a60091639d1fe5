// A disk in memory with the calls that a store makes, as Linux has them. What is read is what was written, as through a
// page cache; what was written and when it was synced is recorded, so that somebody can ask what a power cut would have
// left (crash/timeline.h). crash/posix.h puts it under the real calls. One thread.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "crash/image.h"

namespace twinspool::crash {

class Disk {
 public:
  // Every call that may fail asks it, in order: an errno, or 0 for none.
  enum class Call : std::uint8_t {
    open,
    read,
    write,
    resize,
    sync,
    name,
    look
  };  // name: rename, link, unlink, mkdir...
  struct Answer {
    int error = 0;
    bool cut = false;  // a write takes half of its bytes
  };
  using Faults = std::function<Answer(Call call, const std::string& name)>;

  // `synced`: what it answers a sync with that it never makes durable: a liar. Only those of which it returns true.
  using Lies = std::function<bool(const std::string& name, bool directory)>;

  explicit Disk(Image image);
  Disk(Disk&&) = delete;

  const Image& image() const { return image_; }
  Image& image_to_damage() { return image_; }  // unrecorded, while nobody uses it
  std::size_t recorded() const { return ops_.size(); }
  const std::vector<Op>& ops() const { return ops_; }
  void set_faults(Faults faults) { faults_ = std::move(faults); }
  void set_lies(Lies lies) { lies_ = std::move(lies); }
  // The process that used it dies: its calls change nothing any more. Then the next one may come.
  void freeze() { frozen_ = true; }
  void thaw();  // what it had open is closed
  std::uint64_t calls() const { return calls_; }
  // How many operations were recorded when the newest change of a WAL was made durable: a commit returned then,
  // whatever came behind it. Everything where no WAL was changed after `from`.
  std::size_t committed_at(std::size_t from) const;
  std::uint64_t free_bytes() const { return free_bytes_; }
  void set_free_bytes(std::uint64_t bytes) { free_bytes_ = bytes; }

  // As the calls of the same names; below 0 it is an errno. Paths start at the disk's root.
  int open(const std::string& path, int flags);
  int close(int file);
  long read(int file, char* to, std::size_t count);
  long read_at(int file, char* to, std::size_t count, std::uint64_t offset);
  long write(int file, std::string_view bytes);
  long write_at(int file, std::string_view bytes, std::uint64_t offset);
  int sync(int file);
  int resize(int file, std::uint64_t size);
  int allocate(int file, std::uint64_t size);
  int rename(const std::string& from, const std::string& to);
  int link(const std::string& from, const std::string& to);
  int symlink(const std::string& target, const std::string& path);
  int unlink(const std::string& path);
  int mkdir(const std::string& path);
  int rmdir(const std::string& path);
  long readlink(const std::string& path, char* to, std::size_t count);
  int stat(const std::string& path, bool follow, struct stat& info);
  int fstat(int file, struct stat& info);
  char* map(int file, std::uint64_t offset, std::size_t count);  // shared memory: never durable
  bool is_mapping(const void* memory) const;
  std::vector<std::string> entries(int directory);  // of an open one

 private:
  struct Open {
    NodeId node = 0;
    std::string name;
    std::uint64_t at = 0;
  };
  struct Place {
    int error = 0;
    NodeId directory = 0;
    std::string name;
    std::optional<NodeId> node;
  };
  Place resolve(const std::string& path, bool follow, int links = 0);
  Answer ask(Call call, const std::string& name);
  Open* opened(int file);
  void record(Op op, const std::string& name);
  void change(std::vector<Op::Entry> entries);
  Op::Entry entry(const Place& place, std::optional<NodeId> node) const;
  void describe(NodeId id, struct stat& info) const;

  Image image_;
  std::vector<Op> ops_;
  std::map<int, Open> files_;
  const std::uint64_t number_;  // SQLite knows files by it and their node, in the whole process
  std::map<std::pair<NodeId, std::uint64_t>, std::vector<char>> mappings_;
  std::set<NodeId> wals_;
  Faults faults_;
  Lies lies_;
  bool frozen_ = false;
  std::uint64_t calls_ = 0;
  std::uint64_t free_bytes_ = std::uint64_t{64} << 30;
};

constexpr int kFirstFile = 1 << 20;  // above any descriptor of the kernel's

}  // namespace twinspool::crash
