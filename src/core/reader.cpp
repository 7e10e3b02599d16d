#include "core/reader.hpp"

#include <algorithm>
#include <cstring>

namespace framebus {

namespace {
constexpr int copy_attempts = 64;
constexpr int brief_spins = 64;
}  // namespace

void Reader::rebase(StreamMapPtr map) noexcept {
  map_ = std::move(map);
  cursor_ = 0;
  history_ = {};
}

// ---- is a C writer's history kept? -----------------------------------------------------------------------------------

void Reader::watch_counters() noexcept {
  Header& header = map_->header();
  const std::uint64_t history = map_->layout().history;
  const std::uint64_t before = map_->count();
  const std::uint64_t slots =
      shared(header.CBcycle).load(std::memory_order_acquire) * history + shared(header.CBindex).load(std::memory_order_acquire);
  if (map_->count() != before) return;  // between two frames; what was known stays
  const std::uint64_t offset = before - slots;
  if (!history_.seen) {
    history_ = {true, offset == 0, offset, before, slots};
    return;
  }
  if (before == history_.count) return;
  if (before > history_.count && slots - history_.slots == before - history_.count) {
    history_ = {true, true, offset, before, slots};
  } else if (offset + 1 == history_.offset || offset + history == history_.offset) {
    return;  // the writer has filled a slot and not yet counted it
  } else if (offset != history_.offset) {
    history_ = {true, false, offset, before, slots};
  }
}

// Slots before `count` + history - 1 were begun only after that many frames were counted, so the counter alone proves
// that a slot lay still, even when the writer never sets `write`. One slot of the history is lost to that proof.
bool Reader::counters_agree(std::uint64_t count) const noexcept {
  const std::uint64_t newest = map_->count();
  return history_.trusted && count <= newest && newest - count + 1 + spare_slots_ <= map_->layout().history;
}

// ---- where a frame lies --------------------------------------------------------------------------------------------

FrameView Reader::locate_marked(std::uint64_t count, std::uint64_t newest) const noexcept {
  const std::size_t history = map_->layout().history;
  if (newest - count >= history) return {};
  const std::size_t last = shared(map_->header().CBindex).load(std::memory_order_acquire) % history;
  const std::size_t back = static_cast<std::size_t>(newest - count);
  std::size_t slot = (last + history - back) % history;
  // CBindex may already stand one further than cnt0: the slot before, then.
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (shared(map_->slot_metadata(slot).cnt0).load(std::memory_order_acquire) == count)
      return {FrameView::Place::marked_slot, map_->slot(slot), slot, count, true};
    slot = (slot + history - 1) % history;
  }
  return {};
}

FrameView Reader::locate(std::uint64_t count, std::uint64_t newest) noexcept {
  const std::size_t history = map_->layout().history;
  const bool flagged = map_->framebus_writes(newest);
  if (history > 0) {
    if (flagged) {
      if (const FrameView view = locate_marked(count, newest)) return view;
    } else {
      watch_counters();
      if (counters_agree(count)) {
        const auto slot = static_cast<std::size_t>((count - history_.offset) % history);
        return {FrameView::Place::counted_slot, map_->slot(slot), slot, count, false};
      }
    }
  }
  if (count != newest) return {};
  // The flag falls just after the counter moved: wait that moment out rather than reporting a writer in the way.
  for (int spin = 0; spin < brief_spins; ++spin) {
    if (shared(map_->header().write).load(std::memory_order_acquire) == 0)
      return {FrameView::Place::pixels, map_->pixels(), 0, count, flagged};
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
      return shared(map_->slot_metadata(view.slot).cnt0).load(std::memory_order_acquire) == view.count;
    case FrameView::Place::counted_slot:
      watch_counters();
      return counters_agree(view.count);
    case FrameView::Place::none: break;
  }
  return false;
}

FrameInfo Reader::info_of(const FrameView& view) const noexcept {
  FrameInfo info;
  info.count = view.count;
  if (view.place == FrameView::Place::marked_slot) {
    const SlotMetadata& metadata = map_->slot_metadata(view.slot);
    info.acquisition_ns = to_ns(metadata.atime);
    info.write_ns = to_ns(metadata.writetime);
  } else if (view.count == map_->count()) {
    info.acquisition_ns = to_ns(map_->header().atime);
    info.write_ns = to_ns(map_->header().writetime);
  }
  return info;
}

