// Living through a file that another program shortens while we have it mapped.
//
// The kernel ends a process that touches a page which the file no longer has (SIGBUS). DAO's library shortens a
// stream's file to nothing whenever it makes the stream anew, under the eyes of all its readers. For mappings that are
// watched here the page is replaced by an empty one instead, and the mapping is marked as lost, so that nobody takes
// what it shows for a frame.
#pragma once

#include <atomic>
#include <cstddef>

namespace framebus {

// Watches one mapping for as long as it lives. Where there are more than can be watched, the rest is as without.
class LostPages {
 public:
  LostPages(const std::byte* data, std::size_t bytes) noexcept;
  LostPages(const LostPages&) = delete;
  LostPages& operator=(const LostPages&) = delete;
  ~LostPages();

  bool any() const noexcept { return watched_ != nullptr && watched_->lost.load(std::memory_order_acquire); }

  struct Watched {
    std::atomic<const std::byte*> begin{nullptr};
    std::atomic<const std::byte*> end{nullptr};
    std::atomic<bool> lost{false};
  };

 private:
  Watched* watched_ = nullptr;
};

}  // namespace framebus
