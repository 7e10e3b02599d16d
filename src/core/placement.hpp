// Where a thread runs and what the kernel is asked for on its behalf. Every wish is tried; what the kernel refuses is
// told, and the thread runs all the same.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace framebus {

struct Placement {
  std::vector<int> cpus;          // empty: anywhere
  int priority = 0;               // SCHED_FIFO; 0 = normal scheduling
  bool lock_memory = false;       // mlockall: of the whole process
  int numa_node = -1;             // memory of this node first
  double dma_latency_us = -1;     // /dev/cpu_dma_latency, held for the thread's life; negative: not asked for
  std::string huge_pages;         // "" or "none", "transparent" or "explicit"
  std::vector<std::string> irqs;  // numbers, or names and shell patterns of /proc/interrupts; moved to `cpus`
};

// What was taken for a thread and must be given back when it ends: the open latency request and the locked memory.
class PlacedThread {
 public:
  PlacedThread() = default;
  PlacedThread(const PlacedThread&) = delete;
  PlacedThread& operator=(const PlacedThread&) = delete;
  ~PlacedThread() { release(); }

  // Applies all of it to the calling thread; returns what was refused, a sentence each: what, why, and the remedy.
  std::vector<std::string> place(const Placement& placement);
  // Ends the latency request and unlocks the memory, unless another thread of the process holds it. From any thread.
  void release() noexcept;
  // Puts the calling thread back to where place() first found it: CPUs, scheduling, NUMA policy. Releases the rest.
  // Interrupts stay where they were moved. Returns what was refused.
  std::vector<std::string> restore();

 private:
  using Bits = std::array<unsigned long, 128>;  // of CPUs or NUMA nodes; Linux has at most 8192 and 1024 of them
  struct Before {
    Bits cpus{};
    int policy = 0;
    int priority = 0;
    int memory_policy = 0;
    Bits nodes{};
  };
  void remember();
  void hold_latency(double microseconds, std::vector<std::string>& refused);

  std::optional<Before> before_;
  std::uint64_t generation_ = 0;  // of the process that took what follows: a child of fork() has no locks of memory
  int latency_fd_ = -1;
  bool locked_ = false;
};

// Moves interrupts to `cpus`, by number, name or shell pattern. `proc` is /proc, or a directory that stands for it.
std::vector<std::string> steer_interrupts(const std::vector<std::string>& irqs, const std::vector<int>& cpus,
                                          const std::string& proc = "/proc");

// Advises the kernel to use transparent huge pages for the whole pages of an array. Returns what was refused, "" if
// nothing. With `explicit_pages`, memory that has them already (huge_memory) is left as it is, and for other memory the
// advice is second best: huge_memory has told why, and nothing is told again.
std::string advise_huge(void* data, std::size_t bytes, bool explicit_pages);

// All that a placement means for one array that a loop uses, beside the thread's own: huge pages; pages of an array
// that is `owned` by this process moved to the NUMA node; with locked memory, every page made present now and not by a
// page fault within a frame. `writable`: whether the mapping is. Contents stay as they are.
std::vector<std::string> place_array(void* data, std::size_t bytes, const Placement& placement, bool owned,
                                     bool writable);

// Zeroed memory of its own on huge pages, aligned to them. What cannot be had explicit is transparent, and `refusal`
// says why. Throws bad_alloc.
struct HugeMemory {
  explicit HugeMemory(std::size_t bytes, bool explicit_pages);
  HugeMemory(const HugeMemory&) = delete;
  HugeMemory& operator=(const HugeMemory&) = delete;
  ~HugeMemory();

  std::byte* data = nullptr;
  std::string refusal;

 private:
  void* mapping_ = nullptr;
  std::size_t mapped_ = 0;
};

}  // namespace framebus
