#include "core/writer.hpp"

#include <algorithm>
#include <cstring>

#include "core/errors.hpp"

namespace framebus {

void Writer::begin() noexcept {
  if (map_->reborn()) return;  // the marks may be somebody's pixels by now
  if (map_->dao()) {
    DaoHeader& slot = map_->dao_header(map_->next_slot());
    shared(slot.fb_busy).store(busy_mark(map_->fifo_count() + 1), std::memory_order_relaxed);
    shared(slot.write).store(1, std::memory_order_relaxed);
  } else {
    shared(map_->header().write).store(1, std::memory_order_relaxed);
  }
  // The mark must be visible before the first new pixel. Pairs with the acquire fence in Reader::valid.
  std::atomic_thread_fence(std::memory_order_release);
}

void Writer::put(const void* elements, const Packet& packet) noexcept {
  if (map_->reborn()) return;
  const std::size_t item = item_bytes(map_->layout().datatype);
  if (!map_->dao()) {
    std::memcpy(map_->next_pixels() + packet.position * item, elements, packet.elements * item);
    map_->header().cnt1 = packet.number;  // the part that was written last
    return;
  }
  const std::size_t next = map_->next_slot();
  DaoHeader& slot = map_->dao_header(next);
  shared(slot.write).store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);  // as in begin(); DAO's readers only have this mark
  std::memcpy(map_->next_pixels() + packet.position * item, elements, packet.elements * item);
  slot.lastPos = static_cast<std::uint32_t>(packet.position);
  slot.lastNb = static_cast<std::uint32_t>(packet.elements);
  slot.packetNb = packet.number;
  slot.packetTotal = packet.total;
  slot.cnt2 = packet.frame_id;
  // Release, both: whoever sees a packet counted, or the mark gone, sees its pixels.
  if (packet.number < map_->layout().packets)
    shared(map_->packet_frame(next, packet.number)).store(packet.frame_id, std::memory_order_release);
  shared(slot.write).store(0, std::memory_order_release);
}

void Writer::store_history(std::uint64_t count, const Timespec& acquired, const Timespec& written) noexcept {
  const Layout& layout = map_->layout();
  if (layout.history == 0) return;
  Header& header = map_->header();
  const auto history = static_cast<std::uint32_t>(layout.history);
  const std::uint32_t slot = (header.CBindex % history + 1) % history;
  SlotMetadata& metadata = map_->slot_metadata(slot);
  // A slot's count is its own little lock: 0 while its pixels change. Same pairing as `write`.
  shared(metadata.cnt0).store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  std::memcpy(map_->slot(slot), map_->newest_pixels(), layout.frame_bytes);
  metadata.cnt1 = header.cnt1;
  metadata.atime = acquired;
  metadata.writetime = written;
  shared(metadata.cnt0).store(count, std::memory_order_release);
  if (slot == 0) shared(header.CBcycle).store(header.CBcycle + 1, std::memory_order_release);
  shared(header.CBindex).store(slot, std::memory_order_release);
}

void Writer::prepare_at_count() {
  if (map_->dao())
    throw_usage(
        map_->file().path() +
        ": DAO's format has no place for at_count; use a stream of the dialect 'isio' for what units are to use "
        "from a given frame on");
  if (map_->at_count_slot() != nullptr) return;
  const std::size_t slots = map_->layout().keywords;
  std::size_t slot = slots;
  for (std::size_t i = 0; i < slots; ++i) {
    if (std::memcmp(map_->keyword(i).name, at_count_keyword, sizeof at_count_keyword) == 0) {
      slot = i;
      break;
    }
    if (slot == slots && (map_->keyword(i).type == 'N' || map_->keyword(i).type == '\0')) slot = i;
  }
  if (slot == slots || slot >= UINT16_MAX)
    throw_usage(map_->file().path() + ": a frame for later use needs the keyword 'at_count', and all " +
                std::to_string(slots) + " keyword slots are taken; delete one, or create the stream with more");
  Keyword made{};
  std::memcpy(made.name, at_count_keyword, sizeof made.name);
  made.type = 'L';
  std::strncpy(made.comment, "trigger count from which on units use the frame", sizeof made.comment - 1);
  std::memcpy(&map_->keyword(slot), &made, sizeof made);
  // Release: whoever sees the number sees the keyword.
  shared(map_->header().fb_at).store(static_cast<std::uint16_t>(slot + 1), std::memory_order_release);
}

