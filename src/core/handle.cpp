#include "core/handle.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>

#include "core/errors.hpp"

namespace nb = nanobind;

namespace framebus {

namespace {

constexpr std::int64_t slice_ns = 50'000'000;        // the longest sleep before looking around
constexpr std::int64_t nap_ns = 1'000'000;           // while a writer is in the way: it is gone in a moment, or dead
constexpr int moment = 30;                           // so many naps a writer may be in the way
constexpr int long_moment = 250;                     // and so many may pass until a history is understood
constexpr std::int64_t look_again_ns = 100'000'000;  // how often the file is asked whether it still has its name
constexpr std::int64_t patience_ns = 1'000'000'000;  // with a file that has our name and is no stream yet
constexpr std::size_t copy_without_gil = 65'536;     // shorter copies cost less than giving the GIL away

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

// Marks the handle as used by this thread.
class StreamHandle::Use {
 public:
  explicit Use(StreamHandle& handle) : handle_(handle) {
    const std::uint64_t self = fork_generation();
    std::uint64_t user = handle.user_.load(std::memory_order_relaxed);
    // Acquire and release: the next user sees all that the one before it did.
    if (user == self || !handle.user_.compare_exchange_strong(user, self, std::memory_order_acquire))
      throw_usage("this handle is in use by another thread; open one handle of the stream for each thread");
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    if (handle_.closed()) handle_.forget_map();  // closed meanwhile by another thread, which had to leave that to us
    handle_.user_.store(0, std::memory_order_release);
  }

