#include "core/stream_map.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "core/errors.hpp"

namespace framebus {

namespace {

Layout requested_layout(const StreamMap::Request& request) {
  Layout layout;
  layout.dialect = request.dialect;
  layout.naxis = static_cast<unsigned>(request.size.size());
  if (layout.naxis < 1 || layout.naxis > 3)
    throw_usage("a stream has 1 to 3 axes, the shape has " + std::to_string(layout.naxis));
  layout.nelement = 1;
  for (unsigned axis = 0; axis < layout.naxis; ++axis) {
    layout.size[axis] = request.size[axis];
    if (layout.size[axis] == 0) throw_usage("every axis of a stream needs at least one element, the shape has a 0");
    if (__builtin_mul_overflow(layout.nelement, layout.size[axis], &layout.nelement) || layout.nelement >> 56 != 0)
      throw_usage("the shape has more elements than an address space holds");
  }
  layout.datatype = request.datatype;
  layout.frame_bytes = layout.nelement * item_bytes(request.datatype);
  layout.semaphores = request.semaphores;
  layout.keywords = request.keywords;
  if (layout.dao()) {
    layout.header_bytes = dao_releases[0].header_bytes;
    layout.packets = dao_releases[0].packets;
    layout.fifo_at = dao_releases[0].fifo_at;
    layout.depth = std::max<std::uint32_t>(request.history, 1);
    if (request.local) layout.semaphores = 0;  // they would be files for all to see
  } else {
    layout.trace_entries = request.trace_entries;
    layout.history = request.history;
  }
  layout.place();
  return layout;
}

void fill_header(const StreamMap& map, const StreamMap::Request& request) {
  const Layout& layout = map.layout();
  Header& header = map.header();
  request.name.copy(header.name, sizeof header.name - 1);
  header.naxis = static_cast<std::uint8_t>(layout.naxis);
  std::copy_n(layout.size, 3, header.size);
  header.nelement = layout.nelement;
  header.datatype = static_cast<std::uint8_t>(layout.datatype);
  header.imagetype = layout.imagetype;
  header.creationtime = header.lastaccesstime = header.atime = header.writetime = to_timespec(realtime_ns());
  header.creatorPID = header.fb_pid = process_id();
  header.fb_start = process_start_ticks();
  header.shared = request.local ? 0 : 1;
  header.fb_layout = 1;
  header.inode = map.file().identity().inode;
  header.location = -1;
  header.sem = request.semaphores;
  header.NBproctrace = request.trace_entries;
  header.NBkw = request.keywords;
  header.CBsize = request.history;
  header.imdatamemsize = layout.frame_bytes;
  for (std::size_t i = 0; i < layout.keywords; ++i) {
    map.keyword(i).type = 'N';
    if (i < request.initial_keywords.size()) map.keyword(i) = request.initial_keywords[i];
  }
  for (std::size_t i = 0; i < layout.semaphores; ++i) {
    sem_init(map.semaphore(i), 1, 0);
    map.reader_pid(i) = -1;
    map.writer_pid(i) = -1;
  }
  sem_init(map.log_semaphore(), 1, 0);
  for (std::size_t i = 0; i < layout.trace_entries; ++i) map.trace(i).trigger_semaphore = -1;
  // Last: a reader that sees the version sees everything above it.
  std::atomic_thread_fence(std::memory_order_release);
  std::memcpy(header.version, layout_version, sizeof layout_version);
}

void check_semaphores(const StreamMap& map) {
  const auto check = [&](const sem_t* semaphore, const std::string& which) {
    if (!is_semaphore(semaphore))
      throw_format(map.file().path(), "semaphores",
                   map.file().path() + ": " + which + " is not a semaphore of this system's C library; corrupt?");
  };
  for (std::size_t i = 0; i < map.layout().semaphores; ++i) check(map.semaphore(i), "semaphore " + std::to_string(i));
  check(map.log_semaphore(), "the log semaphore");
}

StreamMapPtr open_quietly(const std::string& path) noexcept {
  try {
    return StreamMap::open(path);
  } catch (const std::exception&) {
    return nullptr;  // nothing there, or nothing that has waiters we could wake
  }
}

}  // namespace

StreamMapPtr StreamMap::create(const Request& request) {
  const Layout layout = requested_layout(request);
  SharedFile file = request.local ? SharedFile::create_local(request.name, layout.file_bytes)
                                  : SharedFile::create(request.path, layout.file_bytes, request.mode);
  if (request.huge_pages) file.advise_huge_pages();
  auto map = std::make_shared<StreamMap>(std::move(file), layout);
  std::vector<std::string> made;  // files beside the stream's own
  if (layout.dao()) {
    if (!request.local) made = NamedSemaphores::create(request.path, request.semaphores, request.mode);
    map->fill_dao_header(request);
    map->know_dao();
  } else {
    fill_header(*map, request);
  }
  if (request.local) return map;
  const StreamMapPtr former = request.must_be_new ? nullptr : open_quietly(request.path);
  try {
    map->file_.publish(request.must_be_new);
  } catch (...) {
    for (const std::string& path : made) ::unlink(path.c_str());
    throw;
  }
  if (former && former->file().writable()) former->retire();
  if (former && former->dao() && !layout.dao()) NamedSemaphores::remove(request.path);
  return map;
}

StreamMapPtr StreamMap::open(const std::string& path, bool looks_only) {
  SharedFile file = SharedFile::open(path, looks_only);
  const LostPages lost(file.data(), file.size());  // from the first look on
  const Layout layout = read_layout(file.data(), file.size(), path);
  auto map = std::make_shared<StreamMap>(std::move(file), layout);
  if (layout.dao()) {
    map->know_dao();
  } else {
    check_semaphores(*map);
  }
  if (lost.any() || map->reborn())
    throw_format(path, "file size", path + ": changed while it was being opened; it is being made anew");
  return map;
}

bool StreamMap::framebus_writes(std::uint64_t count) const noexcept {
  constexpr int looks = 16;
  for (int look = 0; look < looks; ++look) {
    if (count == 0) return made_by_framebus();
    // The writer stores fb_count just before cnt0, hence the two values.
    const std::uint32_t ahead =
        shared(published_word()).load(std::memory_order_acquire) - static_cast<std::uint32_t>(count);
    if (ahead <= 1) return true;
    const std::uint64_t now = this->count();
    if (now == count) return false;
    count = now;  // the writer was faster than our two looks
  }
  return false;
}

Keyword* StreamMap::at_count_slot() const noexcept {
  if (dao()) return nullptr;
  const std::uint16_t slot = shared(header().fb_at).load(std::memory_order_acquire);
  if (slot == 0 || slot > layout_.keywords) return nullptr;
  Keyword& keyword = this->keyword(slot - 1U);
  return keyword.type == 'L' && std::memcmp(keyword.name, at_count_keyword, sizeof keyword.name) == 0 ? &keyword
                                                                                                      : nullptr;
}

void post_semaphore(sem_t* semaphore, int cap) noexcept {
  int value = 0;
  if (semaphore != nullptr && sem_getvalue(semaphore, &value) == 0 && value < cap) sem_post(semaphore);
}

bool is_semaphore(const sem_t* semaphore) noexcept {
  constexpr std::size_t private_word_at = 8;
  constexpr std::uint32_t shared_value = 128;
  static_assert(sizeof(sem_t) == semaphore_bytes);
  std::uint32_t word = 0;
  std::memcpy(&word, reinterpret_cast<const std::byte*>(semaphore) + private_word_at, sizeof word);
  return word == 0 || word == shared_value;
}

void StreamMap::wake_everyone() const noexcept {
  futex_wake_all(count_word());
  for (std::size_t i = 0; i < layout_.semaphores; ++i) post_semaphore(semaphore(i), semaphore_cap());
}

void StreamMap::retire() const noexcept {
  // Pairs with the acquire in retired(): whoever sees the mark finds the new file under the name.
  shared(dao() ? dao_header().fb_retired : header().fb_retired).store(1, std::memory_order_release);
  wake_everyone();
}

void StreamMap::retire_for(StreamMapPtr next) const {
  {
    const std::scoped_lock guard(local_lock_);
    local_successor_ = std::move(next);
  }
  retire();
}

StreamMapPtr StreamMap::local_successor() const {
  const std::scoped_lock guard(local_lock_);
  return local_successor_;
}

StreamMap::Standing StreamMap::standing() const noexcept {
  if (file_.local()) return !retired() ? Standing::current : local_successor() ? Standing::replaced : Standing::gone;
  const SharedFile::Identity now = file_identity(file_.path());
  if (now.inode == 0) return Standing::gone;
  return now == file_.identity() && !reborn() ? Standing::current : Standing::replaced;
}

namespace {

std::int32_t dao_writer(const DaoHeader& header) noexcept {
  return header.fb_pid[0] | header.fb_pid[1] << 8 | header.fb_pid[2] << 16;
}

}  // namespace

std::int32_t StreamMap::last_writer() const noexcept {
  const std::uint64_t now = count();
  if (dao()) return framebus_writes(now) ? dao_writer(dao_header()) : 0;
  if (now != 0 && header().fb_pid != 0 && framebus_writes(now)) return std::abs(header().fb_pid);
  if (layout_.semaphores > 0 && writer_pid(0) > 0) return writer_pid(0);
  return layout_.trace_entries > 0 ? std::max(trace(0).pid, 0) : 0;
}

bool StreamMap::last_writer_alive() const noexcept {
  const std::int32_t pid = last_writer();
  if (!dao()) return process_alive(pid, pid == std::abs(header().fb_pid) ? header().fb_start : 0);
  const std::uint32_t start = process_start_ticks(pid);
  return start != 0 && static_cast<std::uint16_t>(start) == dao_header().fb_start;
}

bool StreamMap::maker_alive() const noexcept {
  const std::int32_t pid = maker();
  return process_alive(pid, !dao() && pid == std::abs(header().fb_pid) ? header().fb_start : 0);
}

bool StreamMap::last_writer_left() const noexcept { return !dao() && header().fb_pid < 0 && framebus_writes(count()); }

void StreamMap::leave() const noexcept {
  if (dao() || file_.local() || !file_.writable() || reborn()) return;
  if (header().fb_start != process_start_ticks()) return;
  std::int32_t ours = process_id();  // another process may become the writer at this very moment
  shared(header().fb_pid).compare_exchange_strong(ours, -ours);
}

StreamMap::~StreamMap() { leave(); }

StreamMapPtr successor(const StreamMap& map) {
  if (map.standing() != StreamMap::Standing::replaced) return nullptr;
  StreamMapPtr next = map.local_successor();
  try {
    if (!next) next = StreamMap::open(map.file().path(), map.file().looks_only());
  } catch (const std::exception&) {
    return nullptr;  // a C writer makes its file step by step; it is looked at again in a moment
  }
  if (!next->layout().same_frames(map.layout()))
    throw_recreated(map.file().path() +
                    ": was made anew with another shape or dtype; close this handle and open it again");
  return next;
}

}  // namespace framebus
