// How one loop takes over from another while frames come: part of Loop.
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

}  // namespace

void Loop::succeed(std::vector<std::shared_ptr<ProcessRecord>> predecessors, std::int64_t patience_ns) {
  refuse_once_started("predecessors are named");
  patience_ns_ = patience_ns;
  for (const auto& predecessor : predecessors) {
    if (!predecessor->writable() && predecessor->alive())
      throw_usage("the record of unit '" + predecessor->identity().unit +
                  "' may only be read by this user, who cannot tell the unit to stop");
    for (const Stage& stage : stages_)
      if (predecessor->inode() == stage.record().inode()) throw_usage("a loop cannot succeed itself");
  }
  predecessors_ = std::move(predecessors);
}

void Loop::await_end_of(const ProcessRecord& predecessor, std::int64_t deadline_ns) const {
  while (!stopping_.load(std::memory_order_acquire)) {
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

void Loop::go_on_from(const ProcessRecord::Start& last) {
  if (last.tick_ns != 0 && settings_.trigger == TriggerKind::delay) next_tick_ns_ = last.tick_ns + settings_.period_ns;
  if (!trigger_ || last.trigger_inode == 0) return;
  const StreamMap& map = *trigger_->reader.map();
  // It computed another stream's frames: none of ours is its successor's to make up for.
  const bool same = last.trigger_inode == map.file().identity().inode;
  trigger_->reader.set_cursor(same ? last.trigger_count : map.count());
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
  if (stopping_.load(std::memory_order_acquire)) return false;
  for (Stage& stage : stages_) stage.adopt_outputs();
  // Of several fused, the one with the trigger; the others were started by its frames.
  const ProcessRecord::Start first = predecessors_.front()->last_start();
  if (first.loop != 0) go_on_from(first);
  for (const Stage& stage : stages_)
    for (const auto& predecessor : predecessors_)
      if (predecessor->identity().unit == stage.record().identity().unit) stage.record().continue_from(*predecessor);
  if (paused && stages_[0].record().control() == Control::run) stages_[0].record().request(Control::pause);
  predecessors_.clear();
  return true;
}

}  // namespace framebus
