#include "ingest/access.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <tuple>

#include "ingest/telemetry_target.h"
#include "ingest/text.h"

namespace twinspool::ingest {
namespace {

constexpr std::size_t kEntryBytesMax = 64 * 1024;  // of a group with many members

std::optional<std::uint32_t> number_in(const std::string& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::uint32_t> user_number(const std::string& user) {
  if (const auto number = number_in(user)) return number;
  std::string text(kEntryBytesMax, '\0');
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(user.c_str(), &entry, text.data(), text.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return found->pw_uid;
}

std::optional<std::uint32_t> group_number(const std::string& group) {
  if (const auto number = number_in(group)) return number;
  std::string text(kEntryBytesMax, '\0');
  ::group entry{};
  ::group* found = nullptr;
  if (::getgrnam_r(group.c_str(), &entry, text.data(), text.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return found->gr_gid;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

std::string seen_as(const net::PeerCredentials& peer) {
  std::string text = "uid " + std::to_string(peer.uid) + ", gid " + std::to_string(peer.gid);
  std::string groups;
  for (const gid_t group : peer.groups) groups += (groups.empty() ? "" : ", ") + std::to_string(group);
  if (!groups.empty()) text += ", groups " + groups;
  return text + ", pid " + std::to_string(peer.pid);
}

tl::unexpected<ApiError> forbidden(std::string message) { return refuse(403, "Forbidden", std::move(message)); }

}  // namespace

Result<Access> Access::of(const ListenConfig& config) {
  Access access;
  access.socket_ = config.path;
  std::vector<std::string> allowed;
  for (const auto& [names, what, number_of, numbers] :
       {std::tuple{&config.allow_users, "user ", &user_number, &access.users_},
        std::tuple{&config.allow_groups, "group ", &group_number, &access.groups_}}) {
    for (const std::string& name : *names) {
      const std::optional<std::uint32_t> number = number_of(name);
      if (!number)
        return fail(Errc::invalid,
                    "there is no " + (what + name) + ", whom the socket " + config.path + " should let in");
      numbers->push_back(*number);
      const std::string text = std::to_string(*number);
      allowed.push_back(what + (text == name ? text : name + " (" + text + ")"));
    }
  }
  access.every_peer_ = allowed.empty();
  access.allowed_ = joined(allowed);
  const bool every_twin = std::find(config.twins.begin(), config.twins.end(), "*") != config.twins.end();
  if (!every_twin) access.twins_ = config.twins;
  return access;
}

Checked Access::check_peer(const net::PeerCredentials& peer) const {
  if (every_peer_) return {};
  const auto has = [](const auto& numbers, auto number) {
    return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
  };
  if (has(users_, peer.uid) || has(groups_, peer.gid)) return {};
  if (std::any_of(peer.groups.begin(), peer.groups.end(), [&](gid_t group) { return has(groups_, group); })) return {};
  return forbidden("the socket " + socket_ + " takes messages of " + allowed_ + ", and you are seen as " +
                   seen_as(peer));
}

Checked Access::check_twin(std::string_view twin) const {
  if (every_twin()) return {};
  const std::string name = decoded_or_raw(twin);
  if (std::any_of(twins_.begin(), twins_.end(), [&](const std::string& glob) { return matches(glob, name); }))
    return {};
  return forbidden("the socket " + socket_ + " takes messages of the twins " + joined(twins_) + ", and not of " +
                   quoted(name));
}

bool matches(std::string_view glob, std::string_view text) {
  std::size_t at = 0;
  std::size_t in_text = 0;
  std::size_t star = std::string_view::npos;  // the last one, and where what it stands for ends
  std::size_t star_end = 0;
  while (in_text < text.size()) {
    if (at < glob.size() && glob[at] == '*') {
      star = at++;
      star_end = in_text;
    } else if (at < glob.size() && glob[at] == text[in_text]) {
      ++at;
      ++in_text;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in_text = ++star_end;
    } else {
      return false;
    }
  }
  return glob.find_first_not_of('*', at) == std::string_view::npos;
}

}  // namespace twinspool::ingest
