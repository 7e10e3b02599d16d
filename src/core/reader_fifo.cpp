// Where frames lie in DAO's FIFO, and how a reader knows that one lay still: part of Reader.
//
// A writer of DAO sets the slot's `write`, stores the pixels, clears `write`, moves the FIFO on, and only then counts
// the frame. So for a moment a slot holds the next frame and looks as if it held one of a lap ago.
//
// A slot that is not the one to be filled next holds what its counter says, unless the FIFO just moved on to it: then
// its counter is older than that of the slot before. This holds for every writer, and asks for no flag.
//
// The slot to be filled next (with a depth of 1 the only one): framebus' writers keep `fb_busy` on it until the frame
// is counted. Of others it is given only if it looks the same again after that moment has passed, twice, and, where
// there are other slots, not before the writer has been quiet for long: it may have been interrupted just there.
#include <atomic>

#include "core/reader.hpp"

namespace framebus {

namespace {

constexpr int brief_spins = 64;
constexpr int glances = 8;
constexpr std::int64_t uncounted_ns = 1'000;  // DAO counts a frame some 50 ns after it cleared `write`

constexpr std::int64_t at_rest_ns = 50'000'000;  // so long after a frame no writer is in the middle of one

std::uint64_t count_in(DaoHeader& slot) noexcept { return shared(slot.cnt0).load(std::memory_order_acquire); }

enum class Place { open, next, uncounted };

Place place_of(const StreamMap& map, std::size_t slot) noexcept {
  const std::size_t depth = map.layout().depth;
  const std::size_t last = map.last_slot();
  if (slot == (last + 1) % depth) return Place::next;
  if (slot != last) return Place::open;
  return count_in(map.dao_header(last)) > count_in(map.dao_header((last + depth - 1) % depth)) ? Place::open
                                                                                               : Place::uncounted;
}

// Nobody is seen to write there. A mark of framebus that says which frame was to come is void once the slot has that
// one, whoever wrote it. With a depth of 1 and other programs' frames it is not asked: a framebus writer that died
// would have closed the stream for ever.
bool unmarked(DaoHeader& slot, bool flagged, std::size_t depth) noexcept {
  if (shared(slot.write).load(std::memory_order_acquire) != 0) return false;
  const std::uint8_t mark = shared(slot.fb_busy).load(std::memory_order_acquire);
  return mark == 0 || mark == busy_mark(count_in(slot)) || (!flagged && depth == 1);
}

// A slot that is neither to be filled next nor uncounted is nobody's; what a dead framebus writer left there goes. Its
// successor's mark is another one, so that it stays.
void clear_stale_mark(const StreamMap& map, DaoHeader& slot) noexcept {
  std::uint8_t mark = shared(slot.fb_busy).load(std::memory_order_relaxed);
  if (mark != 0 && map.file().writable())
    shared(slot.fb_busy).compare_exchange_strong(mark, 0, std::memory_order_relaxed);
}

bool at_rest(const StreamMap& map) noexcept { return map.age_ns() > at_rest_ns; }

}  // namespace

bool Reader::resting(std::uint64_t count) const noexcept {
  if (!map_->dao() || map_->layout().depth == 1 || map_->framebus_writes(map_->count())) return false;
  const std::size_t slot = find_fifo_slot(count);
  return slot != map_->layout().depth && place_of(*map_, slot) == Place::next && !at_rest(*map_);
}

// The slot whose counter says so; `depth` if there is none. From the oldest to the newest the counters grow.
std::size_t Reader::find_fifo_slot(std::uint64_t count) const noexcept {
  const std::size_t depth = map_->layout().depth;
  if (depth == 1) return count_in(map_->dao_header(0)) == count ? 0 : depth;
  std::size_t newest = map_->last_slot();
  if (place_of(*map_, newest) == Place::uncounted) newest = (newest + depth - 1) % depth;
  // Where no count was passed over it is so many back.
  const std::uint64_t back = count_in(map_->dao_header(newest)) - count;
  const std::size_t guess = (newest + depth - static_cast<std::size_t>(back % depth)) % depth;
  if (count_in(map_->dao_header(guess)) == count) return guess;
  std::size_t low = 0;
  std::size_t high = depth;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (count_in(map_->dao_header((newest + 1 + middle) % depth)) < count)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == depth) return depth;
  const std::size_t slot = (newest + 1 + low) % depth;
  return count_in(map_->dao_header(slot)) == count ? slot : depth;
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
    FrameView view{FrameView::Place::fifo_slot, map_->slot(slot), slot, count, flagged};
    const Place place = place_of(*map_, slot);
    if (place == Place::uncounted) return {};
    if (place == Place::open) {
      clear_stale_mark(*map_, map_->dao_header(slot));
      return view;
    }
    if (!flagged && depth > 1 && !at_rest(*map_)) return {};
    const int spins = depth == 1 ? brief_spins : 1;
    for (int spin = 0; spin < spins; ++spin) {
      if (unmarked(map_->dao_header(slot), flagged, depth)) {
        if (!flagged) view.since_ns = monotonic_ns();
        return view;
      }
      cpu_relax();
    }
    return {};
  }
  return {};
}

// Whether the view's slot holds its frame, and where it is by now. The order matters: first the marks, as a writer
// counts its frame before it clears the last of them; the counter last, as it proves that nobody was there before.
bool Reader::fifo_slot_still(const FrameView& view, bool& next) const noexcept {
  DaoHeader& slot = map_->dao_header(view.slot);
  const bool quiet = unmarked(slot, view.flagged, map_->layout().depth);
  const Place place = place_of(*map_, view.slot);
  next = place == Place::next;
  return (place == Place::open || (next && quiet)) && count_in(slot) == view.count && !map_->reborn();
}

bool Reader::valid_fifo(const FrameView& view) const noexcept {
  bool next = false;
  if (!fifo_slot_still(view, next)) return false;
  if (!next || view.flagged) return true;
  if (map_->layout().depth > 1 && !at_rest(*map_)) return false;
  // Whoever cleared `write` before we looked has moved the FIFO on, and counted, a moment later.
  const std::int64_t until = uncounted_ns + (view.since_ns != 0 ? view.since_ns : monotonic_ns());
  while (monotonic_ns() < until) cpu_relax();
  return fifo_slot_still(view, next);
}

}  // namespace framebus
