// What a map of a DAO file knows and does: part of StreamMap.
#include <cstring>

#include "core/errors.hpp"
#include "core/stream_map.hpp"

namespace framebus {

namespace {

constexpr double ns_per_s = 1e9;
constexpr double being_made_s = 1.0;

double seconds(std::int64_t ns) noexcept { return static_cast<double>(ns) / ns_per_s; }

std::uint64_t bits_of(double value) noexcept {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

double value_of(std::uint64_t bits) noexcept {
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

std::int64_t published_ns(const DaoHeader& header) noexcept {
  constexpr double most_s = 9.2e9;  // what 64 bits of nanoseconds hold
  constexpr std::int64_t rounding_ns = 500;
  const std::int64_t other = atime_ns(header);
  const double seconds = header.last_access;
  const bool plausible = seconds > 0 && seconds < most_s;  // false for NaN
  if (!plausible) return other;
  const auto access = static_cast<std::int64_t>(seconds * ns_per_s);
  return access >= other - rounding_ns ? access : other;
}

void StreamMap::know_dao() {
  created_ = shared(dao_header().creation_time).load(std::memory_order_acquire);
  // DAO's library makes the semaphores last. Without them it could only be looked at again and again.
  if (layout_.semaphores == 0 && !file_.local() && seconds(realtime_ns()) - value_of(created_) < being_made_s)
    throw_format(file_.path(), "sem", file_.path() + ": header field 'sem' is 0: the stream is still being made");
  if (!file_.local()) named_ = NamedSemaphores(file_.path(), layout_.semaphores);
}

void StreamMap::fill_dao_header(const Request& request) const {
  // The path, as the library's own streams hold it; of one that is too long its beginning, by which a file is known for
  // DAO's when nothing else in it can be right.
  constexpr std::size_t room = sizeof(DaoHeader::name) - 1;
  const double now = seconds(realtime_ns());
  for (std::size_t i = 0; i < layout_.depth; ++i) {
    DaoHeader& header = dao_header(i);
    file_.path().copy(header.name, room);
    header.naxis = static_cast<std::uint8_t>(layout_.naxis);
    for (unsigned axis = 0; axis < layout_.naxis; ++axis) header.size[axis] = layout_.size[layout_.naxis - 1 - axis];
    // A second axis of no length makes DAO's library end the process that opens the stream.
    if (layout_.naxis == 1) header.size[1] = 1;
    header.nelement = layout_.nelement;
    header.atype = static_cast<std::uint8_t>(layout_.datatype);
    header.creation_time = bits_of(now);
    header.last_access = now;
    header.shared = request.local ? 0 : 1;
    header.NBkw = request.keywords;
  }
  DaoHeader& first = dao_header();
  first.sem = request.local ? 0 : request.semaphores;
  first.fb_layout = 1;
  const auto pid = static_cast<std::uint32_t>(process_id());
  for (unsigned i = 0; i < 3; ++i) first.fb_pid[i] = static_cast<std::uint8_t>(pid >> (8 * i));
  first.fb_start = static_cast<std::uint16_t>(process_start_ticks());
  fifo_size() = static_cast<std::uint32_t>(layout_.depth);
  fifo_last_written() = static_cast<std::uint32_t>(layout_.depth - 1);
  Keyword unused{};
  unused.type = 'N';
  for (std::size_t i = 0; i < layout_.keywords; ++i)
    store_keyword(i, i < request.initial_keywords.size() ? request.initial_keywords[i] : unused);
}

bool StreamMap::writing() const noexcept {
  if (!dao()) return shared(header().write).load(std::memory_order_acquire) != 0;
  DaoHeader& next = dao_header(next_slot());
  return shared(next.write).load(std::memory_order_acquire) != 0 ||
         shared(next.fb_busy).load(std::memory_order_acquire) != 0;
}

std::int64_t StreamMap::written_ns() const noexcept {
  return dao() ? published_ns(dao_header(last_slot())) : to_ns(header().writetime);
}

namespace {

Keyword converted(const DaoKeyword& entry) noexcept {
  Keyword keyword{};
  std::memcpy(keyword.name, entry.name, sizeof keyword.name);
  keyword.type = entry.type;
  std::memcpy(keyword.value, entry.value, sizeof keyword.value);
  std::memcpy(keyword.comment, entry.comment, sizeof keyword.comment);
  return keyword;
}

// A writer stores an entry in one go: two equal looks are whole.
template <class Entry>
Entry stable(const std::byte* from) noexcept {
  constexpr int looks = 1000;
  Entry first;
  Entry second;
  std::memcpy(&first, from, sizeof first);
  for (int look = 0; look < looks; ++look) {
    std::atomic_thread_fence(std::memory_order_acquire);
    std::memcpy(&second, from, sizeof second);
    if (std::memcmp(&first, &second, sizeof first) == 0) break;
    first = second;
  }
  return second;
}

}  // namespace

// Entries of DAO lie behind its pixels, on any address: they are only ever copied.
Keyword StreamMap::load_keyword(std::size_t i) const noexcept {
  const std::byte* const block = file_.data() + layout_.keywords_at;
  return dao() ? converted(stable<DaoKeyword>(block + i * sizeof(DaoKeyword)))
               : stable<Keyword>(block + i * sizeof(Keyword));
}

void StreamMap::store_keyword(std::size_t i, const Keyword& keyword) const noexcept {
  std::byte* const block = file_.data() + layout_.keywords_at;
  if (!dao()) {
    std::memcpy(block + i * sizeof(Keyword), &keyword, sizeof keyword);
    return;
  }
  DaoKeyword entry{};
  std::memcpy(entry.name, keyword.name, sizeof entry.name);
  entry.type = keyword.type;
  std::memcpy(entry.value, keyword.value, sizeof entry.value);
  std::memcpy(entry.comment, keyword.comment, sizeof entry.comment);
  std::memcpy(block + i * sizeof entry, &entry, sizeof entry);
}

}  // namespace framebus
