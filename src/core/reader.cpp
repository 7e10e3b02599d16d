#include "core/reader.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace framebus {

namespace {
constexpr int copy_attempts = 64;
constexpr int brief_spins = 64;
constexpr int glances = 8;
constexpr int sightings = 16;               // of the same offset, at different frames, before it is believed
constexpr std::int64_t settle_ns = 20'000;  // C writers count a frame some 100 ns after they filled its slot
constexpr std::int64_t quiet_ns = 200'000'000;
}  // namespace

void Reader::rebase(StreamMapPtr map) noexcept {
  map_ = std::move(map);
  cursor_ = 0;
  ring_ = {};
}

// ---- the history of a writer that leaves no marks
// ----------------------------------------------------------------------

// Both counters at one moment; false while the writer is too quick for that.
bool Reader::glance(Counters& counters) const noexcept {
  Header& header = map_->header();
  const std::uint64_t history = map_->layout().history;
  for (int attempt = 0; attempt < glances; ++attempt) {
    const std::uint64_t count = map_->count();
    const std::uint64_t cycle = shared(header.CBcycle).load(std::memory_order_acquire);
    const std::uint64_t index = shared(header.CBindex).load(std::memory_order_acquire);
    if (shared(header.CBcycle).load(std::memory_order_acquire) != cycle || map_->count() != count) continue;
    if (index >= history) return false;
    counters = {count, cycle * history + index};
    return true;
  }
  return false;
}

// Looks on for a moment. A slot filled before our eyes proves that nothing was due when we looked first.
Reader::Phase Reader::settle(Counters& counters) const noexcept {
  const std::int64_t until = monotonic_ns() + settle_ns;
  bool moved = false;
  do {
    for (int i = 0; i < 16; ++i) {
      Counters now;
      if (!glance(now) || now == counters) {
        cpu_relax();
        continue;
      }
      const std::uint64_t frames = now.count - counters.count;
      const std::uint64_t slots = now.slots - counters.slots;
      if (frames == 0 && slots == map_->layout().history) continue;  // CBcycle was stored, CBindex is about to be
      if (frames == 0 && slots == 1) return Phase::proven;
      counters = now;
      if (frames == 1 && slots == 0) return Phase::still;  // it was due, and now is counted
      moved = true;
    }
  } while (monotonic_ns() < until);
  return moved ? Phase::moving : Phase::still;
}

void Reader::believe_ring(const Counters& now) noexcept {
  ring_.trusted = true;
  ring_.offset = now.count - now.slots;
  // Where every frame since the stream was made has its slot, all of them are known; else those from now on.
  ring_.first = ring_.offset == 0 ? 1 : now.count;
  confirm_ring(now);
}

void Reader::confirm_ring(const Counters& now) noexcept {
  ring_.last = now.count;
  ring_.writer = map_->last_writer();
  ring_.agreed = 0;
}

// Nothing has changed for so long that no writer is in the middle of a frame.
bool Reader::quiet(std::uint64_t count) const noexcept {
  return ring_.agreed > 0 && ring_.agreed_at == count && ring_.rival + 1 != 0 &&
         monotonic_ns() - ring_.agreed_ns > quiet_ns;
}

void Reader::learn_ring(Counters now) noexcept {
  const Phase phase = settle(now);
  const std::uint64_t offset = now.count - now.slots;
  if (ring_.trusted && offset == ring_.offset) {
    confirm_ring(now);
    return;
  }
  if (phase == Phase::proven || (offset == 0 && !ring_.trusted)) {
    believe_ring(now);
    return;
  }
  if (phase == Phase::moving) return;
  const bool agrees = ring_.agreed > 0 && offset == ring_.rival;
  if (agrees && now.count == ring_.agreed_at) return;
  ring_.agreed = agrees ? ring_.agreed + 1 : 1;
  ring_.rival = offset;
  ring_.agreed_at = now.count;
  ring_.agreed_ns = monotonic_ns();
  // One sighting could be of a writer between filling a slot and counting it, be it only because it was interrupted
  // there. So many in a row could not. And one that was trusted before is shifted by nothing but a writer's death
  // there.
  if (ring_.agreed >= sightings && (!ring_.trusted || ring_.writer != map_->last_writer())) believe_ring(now);
}

void Reader::watch_ring() noexcept {
  const std::uint64_t history = map_->layout().history;
  if (history < 2) return;
  Counters now;
  if (!glance(now)) return;  // what is known holds for the frames up to ring_.last
  const std::uint64_t offset = now.count - now.slots;
  // The same, or CBcycle was stored, and CBindex is about to be.
  if (ring_.trusted && (offset == ring_.offset || offset + history == ring_.offset)) {
    confirm_ring(now);
    return;
  }
  // One less: a slot was filled and its frame is not counted yet. Anything else: the history is not kept, or somebody
  // set the counter back.
  if (ring_.trusted && offset + 1 != ring_.offset) ring_.trusted = false;
  if (now.slots != ring_.slots || now.count < ring_.slots_at) {
    ring_.slots = now.slots;
    ring_.slots_at = now.count;
  }
  ring_.kept = now.count - ring_.slots_at < 2;
  if (ring_.kept) learn_ring(now);
}

