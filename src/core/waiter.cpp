#include "core/waiter.hpp"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

namespace framebus {

namespace {

constexpr std::int64_t poll_ns = 500'000;
constexpr std::int64_t late_ns = 5'000'000;  // a wake-up that is this late does not come any more
constexpr int silent_sleeps = 3;             // in a row: nobody wakes us this way
constexpr int polls = 1000;                  // before a way that was silent is tried again
constexpr int stale_posts = 1024;            // more than any writer leaves behind
constexpr int brief_spins = 256;             // longer than a writer takes from one store to the next

// Semaphores that handles of this process hold. The file only says which process holds one.
using Claim = std::tuple<std::uint64_t, std::uint64_t, int>;

struct Claims {
  std::mutex lock;
  std::set<Claim> held;
  std::uint64_t generation = 0;
};

Claims& claims() {
  static Claims& all = *[] {
    static Claims made;
    // A child must not inherit a lock that a thread of its parent held.
    pthread_atfork([] { claims().lock.lock(); }, [] { claims().lock.unlock(); }, [] { claims().lock.unlock(); });
    return &made;
  }();
  return all;
}

Claim claim_key(const StreamMap& map, int index) {
  return {map.file().identity().device, map.file().identity().inode, index};
}

void nap(std::int64_t sleep_ns) noexcept {
  const timespec time{static_cast<time_t>(sleep_ns / 1'000'000'000), static_cast<long>(sleep_ns % 1'000'000'000)};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
}

}  // namespace

bool Waiter::claim(const StreamMapPtr& map) noexcept {
  const bool held = claimed_map_ == map && claimed_generation_ == fork_generation();
  // Another program's reader may have come to sleep where we do.
  if (held && (!map->dao() || semaphore_waiters(map->semaphore(static_cast<std::size_t>(claimed_))) == 0)) return true;
  release();
  if (!map->file().writable()) return false;
  if (map->dao()) return claim_named(map);
  Claims& all = claims();
  const std::scoped_lock guard(all.lock);
  if (all.generation != fork_generation()) {  // a child inherits the list, but none of the claims
    all.held.clear();
    all.generation = fork_generation();
  }
  const std::int32_t self = process_id();
  const auto semaphores = static_cast<int>(map->layout().semaphores);
  // From the top, and not the first of several: simple C readers wait on semaphore 0 without claiming it.
  for (int i = semaphores - 1; i >= (semaphores > 1 ? 1 : 0); --i) {
    auto owner = shared(map->reader_pid(static_cast<std::size_t>(i)));
    std::int32_t holder = owner.load(std::memory_order_relaxed);
    const bool free =
        holder <= 0 || (holder == self ? !all.held.contains(claim_key(*map, i)) : !process_alive(holder, 0));
    // Nothing is published by the claim itself; the counter orders the frames.
    if (!free || !owner.compare_exchange_strong(holder, self, std::memory_order_relaxed)) continue;
    try {
      all.held.insert(claim_key(*map, i));
    } catch (const std::exception&) {  // no memory: this handle polls
      owner.store(-1, std::memory_order_relaxed);
      return false;
    }
    claimed_map_ = map;
    claimed_ = i;
    claimed_generation_ = fork_generation();
    return true;
  }
  semaphore_.polls_left = polls;  // looking at all their holders costs more than a poll
  return false;
}

// DAO's readers claim nothing: each was told a number, from 0 up, and one that shares its semaphore with another reader
// misses frames. So we take one from the top that nobody sleeps on, if there is one a post that nobody has taken. Other
// framebus readers are told by a lock on its file.
bool Waiter::claim_named(const StreamMapPtr& map) noexcept {
  const auto semaphores = static_cast<int>(map->layout().semaphores);
  for (const bool untouched : {true, false}) {
    for (int i = semaphores - 1; i >= (semaphores > 1 ? 1 : 0); --i) {
      sem_t* const semaphore = map->semaphore(static_cast<std::size_t>(i));
      if (semaphore == nullptr || semaphore_waiters(semaphore) > 0) continue;
      int value = 0;
      if (untouched && (sem_getvalue(semaphore, &value) != 0 || value == 0)) continue;
      const int file = map->named_semaphores().claim(static_cast<std::size_t>(i));
      if (file < 0) continue;
      claimed_map_ = map;
      claimed_ = i;
      claimed_file_ = file;
      claimed_generation_ = fork_generation();
      return true;
    }
  }
  semaphore_.polls_left = polls;
  return false;
}

void Waiter::release() noexcept {
  if (claimed_file_ >= 0) {
    ::close(claimed_file_);  // of a child the copy that it inherited
    claimed_file_ = -1;
    claimed_map_.reset();
  }
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
  const bool automatic = preferred_ == WaitMode::automatic;
  const auto usable = [](Trust& trust) {
    if (trust.polls_left > 0) --trust.polls_left;
    return trust.polls_left == 0;
  };
  // Before the first frame nobody knows who will write: a semaphore is posted by every writer.
  if (may_register && (preferred_ == WaitMode::futex || (automatic && count > 0)) && map->framebus_writes(count) &&
      usable(futex_)) {
    release();  // leave the semaphore to a reader that needs one
    return WaitMode::futex;
  }
  if ((automatic || preferred_ == WaitMode::semaphore) && usable(semaphore_) && claim(map)) return WaitMode::semaphore;
  return automatic && may_register && count == 0 ? WaitMode::futex : WaitMode::poll;
}

// A sleep that the clock ended although a frame had come: was nobody going to wake us, or were we only slow to get up?
void Waiter::judge(const StreamMap& map, Trust& trust, std::uint64_t seen, bool timed_out,
                   std::int64_t deadline_ns) noexcept {
  if (!timed_out) {
    trust.silent = 0;
    return;
  }
  if (map.count() == seen) return;
  const std::int64_t overslept = monotonic_ns() - deadline_ns;
  if (++trust.silent < silent_sleeps && map.age_ns() < overslept + late_ns) return;
  ++unannounced_;
  trust = {0, polls};
}

void Waiter::sleep_on_count(const StreamMap& map, std::uint64_t seen, std::int64_t sleep_ns) noexcept {
  const auto low = static_cast<std::uint32_t>(seen);
  if (map.file().writable()) {
    auto waiting = shared(map.waiting_word());
    // Acquire: whoever registered a newer count had seen it in cnt0, so now we see it there too, and need no sleep.
    std::uint32_t registered = waiting.load(std::memory_order_acquire);
    while (registered != low) {
      if (map.count() != seen) return;
      // Sequentially consistent with the writer's store of cnt0 and load of fb_waiting, see Writer::wake.
      if (waiting.compare_exchange_weak(registered, low, std::memory_order_seq_cst)) break;
    }
    // For the case that somebody else had registered this count: our look at cnt0 comes after theirs at fb_waiting.
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  if (map.dao() ? map.count() != seen : shared(map.header().cnt0).load(std::memory_order_seq_cst) != seen) return;
  const std::int64_t deadline_ns = monotonic_ns() + sleep_ns;
  const FutexResult result = futex_wait(map.count_word(), low, sleep_ns);
  // The word of DAO moves a moment before the counter.
  for (int i = 0; i < brief_spins && map.dao() && result == FutexResult::value_changed && map.count() == seen; ++i)
    cpu_relax();
  if (current_ == WaitMode::futex) judge(map, futex_, seen, result == FutexResult::timed_out, deadline_ns);
  // A kernel that cannot wait on this mapping (read-only ones, in old kernels) must not make us spin.
  if (result == FutexResult::value_changed && map.count() == seen) nap(std::min(sleep_ns, poll_ns));
}

void Waiter::sleep_on_semaphore(const StreamMap& map, std::uint64_t seen, std::int64_t sleep_ns) noexcept {
  sem_t* const semaphore = map.semaphore(static_cast<std::size_t>(claimed_));
  // Posts of frames already seen would only wake us for nothing. A frame that comes after the look at cnt0 posts anew.
  int posts = 0;
  while (posts < stale_posts && sem_trywait(semaphore) == 0) ++posts;
  // Taking a post only acquires: on ARM our look at cnt0 could come before the semaphore is seen to be empty.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (map.count() != seen || map.retired()) return;
  // A writer that found the semaphore full a moment ago did not post, and C writers have no barrier between counting
  // their frame and looking at the semaphore: their frame may become visible after our look, unannounced.
  if (posts >= map.semaphore_cap()) sleep_ns = std::min(sleep_ns, poll_ns);
  const std::int64_t deadline_ns = monotonic_ns() + sleep_ns;
  const timespec deadline{static_cast<time_t>(deadline_ns / 1'000'000'000),
                          static_cast<long>(deadline_ns % 1'000'000'000)};
  const int error = sem_clockwait(semaphore, CLOCK_MONOTONIC, &deadline) == 0 ? 0 : errno;
  // Somebody came to sleep beside us, and needs the post more: we have the counter to look at.
  if (map.dao() && error == 0 && semaphore_waiters(semaphore) > 0) {
    sem_post(semaphore);
    release();
  }
  judge(map, semaphore_, seen, error == ETIMEDOUT, deadline_ns);
}

void Waiter::wait_retired(const StreamMap& map, std::int64_t sleep_ns) noexcept {
  if (std::exchange(retired_inode_, map.file().identity().inode) == map.file().identity().inode)
    nap(std::min(sleep_ns, poll_ns));
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
  if (map->retired()) {
    wait_retired(*map, std::max(spin_ns, sleep_ns));
    return map->count() > count;
  }
  if (sleep_ns <= 0) return map->count() > count;
  const std::uint64_t seen = map->count();
  if (seen > count) return true;
  current_ = choose(map, seen);
  switch (current_) {
    case WaitMode::semaphore:
      sleep_on_semaphore(*map, seen, sleep_ns);
      break;
    case WaitMode::futex:
      sleep_on_count(*map, seen, sleep_ns);
      break;
    default:
      sleep_on_count(*map, seen, std::min(sleep_ns, poll_ns));
      break;
  }
  return map->count() > count;
}

}  // namespace framebus
