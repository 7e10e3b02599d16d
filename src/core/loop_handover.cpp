// How one loop takes over from another while frames come: part of Loop.
#include <optional>
#include <string>
#include <utility>

#include "core/errors.hpp"
#include "core/loop.hpp"

namespace framebus {

namespace {

constexpr std::int64_t alive_again_ns = 5'000'000;  // how often a predecessor's process is asked for

// Whether no loop runs with this record.
bool is_over(const ProcessRecord& record) noexcept {
  const State state = record.state();
  return state == State::off || state == State::standby || state == State::error;
}

// How far into a stream the predecessor of `own` had come, which that stream triggered too; nothing if it computed no
// frame. Of a stream made anew since, all frames are still to be accounted for; of another stream, none is.
std::optional<std::uint64_t> come_to(const ProcessRecord& predecessor, const ProcessRecord& own,
                                     const StreamMap& map) noexcept {
  const ProcessRecord::Start last = predecessor.last_start();
  if (last.loop == 0 || last.trigger_inode == 0) return std::nullopt;
  if (last.trigger_inode == map.file().identity().inode) return last.trigger_count;
  return predecessor.identity().trigger == own.identity().trigger ? 0 : map.count();
}

}  // namespace

void Loop::succeed(std::vector<std::shared_ptr<ProcessRecord>> predecessors, std::int64_t patience_ns) {
  refuse_once_started("predecessors are named");
  patience_ns_ = patience_ns;
  for (const auto& predecessor : predecessors) {
    if (!predecessor) throw_usage("a predecessor is a process record, got none");
    if (!predecessor->writable() && predecessor->alive())
      throw_usage("the record of unit '" + predecessor->identity().unit +
                  "' may only be read by this user, who cannot tell the unit to stop");
    for (const Stage& stage : stages_)
      if (predecessor->inode() == stage.record().inode()) throw_usage("a loop cannot succeed itself");
  }
  predecessors_ = std::move(predecessors);
}

void Loop::await_end_of(const ProcessRecord& predecessor, std::int64_t deadline_ns) const {
  while (!told_to_end()) {
    const std::uint32_t seen = predecessor.activity();
    if (is_over(predecessor) || !predecessor.alive()) return;
    if (monotonic_ns() >= deadline_ns)
      throw Error("UnitError",
                  "cannot take over from unit '" + predecessor.identity().unit + "' of process " +
                      std::to_string(predecessor.pid()) + ": it was told to stop, and after " +
                      std::to_string(patience_ns_ / 1'000'000) +
                      " ms it neither ended its frame nor died; end its process and start this unit again");
    predecessor.wait_activity(seen, alive_again_ns);
  }
}

void Loop::go_on_from(const ProcessRecord& predecessor) {
  const ProcessRecord::Start last = predecessor.last_start();
  if (last.loop == 0) return;
  // A tick that is still to come was none: a damaged record, or one of a time before the machine was started anew.
  if (settings_.trigger == TriggerKind::delay && last.tick_ns > 0 && last.tick_ns <= monotonic_ns())
    next_tick_ns_ = last.tick_ns + settings_.period_ns;
  if (!trigger_) return;
  Reader& reader = trigger_->reader;
  if (const auto seen = come_to(predecessor, stages_[0].record(), *reader.map())) reader.set_cursor(*seen);
}

// An inner stage gets only what this loop publishes: frames of its trigger that nobody computed are lost to it. A loop
// that was killed between publishing and stamping leaves one, separate units that are fused from now on any number.
void Loop::count_lost(const Stage& stage, const ProcessRecord& predecessor) const noexcept {
  const Stage::Link* const link = stage.link();
  if (link == nullptr) return;
  const StreamMap& map = stages_[link->stage].output(link->output);
  const std::uint64_t there = map.count();
  const std::uint64_t seen = come_to(predecessor, stage.record(), map).value_or(there);
  if (there > seen) stage.record().add_missed(there - seen);
}

// False: the loop was told to stop meanwhile.
bool Loop::take_over() {
  if (predecessors_.empty()) return true;
  bool paused = false;
  for (const auto& predecessor : predecessors_) {
    const Control command = predecessor->control();
    if (!predecessor->alive()) continue;
    paused = paused || command == Control::pause || command == Control::step;
    predecessor->request(Control::stop);
  }
  const std::int64_t deadline_ns = monotonic_ns() + patience_ns_;
  for (const auto& predecessor : predecessors_) await_end_of(*predecessor, deadline_ns);
  if (told_to_end()) return false;
  for (Stage& stage : stages_) stage.adopt_outputs();
  // Of several fused, the one with the trigger; the others were started by its frames.
  go_on_from(*predecessors_.front());
  for (const Stage& stage : stages_)
    for (const auto& predecessor : predecessors_) {
      if (predecessor->identity().unit != stage.record().identity().unit) continue;
      stage.record().continue_from(*predecessor);
      count_lost(stage, *predecessor);
    }
  if (paused) stages_[0].record().hold();
  predecessors_.clear();
  return true;
}

}  // namespace framebus
