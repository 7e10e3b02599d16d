#include "core/handle.hpp"

#include <algorithm>
#include <cstdio>

#include "core/errors.hpp"

namespace nb = nanobind;

namespace framebus {

namespace {

constexpr std::int64_t slice_ns = 20'000'000;         // the longest sleep before looking around
constexpr std::int64_t look_again_ns = 100'000'000;   // how often a writer checks that its file still has its name
constexpr std::size_t copy_without_gil = 64 * 1024;   // shorter copies cost less than giving the GIL away

class OneThread {
 public:
  explicit OneThread(std::atomic_flag& flag) : flag_(flag) {
    if (flag_.test_and_set(std::memory_order_acquire))
      throw_usage("this handle is in use by another thread; open one handle of the stream for each thread");
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
  ~OneThread() { flag_.clear(std::memory_order_release); }

 private:
  std::atomic_flag& flag_;
};

void check_signals() {
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

std::int64_t deadline_after(std::int64_t timeout_ns) noexcept {
  if (timeout_ns < 0) return INT64_MAX;
  const std::int64_t now = monotonic_ns();
  return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

std::string seconds(std::int64_t ns) {
  char text[40];
  std::snprintf(text, sizeof text, "%.3g s", static_cast<double>(ns) * 1e-9);
  return text;
}

}  // namespace

const StreamMapPtr& StreamHandle::map() const {
  if (!map_) throw_usage("this stream handle is closed; open the stream again");
  return map_;
}

void StreamHandle::close() noexcept {
  if (!reading_.test(std::memory_order_acquire)) waiter_.release();
  map_.reset();
  if (!reading_.test(std::memory_order_acquire)) reader_.rebase(nullptr);
  if (!writing_.test(std::memory_order_acquire)) writer_ = Writer(nullptr);
}

void StreamHandle::follow() {
  if (in_frame_) return;
  StreamMapPtr next = successor(*map());
  if (!next) return;
  waiter_.release();
  map_ = next;
  reader_.rebase(next);
  writer_ = Writer(next);
  ++recreated_;
}

// ---- writing ---------------------------------------------------------------------------------------------------

void StreamHandle::before_write() {
  if (!map()->file().writable())
    throw_usage(map_->file().path() + ": this process may not write to the stream; check the file's owner and mode");
  const std::int64_t now = coarse_ns();
  if (!map_->retired() && now - looked_ns_ < look_again_ns) return;
  looked_ns_ = now;
  if (map_->standing() == StreamMap::Standing::gone)
    throw_recreated(map_->file().path() + ": was removed; nobody would see what is written. Create the stream again");
  follow();
}

std::uint64_t StreamHandle::write(const void* pixels, std::int64_t acquisition_ns) {
  const OneThread guard(writing_);
  if (in_frame_) throw_usage("a frame is being written in place; leave its 'with' block first");
  before_write();
  std::uint64_t count = 0;
  if (map_->layout().frame_bytes > copy_without_gil) {
    // Safe without the GIL: the guard keeps the writer ours, and the caller holds the buffer.
    Writer writer(map_);
    const nb::gil_scoped_release released;
    count = writer.write(pixels, acquisition_ns, nullptr);
  } else {
    count = writer_.write(pixels, acquisition_ns, nullptr);
  }
  ++frames_written_;
  return count;
}

void StreamHandle::begin_write() {
  const OneThread guard(writing_);
  if (in_frame_) throw_usage("a frame is being written in place already; leave its 'with' block first");
  before_write();
  writer_.begin();
  in_frame_ = true;
}

std::uint64_t StreamHandle::end_write(std::int64_t acquisition_ns) {
  const OneThread guard(writing_);
  if (!in_frame_) throw_usage("no frame is being written in place");
  in_frame_ = false;
  if (closed()) throw_usage("the stream was closed while a frame was being written; the frame is lost");
  ++frames_written_;
  return writer_.publish(acquisition_ns, nullptr);
}

void StreamHandle::abandon_write() {
  const OneThread guard(writing_);
  if (!in_frame_) return;
  in_frame_ = false;
  if (!closed()) writer_.abandon();
}

// ---- reading -----------------------------------------------------------------------------------------------------

void StreamHandle::throw_timed_out(const std::string& waited_for, std::int64_t timeout_ns) const {
  std::string text = map_->file().path() + ": no " + waited_for + " within " + seconds(timeout_ns) + "; ";
  const std::uint64_t count = map_->count();
  if (count == 0) {
    text += "no frame was ever published";
  } else {
    text += "the last frame, count " + std::to_string(count) + ", is " +
            seconds(std::max<std::int64_t>(0, realtime_ns() - to_ns(map_->header().writetime))) + " old";
  }
  const std::int32_t pid = map_->last_writer();
  if (pid > 0) text += std::string(", its writer (pid ") + std::to_string(pid) + (map_->last_writer_alive() ? ") is alive" : ") is dead");
  if (map_->header().write != 0) text += ", and a frame was begun and not finished";
  if (map_->standing() == StreamMap::Standing::gone) text += "; the stream was removed";
  throw_timeout(text);
}

bool StreamHandle::sleep(std::uint64_t count, std::int64_t deadline_ns, std::int64_t spin_ns) {
  const StreamMapPtr current = map();
  const std::int64_t left = deadline_ns == INT64_MAX ? INT64_MAX : std::max<std::int64_t>(0, deadline_ns - monotonic_ns());
  bool newer = false;
  {
    // Safe without the GIL: `current` keeps the map, and the reading guard keeps the waiter ours.
    const nb::gil_scoped_release released;
    const std::int64_t spin = std::min({spin_ns, slice_ns, left});
    newer = waiter_.wait(current, count, spin, spin_ns > slice_ns ? 0 : std::min(slice_ns, left));
  }
  if (newer) return true;
  check_signals();
  if (closed()) throw_usage("the stream was closed while this thread waited for it");
  follow();
  return false;
}

ReadStatus StreamHandle::attempt(void* pixels, FrameInfo& info, bool newest) {
  const auto read = [&] { return newest ? reader_.next_newest(pixels, info) : reader_.next(pixels, info); };
  if (map()->layout().frame_bytes <= copy_without_gil) return read();
  const StreamMapPtr keep = map_;
  // Safe without the GIL: `keep` holds the map, the reading guard keeps the reader ours, the caller holds the buffer.
  const nb::gil_scoped_release released;
  return read();
}

FrameInfo StreamHandle::read_next(void* pixels, bool newest, std::int64_t timeout_ns, std::int64_t spin_ns) {
  const OneThread guard(reading_);
  FrameInfo info;
  ReadStatus status = attempt(pixels, info, newest);
  if (status != ReadStatus::ok) {
    const std::int64_t deadline = deadline_after(timeout_ns);
    for (;;) {
      // A writer in the way is gone in a moment, or dead: a nap of a slice is the longest that it may cost.
      if (status == ReadStatus::busy)
        sleep(map_->count(), std::min(deadline, monotonic_ns() + 1'000'000), 0);
      else
        sleep(reader_.cursor(), deadline, spin_ns);
      status = attempt(pixels, info, newest);
      if (status == ReadStatus::ok) break;
      if (monotonic_ns() >= deadline) throw_timed_out("new frame", timeout_ns);
    }
  }
  ++frames_read_;
  frames_missed_ += info.missed;
  return info;
}

FrameInfo StreamHandle::read_newest(void* pixels, std::int64_t timeout_ns) {
  const OneThread guard(reading_);
  if (map()->retired()) follow();
  const std::int64_t deadline = deadline_after(timeout_ns);
  FrameInfo info;
  for (;;) {
    const ReadStatus status = reader_.newest(pixels, info);
    if (status == ReadStatus::ok) break;
    if (monotonic_ns() >= deadline) throw_timed_out("whole frame", timeout_ns);
    sleep(map_->count(), std::min(deadline, monotonic_ns() + 1'000'000), 0);
  }
  ++frames_read_;
  return info;
}

std::uint64_t StreamHandle::wait_newer(std::uint64_t count, std::int64_t timeout_ns, std::int64_t spin_ns) {
  const OneThread guard(reading_);
  if (map()->count() > count) return map_->count();
  const std::int64_t deadline = deadline_after(timeout_ns);
  const std::uint64_t recreated = recreated_;
  for (;;) {
    // In a new file the counts start again: any frame of it is newer.
    const std::uint64_t beyond = recreated_ == recreated ? count : 0;
    if (sleep(beyond, deadline, spin_ns) || map_->count() > beyond) return map_->count();
    if (monotonic_ns() >= deadline) throw_timed_out("frame newer than " + std::to_string(count), timeout_ns);
  }
}

std::optional<FrameInfo> StreamHandle::read_at(std::uint64_t count, void* pixels) {
  const OneThread guard(reading_);
  reader_.set_writer_dead(map()->last_writer() > 0 && !map_->last_writer_alive());
  FrameInfo info;
  const bool read = reader_.at(count, pixels, info);
  reader_.set_writer_dead(false);
  return read ? std::optional<FrameInfo>(info) : std::nullopt;
}

}  // namespace framebus
