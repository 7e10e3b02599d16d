// One unit of a loop: its arrays, the streams that they come from and go to, and where each frame came from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/keyword_carrier.hpp"
#include "core/params.hpp"
#include "core/placement.hpp"
#include "core/reader.hpp"
#include "core/record.hpp"
#include "core/writer.hpp"

namespace framebus {

// A compiled unit: data pointers and all shapes in the order of its arguments, one cell per parameter. 0 = publish.
using Kernel = std::int32_t (*)(void** arrays, const std::int64_t* dims, const std::int64_t* parameters);
inline constexpr std::int32_t unit_raised = INT32_MIN;
inline constexpr std::int32_t unit_skips = 1 << 30;  // no error, and nothing to publish for this frame

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
  std::shared_ptr<ParamSet> parameters;  // of a kernel
  std::vector<std::int64_t> cells;       // the parameters' values at the start, one for each
  std::shared_ptr<ProcessRecord> record;
  bool carries = false;  // the outputs take on the counts and the keywords of the first input's stream
};

inline constexpr std::size_t longest_lineage = 64;

// A frame's process trace, its newest step first.
struct Lineage {
  std::vector<TraceEntry> entries = std::vector<TraceEntry>(longest_lineage);
  std::size_t count = 0;
};

class Stage {
 public:
  // What one frame came from and when it was computed.
  struct Frame {
    std::int32_t trigger_mode = 0;  // as in the process trace: 0 immediate, 1 frame counter, 4 delay
    std::uint64_t trigger_inode = 0;
    std::uint64_t trigger_count = 0;
    std::int64_t trigger_ns = 0;
    std::int64_t tick_ns = 0;  // CLOCK_MONOTONIC time of the tick that was due; 0: none
    std::int64_t start_ns = 0;
    std::int64_t end_ns = 0;
    std::uint64_t missed = 0;
  };
  // Which output of an earlier stage is this one's first input.
  struct Link {
    std::size_t stage = 0;
    std::size_t output = 0;
  };

  // Throws UsageError.
  Stage(StagePlan plan, const std::vector<Stage>& before);

  const Port* trigger_port() const noexcept;
  const Link* link() const noexcept { return linked_ ? &link_ : nullptr; }
  const StreamMap& output(std::size_t i) const noexcept { return *outputs_[i].writer.map(); }
  // The count that its next frame will have, once `frame` says what it comes from.
  std::uint64_t next_count(std::size_t i) const noexcept;
  // Brings the outputs' keywords up to date with those of the first input's stream, if the unit carries them. May
  // allocate.
  void carry_keywords(const StreamMap& source);
  ProcessRecord& record() const noexcept { return *plan_.record; }
  bool interpreted() const noexcept { return plan_.kernel == nullptr; }

  // Where the trigger's pixels lie: the port's own array, or a frame in shared memory, which is not written to.
  void set_trigger(const std::byte* pixels) noexcept { arrays_[trigger_] = const_cast<std::byte*>(pixels); }
  // Whether the effect of one call could be taken back, and at a cost that is worth it.
  bool reversible() const noexcept;
  void keep_states() noexcept;
  void take_back() noexcept;

  // Before the first frame: all memory that a frame touches is there and mapped.
  void touch() noexcept;
  // Asks for the pages that the placement says for the streams' memory; adds what was refused.
  void place_streams(const Placement& placement, std::vector<std::string>& refused) const;
  // Whoever wrote the outputs before has ended: the unit goes on from what they hold. May allocate.
  void adopt_outputs();
  // Parameters and inputs as they stand now, for the trigger's frame of that count (0: no frame triggers the unit).
  void renew(std::uint64_t trigger_count) noexcept;
  // The unit itself. 0 = publish.
  std::int32_t call() noexcept;
  // After a failure: the arrays as Python knows them hold what the failing call was given.
  void show_failure() noexcept;
  // Publishes all outputs. `parents`: the trigger's own lineage.
  void publish(std::int64_t acquisition_ns, const Lineage& parents) noexcept;
  void stamp() const noexcept;
  // Nothing is published for this call: the outputs' arrays and their streams differ from now on.
  void keep_to_itself() noexcept;

  bool any_retired() const noexcept;
  // Goes over to new files of the same names. Throws StreamRecreated for other shapes and for removed outputs.
  void follow();
  // Says in the record what the unit should not be silent about. May allocate.
  void tell_trouble();

  Frame frame;
  Lineage lineage;  // of what publish() published

 private:
  struct Input {
    Reader reader;
    std::size_t argument;
    std::size_t bytes;
    std::vector<std::byte> room;
    std::byte* spare = nullptr;  // in `room`, aligned to a cache line; or the port's own array, see renew()
    std::uint64_t seen = 0;
    std::uint64_t due = 0;  // the trigger count from which on `spare` is to be used; 0: it holds nothing that waits
    std::int64_t denied_ns = 0;  // since when no whole frame could be had; 0: the last attempt succeeded
    bool told = false;           // that this goes on for long
  };
  struct Output {
    Writer writer;
    std::size_t argument;
    std::uint64_t published = 0;  // count of our last frame in it; 0: none yet
    KeywordCarrier keywords = {};
  };

  void adopt(Input& input) noexcept;
  static void renew(Output& output) noexcept;
  void add_port(const Port& port);
  void find_link(const std::vector<Stage>& before) noexcept;
  bool holds_ours(const Output& output) const noexcept;
  const Port& port(std::size_t argument) const noexcept { return plan_.ports[argument]; }

  static constexpr std::size_t no_trigger = SIZE_MAX;

  StagePlan plan_;
  std::vector<void*> arrays_;
  std::vector<Input> inputs_;
  std::vector<Output> outputs_;
  std::size_t trigger_ = no_trigger;
  bool linked_ = false;
  Link link_;
  std::uint64_t parameters_seen_ = ParamSet::never;
  std::vector<std::pair<std::size_t, std::int64_t>> fixed_;  // cells that change at the next start only
  bool told_replaced_ = false;
  bool told_no_slot_ = false;
  std::uint64_t unpublished_ = 0;
  std::uint64_t told_unpublished_ = 0;
  bool small_states_ = false;
  bool states_kept_ = false;
  std::vector<std::byte> states_before_;  // of the frame that is read in place, to take its effect back
};

}  // namespace framebus
