#include "core/waiter.hpp"

#include <time.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <set>
#include <tuple>

namespace framebus {

namespace {

constexpr std::int64_t poll_ns = 500'000;

// Semaphores that handles of this process hold. The file only says which process holds one.
using Claim = std::tuple<std::uint64_t, std::uint64_t, int>;

struct Claims {
  std::mutex lock;
  std::set<Claim> held;
  std::uint64_t generation = 0;
};

Claims& claims() {
  static Claims all;
  return all;
}

Claim claim_key(const StreamMap& map, int index) {
  return {map.file().identity().device, map.file().identity().inode, index};
}

}  // namespace

bool Waiter::claim(const StreamMapPtr& map) noexcept {
  if (claimed_map_ == map && claimed_generation_ == fork_generation()) return true;
  release();
  if (!map->file().writable() || map->layout().semaphores == 0) return false;
  Claims& all = claims();
  const std::scoped_lock guard(all.lock);
  if (all.generation != fork_generation()) {  // a child inherits the list, but none of the claims
    all.held.clear();
    all.generation = fork_generation();
  }
  const std::int32_t self = process_id();
  // From the top: simple C readers wait on semaphore 0 without claiming it.
  for (int i = static_cast<int>(map->layout().semaphores) - 1; i >= 0; --i) {
    auto owner = shared(map->reader_pid(static_cast<std::size_t>(i)));
    std::int32_t holder = owner.load(std::memory_order_relaxed);
    const bool free = holder <= 0 || (holder == self ? all.held.count(claim_key(*map, i)) == 0 : !process_alive(holder, 0));
    // Nothing is published by the claim itself; the counter orders the frames.
    if (!free || !owner.compare_exchange_strong(holder, self, std::memory_order_relaxed)) continue;
    all.held.insert(claim_key(*map, i));
    claimed_map_ = map;
    claimed_ = i;
    claimed_generation_ = fork_generation();
    return true;
  }
  return false;
}

void Waiter::release() noexcept {
  if (claimed_map_ && claimed_generation_ == fork_generation()) {
    const std::scoped_lock guard(claims().lock);
    claims().held.erase(claim_key(*claimed_map_, claimed_));
    std::int32_t self = process_id();
    shared(claimed_map_->reader_pid(static_cast<std::size_t>(claimed_)))
        .compare_exchange_strong(self, -1, std::memory_order_relaxed);
  }
  claimed_map_.reset();
  claimed_ = -1;
}

WaitMode Waiter::choose(const StreamMapPtr& map, std::uint64_t count) noexcept {
  const bool may_register = map->file().writable();
  switch (preferred_) {
    case WaitMode::futex: return may_register ? WaitMode::futex : WaitMode::poll;
    case WaitMode::semaphore: return claim(map) ? WaitMode::semaphore : WaitMode::poll;
    case WaitMode::poll: return WaitMode::poll;
    case WaitMode::automatic: break;
  }
  if (!may_register) return WaitMode::poll;
  if (map->framebus_writes(count) && !futex_silent_ && count > 0) {
    release();  // leave the semaphore to a reader that needs one
    return WaitMode::futex;
  }
  // Before the first frame nobody knows who will write: a semaphore is posted by every writer.
  if (!semaphore_silent_ && claim(map)) return WaitMode::semaphore;
  return count == 0 && !futex_silent_ ? WaitMode::futex : WaitMode::poll;
}

void Waiter::sleep_on_count(const StreamMap& map, std::uint64_t seen, std::int64_t sleep_ns) noexcept {
  const auto low = static_cast<std::uint32_t>(seen);
  if (map.file().writable()) {
    auto waiting = shared(map.header().fb_waiting);
    std::uint32_t registered = waiting.load(std::memory_order_relaxed);
    // Newest wins, so that a late sleeper at an old count cannot hide one at a newer count. A count far ahead is left
    // over from before a reset of the counter.
    while (registered != low) {
      const auto ahead = static_cast<std::int32_t>(registered - low);
      if (ahead > 0 && ahead < 1024) break;
      // Sequentially consistent with the writer's store of cnt0 and load of fb_waiting, see Writer::wake.
      if (waiting.compare_exchange_weak(registered, low, std::memory_order_seq_cst)) break;
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  if (shared(map.header().cnt0).load(std::memory_order_seq_cst) != seen) return;
  const FutexResult result = futex_wait(map.count_word(), low, sleep_ns);
  if (result == FutexResult::timed_out && current_ == WaitMode::futex && map.count() != seen) {
    ++unannounced_;
    futex_silent_ = true;
  }
}

void Waiter::sleep_on_semaphore(const StreamMap& map, std::uint64_t seen, std::int64_t sleep_ns) noexcept {
  sem_t* const semaphore = map.semaphore(static_cast<std::size_t>(claimed_));
  // Posts of frames already seen would only wake us for nothing. A frame that comes after the look at cnt0 posts anew.
  while (sem_trywait(semaphore) == 0) {
  }
  if (map.count() != seen || map.retired()) return;
  timespec deadline{};
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  const std::int64_t at = deadline.tv_nsec + sleep_ns;
  deadline.tv_sec += static_cast<time_t>(at / 1'000'000'000);
  deadline.tv_nsec = static_cast<long>(at % 1'000'000'000);
  const int error = sem_clockwait(semaphore, CLOCK_MONOTONIC, &deadline) == 0 ? 0 : errno;
  if (error == ETIMEDOUT && map.count() != seen) {
    ++unannounced_;
    semaphore_silent_ = true;
  }
}

bool Waiter::wait(const StreamMapPtr& map, std::uint64_t count, std::int64_t spin_ns, std::int64_t sleep_ns) noexcept {
  if (map->count() > count) return true;
  if (spin_ns > 0) {
    const std::int64_t until = monotonic_ns() + spin_ns;
    do {
      for (int i = 0; i < 64; ++i) {
        if (map->count() > count) return true;
        cpu_relax();
      }
    } while (monotonic_ns() < until && !map->retired());
  }
  if (sleep_ns <= 0 || map->retired()) return map->count() > count;
  const std::uint64_t seen = map->count();
  if (seen > count) return true;
  current_ = choose(map, seen);
  switch (current_) {
    case WaitMode::semaphore: sleep_on_semaphore(*map, seen, sleep_ns); break;
    case WaitMode::futex: sleep_on_count(*map, seen, sleep_ns); break;
    default: sleep_on_count(*map, seen, std::min(sleep_ns, poll_ns)); break;
  }
  return map->count() > count;
}

}  // namespace framebus