// Slots of `count` and later were filled again only after count + history - 1 had been counted. So the counter alone
// proves that a slot lay still, even when the writer never sets `write`; one slot of the history is lost to that proof.
bool Reader::ring_holds(std::uint64_t count) const noexcept {
  const std::uint64_t newest = map_->count();
  return ring_.trusted && count >= ring_.first && count <= ring_.last && count <= newest &&
         newest - count + 1 + spare_slots_ <= map_->layout().history;
}

void Reader::set_writer_dead(bool dead) noexcept {
  spare_slots_ = 1;
  const std::size_t history = map_->layout().history;
  if (!dead || history == 0 || map_->dao() || map_->header().write != 0) return;
  // A writer that does not set `write` and died in the middle of a frame had begun to change the pixels.
  const std::size_t last = shared(map_->header().CBindex).load(std::memory_order_acquire) % history;
  if (std::memcmp(map_->newest_pixels(), map_->slot(last), map_->layout().frame_bytes) == 0) spare_slots_ = 0;
}

// ---- where a frame lies
// ----------------------------------------------------------------------------------------------

// Whose frame the newest is: a framebus writer's, with marks and flags? Brings what is known of the others up to date.
bool Reader::look(std::uint64_t newest) noexcept {
  const bool flagged = map_->framebus_writes(newest);
  if (!flagged && !map_->dao()) watch_ring();
  return flagged;
}

FrameView Reader::locate_marked(std::uint64_t count) const noexcept {
  const std::size_t history = map_->layout().history;
  for (int attempt = 0; attempt < glances; ++attempt) {
    const std::uint64_t last = shared(map_->header().CBindex).load(std::memory_order_acquire) % history;
    const std::uint64_t newest = map_->count();
    if (count > newest || newest - count >= history) return {};
    std::size_t slot = static_cast<std::size_t>((last + history - (newest - count)) % history);
    // CBindex may stand one further than cnt0: the slot before, then.
    for (int back = 0; back < 2; ++back) {
      if (shared(map_->slot_metadata(slot).cnt0).load(std::memory_order_acquire) == count)
        return {FrameView::Place::marked_slot, map_->slot(slot), slot, count, true};
      slot = (slot + history - 1) % history;
    }
    // The writer may have gone on between the two looks; if it did not, then the frame is not there.
    if (map_->count() == newest && shared(map_->header().CBindex).load(std::memory_order_acquire) == last) return {};
  }
  return {};
}

FrameView Reader::locate(std::uint64_t count, std::uint64_t newest, bool flagged) const noexcept {
  if (map_->dao()) return locate_fifo(count, newest, flagged);
  const std::size_t history = map_->layout().history;
  if (history > 0 && flagged) {
    if (const FrameView view = locate_marked(count)) return view;
  } else if (history > 0 && ring_holds(count)) {
    const auto slot = static_cast<std::size_t>((count - ring_.offset) % history);
    return {FrameView::Place::counted_slot, map_->slot(slot), slot, count, false};
  }
  if (count != newest) return {};
  // Where a history is kept it is the better proof: pixels that are the next frame's already, and not yet counted, look
  // whole. Wait for it rather than looking at them, unless nothing moves at all.
  if (!flagged && history > 1 && ring_.kept && (ring_.trusted || !quiet(count))) return {};
  // The flag falls just after the counter moved: wait that moment out rather than reporting a writer in the way.
  for (int spin = 0; spin < brief_spins; ++spin) {
    if (shared(map_->header().write).load(std::memory_order_acquire) == 0)
      return {FrameView::Place::pixels, map_->newest_pixels(), 0, count, flagged};
    cpu_relax();
  }
  return {};
}

bool Reader::valid(const FrameView& view) noexcept {
  // Everything read from the view happens before the checks below. Pairs with the writer's release fence after it
  // raised `write` (or zeroed the slot's count): whoever saw one of the new pixels sees the mark as well.
  std::atomic_thread_fence(std::memory_order_acquire);
  switch (view.place) {
    case FrameView::Place::pixels:
      return shared(map_->header().write).load(std::memory_order_acquire) == 0 && map_->count() == view.count;
    case FrameView::Place::marked_slot:
      return shared(map_->slot_metadata(view.slot).cnt0).load(std::memory_order_acquire) == view.count &&
             !map_->reborn();
    case FrameView::Place::counted_slot:
      return ring_holds(view.count);
    case FrameView::Place::fifo_slot:
      return valid_fifo(view);
    case FrameView::Place::none:
      break;
  }
  return false;
}

