// How a loop follows streams that are made anew while it runs: part of Loop.
#include <algorithm>
#include <utility>

#include "core/errors.hpp"
#include "core/loop.hpp"

namespace framebus {

namespace {

constexpr std::int64_t look_again_ns = 50'000'000;  // how often a busy loop looks at its files
constexpr std::int64_t look_soon_ns = 4'000'000;    // how often at most, when one of them was given up

}  // namespace

bool Loop::time_to_look(bool idle) noexcept {
  const std::int64_t now = coarse_ns();
  const bool soon = idle || (trigger_ && trigger_->reader.map()->retired()) ||
                    std::any_of(stages_.begin(), stages_.end(), [](const Stage& stage) { return stage.any_retired(); });
  if (now - looked_ns_ < (soon ? look_soon_ns : look_again_ns)) return false;
  looked_ns_ = now;
  return true;
}

// Frames that the old file still has come first, as long as it goes on with them; what is left then counts as missed.
void Loop::follow_trigger() {
  Trigger& trigger = *trigger_;
  const StreamMapPtr next = successor(*trigger.reader.map());
  // Until the new file has a frame its writer may still be with the old one, and what came there then nobody would
  // count.
  if (!next || next->count() == 0) return;
  const std::uint64_t count = trigger.reader.map()->count();
  const std::uint64_t cursor = trigger.reader.cursor();
  const bool moves = !trigger.parting || (cursor != trigger.parting_cursor && cursor < trigger.parting_count);
  if (count > cursor && moves) {
    if (!std::exchange(trigger.parting, true)) trigger.parting_count = count;
    trigger.parting_cursor = cursor;
    return;
  }
  trigger.lost += count > cursor ? count - cursor : 0;
  trigger.parting = false;
  trigger.reader.rebase(next);
  note_bed();
}

// The stream that the stage's first input is.
const StreamMap* Loop::source_of(const Stage& stage) const noexcept {
  if (&stage == stages_.data()) return trigger_ ? trigger_->reader.map().get() : nullptr;
  return stage.link() != nullptr ? &stages_[stage.link()->stage].output(stage.link()->output) : nullptr;
}

void Loop::carry_keywords() {
  for (Stage& stage : stages_)
    if (const StreamMap* const source = source_of(stage)) stage.carry_keywords(*source);
}

void Loop::look_around() {
  std::size_t at = 0;
  try {
    if (trigger_) follow_trigger();
    for (; at < stages_.size(); ++at) {
      stages_[at].follow();
      stages_[at].tell_trouble();
    }
    carry_keywords();
  } catch (const Error& error) {
    fail(at, unit_raised, error.what());
  }
}

}  // namespace framebus