// Both halves of the value change just before cnt0 does: whoever finds this frame the newest finds what is said of it.
void Writer::store_at_count(std::uint64_t count, std::uint64_t at_count) noexcept {
  Keyword* const keyword = map_->at_count_slot();
  if (keyword == nullptr) return;
  auto* const halves = reinterpret_cast<std::uint64_t*>(keyword->value);
  // The same pairing as a slot's count: 0 while the other half changes.
  shared(halves[1]).store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  shared(halves[0]).store(at_count, std::memory_order_relaxed);
  shared(halves[1]).store(count, std::memory_order_release);
  keyword->count += 1;
}

void Writer::store_trace(std::int64_t now_ns, const Ancestry* ancestry) noexcept {
  const std::size_t entries = map_->layout().trace_entries;
  if (entries == 0) return;
  TraceEntry& own = map_->trace(0);
  own.pid = process_id();
  own.stream_update = to_timespec(now_ns);
  own.trigger_semaphore = -1;
  std::size_t parents = 0;
  if (ancestry != nullptr) {
    own.trigger_mode = ancestry->trigger_mode;
    own.trigger_inode = ancestry->trigger_inode;
    own.trigger_count = ancestry->trigger_count;
    own.processing_start = to_timespec(ancestry->processing_start_ns);
    own.trigger_status = ancestry->trigger_inode != 0 ? 1 : 0;
    parents = std::min(entries - 1, ancestry->parent_count);
    if (parents > 0) std::memcpy(&map_->trace(1), ancestry->parents, parents * sizeof(TraceEntry));
  } else {
    own.trigger_mode = 0;
    own.trigger_inode = 0;
    own.trigger_count = 0;
    own.trigger_status = 0;
    own.processing_start = own.stream_update;
  }
  for (std::size_t i = parents + 1; i < entries && map_->trace(i).pid != 0; ++i) {
    map_->trace(i) = TraceEntry{};
    map_->trace(i).trigger_semaphore = -1;
  }
}

void Writer::wake(std::uint64_t previous) noexcept {
  // cnt0 was stored before this load, both sequentially consistent; a sleeper stores fb_waiting before it looks at cnt0
  // for the last time. So either it sees the new count, or we see that it sleeps. A faster reader may have seen the new
  // count already and gone to sleep on it, which hides those who sleep on the previous one: hence the two values.
  // DAO's counters lie in several places, which only a fence brings into that order.
  if (map_->dao()) std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint32_t waiting = shared(map_->waiting_word()).load(std::memory_order_seq_cst);
  if (waiting - static_cast<std::uint32_t>(previous) <= 1) futex_wake_all(map_->count_word());
  const std::int32_t pid = process_id();
  const int cap = map_->semaphore_cap();
  // The load above also keeps the looks at the semaphores' values behind the store of cnt0: a reader empties its
  // semaphore before it looks at cnt0.
  for (std::size_t i = 0; i < map_->layout().semaphores; ++i) {
    post_semaphore(map_->semaphore(i), cap);
    if (!map_->dao() && map_->writer_pid(i) != pid) map_->writer_pid(i) = pid;
  }
  post_semaphore(map_->log_semaphore(), cap);
}

std::uint64_t Writer::publish(const Particulars& particulars) noexcept {
  if (map_->reborn()) return 0;
  return map_->dao() ? publish_dao(particulars) : publish_isio(particulars);
}

