// Reading frames: every frame delivered is whole, and every frame not delivered is counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/stream_map.hpp"

namespace framebus {

struct FrameInfo {
  std::uint64_t count = 0;
  std::int64_t acquisition_ns = 0;  // 0: the writer did not say (older frames in a C writer's history)
  std::int64_t write_ns = 0;
  std::uint64_t missed = 0;  // frames between the reader's previous one and this
};

// Where a frame lies in shared memory, and how to tell afterwards that it lay still.
struct FrameView {
  enum class Place { none, pixels, marked_slot, counted_slot, fifo_slot };
  Place place = Place::none;
  const std::byte* data = nullptr;
  std::size_t slot = 0;
  std::uint64_t count = 0;
  bool flagged = false;       // the writer is known to keep its marks until the frame is counted
  std::int64_t since_ns = 0;  // of a fifo_slot that only time can tell: when it was first looked at

  explicit operator bool() const noexcept { return place != Place::none; }
};

enum class ReadStatus {
  ok,
  nothing_new,  // no frame newer than the cursor
  busy,         // the writer was in the way each time; try again
};

class Reader {
 public:
  explicit Reader(StreamMapPtr map) : map_(std::move(map)) {}
  const StreamMapPtr& map() const noexcept { return map_; }
  void rebase(StreamMapPtr map) noexcept;  // the stream was made anew: counts start again

  std::uint64_t cursor() const noexcept { return cursor_; }
  void set_cursor(std::uint64_t count) noexcept { cursor_ = count; }
  std::uint64_t retries() const noexcept { return retries_; }
  // Whether it has yet to be found out which slot of a C writer's history holds which frame.
  bool learning() const noexcept {
    return map_->layout().history > 1 && ring_.kept && !ring_.trusted && ring_.agreed > 0;
  }
  // Of DAO's FIFO: whether that frame can only be given once its writer has been quiet for a moment longer.
  bool resting(std::uint64_t count) const noexcept;
  // With the writer known to be dead no slot can change: the whole history may be read, whoever kept it. Unless it died
  // in the middle of a frame: then the slot that it was to fill next stays out of bounds.
  void set_writer_dead(bool dead) noexcept;

  // The newest whole frame, whether or not it was read before. `nothing_new` when no frame was ever published.
  ReadStatus newest(void* pixels, FrameInfo& info) noexcept;
  // The oldest frame after the cursor that is still there; `missed` counts those that are not.
  ReadStatus next(void* pixels, FrameInfo& info) noexcept;
  // The newest frame after the cursor; `missed` counts those passed over.
  ReadStatus next_newest(void* pixels, FrameInfo& info) noexcept;
  // As newest(), and from which trigger frame on it is to be used; 0: at once. At most so many copies are tried.
  ReadStatus newest_for(void* pixels, FrameInfo& info, std::uint64_t& at_count, int copies) noexcept;
  // A given frame, if it can still be had whole.
  bool at(std::uint64_t count, void* pixels, FrameInfo& info) noexcept;
  // The oldest count that the history can give now; the newest count when there is no usable history.
  std::uint64_t oldest() noexcept;

  // Counts and times of the frames after `after` that the history holds, the oldest first; no pixels are read.
  std::vector<FrameInfo> times(std::uint64_t after);

  // The newest frame in place. Use it, then ask valid(): false means that it changed meanwhile.
  FrameView view_newest() noexcept;
  bool valid(const FrameView& view) noexcept;
  // Whether a change of the view is certain to be noticed.
  bool guarded(const FrameView& view) const noexcept;
  FrameInfo info_of(const FrameView& view) const noexcept;
  // Accepts a frame read in place as the reader's current one; returns how many were missed before it.
  std::uint64_t accept(std::uint64_t count) noexcept;
  // The trace of the newest frame, if `count` still is the newest: its ancestry. Number of entries copied.
  std::size_t copy_trace(std::uint64_t count, std::vector<TraceEntry>& entries) const noexcept;

 private:
  // cnt0, and how many slots were ever written according to CBcycle and CBindex, both at one moment.
  struct Counters {
    std::uint64_t count = 0;
    std::uint64_t slots = 0;
    bool operator==(const Counters&) const = default;
  };
  enum class Phase { proven, still, moving };

  bool look(std::uint64_t newest) noexcept;
  FrameView locate(std::uint64_t count, std::uint64_t newest, bool flagged) const noexcept;
  FrameView locate_marked(std::uint64_t count) const noexcept;
  FrameView locate_fifo(std::uint64_t count, std::uint64_t newest, bool flagged) const noexcept;
  std::size_t find_fifo_slot(std::uint64_t count) const noexcept;
  bool fifo_slot_still(const FrameView& view, bool& next) const noexcept;
  bool valid_fifo(const FrameView& view) const noexcept;
  bool doubtful(const FrameView& view) const noexcept;
  bool copy(const FrameView& view, void* pixels, FrameInfo& info) noexcept;
  bool glance(Counters& counters) const noexcept;
  Phase settle(Counters& counters) const noexcept;
  void watch_ring() noexcept;
  void learn_ring(Counters now) noexcept;
  bool quiet(std::uint64_t count) const noexcept;
  void believe_ring(const Counters& now) noexcept;
  void confirm_ring(const Counters& now) noexcept;
  bool ring_holds(std::uint64_t count) const noexcept;
  std::size_t depth(std::uint64_t newest, bool flagged) const noexcept;
  std::uint64_t oldest(std::uint64_t newest, bool flagged) const noexcept;

  StreamMapPtr map_;
  std::uint64_t cursor_ = 0;
  std::uint64_t retries_ = 0;
  std::uint64_t spare_slots_ = 1;

  // What is known of a history without marks: C writers need not keep a history that they have. One that is kept
  // advances with cnt0, but a moment before it, so that the same two numbers can mean 'frame n is in slot m' or
  // 'frame n + 1 is in slot m, and about to be counted'.
  struct {
    bool kept = true;          // it advances, as far as was seen
    bool trusted = false;      // it is known which slot holds which frame
    std::uint64_t offset = 0;  // cnt0 minus the number of slots ever written, between two frames
    std::uint64_t first = 0;   // counts for which this is known
    std::uint64_t last = 0;
    std::int32_t writer = 0;  // who wrote the last of them
    int agreed = 0;           // frames at which another offset was seen, before it is believed
    std::uint64_t rival = 0;  // that offset
    std::uint64_t agreed_at = 0;
    std::int64_t agreed_ns = 0;
    std::uint64_t slots = 0;  // when the history last advanced, and the count then
    std::uint64_t slots_at = 0;
  } ring_;
};

}  // namespace framebus
