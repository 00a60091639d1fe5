#include "crash/disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace twinspool::crash {
namespace {

constexpr int kLinksMax = 10;
std::uint64_t disks = 0;
int next_file = kFirstFile;  // never given twice, so that a dead process cannot close what another has open

bool is_open_for_reading_only(int flags) { return (flags & O_ACCMODE) == O_RDONLY; }

}  // namespace

Disk::Disk(Image image) : image_(std::move(image)), number_(++disks) {}

void Disk::thaw() {
  files_.clear();
  mappings_.clear();
  frozen_ = false;
}

Disk::Answer Disk::ask(Call call, const std::string& name) {
  if (frozen_) return {EIO};
  ++calls_;
  return faults_ ? faults_(call, name) : Answer{};
}

Disk::Open* Disk::opened(int file) {
  const auto found = files_.find(file);
  return found == files_.end() ? nullptr : &found->second;
}

void Disk::record(Op op, const std::string& name) {
  image_.apply(op);
  if (!is_volatile(name)) ops_.push_back(std::move(op));
}

void Disk::change(std::vector<Op::Entry> entries) {
  const std::string name = entries.back().name;
  Op op;
  op.kind = Op::Kind::entries;
  op.entries = std::move(entries);
  record(std::move(op), name);
}

Op::Entry Disk::entry(const Place& place, std::optional<NodeId> node) const {
  Op::Entry entry{.directory = place.directory, .name = place.name, .node = node};
  if (node) {
    entry.kind = image_.node(*node).kind;
    entry.target = image_.node(*node).target;
  }
  return entry;
}

Disk::Place Disk::resolve(const std::string& path, bool follow, int links) {
  Place place;
  if (links > kLinksMax) return {.error = ELOOP};
  NodeId at = kRoot;
  std::string directory;
  std::size_t begin = path.find_first_not_of('/');
  if (begin == std::string::npos) return {.directory = kRoot, .name = ".", .node = kRoot};
  for (;;) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::size_t next = path.find_first_not_of('/', end);
    const std::string name = path.substr(begin, end - begin);
    const Node& parent = image_.node(at);
    if (parent.kind != Node::Kind::directory) return {.error = ENOTDIR};
    const auto found = parent.entries.find(name);
    const bool last = next == std::string::npos;
    if (found == parent.entries.end()) {
      if (!last) return {.error = ENOENT};
      return {.directory = at, .name = name};
    }
    const Node& node = image_.node(found->second);
    if (node.kind == Node::Kind::link && (!last || follow)) {
      const std::string rest = last ? "" : path.substr(end);
      return resolve(directory + "/" + node.target + rest, follow, links + 1);
    }
    if (last) return {.directory = at, .name = name, .node = found->second};
    at = found->second;
    directory += "/" + name;
    begin = next;
  }
}

int Disk::open(const std::string& path, int flags) {
  Place place = resolve(path, (flags & O_NOFOLLOW) == 0);
  if (const Answer answer = ask(Call::open, place.name); answer.error != 0) return -answer.error;
  if (place.error != 0) return -place.error;
  if (!place.node) {
    if ((flags & O_CREAT) == 0) return -ENOENT;
    place.node = image_.add(Node::Kind::file);
    change({entry(place, place.node)});
  } else if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) {
    return -EEXIST;
  }
  const Node::Kind kind = image_.node(*place.node).kind;
  if (kind == Node::Kind::link) return -ELOOP;
  if (kind == Node::Kind::directory && !is_open_for_reading_only(flags)) return -EISDIR;
  if (kind != Node::Kind::directory && (flags & O_DIRECTORY) != 0) return -ENOTDIR;
  if (place.name.ends_with("-wal")) wals_.insert(*place.node);
  const int number = next_file++;
  files_.emplace(number, Open{.node = *place.node, .name = place.name});
  if ((flags & O_TRUNC) != 0 && image_.node(*place.node).content.size() > 0) (void)resize(number, 0);
  return number;
}

int Disk::close(int file) { return files_.erase(file) == 1 ? 0 : -EBADF; }