std::uint64_t Writer::publish_isio(const Particulars& particulars) noexcept {
  Header& header = map_->header();
  const std::int64_t now_ns = realtime_ns();
  const Timespec written = to_timespec(now_ns);
  const Timespec acquired = particulars.acquisition_ns != 0 ? to_timespec(particulars.acquisition_ns) : written;
  const std::uint64_t previous = map_->count();
  const std::uint64_t count = std::max(previous + 1, particulars.count);
  store_history(count, acquired, written);
  store_trace(now_ns, particulars.ancestry);
  header.writetime = written;
  header.atime = acquired;
  header.lastaccesstime = written;
  if (header.fb_pid != process_id() || header.fb_start != process_start_ticks()) {
    header.fb_pid = process_id();
    header.fb_start = process_start_ticks();
  }
  if (particulars.at_count != 0) store_at_count(count, particulars.at_count);
  shared(header.fb_count).store(static_cast<std::uint32_t>(count), std::memory_order_release);
  // Publishes everything above to whoever acquires the new count; seq_cst for the sake of wake().
  shared(header.cnt0).store(count, std::memory_order_seq_cst);
  shared(header.write).store(0, std::memory_order_release);
  wake(previous);
  return count;
}

// The order is DAO's: its flag falls and its FIFO moves on before the frame is counted. What is in between is told by
// fb_busy, to framebus' readers.
std::uint64_t Writer::publish_dao(const Particulars& particulars) noexcept {
  DaoHeader& first = map_->dao_header();
  const std::size_t next = map_->next_slot();
  DaoHeader& slot = map_->dao_header(next);
  const std::int64_t now_ns = realtime_ns();
  const std::uint64_t previous = map_->fifo_count();
  const std::uint64_t count = std::max(previous + 1, particulars.count);
  // Release: whoever sees the mark gone, or the FIFO moved on, sees the pixels.
  shared(slot.write).store(0, std::memory_order_release);
  if (map_->layout().depth > 1)
    shared(map_->fifo_last_written()).store(static_cast<std::uint32_t>(next), std::memory_order_release);
  slot.atime_first = 0;
  slot.atime_second = particulars.acquisition_ns != 0 ? particulars.acquisition_ns : now_ns;
  slot.last_access = static_cast<double>(now_ns) * 1e-9;
  const auto pid = static_cast<std::uint32_t>(process_id());
  for (unsigned i = 0; i < 3; ++i) first.fb_pid[i] = static_cast<std::uint8_t>(pid >> (8 * i));
  first.fb_start = static_cast<std::uint16_t>(process_start_ticks());
  shared(first.fb_count).store(static_cast<std::uint32_t>(count), std::memory_order_release);
  // Publishes everything above to whoever acquires the new count.
  shared(slot.cnt0).store(count, std::memory_order_seq_cst);
  shared(slot.fb_busy).store(0, std::memory_order_release);
  wake(previous);
  return count;
}

void Writer::abandon() noexcept {
  if (map_->reborn()) return;
  if (map_->dao()) {
    abandon_dao();
    return;
  }
  const std::size_t history = map_->layout().history;
  const std::uint64_t count = map_->count();
  if (count == 0) shared(map_->header().write).store(0, std::memory_order_release);  // no frame, and none was promised
  if (history == 0 || count == 0) return;
  const std::size_t slot = map_->header().CBindex % history;
  if (shared(map_->slot_metadata(slot).cnt0).load(std::memory_order_acquire) != count) return;
  std::memcpy(map_->newest_pixels(), map_->slot(slot), map_->layout().frame_bytes);
  shared(map_->header().write).store(0, std::memory_order_release);
}

// In a FIFO the frame that was begun lies beside the newest; what it overwrote was the oldest.
void Writer::abandon_dao() noexcept {
  DaoHeader& slot = map_->dao_header(map_->next_slot());
  if (map_->layout().depth == 1 && map_->fifo_count() != 0) {
    shared(slot.write).store(1, std::memory_order_relaxed);  // it may have fallen between two packets
    return;
  }
  shared(slot.cnt0).store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);  // the count goes before the marks do
  shared(slot.write).store(0, std::memory_order_release);
  shared(slot.fb_busy).store(0, std::memory_order_release);
}

std::uint64_t Writer::write(const void* pixels, const Particulars& particulars) noexcept {
  if (map_->reborn()) return 0;
  begin();
  std::memcpy(map_->next_pixels(), pixels, map_->layout().frame_bytes);
  return publish(particulars);
}

}  // namespace framebus
