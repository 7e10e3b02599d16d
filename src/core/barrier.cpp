#include "core/barrier.hpp"

#include "core/errors.hpp"
#include "core/platform.hpp"

namespace framebus {

Barrier::Barrier(std::uint32_t parties) : missing_(parties) {
  if (parties == 0 || parties == broken) throw_usage("a barrier is for at least one loop");
}

bool Barrier::arrive() noexcept {
  std::uint32_t now = missing_.load(std::memory_order_acquire);
  while (now != 0 && now != broken) {
    // Release: who goes sees what each of the others did before it came.
    if (!missing_.compare_exchange_weak(now, now - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    if (now == 1) futex_wake_all(&missing_);
    return now == 1;
  }
  return now == 0;
}

bool Barrier::wait(std::int64_t timeout_ns) const noexcept {
  const std::uint32_t now = missing_.load(std::memory_order_acquire);
  if (now != 0 && now != broken && timeout_ns > 0) futex_wait(&missing_, now, timeout_ns);
  return open();
}

void Barrier::abort() noexcept {
  std::uint32_t now = missing_.load(std::memory_order_acquire);
  while (now != 0 && now != broken)
    if (missing_.compare_exchange_weak(now, broken, std::memory_order_acq_rel, std::memory_order_acquire)) break;
  futex_wake_all(&missing_);
}

std::uint32_t Barrier::missing() const noexcept {
  const std::uint32_t now = missing_.load(std::memory_order_acquire);
  return now == broken ? 0 : now;
}

}  // namespace framebus
