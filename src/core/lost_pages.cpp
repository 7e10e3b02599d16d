#include "core/lost_pages.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

namespace framebus {

namespace {

constexpr std::size_t most = 8192;

LostPages::Watched all[most];
std::atomic<std::size_t> used{0};  // only so many were ever taken
std::uintptr_t page = 4096;
struct sigaction former{};

// Of a watched mapping's page: an empty one in its place. Nothing here may allocate or lock.
bool replace(const void* address) noexcept {
  const auto* const at = static_cast<const std::byte*>(address);
  const std::size_t count = used.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < count; ++i) {
    LostPages::Watched& watched = all[i];
    const std::byte* const begin = watched.begin.load(std::memory_order_acquire);
    if (begin == nullptr || at < begin || at >= watched.end.load(std::memory_order_acquire)) continue;
    watched.lost.store(true, std::memory_order_release);
    void* const start = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(at) & ~(page - 1));
    return ::mmap(start, page, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
  }
  return false;
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  if (info->si_code == BUS_ADRERR && replace(info->si_addr)) return;
  // Not ours: as if we had never been asked.
  if ((former.sa_flags & SA_SIGINFO) != 0 && former.sa_sigaction != nullptr) {
    former.sa_sigaction(signal, info, context);
  } else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN) {
    former.sa_handler(signal);
  } else {
    std::signal(SIGBUS, SIG_DFL);  // the instruction is tried again, and ends the process
  }
}

void install() noexcept {
  static const bool once = [] {
    page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action{};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return ::sigaction(SIGBUS, &action, &former) == 0;
  }();
  static_cast<void>(once);
}

}  // namespace

LostPages::LostPages(const std::byte* data, std::size_t bytes) noexcept {
  install();
  for (std::size_t i = 0; i < most && data != nullptr; ++i) {
    const std::byte* free = nullptr;
    if (!all[i].begin.compare_exchange_strong(free, data, std::memory_order_acq_rel)) continue;
    all[i].lost.store(false, std::memory_order_relaxed);
    all[i].end.store(data + bytes, std::memory_order_release);
    std::size_t seen = used.load(std::memory_order_relaxed);
    while (seen < i + 1 && !used.compare_exchange_weak(seen, i + 1, std::memory_order_acq_rel)) {
    }
    watched_ = &all[i];
    return;
  }
}

LostPages::~LostPages() {
  if (watched_ == nullptr) return;
  watched_->end.store(nullptr, std::memory_order_release);
  watched_->begin.store(nullptr, std::memory_order_release);
}

}  // namespace framebus
