// Where the loops of a process wait for one another, so that they begin together.
#pragma once

#include <atomic>
#include <cstdint>

namespace framebus {

class Barrier {
 public:
  // For `parties` threads. Throws UsageError for none.
  explicit Barrier(std::uint32_t parties);
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;
  ~Barrier() = default;

  // One of the parties is there. Returns at once, whether it was the last: then all may go.
  bool arrive() noexcept;
  // Sleeps until all are there, or it is broken, at most for so long. True: all are there.
  bool wait(std::int64_t timeout_ns) const noexcept;
  // Not all will come: nobody waits any more.
  void abort() noexcept;

  bool open() const noexcept { return missing_.load(std::memory_order_acquire) == 0; }
  bool aborted() const noexcept { return missing_.load(std::memory_order_acquire) == broken; }
  std::uint32_t missing() const noexcept;

 private:
  static constexpr std::uint32_t broken = UINT32_MAX;
  std::atomic<std::uint32_t> missing_;  // the futex word
};

}  // namespace framebus
