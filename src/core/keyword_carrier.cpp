#include "core/keyword_carrier.hpp"

#include <algorithm>
#include <cstring>

namespace framebus {

namespace {

bool used(const Keyword& keyword) noexcept {
  return (keyword.type == 'L' || keyword.type == 'D' || keyword.type == 'S') &&
         std::memcmp(keyword.name, at_count_keyword, sizeof keyword.name) != 0;
}

bool same_name(const Keyword& a, const Keyword& b) noexcept { return std::memcmp(a.name, b.name, sizeof a.name) == 0; }

// All but the counter, which DAO has no room for and each stream counts for itself.
bool same(const Keyword& a, const Keyword& b) noexcept {
  return same_name(a, b) && a.type == b.type && std::memcmp(a.value, b.value, sizeof a.value) == 0 &&
         std::memcmp(a.comment, b.comment, sizeof a.comment) == 0;
}

// The slot that has the name; else a free one; else `keywords`.
std::size_t slot_for(const StreamMap& to, const Keyword& wanted) noexcept {
  const std::size_t slots = to.layout().keywords;
  std::size_t free = slots;
  for (std::size_t i = 0; i < slots; ++i) {
    const Keyword there = to.load_keyword(i);
    const bool empty = there.type == 'N' || there.type == '\0';
    if (!empty && same_name(there, wanted)) return i;
    if (empty && free == slots) free = i;
  }
  return free;
}

}  // namespace

bool KeywordCarrier::carry(const StreamMap& from, const StreamMap& to) {
  const std::size_t count = from.layout().keywords;
  bool changed = to_ != &to || seen_.size() != count;
  seen_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Keyword now = from.load_keyword(i);
    changed = changed || !same(now, seen_[i]);
    seen_[i] = now;
  }
  if (!changed) return all_fit_;
  to_ = &to;
  all_fit_ = true;
  std::vector<Name> written;
  for (Keyword keyword : seen_) {
    if (!used(keyword)) continue;
    const std::size_t slot = slot_for(to, keyword);
    if (slot == to.layout().keywords) {
      all_fit_ = false;
      continue;
    }
    const Keyword there = to.load_keyword(slot);
    keyword.count = same_name(there, keyword) && used(there) ? there.count + 1 : 1;
    if (!same(there, keyword)) to.store_keyword(slot, keyword);
    Name& name = written.emplace_back();
    std::copy_n(keyword.name, name.size(), name.begin());
  }
  Keyword gone{};
  for (const Name& name : written_) {
    if (std::find(written.begin(), written.end(), name) != written.end()) continue;
    std::copy_n(name.begin(), name.size(), gone.name);
    const std::size_t slot = slot_for(to, gone);
    if (slot == to.layout().keywords || !same_name(to.load_keyword(slot), gone)) continue;
    Keyword unused{};
    unused.type = 'N';
    to.store_keyword(slot, unused);
  }
  written_ = std::move(written);
  return all_fit_;
}

}  // namespace framebus