bool Reader::guarded(const FrameView& view) const noexcept {
  if (view.place == FrameView::Place::fifo_slot) return view.flagged || map_->layout().depth > 1;
  return view.flagged || view.place == FrameView::Place::counted_slot;
}

FrameInfo Reader::info_of(const FrameView& view) const noexcept {
  FrameInfo info;
  info.count = view.count;
  if (view.place == FrameView::Place::fifo_slot) {
    const DaoHeader& slot = map_->dao_header(view.slot);
    info.acquisition_ns = atime_ns(slot);
    info.write_ns = published_ns(slot);
    return info;
  }
  const Header& header = map_->header();
  if (view.place == FrameView::Place::marked_slot) {
    const SlotMetadata& metadata = map_->slot_metadata(view.slot);
    info.acquisition_ns = to_ns(metadata.atime);
    info.write_ns = to_ns(metadata.writetime);
  } else if (view.count == map_->count()) {
    info.acquisition_ns = to_ns(header.atime);
    info.write_ns = to_ns(header.writetime);
    if (view.place == FrameView::Place::counted_slot) {
      // The header may hold the next frame's times already: they are stored after its slot was filled.
      std::atomic_thread_fence(std::memory_order_acquire);
      Counters now;
      if (!glance(now) || now.count != view.count || now.count - now.slots != ring_.offset)
        info.acquisition_ns = info.write_ns = 0;
    }
  }
  return info;
}

// A writer that may not set `write` nor marks (or that takes over just now, where the slot is the one filled next): if
// it is storing at this moment, a second look differs from the first.
bool Reader::doubtful(const FrameView& view) const noexcept {
  switch (view.place) {
    case FrameView::Place::pixels:
      return !view.flagged;
    case FrameView::Place::marked_slot:
      return map_->count() - view.count + 1 >= map_->layout().history;
    case FrameView::Place::fifo_slot:
      return view.since_ns != 0;
    default:
      return false;
  }
}

bool Reader::copy(const FrameView& view, void* pixels, FrameInfo& info) noexcept {
  const std::size_t bytes = map_->layout().frame_bytes;
  info = info_of(view);
  std::memcpy(pixels, view.data, bytes);
  bool whole = valid(view);
  if (whole && doubtful(view)) {
    std::atomic_thread_fence(std::memory_order_acquire);
    whole = std::memcmp(pixels, view.data, bytes) == 0 && valid(view);
  }
  if (!whole) ++retries_;
  return whole;
}

// ---- reading -------------------------------------------------------------------------------------------------------

std::uint64_t Reader::accept(std::uint64_t count) noexcept {
  const std::uint64_t missed = count > cursor_ ? count - cursor_ - 1 : 0;
  cursor_ = count;
  return missed;
}

ReadStatus Reader::newest(void* pixels, FrameInfo& info) noexcept {
  for (int attempt = 0; attempt < copy_attempts; ++attempt) {
    const std::uint64_t count = map_->count();
    if (count == 0) return ReadStatus::nothing_new;
    const FrameView view = locate(count, count, look(count));
    if (view && copy(view, pixels, info)) {
      info.missed = accept(count);
      return ReadStatus::ok;
    }
  }
  return ReadStatus::busy;
}

namespace {

// Both halves of the keyword at one moment; false while its writer is between the two.
struct Scheduled {
  std::uint64_t at_count = 0;
  std::uint64_t frame = 0;
  bool operator==(const Scheduled&) const = default;
  // The keyword changes just before the counter: then it is a coming frame's, and hides what was said of this one.
  bool ahead_of(std::uint64_t count) const noexcept { return frame > count && frame - count <= 8; }
};

bool load_schedule(const StreamMap& map, Scheduled& schedule) noexcept {
  schedule = {};
  Keyword* const keyword = map.at_count_slot();
  if (keyword == nullptr) return true;
  auto* const halves = reinterpret_cast<std::uint64_t*>(keyword->value);
  schedule.frame = shared(halves[1]).load(std::memory_order_acquire);
  schedule.at_count = shared(halves[0]).load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);  // pairs with the release fence in Writer::store_at_count
  return shared(halves[1]).load(std::memory_order_relaxed) == schedule.frame;
}

}  // namespace

ReadStatus Reader::newest_for(void* pixels, FrameInfo& info, std::uint64_t& at_count, int copies) noexcept {
  for (int look_out = 0; look_out < copy_attempts && copies > 0; ++look_out) {
    const std::uint64_t count = map_->count();
    if (count == 0) return ReadStatus::nothing_new;
    Scheduled before;
    Scheduled after;
    const FrameView view = locate(count, count, look(count));
    // Where another program writes, the keyword says nothing of its frames, whatever their counts are.
    if (!view || !load_schedule(*map_, before) || (view.flagged && before.ahead_of(count))) {
      cpu_relax();
      continue;
    }
    --copies;
    if (!copy(view, pixels, info) || !load_schedule(*map_, after) || after != before) continue;
    info.missed = accept(info.count);
    at_count = view.flagged && after.frame == info.count ? after.at_count : 0;
    return ReadStatus::ok;
  }
  return ReadStatus::busy;
}

