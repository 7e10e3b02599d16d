// What one Python Stream object holds: a map, a place to read from, a place to write to, a way to sleep.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/reader.hpp"
#include "core/waiter.hpp"
#include "core/writer.hpp"

namespace framebus {

// A frame in place, with the means to tell whether it still is what it was.
struct LatestView {
  Reader reader;
  FrameView view;
  FrameInfo info;
};

// Not copyable, used by one thread at a time: a second thread gets a UsageError, not a race. Different handles of one
// stream are independent. Members that move the handle to a successor file run with the GIL held.
class StreamHandle {
 public:
  // Frames published before the handle was made are not its own: its cursor starts at the newest.
  explicit StreamHandle(StreamMapPtr map) : map_(map), reader_(map), writer_(map) { reader_.set_cursor(map->count()); }

  // Throws UsageError once closed.
  const StreamMapPtr& map() const;
  void close() noexcept;
  bool closed() const noexcept { return map_ == nullptr; }

  // Copies `pixels` (exactly one frame) into the stream. Returns the frame's count.
  std::uint64_t write(const void* pixels, const Particulars& particulars);
  void begin_write();
  // Between begin_write and end_write: a part of the frame. Throws UsageError when it does not lie in the frame.
  void put(const void* elements, const Packet& packet);
  std::uint64_t end_write(std::int64_t acquisition_ns);
  void abandon_write();

  // Each waits as long as needed and throws WaitTimeout, which tells the age of the last frame and its writer's fate.
  // Negative timeout: for ever.
  // `keep_cursor`: only a look, the frame does not count as read.
  FrameInfo read_newest(void* pixels, std::int64_t timeout_ns, bool keep_cursor = false);
  LatestView latest(std::int64_t timeout_ns);
  FrameInfo read_next(void* pixels, bool newest, std::int64_t timeout_ns, std::int64_t spin_ns);
  std::uint64_t wait_newer(std::uint64_t count, std::int64_t timeout_ns, std::int64_t spin_ns);
  std::optional<FrameInfo> read_at(std::uint64_t count, void* pixels);
  std::uint64_t oldest();
  std::vector<FrameInfo> times(std::uint64_t after);
  std::uint64_t cursor();
  void set_cursor(std::uint64_t count);
  std::vector<TraceEntry> trace();
  // A successor of the same shape is adopted; throws StreamRecreated for any other.
  void follow();

  const Reader& reader() const noexcept { return reader_; }
  Waiter& waiter() noexcept { return waiter_; }
  std::uint64_t recreated() const noexcept { return recreated_; }
  std::uint64_t frames_read() const noexcept { return frames_read_; }
  std::uint64_t frames_missed() const noexcept { return frames_missed_; }
  std::uint64_t frames_written() const noexcept { return frames_written_; }

 private:
  class Use;
  enum class Wanted { next, next_newest, newest };

  ReadStatus attempt(void* pixels, FrameInfo& info, Wanted wanted);
  void look_for_successor();
  void forget_map() noexcept;
  bool sleep(std::uint64_t count, std::int64_t deadline_ns, std::int64_t spin_ns, bool in_order = false);
  void follow_in_order();
  void move_to(const StreamMapPtr& next);
  [[noreturn]] void throw_timed_out(const std::string& waited_for, std::int64_t timeout_ns) const;
  void before_write();
  void require_published(std::uint64_t count) const;

  StreamMapPtr map_;
  Reader reader_;
  Writer writer_;
  Waiter waiter_;
  // The fork_generation() in which a thread is using the handle, 0 if none is: a child of fork() inherits no users.
  std::atomic<std::uint64_t> user_{0};
  bool in_frame_ = false;
  std::int64_t looked_ns_ = 0;
  std::int64_t orphaned_ns_ = 0;  // since when our file's name is that of no stream; 0: it is not
  bool parting_ = false;          // the successor of our file is in use, and ours still had a frame when we looked
  std::uint64_t lost_ = 0;        // frames of former files that nobody will read any more
  std::uint64_t recreated_ = 0;
  std::uint64_t frames_read_ = 0;
  std::uint64_t frames_missed_ = 0;
  std::uint64_t frames_written_ = 0;
};

}  // namespace framebus