 private:
  StreamHandle& handle_;
};

const StreamMapPtr& StreamHandle::map() const {
  if (!map_) throw_usage("this stream handle is closed; open the stream again");
  return map_;
}

void StreamHandle::forget_map() noexcept {
  waiter_.release();
  reader_.rebase(nullptr);
  writer_ = Writer(nullptr);
}

void StreamHandle::close() noexcept {
  if (closed()) return;
  // A frame that was begun is not going to be completed.
  if (std::exchange(in_frame_, false)) writer_.abandon();
  map_.reset();
  // Another thread may be reading or writing without the GIL: its copy of the pointer keeps the memory.
  if (user_.load(std::memory_order_acquire) != fork_generation()) forget_map();
}

void StreamHandle::follow() {
  if (in_frame_) return;
  if (const StreamMapPtr next = successor(*map())) move_to(next);
}

void StreamHandle::move_to(const StreamMapPtr& next) {
  // However the handle comes to leave: what it has not read of the old file, nobody will read for it any more.
  const std::uint64_t count = map_->count();
  if (count > reader_.cursor()) lost_ += count - reader_.cursor();
  parting_ = false;
  waiter_.release();
  map_ = next;
  reader_.rebase(next);
  writer_ = Writer(next);
  ++recreated_;
}

// As follow(), for a reader that takes every frame. Until the successor has a frame the writer may still be with the
// old file; then frames that came there since we looked last are taken first, and what cannot be taken counts as
// missed.
void StreamHandle::follow_in_order() {
  if (in_frame_) return;
  const StreamMapPtr next = successor(*map());
  if (!next) return;
  if (next->count() == 0) {
    const nb::gil_scoped_release released;  // touches nothing of ours
    futex_wait(next->count_word(), 0, nap_ns);
    return;
  }
  if (map()->count() > reader_.cursor() && !std::exchange(parting_, true)) return;
  move_to(next);
}

void StreamHandle::look_for_successor() {
  // A C writer that makes the stream anew leaves no mark in the old file.
  const std::int64_t now = coarse_ns();
  if (!map()->retired() && now - looked_ns_ < look_again_ns) return;
  looked_ns_ = now;
  follow();
}

// ---- writing ---------------------------------------------------------------------------------------------------

void StreamHandle::before_write() {
  if (in_frame_) throw_usage("a frame is being written in place; leave its 'with' block first");
  if (!map()->file().writable())
    throw_usage(map_->file().path() + ": this process may not write to the stream; check the file's owner and mode");
  const std::int64_t now = coarse_ns();
  if (!map_->retired() && now - looked_ns_ < look_again_ns) return;
  looked_ns_ = now;
  const StreamMap::Standing standing = map_->standing();
  if (standing == StreamMap::Standing::gone) {
    looked_ns_ = 0;  // the next call looks again, at once
    throw_recreated(map_->file().path() + ": was removed; nobody would see what is written. Create the stream again");
  }
  const std::uint64_t recreated = recreated_;
  follow();
  if (standing == StreamMap::Standing::current || recreated_ != recreated) {
    orphaned_ns_ = 0;
  } else if (orphaned_ns_ == 0) {
    orphaned_ns_ = now;  // whoever makes it anew may not be done yet
  } else if (now - orphaned_ns_ > patience_ns) {
    looked_ns_ = 0;
    throw_recreated(
        map_->file().path() +
        ": was replaced by a file that is no stream; nobody would see what is written. Remove that file, and "
        "create the stream again");
  }
}

std::uint64_t StreamHandle::write(const void* pixels, const Particulars& particulars) {
  const Use use(*this);
  before_write();
  if (particulars.at_count != 0) writer_.prepare_at_count();
  std::uint64_t count = 0;
  if (map_->layout().frame_bytes > copy_without_gil) {
    // Safe without the GIL: a writer of its own keeps the map, and the caller holds the buffer.
    Writer writer(map_);
    const nb::gil_scoped_release released;
    count = writer.write(pixels, particulars);
  } else {
    count = writer_.write(pixels, particulars);
  }
  require_published(count);
  ++frames_written_;
  return count;
}

void StreamHandle::require_published(std::uint64_t count) const {
  if (count == 0 && map_->reborn())
    throw_recreated(map_->file().path() + ": was made anew by another program just now; the frame was not published");
}

void StreamHandle::begin_write() {
  const Use use(*this);
  before_write();
  writer_.begin();
  // In a FIFO the next frame lies in another place than the previous one, which the caller is to find there.
  if (map_->layout().depth > 1 && map_->count() > 0)
    std::memcpy(map_->next_pixels(), map_->newest_pixels(), map_->layout().frame_bytes);
  in_frame_ = true;
}

void StreamHandle::put(const void* elements, const Packet& packet) {
  const Use use(*this);
  if (closed()) throw_usage("the stream was closed while a frame was being put together; the frame is lost");
  if (!in_frame_) throw_usage("no frame is being put together");
  const std::uint64_t room = map_->layout().nelement;
  if (packet.position > room || packet.elements > room - packet.position)
    throw_usage(map_->file().path() + ": a packet of " + std::to_string(packet.elements) + " elements at position " +
                std::to_string(packet.position) + " does not lie in a frame of " + std::to_string(room));
  require_published(map_->reborn() ? 0 : 1);
  writer_.put(elements, packet);
}

std::uint64_t StreamHandle::end_write(std::int64_t acquisition_ns) {
  const Use use(*this);
  if (closed()) throw_usage("the stream was closed while a frame was being written in place; the frame is lost");
  if (!in_frame_) throw_usage("no frame is being written in place");
  in_frame_ = false;
  const std::uint64_t count = writer_.publish({acquisition_ns});
  require_published(count);
  ++frames_written_;
  return count;
}

void StreamHandle::abandon_write() {
  const Use use(*this);
  if (std::exchange(in_frame_, false)) writer_.abandon();
}

// ---- reading -----------------------------------------------------------------------------------------------------

void StreamHandle::throw_timed_out(const std::string& waited_for, std::int64_t timeout_ns) const {
  const StreamMap& stream = *map();
  std::string text = stream.file().path() + ": no " + waited_for + " within " + seconds(timeout_ns) + "; ";
  const auto fate = [&stream](std::int32_t pid, bool alive) {
    const char* const gone = stream.last_writer_left() ? ") has ended" : ") is dead";
    return " (pid " + std::to_string(pid) + (alive ? ") is alive" : gone);
  };
  const std::uint64_t count = stream.count();
  const std::int32_t writer = stream.last_writer();
  if (count == 0) {
    text += "no frame was ever published";
    if (stream.maker() > 0) text += ", the stream's maker" + fate(stream.maker(), stream.maker_alive());
  } else {
    text += "the last frame, count " + std::to_string(count) + ", is " +
            seconds(std::max<std::int64_t>(0, stream.age_ns())) + " old";
    if (writer > 0) text += ", its writer" + fate(writer, stream.last_writer_alive());
  }
  if (stream.writing()) text += ", and a frame was begun and not finished";
  if (stream.standing() == StreamMap::Standing::gone) text += "; the stream was removed";
  throw_timeout(text);
}

bool StreamHandle::sleep(std::uint64_t count, std::int64_t deadline_ns, std::int64_t spin_ns, bool in_order) {
  const StreamMapPtr current = map();
  const std::int64_t left =
      deadline_ns == INT64_MAX ? INT64_MAX : std::max<std::int64_t>(0, deadline_ns - monotonic_ns());
  bool newer = false;
  {
    // Safe without the GIL: `current` keeps the map, and the mark of use keeps the waiter ours.
    const nb::gil_scoped_release released;
    const std::int64_t spin = std::min({spin_ns, slice_ns, left});
    newer = waiter_.wait(current, count, spin, spin_ns > slice_ns ? 0 : std::min(slice_ns, left));
  }
  if (closed()) throw_usage("the stream was closed while this thread waited for it");
  if (newer) return true;
  check_signals();
  if (in_order)
    follow_in_order();
  else
    follow();
  if (map()->file().local() && map_->standing() == StreamMap::Standing::gone)
    throw_recreated("process-local stream '" + map_->file().path() + "' was removed while this handle waited for it");
  return false;
}

ReadStatus StreamHandle::attempt(void* pixels, FrameInfo& info, Wanted wanted) {
  const auto read = [&] {
    switch (wanted) {
      case Wanted::next:
        return reader_.next(pixels, info);
      case Wanted::next_newest:
        return reader_.next_newest(pixels, info);
      case Wanted::newest:
        break;
    }
    return reader_.newest(pixels, info);
  };
  if (map()->layout().frame_bytes <= copy_without_gil) return read();
  const StreamMapPtr keep = map_;
  // Safe without the GIL: `keep` holds the map, the mark of use keeps the reader ours, the caller holds the buffer.
  const nb::gil_scoped_release released;
  return read();
}

FrameInfo StreamHandle::read_next(void* pixels, bool newest, std::int64_t timeout_ns, std::int64_t spin_ns) {
  const Use use(*this);
  const Wanted wanted = newest ? Wanted::next_newest : Wanted::next;
  FrameInfo info;
  ReadStatus status = attempt(pixels, info, wanted);
  if (status != ReadStatus::ok) {
    const std::int64_t deadline = deadline_after(timeout_ns);
    for (;;) {
      if (status == ReadStatus::busy)
        sleep(map()->count(), std::min(deadline, monotonic_ns() + nap_ns), 0, true);
      else
        sleep(reader_.cursor(), deadline, spin_ns, true);
      status = attempt(pixels, info, wanted);
      if (status == ReadStatus::ok) break;
      if (monotonic_ns() >= deadline) throw_timed_out("new frame", timeout_ns);
    }
  }
  info.missed += std::exchange(lost_, 0);
  ++frames_read_;
  frames_missed_ += info.missed;
  return info;
}

FrameInfo StreamHandle::read_newest(void* pixels, std::int64_t timeout_ns, bool keep_cursor) {
  const Use use(*this);
  look_for_successor();
  const std::int64_t deadline = deadline_after(timeout_ns);
  const std::uint64_t cursor = reader_.cursor();
  const std::uint64_t recreated = recreated_;
  FrameInfo info;
  for (;;) {
    const ReadStatus status = attempt(pixels, info, Wanted::newest);
    if (status == ReadStatus::ok) break;
    if (monotonic_ns() >= deadline) throw_timed_out("whole frame", timeout_ns);
    const std::int64_t nap_end = status == ReadStatus::busy ? monotonic_ns() + nap_ns : INT64_MAX;
    sleep(map()->count(), std::min(deadline, nap_end), 0);
  }
  if (keep_cursor) {
    reader_.set_cursor(recreated_ == recreated ? cursor : 0);  // the old file's cursor says nothing of the new one's
  } else {
    info.missed += std::exchange(lost_, 0);
    ++frames_read_;
    frames_missed_ += info.missed;
  }
  return info;
}

LatestView StreamHandle::latest(std::int64_t timeout_ns) {
  const Use use(*this);
  look_for_successor();
  const std::int64_t deadline = deadline_after(timeout_ns);
  for (;;) {
    if (const FrameView view = reader_.view_newest()) {
      const FrameInfo info = reader_.info_of(view);
      if (reader_.valid(view)) return {reader_, view, info};
    }
    if (monotonic_ns() >= deadline) throw_timed_out("whole frame", timeout_ns);
    const std::uint64_t count = map()->count();
    sleep(count, count == 0 ? deadline : std::min(deadline, monotonic_ns() + nap_ns), 0);
  }
}

std::uint64_t StreamHandle::wait_newer(std::uint64_t count, std::int64_t timeout_ns, std::int64_t spin_ns) {
  const Use use(*this);
  if (map()->count() > count) return map_->count();
  const std::int64_t deadline = deadline_after(timeout_ns);
  const std::uint64_t recreated = recreated_;
  for (;;) {
    // In a new file the counts start again: any frame of it is newer.
    const std::uint64_t beyond = recreated_ == recreated ? count : 0;
    if (sleep(beyond, deadline, spin_ns) || map()->count() > beyond) return map()->count();
    if (monotonic_ns() >= deadline) throw_timed_out("frame newer than " + std::to_string(count), timeout_ns);
  }
}

std::optional<FrameInfo> StreamHandle::read_at(std::uint64_t count, void* pixels) {
  const Use use(*this);
  reader_.set_writer_dead(map()->last_writer() > 0 && !map_->last_writer_alive());
  const StreamMapPtr keep = map_;
  FrameInfo info;
  bool resting = reader_.resting(count);  // asked before: it may end between the two
  bool read = reader_.at(count, pixels, info);
  // The newest frame may have a writer in its way, who is gone in a moment; an older one only goes farther away.
  for (int attempt = 0; !read && (resting || count == keep->count()); ++attempt) {
    if (attempt >= (resting || reader_.learning() ? long_moment : moment)) break;
    const nb::gil_scoped_release released;
    std::this_thread::sleep_for(std::chrono::nanoseconds(nap_ns));
    resting = reader_.resting(count);
    read = reader_.at(count, pixels, info);
  }
  reader_.set_writer_dead(false);
  return read ? std::optional<FrameInfo>(info) : std::nullopt;
}

std::uint64_t StreamHandle::oldest() {
  const Use use(*this);
  reader_.set_writer_dead(map()->last_writer() > 0 && !map_->last_writer_alive());
  const std::uint64_t oldest = reader_.oldest();
  reader_.set_writer_dead(false);
  return oldest;
}

std::vector<FrameInfo> StreamHandle::times(std::uint64_t after) {
  const Use use(*this);
  return map(), reader_.times(after);
}

std::uint64_t StreamHandle::cursor() {
  const Use use(*this);
  return map(), reader_.cursor();
}

void StreamHandle::set_cursor(std::uint64_t count) {
  const Use use(*this);
  map(), reader_.set_cursor(count);
  lost_ = 0;
}

std::vector<TraceEntry> StreamHandle::trace() {
  const Use use(*this);
  std::vector<TraceEntry> entries(map()->layout().trace_entries);
  constexpr int attempts = 1000;  // of a writer that is never done, the last look has to do
  for (int attempt = 0; attempt < attempts; ++attempt)
    if (reader_.copy_trace(map_->count(), entries) > 0) break;
  return entries;
}

}  // namespace framebus
