// A process record in shared memory: `<unit>.<pid>.proc.fb`. docs/process.md gives the layout byte by byte.
//
// One process writes it (identity, state, timings, messages), any process reads it, and any process may write the
// control word, the limits and the event word. Stamping a loop costs one cache line of stores and no syscall.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/platform.hpp"

namespace framebus {

enum class State : std::uint32_t { off = 0, standby = 1, idle = 2, running = 3, error = 4 };

// The control word: the command in the low 8 bits, for `step` the frames still to do in the upper 24.
enum class Control : std::uint32_t { run = 0, pause = 1, step = 2, stop = 3 };
inline constexpr std::uint32_t max_steps = (1U << 24) - 1;

// What the loop does when a time is above its limit, beside counting and telling it.
enum class LimitAction : std::uint32_t { alarm = 0, pause = 1 };

// Events that need the interpreter; the numbers are those of the event word. 0: none.
inline constexpr std::uint32_t last_event = 8;

inline constexpr std::size_t timing_ring = 1024;

// One loop. Exactly one cache line, so that a stamp touches one line and no reader of the next entry disturbs it.
struct alignas(64) Timing {
  std::atomic<std::uint64_t> loop;  // which loop this is, from 1; 0 while the entry is being written
  std::uint64_t trigger_count;      // frame counter of the triggering stream
  std::int64_t trigger_ns;          // when that frame was written (CLOCK_REALTIME; 0 = not triggered by a frame)
  std::int64_t start_ns;
  std::int64_t end_ns;
  std::uint64_t missed;         // frames that this loop found already gone
  std::uint64_t trigger_inode;  // of the triggering stream; 0 = not triggered by a frame
  std::int64_t tick_ns;         // CLOCK_MONOTONIC time of the tick that was due; 0 = not triggered by the clock
};
static_assert(sizeof(Timing) == 64);

struct alignas(64) RecordHeader {
  char magic[8];  // "FBRECORD"
  std::uint32_t version;
  std::uint32_t header_size;
  std::uint64_t file_size;
  std::uint32_t ring_length;
  std::uint32_t entry_size;
  char unit[80];
  char use[256];
  char host[64];
  char trigger[80];
  std::int32_t pid;           // @512
  std::uint32_t start_ticks;  // of the process, so that a reused pid is no live record
  std::int32_t thread_id;
  std::int32_t cpu;       // -1 = not pinned
  std::int32_t priority;  // SCHED_FIFO; 0 = normal scheduling
  std::uint32_t reserved0;
  std::int64_t creation_ns;
  std::atomic<std::int64_t> period_limit_ns;   // 0 = no limit
  std::atomic<std::int64_t> compute_limit_ns;  // 0 = no limit
  std::atomic<std::uint32_t> limit_action;
  std::uint32_t reserved1;
  alignas(64) std::atomic<std::uint32_t> state;  // @576
  std::atomic<std::int32_t> error_code;
  std::atomic<std::uint64_t> errors;
  alignas(64) std::atomic<std::uint32_t> control;     // @640; also the futex that control changes wake
  std::atomic<std::uint32_t> event_word;              // low 8 bits: the event that waits; above: how many were taken
  std::atomic<std::uint32_t> serves_events;           // 1 = somebody takes them
  std::atomic<std::uint32_t> activity;                // changes with control, event and state: the futex for all three
  alignas(64) std::atomic<std::uint64_t> loop_count;  // @704
  std::atomic<std::uint64_t> missed;
  std::atomic<std::uint64_t> last_missed;
  std::atomic<std::uint64_t> skipped;
  std::atomic<std::uint64_t> alarms;
  // @768; of each pair below, that of index `generation & 1` is the current one.
  alignas(64) std::atomic<std::uint64_t> text_generation;
  std::atomic<std::uint64_t> alarm_generation;
  std::atomic<std::uint64_t> refusals_generation;
  alignas(64) struct Texts {
    char message[256];
    char traceback[2048];
  } texts[2];  // @832
  struct Alarm {
    std::int64_t ns;  // when
    char text[248];
  } alarm[2];  // @5440
  struct Refusals {
    char text[1024];
  } refusals[2];  // @5952
};
inline constexpr std::size_t record_header_size = 8192;
static_assert(sizeof(RecordHeader) <= record_header_size);

class ProcessRecord {
 public:
  struct Identity {
    std::string unit;
    std::string use;      // "package.module:function"
    std::string trigger;  // stream name, or what else starts the loop
    int cpu = -1;
    int priority = 0;
  };

  // A new record of this process, state off, control run; replaces a file of that path. Throws UsageError, OSError.
  static std::shared_ptr<ProcessRecord> create(const std::string& path, const Identity& identity, unsigned mode = 0660);
  // Maps and checks an existing file. Throws StreamFormatError (path, field), StreamNotFound, OSError.
  static std::shared_ptr<ProcessRecord> open(const std::string& path);