ReadStatus Reader::next_newest(void* pixels, FrameInfo& info) noexcept {
  const std::uint64_t count = map_->count();
  if (count < cursor_) cursor_ = 0;  // somebody reset the counter: all that comes is new
  if (count == cursor_) return ReadStatus::nothing_new;
  return newest(pixels, info);
}

// How many of the newest frames the history can give.
std::size_t Reader::depth(std::uint64_t newest, bool flagged) const noexcept {
  const std::uint64_t history = map_->layout().history;
  if (flagged || map_->dao())
    return static_cast<std::size_t>(std::clamp<std::uint64_t>(newest, 1, std::max<std::uint64_t>(history, 1)));
  if (!ring_.trusted || ring_.first > newest) return 1;
  return static_cast<std::size_t>(
      std::max<std::uint64_t>(1, std::min(history - spare_slots_, newest - ring_.first + 1)));
}

std::uint64_t Reader::oldest(std::uint64_t newest, bool flagged) const noexcept {
  std::uint64_t count = newest - std::min<std::uint64_t>(depth(newest, flagged), newest) + 1;
  // Marked slots may hold less than the history's length: a C writer wrote in between, or a writer died.
  if (map_->layout().history > 0 && (flagged || map_->dao()))
    while (count < newest && !resting(count) && !locate(count, newest, flagged)) ++count;
  return count;
}

std::uint64_t Reader::oldest() noexcept {
  const std::uint64_t newest = map_->count();
  return newest == 0 ? 0 : oldest(newest, look(newest));
}

ReadStatus Reader::next(void* pixels, FrameInfo& info) noexcept {
  if (map_->count() < cursor_) cursor_ = 0;
  int lapped = 0;
  for (int attempt = 0; attempt < copy_attempts; ++attempt) {
    const std::uint64_t newest = map_->count();
    if (newest <= cursor_) return ReadStatus::nothing_new;
    const bool flagged = look(newest);
    // The oldest at first. A writer that laps us even while we copy is given a wider berth each time.
    const std::uint64_t back = std::max<std::uint64_t>(1, depth(newest, flagged) >> std::min(lapped, 32));
    std::uint64_t wanted = std::max(cursor_ + 1, newest - std::min(back, newest) + 1);
    if (lapped == 0 && resting(wanted)) return ReadStatus::busy;
    FrameView view = locate(wanted, newest, flagged);
    while (!view && wanted < newest) view = locate(++wanted, newest, flagged);
    if (!view) continue;
    if (copy(view, pixels, info)) {
      info.missed = accept(info.count);
      return ReadStatus::ok;
    }
    ++lapped;
  }
  return ReadStatus::busy;
}

bool Reader::at(std::uint64_t count, void* pixels, FrameInfo& info) noexcept {
  for (int attempt = 0; attempt < glances; ++attempt) {
    const std::uint64_t newest = map_->count();
    if (count == 0 || count > newest) return false;
    const FrameView view = locate(count, newest, look(newest));
    if (view && copy(view, pixels, info)) return true;
  }
  return false;
}

std::vector<FrameInfo> Reader::times(std::uint64_t after) {
  std::vector<FrameInfo> all;
  const std::uint64_t newest = map_->count();
  const bool flagged = look(newest);
  for (std::uint64_t count = std::max(oldest(newest, flagged), after + 1); count != 0 && count <= newest; ++count) {
    const FrameView view = locate(count, newest, flagged);
    if (!view) continue;
    const FrameInfo info = info_of(view);
    if (valid(view)) all.push_back(info);
  }
  return all;
}

FrameView Reader::view_newest() noexcept {
  const std::uint64_t count = map_->count();
  return count == 0 ? FrameView{} : locate(count, count, look(count));
}

std::size_t Reader::copy_trace(std::uint64_t count, std::vector<TraceEntry>& entries) const noexcept {
  const std::size_t available = std::min(map_->layout().trace_entries, entries.size());
  if (available == 0) return 0;
  std::size_t used = 0;  // an entry costs a cache line from the other core; most traces are short
  for (; used < available; ++used) {
    std::memcpy(&entries[used], &map_->trace(used), sizeof(TraceEntry));
    if (entries[used].pid == 0) break;
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  // The trace has no history: once a newer frame came it is that frame's.
  return map_->count() == count && shared(map_->header().write).load(std::memory_order_acquire) == 0 ? used : 0;
}

}  // namespace framebus