long Disk::read(int file, char* to, std::size_t count) {
  Open* open = opened(file);
  if (open == nullptr) return -EBADF;
  const long got = read_at(file, to, count, open->at);
  if (got > 0) open->at += static_cast<std::uint64_t>(got);
  return got;
}

long Disk::read_at(int file, char* to, std::size_t count, std::uint64_t offset) {
  Open* open = opened(file);
  if (open == nullptr) return -EBADF;
  if (const Answer answer = ask(Call::read, open->name); answer.error != 0) return -answer.error;
  return static_cast<long>(image_.node(open->node).content.read(offset, to, count));
}

long Disk::write(int file, std::string_view bytes) {
  Open* open = opened(file);
  if (open == nullptr) return -EBADF;
  const long done = write_at(file, bytes, open->at);
  if (done > 0) open->at += static_cast<std::uint64_t>(done);
  return done;
}

long Disk::write_at(int file, std::string_view bytes, std::uint64_t offset) {
  Open* open = opened(file);
  if (open == nullptr) return -EBADF;
  const Answer answer = ask(Call::write, open->name);
  if (answer.error != 0) return -answer.error;
  if (answer.cut && bytes.size() > 1) bytes = bytes.substr(0, bytes.size() / 2);
  Op op;
  op.kind = Op::Kind::write;
  op.node = open->node;
  op.offset = offset;
  op.bytes = std::make_shared<const std::string>(bytes);
  record(std::move(op), open->name);
  return static_cast<long>(bytes.size());
}

int Disk::sync(int file) {
  Open* open = opened(file);
  if (open == nullptr) return -EBADF;
  const Answer answer = ask(Call::sync, open->name);
  const bool directory = image_.node(open->node).kind == Node::Kind::directory;
  if (answer.error == 0 && lies_ && lies_(open->name, directory)) return 0;
  Op op;
  op.kind = answer.error == 0 ? Op::Kind::sync : Op::Kind::failed_sync;
  op.node = open->node;
  if (!frozen_) record(std::move(op), open->name);
  return -answer.error;
}

int Disk::resize(int file, std::uint64_t size) {
  Open* open = opened(file);
  if (open == nullptr) return -EBADF;
  if (const Answer answer = ask(Call::resize, open->name); answer.error != 0) return -answer.error;
  for (auto& [place, bytes] : mappings_)
    if (place.first == open->node) std::fill(bytes.begin(), bytes.end(), '\0');
  Op op;
  op.kind = Op::Kind::resize;
  op.node = open->node;
  op.offset = size;
  record(std::move(op), open->name);
  return 0;
}

int Disk::allocate(int file, std::uint64_t size) {
  Open* open = opened(file);
  if (open == nullptr) return -EBADF;
  return size > image_.node(open->node).content.size() ? resize(file, size) : 0;
}

int Disk::rename(const std::string& from, const std::string& to) {
  const Place source = resolve(from, false);
  Place target = resolve(to, false);
  if (const Answer answer = ask(Call::name, target.name); answer.error != 0) return -answer.error;
  if (source.error != 0 || target.error != 0) return -std::max(source.error, target.error);
  if (!source.node) return -ENOENT;
  change({entry(source, std::nullopt), entry(target, source.node)});
  return 0;
}

int Disk::link(const std::string& from, const std::string& to) {
  const Place source = resolve(from, false);
  const Place target = resolve(to, false);
  if (const Answer answer = ask(Call::name, target.name); answer.error != 0) return -answer.error;
  if (source.error != 0 || target.error != 0) return -std::max(source.error, target.error);
  if (!source.node) return -ENOENT;
  if (target.node) return -EEXIST;
  change({entry(target, source.node)});
  return 0;
}

int Disk::symlink(const std::string& target, const std::string& path) {
  const Place place = resolve(path, false);
  if (const Answer answer = ask(Call::name, place.name); answer.error != 0) return -answer.error;
  if (place.error != 0) return -place.error;
  if (place.node) return -EEXIST;
  change({entry(place, image_.add(Node::Kind::link, target))});
  return 0;
}

int Disk::unlink(const std::string& path) {
  const Place place = resolve(path, false);
  if (const Answer answer = ask(Call::name, place.name); answer.error != 0) return -answer.error;
  if (place.error != 0) return -place.error;
  if (!place.node) return -ENOENT;
  if (image_.node(*place.node).kind == Node::Kind::directory) return -EISDIR;
  change({entry(place, std::nullopt)});
  return 0;
}

