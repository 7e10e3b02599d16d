// What only Linux offers: shared files, futexes, processes, CPU placement. Everything else is standard C++ and POSIX.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace framebus {

// ---- clocks ----------------------------------------------------------------------------------------------------
std::int64_t realtime_ns() noexcept;   // CLOCK_REALTIME: what stream headers carry
std::int64_t monotonic_ns() noexcept;  // CLOCK_MONOTONIC: deadlines and rates
std::int64_t coarse_ns() noexcept;     // CLOCK_MONOTONIC to a few ms, for next to nothing: 'is it time to look again?'

inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

// ---- processes -------------------------------------------------------------------------------------------------
std::int32_t process_id() noexcept;            // cached; follows fork()
std::uint32_t process_start_ticks() noexcept;  // of this process, low 32 bits of field 22 of /proc/self/stat; cached
std::uint64_t fork_generation() noexcept;      // changes in the child of a fork()
// Start time of any process in clock ticks since boot (low 32 bits), 0 if there is no such process or it is a zombie.
std::uint32_t process_start_ticks(std::int32_t pid) noexcept;
// Liveness is a kernel fact. `start_ticks` 0 means 'unknown': then the pid alone decides.
bool process_alive(std::int32_t pid, std::uint32_t start_ticks) noexcept;

// ---- futex (process-shared) ---------------------------------------------------------------------------------------
enum class FutexResult { woken, value_changed, timed_out, interrupted };
FutexResult futex_wait(const std::atomic<std::uint32_t>* word, std::uint32_t expected,
                       std::int64_t timeout_ns) noexcept;
// The same until a time of CLOCK_MONOTONIC.
FutexResult futex_wait_until(const std::atomic<std::uint32_t>* word, std::uint32_t expected,
                             std::int64_t until_ns) noexcept;
void futex_wake_all(const std::atomic<std::uint32_t>* word) noexcept;

// ---- a shared file ------------------------------------------------------------------------------------------------
// Owns one mapping of one file. Moves, never copies; unmaps when it goes.
class SharedFile {
 public:
  struct Identity {
    std::uint64_t inode = 0;
    std::uint64_t device = 0;
    bool operator==(const Identity&) const = default;
  };
  enum class Pages { normal, huge_transparent, huge_explicit };

  SharedFile() = default;
  SharedFile(SharedFile&& other) noexcept { swap(other); }
  SharedFile& operator=(SharedFile&& other) noexcept {
    swap(other);
    return *this;
  }
  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;
  ~SharedFile();

  // A new zero-filled file of exactly `size` bytes under a temporary name in the directory of `path`, invisible to
  // readers until publish(). `mode` is under the umask. Throws OSError.
  static SharedFile create(const std::string& path, std::size_t size, unsigned mode);
  // An anonymous file in memory, for process-local streams.
  static SharedFile create_local(const std::string& name, std::size_t size);
  // Maps an existing file whole. Falls back to read-only when the file cannot be written; with `looks_only` it is never
  // more than that. Throws StreamNotFound, OSError.
  static SharedFile open(const std::string& path, bool looks_only = false);

  // Gives a file made by create() its real name, atomically: replacing what had that name, or, with `only_if_new`,
  // throwing StreamExists when something has it.
  void publish(bool only_if_new = false);
  // Asks for transparent huge pages (advice: returns false where the kernel refuses it).
  bool advise_huge_pages() noexcept;

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool writable() const noexcept { return writable_; }
  bool looks_only() const noexcept { return looks_only_; }
  bool local() const noexcept { return local_; }
  const Identity& identity() const noexcept { return identity_; }
  const std::string& path() const noexcept { return path_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }

 private:
  void swap(SharedFile& other) noexcept;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool writable_ = false;
  bool looks_only_ = false;
  bool local_ = false;
  Identity identity_{};
  std::string path_;
  std::string temporary_;  // the name until publish(); empty afterwards
};

// Identity of what lies at `path` now; inode 0 if nothing does.
SharedFile::Identity file_identity(const std::string& path) noexcept;

// ---- placement of the calling thread --------------------------------------------------------------------------------
// Each returns 0 or the errno with which the kernel refused.
int pin_thread(int cpu) noexcept;
int set_thread_priority(int priority) noexcept;  // SCHED_FIFO; 0 = normal scheduling
int set_timer_slack(unsigned long slack_ns) noexcept;
void name_thread(const std::string& name) noexcept;
void block_all_signals() noexcept;
std::int32_t thread_id() noexcept;

}  // namespace framebus
