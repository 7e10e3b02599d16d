// Where frames lie in DAO's FIFO, and how a reader knows that one lay still: part of Reader.
//
// A writer of DAO sets the slot's `write`, stores the pixels, clears `write`, moves the FIFO on, and only then counts
// the frame. So for a moment a slot holds the next frame and looks as if it held the last one. Three proofs close that
// gap: framebus' writers leave a mark of their own until the frame is counted; a slot that is not the next to be filled
// cannot change before the counter does; and of any other slot, that moment has passed when the same is seen again
// after it.
#include <atomic>

#include "core/reader.hpp"

namespace framebus {

namespace {

constexpr int brief_spins = 64;
constexpr int glances = 8;
constexpr std::int64_t uncounted_ns = 1'000;  // DAO counts a frame some 50 ns after it cleared `write`

bool unmarked(DaoHeader& slot) noexcept {
  return shared(slot.write).load(std::memory_order_acquire) == 0 &&
         shared(slot.fb_busy).load(std::memory_order_acquire) == 0;
}

std::uint64_t count_in(DaoHeader& slot) noexcept { return shared(slot.cnt0).load(std::memory_order_acquire); }

}  // namespace

// Not the slot that is filled next: it stays as it is until another frame is counted.
bool Reader::counted_proof(std::uint64_t count) const noexcept {
  const std::uint64_t newest = map_->count();
  return count <= newest && newest - count + 2 <= map_->layout().depth;
}

// The slot whose counter says so; `depth` if there is none.
std::size_t Reader::find_fifo_slot(std::uint64_t count) const noexcept {
  const std::size_t depth = map_->layout().depth;
  const std::size_t last = map_->last_slot();
  // Where no count was passed over it is so many back; the FIFO may stand one further than the counter.
  const std::uint64_t newest = count_in(map_->dao_header(last));
  const std::size_t guess = (last + depth - static_cast<std::size_t>((newest - count) % depth)) % depth;
  if (count_in(map_->dao_header(guess)) == count) return guess;
  for (std::size_t back = 0; back < depth; ++back) {
    const std::size_t slot = (last + depth - back) % depth;
    if (count_in(map_->dao_header(slot)) == count) return slot;
  }
  return depth;
}

FrameView Reader::locate_fifo(std::uint64_t count, std::uint64_t newest, bool flagged) const noexcept {
  const std::size_t depth = map_->layout().depth;
  if (count == 0 || count > newest || newest - count >= depth) return {};
  for (int attempt = 0; attempt < glances; ++attempt) {
    const std::size_t slot = find_fifo_slot(count);
    if (slot == depth) {
      if (map_->count() == newest) return {};
      continue;  // the writer went on between two looks
    }
    DaoHeader& header = map_->dao_header(slot);
    const int spins = count == newest ? brief_spins : 1;
    for (int spin = 0; spin < spins; ++spin) {
      if (unmarked(header)) {
        const bool timed = !flagged && (depth == 1 || newest - count + 2 > depth);
        return {FrameView::Place::fifo_slot, map_->slot(slot), slot, count, flagged, timed ? monotonic_ns() : 0};
      }
      cpu_relax();
    }
    return {};
  }
  return {};
}

// The marks first: a writer counts its frame before it clears the last of them.
bool Reader::fifo_slot_still(const FrameView& view) const noexcept {
  DaoHeader& slot = map_->dao_header(view.slot);
  return unmarked(slot) && count_in(slot) == view.count && !map_->reborn();
}

bool Reader::valid_fifo(const FrameView& view) const noexcept {
  if (!fifo_slot_still(view)) return false;
  if (view.flagged || counted_proof(view.count)) return true;
  // Whoever cleared `write` before we first looked has counted the frame by now.
  while (monotonic_ns() - view.since_ns < uncounted_ns) cpu_relax();
  return fifo_slot_still(view);
}

}  // namespace framebus
