// Publishing frames into a stream: the one routine that every writer of framebus goes through.
#pragma once

#include <cstdint>

#include "core/stream_map.hpp"

namespace framebus {

// Where a frame comes from: written into the output's process trace.
struct Ancestry {
  std::int32_t trigger_mode = 0;  // 0 immediate, 1 frame counter, 4 delay
  std::uint64_t trigger_inode = 0;
  std::uint64_t trigger_count = 0;
  std::int64_t processing_start_ns = 0;
  const TraceEntry* parents = nullptr;  // the trigger's own trace
  std::size_t parent_count = 0;
};

// What is said of a frame beside its pixels.
struct Particulars {
  std::int64_t acquisition_ns = 0;     // 0: now
  const Ancestry* ancestry = nullptr;  // null: it has none
  std::uint64_t at_count = 0;          // from which frame of its trigger on a unit uses it; 0: at once
  std::uint64_t count = 0;             // the count to give it, if that is beyond the newest; 0: the next
};

// Where a part of a frame lies and which packet brought it.
struct Packet {
  std::uint64_t position = 0;  // of its first element in the frame
  std::uint64_t elements = 0;
  std::uint32_t number = 0;
  std::uint32_t total = 0;
  std::uint64_t frame_id = 0;
};

class Writer {
 public:
  explicit Writer(StreamMapPtr map) : map_(std::move(map)) {}
  const StreamMapPtr& map() const noexcept { return map_; }

  // Marks the frame as incomplete; the caller then fills map()->next_pixels().
  void begin() noexcept;
  // Stores a part of a frame that was begun, and what the format has room for to say of it.
  void put(const void* elements, const Packet& packet) noexcept;
  // The frame is complete: history, times, trace, counter, wake-ups, in the order of the format. Returns its count;
  // 0: the file is not what it was when it was mapped, and nothing was done.
  std::uint64_t publish(const Particulars& particulars) noexcept;
  // The frame will not be completed. With a history the last good frame is put back; without one there is none to put
  // back, and the frame stays marked as incomplete until the next is published.
  void abandon() noexcept;
  // begin, copy, publish.
  std::uint64_t write(const void* pixels, const Particulars& particulars) noexcept;
  // Before the first write with `at_count`: makes its keyword. Throws UsageError when no slot is free.
  void prepare_at_count();

 private:
  std::uint64_t publish_isio(const Particulars& particulars) noexcept;
  std::uint64_t publish_dao(const Particulars& particulars) noexcept;
  void abandon_dao() noexcept;
  void store_history(std::uint64_t count, const Timespec& acquired, const Timespec& written) noexcept;
  void store_at_count(std::uint64_t count, std::uint64_t at_count) noexcept;
  void store_trace(std::int64_t now_ns, const Ancestry* ancestry) noexcept;
  void wake(std::uint64_t previous) noexcept;

  StreamMapPtr map_;
};

}  // namespace framebus
