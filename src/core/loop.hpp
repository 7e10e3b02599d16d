// The loop: wait, stamp, compute, publish, record. No interpreter, no GIL, no allocation and no lock per frame.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/params.hpp"
#include "core/reader.hpp"
#include "core/record.hpp"
#include "core/waiter.hpp"
#include "core/writer.hpp"

namespace framebus {

// A compiled unit: data pointers and all shapes in the order of its arguments, one cell per parameter. 0 = publish.
using Kernel = std::int32_t (*)(void** arrays, const std::int64_t* dims, const std::int64_t* parameters);

enum class PortKind : std::uint8_t {
  trigger,  // the stream whose frames start the loop, copied or read in place
  input,    // a stream read as it stands: a private copy, renewed between two frames
  output,   // a private array, copied to its stream when the unit succeeded
  state,    // a private array
  linked,   // an output array of an earlier stage of the same loop
};

struct Port {
  PortKind kind = PortKind::state;
  std::byte* buffer = nullptr;  // outlives the loop
  std::size_t bytes = 0;
  StreamMapPtr stream;  // of trigger, input and output
};

struct StagePlan {
  Kernel kernel = nullptr;
  std::function<std::int32_t()> callback;  // instead of a kernel: a unit that runs in the interpreter
  std::vector<Port> ports;                 // in the order of the arguments
  std::vector<std::int64_t> dims;
  std::shared_ptr<ParamSet> parameters;
  std::vector<std::int64_t> cells;  // the parameters' values at the start; all of them without a set
  std::shared_ptr<ProcessRecord> record;
};

enum class TriggerKind : std::uint8_t { stream, delay, once, free };

struct LoopSettings {
  TriggerKind trigger = TriggerKind::stream;
  std::int64_t period_ns = 0;  // of delay
  bool every_frame = false;    // read through the history instead of skipping to the newest frame
  std::int64_t spin_ns = 0;    // look at the counter for that long before sleeping; forever = never sleep
  int cpu = -1;
  int priority = 0;
  std::string name;

  static constexpr std::int64_t forever = INT64_MAX;
};

struct LoopFailure {
  std::size_t stage = 0;
  std::int32_t code = 0;
  std::string message;
};

class Loop {
 public:
  Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  // Both only before start(). Throw UsageError.
  void add_stage(StagePlan plan);
  void configure(const LoopSettings& settings);

  void start();
  void request_stop() noexcept;
  // True once the loop's thread has ended. Needs no GIL.
  bool wait_end(std::int64_t timeout_ns) const noexcept;
  void join() noexcept;

  // After the end; nothing if the loop was stopped.
  const std::optional<LoopFailure>& failure() const noexcept { return failure_; }
  // What the kernel refused of the placement, in words.
  const std::vector<std::string>& refusals() const noexcept { return refusals_; }
  std::uint64_t loops() const noexcept { return loops_.load(std::memory_order_acquire); }

 private:
  struct Input {
    Reader reader;
    std::byte* buffer;
    std::size_t argument;
    std::uint64_t seen = 0;
  };
  struct Output {
    Writer writer;
    std::byte* buffer;
  };
  struct Stage {
    StagePlan plan;
    std::vector<void*> arrays;
    std::vector<Input> inputs;
    std::vector<Output> outputs;
    std::uint64_t parameters_seen = ParamSet::never;
    bool may_read_in_place = false;
    std::vector<std::byte> states_before;  // of the frame that is read in place, to take its effect back
    // Of the current frame:
    std::uint64_t trigger_inode = 0;
    std::uint64_t trigger_count = 0;
    std::int64_t trigger_ns = 0;
    std::int64_t start_ns = 0;
    std::int64_t end_ns = 0;
    std::uint64_t missed = 0;
  };
  enum class Turn { compute, again, end };

  void run() noexcept;
  void place_thread();
  void serve();
  Turn obey();
  Turn await();
  Turn await_stream();
  Turn await_clock();
  Turn await_once();
  bool take_trigger(bool any) noexcept;
  void compute_and_publish();
  bool compute(std::size_t index);
  std::int32_t call(Stage& stage) noexcept;
  bool trigger_lay_still() noexcept;
  void renew_inputs(Stage& stage) noexcept;
  void keep_states(Stage& stage) noexcept;
  void restore_states(Stage& stage) noexcept;
  void restore_outputs(Stage& stage) noexcept;
  void publish(std::size_t done) noexcept;
  void note_lineage(std::size_t index) noexcept;
  void fail(std::size_t stage, std::int32_t code, const std::string& message) noexcept;
  void look_around();
  void follow(Input& input) const;
  void set_states(State state) noexcept;
  bool interpreted() const noexcept;

  LoopSettings settings_;
  std::vector<Stage> stages_;
  std::optional<Input> trigger_;
  Waiter waiter_;
  FrameInfo frame_;           // the frame being computed
  FrameView in_place_;        // where it lies, when it is read in place
  bool copy_next_ = false;    // the last frame read in place changed under our hands
  std::vector<TraceEntry> lineage_;
  std::size_t ancestors_ = 0;
  std::int64_t next_tick_ns_ = 0;
  std::int64_t looked_ns_ = 0;
  bool paused_ = false;

  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> ended_{0};  // a futex word
  std::atomic<std::uint64_t> loops_{0};
  std::optional<LoopFailure> failure_;
  std::vector<std::string> refusals_;
};

}  // namespace framebus
