// The loop: wait, stamp, compute, publish, record. No interpreter, no GIL, no allocation and no lock per frame.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/barrier.hpp"
#include "core/placement.hpp"
#include "core/stage.hpp"
#include "core/waiter.hpp"

namespace framebus {

enum class TriggerKind : std::uint8_t { stream, delay, once, free };

struct LoopSettings {
  TriggerKind trigger = TriggerKind::stream;
  std::int64_t period_ns = 0;  // of delay
  bool every_frame = false;    // read through the history instead of skipping to the newest frame
  std::int64_t spin_ns = 0;    // look at the counter for that long before sleeping; forever = never sleep
  Placement placement;
  std::string name;

  static constexpr std::int64_t forever = INT64_MAX;
};

struct LoopFailure {
  std::size_t stage = 0;
  std::int32_t code = 0;
  std::string message;  // empty: the unit itself failed
};

class Loop {
 public:
  Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  // All only before start(). Throw UsageError.
  void add_stage(StagePlan plan);
  void configure(const LoopSettings& settings);
  // Takes over from the loops that these records are of: the thread, once it has its place, tells them to stop, waits
  // for the end of their frame, and goes on from their last one, with what their outputs hold. Of a dead process, too:
  // what it missed since is counted. `patience_ns`: how long they may take for that frame.
  void succeed(std::vector<std::shared_ptr<ProcessRecord>> predecessors, std::int64_t patience_ns);
  // Every time the loop becomes idle it stays so until open_gate(), also when it was told to run meanwhile.
  void hold_gate(bool holds);
  void open_gate() noexcept;
  bool gate_closed() const noexcept { return gate_.load(std::memory_order_acquire) != 0; }

  // Returns when the thread has its place; wait_ready() waits for the rest: the other loops at the barrier, the end of
  // the predecessors. Needs no GIL. Throws UsageError, or what the system says when it gives no thread.
  void start(std::shared_ptr<Barrier> barrier);
  // True: the loop waits for its first frame (or did, and has ended). False: not yet. Throws UnitError when it could
  // not begin, because a predecessor does not end.
  bool wait_ready(std::int64_t timeout_ns) const;
  // The thread ends after its frame; one that sleeps is woken, or wakes within the time for which it sleeps at most.
  void request_stop() noexcept;
  // True if no thread of the loop runs in this process (any more). Needs no GIL.
  bool wait_end(std::int64_t timeout_ns) const noexcept;
  void join() noexcept;

  // After the end; nothing if the loop was stopped.
  const std::optional<LoopFailure>& failure() const noexcept { return failure_; }
  // After start(): what the kernel refused of the placement, in words.
  const std::vector<std::string>& refusals() const noexcept { return refusals_; }
  State state() const noexcept { return stages_.empty() ? State::off : stages_[0].record().state(); }
  std::uint64_t loops() const noexcept { return loops_.load(std::memory_order_acquire); }

 private:
  struct Trigger {
    Reader reader;
    std::byte* buffer;
    FrameView in_place;      // where the frame being computed lies, when it is not copied to `buffer`
    bool copy_next = false;  // the last frame read in place changed under our hands
    std::uint64_t lost = 0;  // frames of a former file that will not be computed any more
    // Once the stream was made anew: how far it had come then, and where we were when we looked last.
    bool parting = false;
    std::uint64_t parting_count = 0;
    std::uint64_t parting_cursor = 0;
  };
  enum class Turn : std::uint8_t { compute, again, end };
  enum class Phase : std::uint32_t { made, armed, running, ended };
  enum class Gate : std::uint32_t { open, closed };

  void run() noexcept;
  void serve();
  void place_thread(PlacedThread& placed);
  void refuse_once_started(const char* what) const;
  bool arrive() noexcept;
  bool take_over();
  void await_end_of(const ProcessRecord& predecessor, std::int64_t deadline_ns) const;
  void go_on_from(const ProcessRecord& predecessor);
  void count_lost(const Stage& stage, const ProcessRecord& predecessor) const noexcept;
  void enter(Phase phase) noexcept;
  Phase phase() const noexcept { return static_cast<Phase>(phase_.load(std::memory_order_acquire)); }
  void note_bed() noexcept;
  Turn obey();
  bool told_to_hold() const noexcept;
  bool told_to_end() const noexcept;
  Turn await();
  bool wait_for_frame();
  bool wait_for_first_frame();
  bool wait_for_tick() const noexcept;
  bool take_trigger() noexcept;
  bool try_in_place() noexcept;
  void take_tick() noexcept;
  void compute_and_publish();
  void skip(std::size_t index) noexcept;
  void take_steps() noexcept;
  std::uint64_t trigger_count_of(std::size_t index) const noexcept;
  std::int32_t compute(std::size_t index) noexcept;
  bool trigger_lay_still() noexcept;
  void note_origin(std::size_t index) noexcept;
  void note_lineage(std::size_t index) noexcept;
  const Lineage& parents_of(const Stage& stage) const noexcept;
  void publish(std::size_t done) noexcept;
  void fail(std::size_t stage, std::int32_t code, const std::string& message) noexcept;
  bool time_to_look(bool idle) noexcept;
  void look_around();
  void follow_trigger();
  const StreamMap* source_of(const Stage& stage) const noexcept;
  void carry_keywords();
  void set_states(State state) noexcept;
  bool interpreted() const noexcept;

  LoopSettings settings_;
  std::vector<Stage> stages_;
  std::optional<Trigger> trigger_;
  Waiter waiter_;
  FrameInfo frame_;  // the frame being computed
  Lineage ancestors_;
  Lineage nobody_;
  std::int64_t next_tick_ns_ = 0;
  std::int64_t tick_ns_ = 0;  // the one being computed
  std::int64_t looked_ns_ = 0;
  bool paused_ = false;

  std::vector<std::shared_ptr<ProcessRecord>> predecessors_;
  std::int64_t patience_ns_ = 0;
  std::shared_ptr<Barrier> barrier_;
  bool gated_ = false;
  std::atomic<std::uint32_t> gate_{static_cast<std::uint32_t>(Gate::open)};  // a futex word
  // The word that the thread sleeps on for a frame. Waking it is only a hint, and harmless once it is unmapped.
  std::atomic<const std::atomic<std::uint32_t>*> bed_{nullptr};

  std::thread thread_;
  bool began_ = false;            // written before the phase says 'running'
  std::uint64_t generation_ = 0;  // of the process that started the thread: it does not exist in a fork()ed child
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> phase_{static_cast<std::uint32_t>(Phase::made)};  // a futex word
  std::atomic<std::uint64_t> loops_{0};
  std::optional<LoopFailure> failure_;
  std::vector<std::string> refusals_;
};

}  // namespace framebus