bool Reader::copy(const FrameView& view, void* pixels, FrameInfo& info) noexcept {
  const std::size_t bytes = map_->layout().frame_bytes;
  info = info_of(view);
  std::memcpy(pixels, view.data, bytes);
  bool whole = valid(view);
  if (whole && view.place == FrameView::Place::pixels && !view.flagged) {
    // A writer that may not set `write`: if it is storing now, a second look differs from the first.
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
    const FrameView view = locate(count, count);
    if (view && copy(view, pixels, info)) {
      info.missed = accept(count);
      return ReadStatus::ok;
    }
  }
  return ReadStatus::busy;
}

ReadStatus Reader::next_newest(void* pixels, FrameInfo& info) noexcept {
  const std::uint64_t count = map_->count();
  if (count < cursor_) cursor_ = 0;  // somebody reset the counter: all that comes is new
  if (count == cursor_) return ReadStatus::nothing_new;
  return newest(pixels, info);
}

std::size_t Reader::depth(std::uint64_t newest) noexcept {
  const std::size_t history = map_->layout().history;
  if (history == 0) return 1;
  if (map_->framebus_writes(newest)) return history;
  watch_counters();
  return history_.trusted && history > spare_slots_ ? history - spare_slots_ : 1;
}

std::uint64_t Reader::oldest() noexcept {
  const std::uint64_t newest = map_->count();
  if (newest == 0) return 0;
  const std::uint64_t back = std::min<std::uint64_t>(depth(newest), newest);
  std::uint64_t count = newest - back + 1;
  // Marked slots may hold less than the history's length: the stream is young, or a C writer wrote in between.
  if (map_->layout().history > 0 && map_->framebus_writes(newest))
    while (count < newest && !locate_marked(count, newest)) ++count;
  return count;
}

ReadStatus Reader::next(void* pixels, FrameInfo& info) noexcept {
  if (map_->count() < cursor_) cursor_ = 0;
  for (int attempt = 0; attempt < copy_attempts; ++attempt) {
    const std::uint64_t newest = map_->count();
    if (newest == cursor_) return ReadStatus::nothing_new;
    const std::uint64_t held = std::min<std::uint64_t>(depth(newest), newest);
    // The oldest at first. A writer that laps us even while we copy is given a wider berth each time.
    const std::uint64_t back = attempt == 0 ? held : (attempt < 8 ? (held + 1) / 2 : 1);
    const std::uint64_t wanted = std::max(cursor_ + 1, newest - back + 1);
    FrameView view = locate(wanted, newest);
    if (!view && wanted != newest && attempt > 0) view = locate(newest, newest);
    if (view && copy(view, pixels, info)) {
      info.missed = accept(info.count);
      return ReadStatus::ok;
    }
  }
  return ReadStatus::busy;
}

bool Reader::at(std::uint64_t count, void* pixels, FrameInfo& info) noexcept {
  const std::uint64_t newest = map_->count();
  if (count == 0 || count > newest) return false;
  const FrameView view = locate(count, newest);
  return view && copy(view, pixels, info);
}

std::vector<FrameInfo> Reader::times(std::uint64_t after) {
  std::vector<FrameInfo> all;
  const std::uint64_t newest = map_->count();
  for (std::uint64_t count = std::max(oldest(), after + 1); count != 0 && count <= newest; ++count) {
    const FrameView view = locate(count, newest);
    if (!view) continue;
    const FrameInfo info = info_of(view);
    if (valid(view)) all.push_back(info);
  }
  return all;
}

FrameView Reader::view_newest() noexcept {
  const std::uint64_t count = map_->count();
  return count == 0 ? FrameView{} : locate(count, count);
}

std::size_t Reader::copy_trace(std::uint64_t count, std::vector<TraceEntry>& entries) const noexcept {
  const std::size_t available = std::min(map_->layout().trace_entries, entries.size());
  if (available == 0) return 0;
  std::memcpy(entries.data(), &map_->trace(0), available * sizeof(TraceEntry));
  std::atomic_thread_fence(std::memory_order_acquire);
  // The trace has no history: once a newer frame came it is that frame's.
  return map_->count() == count && shared(map_->header().write).load(std::memory_order_acquire) == 0 ? available : 0;
}

}  // namespace framebus