  // ---- the loop's side: no syscall, no allocation; one thread at a time ----
  void stamp(std::uint64_t trigger_count, std::int64_t trigger_ns, std::int64_t start_ns, std::int64_t end_ns,
             std::uint64_t missed, std::uint64_t trigger_inode = 0, std::int64_t tick_ns = 0) noexcept {
    RecordHeader& h = *header();
    const std::uint64_t loop = h.loop_count.load(std::memory_order_relaxed) + 1;  // only this thread writes it
    Timing& entry = ring()[loop % timing_ring];
    entry.loop.store(0, std::memory_order_relaxed);
    // Pairs with the acquire fence in read_timings(): whoever saw one of the fields below sees the 0 above, too.
    std::atomic_thread_fence(std::memory_order_release);
    __atomic_store_n(&entry.trigger_count, trigger_count, __ATOMIC_RELAXED);
    __atomic_store_n(&entry.trigger_ns, trigger_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&entry.start_ns, start_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&entry.end_ns, end_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&entry.missed, missed, __ATOMIC_RELAXED);
    __atomic_store_n(&entry.trigger_inode, trigger_inode, __ATOMIC_RELAXED);
    __atomic_store_n(&entry.tick_ns, tick_ns, __ATOMIC_RELAXED);
    entry.loop.store(loop, std::memory_order_release);  // pairs with the acquire load in read_timings()
    h.missed.store(h.missed.load(std::memory_order_relaxed) + missed, std::memory_order_relaxed);
    h.last_missed.store(missed, std::memory_order_relaxed);
    h.loop_count.store(loop, std::memory_order_release);  // a reader that sees the count sees its entry
    // Relaxed: whoever sets a limit needs no more than that the loop sees it some frames later.
    const std::int64_t compute_limit = h.compute_limit_ns.load(std::memory_order_relaxed);
    if (compute_limit != 0 && end_ns - start_ns > compute_limit) [[unlikely]]
      exceeded("compute time", end_ns - start_ns, compute_limit, loop);
    const std::int64_t period_limit = h.period_limit_ns.load(std::memory_order_relaxed);
    if (period_limit != 0 && last_start_ns_ != 0 && start_ns - last_start_ns_ > period_limit) [[unlikely]]
      exceeded("period", start_ns - last_start_ns_, period_limit, loop);
    last_start_ns_ = start_ns;
  }
  // The time until the next loop is no period: the unit was paused.
  void forget_period() noexcept { last_start_ns_ = 0; }
  // What stamping costs: so many loops in a row, in ns.
  std::int64_t time_stamps(std::uint32_t loops) noexcept;
  // The loop just stamped published nothing, and was not meant to.
  void note_skipped() noexcept {
    std::atomic<std::uint64_t>& skipped = header()->skipped;  // only this thread writes it
    skipped.store(skipped.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  // The word, to compare and to wait on; its command.
  std::uint32_t control_word() const noexcept { return header()->control.load(std::memory_order_acquire); }
  static constexpr Control command(std::uint32_t word) noexcept { return static_cast<Control>(word & 0xFFU); }
  Control control() const noexcept { return command(control_word()); }
  // Uses up one of the frames that `step` asked for, before computing it; after the last one the word says pause.
  // False: the command is no longer step.
  bool take_step() noexcept;
  // Sleeps while the word is `seen`, at most `timeout_ns`. True: the word differs now.
  bool wait_control_change(std::uint32_t seen, std::int64_t timeout_ns) const noexcept;
  // The same until a time of CLOCK_MONOTONIC.
  void wait_control_until(std::uint32_t seen, std::int64_t until_ns) const noexcept;
  // Ends the sleeps above, whatever the word is.
  void wake_control() const noexcept;

  // ---- the unit's side ----
  void set_state(State state) noexcept;
  void set_thread(std::int32_t thread_id) noexcept;  // the thread that runs the loop (until then: the main thread)
  void set_placement(int cpu, int priority) noexcept;
  void set_refusals(std::string_view text) noexcept;  // cut to 1023 bytes
  // Counts go on from another record of the unit, and so does the last loop until this one has stamped one of its own.
  // Before the first stamp.
  void continue_from(const ProcessRecord& before) noexcept;
  // Frames that were lost while no loop ran. Before the first stamp.
  void add_missed(std::uint64_t frames) noexcept {
    std::atomic<std::uint64_t>& missed = header()->missed;  // nobody else writes it
    missed.store(missed.load(std::memory_order_relaxed) + frames, std::memory_order_relaxed);
  }
  // Run becomes pause; what else the unit was told stands.
  void hold() noexcept;
  // The unit starts anew with this record: what it was told before does not count any more.
  void reset_control() noexcept;
  // Whether somebody takes the events that others post.
  void serve_events(bool serves) noexcept;
  // The event that waits, which is removed; 0 if there is none.
  std::uint32_t take_event() noexcept;
  void set_message(std::string_view message, std::string_view traceback = {}) noexcept;     // cut to 255 and 2047 bytes
  void fail(int code, std::string_view message, std::string_view traceback = {}) noexcept;  // counts, then state error

  // ---- everyone's side ----
  // Throws UsageError for an impossible request (anything after stop; a count outside 1..max_steps), OSError if
  // read-only.
  void request(Control command, std::uint32_t steps = 1);
  // Leaves an event for whoever serves them. Throws UsageError when nobody does, or when another one still waits.
  void post_event(std::uint32_t event);
  bool serves_events() const noexcept { return header()->serves_events.load(std::memory_order_acquire) != 0; }
  // A number that changes with every change of control, event or state; acquire, so that the change is seen, too.
  std::uint32_t activity() const noexcept { return header()->activity.load(std::memory_order_acquire); }
  // Sleeps while the number is `seen`, at most `timeout_ns`. True: it differs now.
  bool wait_activity(std::uint32_t seen, std::int64_t timeout_ns) const noexcept;
  struct Limits {
    std::int64_t period_ns = 0;  // 0 = none
    std::int64_t compute_ns = 0;
    LimitAction action = LimitAction::alarm;
  };
  // Throws UsageError for negative limits, OSError if read-only.
  void set_limits(const Limits& limits);
  Limits limits() const noexcept;
  bool alive() const noexcept;  // the kernel's answer: that pid, started at that time
  std::int32_t pid() const noexcept { return pid_; }
  std::uint32_t start_ticks() const noexcept { return start_ticks_; }
  State state() const noexcept;
  std::uint64_t loop_count() const noexcept { return header()->loop_count.load(std::memory_order_acquire); }
  std::uint64_t missed() const noexcept { return header()->missed.load(std::memory_order_relaxed); }
  std::uint64_t last_missed() const noexcept { return header()->last_missed.load(std::memory_order_relaxed); }
  std::int32_t error_code() const noexcept { return header()->error_code.load(std::memory_order_relaxed); }
  std::uint64_t errors() const noexcept { return header()->errors.load(std::memory_order_relaxed); }
  struct Texts {
    std::string message;
    std::string traceback;
  };
  Texts texts() const;
  struct Alarm {
    std::int64_t ns = 0;  // CLOCK_REALTIME; 0 = there was none
    std::string text;
  };
  Alarm last_alarm() const;
  std::uint64_t alarms() const noexcept { return header()->alarms.load(std::memory_order_relaxed); }
  std::uint64_t skipped() const noexcept { return header()->skipped.load(std::memory_order_relaxed); }
  std::string refusals() const;
  // Up to `count` newest complete entries, oldest first, 64 bytes each as in the ring, consecutive loops; how many.
  std::size_t read_timings(std::byte* to, std::size_t count) const noexcept;
  // What started the newest loop: which frame of which stream, or which tick of the clock. All 0: it has done none.
  struct Start {
    std::uint64_t loop = 0;
    std::uint64_t trigger_inode = 0;
    std::uint64_t trigger_count = 0;
    std::int64_t tick_ns = 0;
  };
  Start last_start() const noexcept;
  const Identity& identity() const noexcept { return identity_; }
  const std::string& host() const noexcept { return host_; }
  std::int64_t creation_ns() const noexcept { return creation_ns_; }
  std::int32_t thread_id() const noexcept;
  int cpu() const noexcept;
  int priority() const noexcept;
  const std::string& path() const noexcept { return file_.path(); }
  bool writable() const noexcept { return file_.writable(); }
  std::uint64_t inode() const noexcept { return file_.identity().inode; }

 private:
  explicit ProcessRecord(SharedFile file);
  void validate();
  void check_writable() const;
  void exceeded(const char* what, std::int64_t value_ns, std::int64_t limit_ns, std::uint64_t loop) noexcept;
  void note_activity() noexcept;
  RecordHeader* header() const noexcept { return reinterpret_cast<RecordHeader*>(file_.data()); }
  Timing* ring() const noexcept { return reinterpret_cast<Timing*>(file_.data() + record_header_size); }

  SharedFile file_;
  Identity identity_;
  std::string host_;
  std::int64_t creation_ns_ = 0;
  std::int32_t pid_ = 0;
  std::uint32_t start_ticks_ = 0;
  std::int64_t last_start_ns_ = 0;  // of the loop's thread
  std::mutex text_mutex_;           // the loop and the interpreter of one process may both have something to say
};

}  // namespace framebus