int Disk::mkdir(const std::string& path) {
  const Place place = resolve(path, false);
  if (const Answer answer = ask(Call::name, place.name); answer.error != 0) return -answer.error;
  if (place.error != 0) return -place.error;
  if (place.node) return -EEXIST;
  change({entry(place, image_.add(Node::Kind::directory))});
  return 0;
}

int Disk::rmdir(const std::string& path) {
  const Place place = resolve(path, false);
  if (const Answer answer = ask(Call::name, place.name); answer.error != 0) return -answer.error;
  if (place.error != 0) return -place.error;
  if (!place.node) return -ENOENT;
  if (image_.node(*place.node).kind != Node::Kind::directory) return -ENOTDIR;
  if (!image_.node(*place.node).entries.empty()) return -ENOTEMPTY;
  change({entry(place, std::nullopt)});
  return 0;
}

long Disk::readlink(const std::string& path, char* to, std::size_t count) {
  const Place place = resolve(path, false);
  if (place.error != 0) return -place.error;
  if (!place.node) return -ENOENT;
  const Node& node = image_.node(*place.node);
  if (node.kind != Node::Kind::link) return -EINVAL;
  const std::size_t got = std::min(count, node.target.size());
  std::memcpy(to, node.target.data(), got);
  return static_cast<long>(got);
}

void Disk::describe(NodeId id, struct stat& info) const {
  const Node& node = image_.node(id);
  std::memset(&info, 0, sizeof info);
  info.st_dev = number_;
  info.st_ino = id;
  for (const auto& [other, one] : image_.nodes())
    for (const auto& [name, entry] : one.entries) info.st_nlink += entry == id ? 1u : 0u;
  info.st_mode = node.kind == Node::Kind::file   ? S_IFREG | 0640u
                 : node.kind == Node::Kind::link ? S_IFLNK | 0777u
                                                 : S_IFDIR | 0750u;
  static const uid_t owner = ::geteuid();
  static const gid_t group = ::getegid();
  info.st_uid = owner;
  info.st_gid = group;
  info.st_size = static_cast<off_t>(node.content.size());
  info.st_blksize = kBlockBytes;
  info.st_blocks = static_cast<blkcnt_t>((node.content.size() + 511) / 512);
}

int Disk::stat(const std::string& path, bool follow, struct stat& info) {
  const Place place = resolve(path, follow);
  if (const Answer answer = ask(Call::look, place.name); answer.error != 0) return -answer.error;
  if (place.error != 0) return -place.error;
  if (!place.node) return -ENOENT;
  describe(*place.node, info);
  return 0;
}

int Disk::fstat(int file, struct stat& info) {
  Open* open = opened(file);
  if (open == nullptr) return -EBADF;
  if (const Answer answer = ask(Call::look, open->name); answer.error != 0) return -answer.error;
  describe(open->node, info);
  return 0;
}

char* Disk::map(int file, std::uint64_t offset, std::size_t count) {
  Open* open = opened(file);
  if (open == nullptr || frozen_) return nullptr;
  std::vector<char>& bytes = mappings_[{open->node, offset}];
  if (bytes.size() < count) bytes.resize(count);
  return bytes.data();
}

bool Disk::is_mapping(const void* memory) const {
  return std::any_of(mappings_.begin(), mappings_.end(), [&](const auto& one) { return one.second.data() == memory; });
}

std::size_t Disk::committed_at(std::size_t from) const {
  std::size_t at = ops_.size();
  for (std::size_t i = ops_.size(); i > from; --i) {
    const Op& op = ops_[i - 1];
    if (!wals_.contains(op.node)) continue;
    if (op.kind == Op::Kind::write) return at;
    if (op.kind == Op::Kind::sync) at = i;
  }
  return ops_.size();
}

std::vector<std::string> Disk::entries(int directory) {
  std::vector<std::string> names;
  if (Open* open = opened(directory))
    for (const auto& [name, entry] : image_.node(open->node).entries) names.push_back(name);
  return names;
}

}  // namespace twinspool::crash
