// Sleeping until a frame comes. A wake-up is only a hint: the counter is looked at before and after every sleep.
#pragma once

#include <cstdint>

#include "core/stream_map.hpp"

namespace framebus {

enum class WaitMode : std::uint8_t { automatic, futex, semaphore, poll };

class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() { release(); }

  // Spins for at most spin_ns, then sleeps at most once and for at most sleep_ns. Returns whether cnt0 is beyond
  // `count`. False says nothing more than 'look around, and call again': time is up, a signal came, or the stream was
  // retired (of a retired stream the first call returns at once, the next ones sleep a little: its successor may be on
  // its way).
  bool wait(const StreamMapPtr& map, std::uint64_t count, std::int64_t spin_ns, std::int64_t sleep_ns) noexcept;

  void prefer(WaitMode mode) noexcept { preferred_ = mode; }
  WaitMode preferred() const noexcept { return preferred_; }
  // How the last sleep was slept.
  WaitMode current() const noexcept { return current_; }
  int claimed_semaphore() const noexcept { return claimed_; }
  // Sleeps that a frame did not end although it should have; the frame was found all the same.
  std::uint64_t unannounced() const noexcept { return unannounced_; }
  // Gives the claimed semaphore back.
  void release() noexcept;

 private:
  WaitMode choose(const StreamMapPtr& map, std::uint64_t count) noexcept;
  bool claim(const StreamMapPtr& map) noexcept;
  bool claim_named(const StreamMapPtr& map) noexcept;
  void wait_retired(const StreamMap& map, std::int64_t sleep_ns) noexcept;
  void sleep_on_count(const StreamMap& map, std::uint64_t seen, std::int64_t sleep_ns) noexcept;
  void sleep_on_semaphore(const StreamMap& map, std::uint64_t seen, std::int64_t sleep_ns) noexcept;
  // Of one way to be woken: how far it is trusted.
  struct Trust {
    int silent = 0;      // sleeps in a row that ended by the clock although a frame had come
    int polls_left = 0;  // while above 0 it is not relied upon
  };
  void judge(const StreamMap& map, Trust& trust, std::uint64_t seen, bool timed_out, std::int64_t deadline_ns) noexcept;

  WaitMode preferred_ = WaitMode::automatic;
  WaitMode current_ = WaitMode::automatic;
  StreamMapPtr claimed_map_;
  int claimed_ = -1;
  int claimed_file_ = -1;  // of a named semaphore: what holds its lock
  std::uint64_t claimed_generation_ = 0;
  std::uint64_t unannounced_ = 0;
  Trust futex_;
  Trust semaphore_;
  std::uint64_t retired_inode_ = 0;  // of the retired stream that was reported already
};

}  // namespace framebus
