#include "core/stage.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/errors.hpp"

namespace framebus {

namespace {
constexpr std::size_t copy_below = 16'384;  // smaller triggers are copied: cheaper than being wrong now and then
constexpr std::size_t cache_line = 64;

void require_writable(const StreamMap& map) {
  if (!map.file().writable())
    throw_usage(map.file().path() + ": this process may not write to the stream; check the file's owner and mode");
}

}  // namespace

// ---- setting up ------------------------------------------------------------------------------------------------

Stage::Stage(StagePlan plan, const std::vector<Stage>& before) : plan_(std::move(plan)) {
  if ((plan_.kernel == nullptr) == !plan_.callback) throw_usage("a stage needs either a kernel or a callback");
  if (!plan_.record) throw_usage("a stage needs a process record");
  if (plan_.parameters && plan_.cells.size() != plan_.parameters->cell_count())
    throw_usage("a stage needs one cell for each of its parameters");
  for (const Port& port : plan_.ports) add_port(port);
  if (trigger_ != no_trigger && !before.empty()) throw_usage("only the first stage of a loop can have a trigger");
  std::size_t state_bytes = 0;
  for (const Port& port : plan_.ports)
    if (port.kind == PortKind::state) state_bytes += port.bytes;
  const std::size_t trigger_bytes = trigger_ == no_trigger ? 0 : port(trigger_).bytes;
  small_states_ = plan_.kernel != nullptr && trigger_bytes >= copy_below && state_bytes * 8 <= trigger_bytes;
  if (small_states_) states_before_.resize(state_bytes);
  find_link(before);
}

void Stage::add_port(const Port& port) {
  const std::size_t argument = arrays_.size();
  arrays_.push_back(port.buffer);
  if (port.stream && port.bytes != port.stream->layout().frame_bytes)
    throw_usage(port.stream->file().path() + ": the array bound to it has another size");
  if (port.kind == PortKind::trigger) {
    if (trigger_ != no_trigger) throw_usage("a stage can have only one trigger");
    trigger_ = argument;
  } else if (port.kind == PortKind::input) {
    Input input{Reader(port.stream), argument, port.bytes, std::vector<std::byte>(port.bytes + cache_line)};
    const auto address = reinterpret_cast<std::uintptr_t>(input.room.data());
    input.spare = input.room.data() + (cache_line - address % cache_line);
    inputs_.push_back(std::move(input));  // a moved vector keeps its memory
  } else if (port.kind == PortKind::output) {
    require_writable(*port.stream);
    outputs_.push_back(Output{Writer(port.stream), argument});
  }
}

void Stage::find_link(const std::vector<Stage>& before) noexcept {
  const auto reads = [](const Port& port) { return port.kind != PortKind::output && port.kind != PortKind::state; };
  const auto first = std::find_if(plan_.ports.begin(), plan_.ports.end(), reads);
  if (first == plan_.ports.end() || first->kind != PortKind::linked) return;
  for (std::size_t i = 0; i < before.size(); ++i)
    for (std::size_t j = 0; j < before[i].outputs_.size(); ++j)
      if (before[i].port(before[i].outputs_[j].argument).buffer == first->buffer) {
        link_ = {i, j};
        linked_ = true;
      }
}

const Port* Stage::trigger_port() const noexcept { return trigger_ == no_trigger ? nullptr : &port(trigger_); }

// ---- computing ---------------------------------------------------------------------------------------------------

void Stage::renew() noexcept {
  if (plan_.parameters) plan_.parameters->refresh(parameters_seen_, plan_.cells.data());
  for (Input& input : inputs_) {
    if (input.reader.map()->count() == input.seen) continue;
    FrameInfo info;
    // Beside the copy in use: an attempt that fails leaves half a frame. `busy` keeps the copy that we have: whole, if
    // old. The next frame tries again.
    if (input.reader.newest(input.spare, info) != ReadStatus::ok) continue;
    input.seen = info.count;
    if (interpreted()) {
      std::memcpy(arrays_[input.argument], input.spare, input.bytes);  // Python holds on to its array
    } else {
      arrays_[input.argument] = std::exchange(input.spare, static_cast<std::byte*>(arrays_[input.argument]));
    }
  }
}

std::int32_t Stage::call() noexcept {
  if (plan_.kernel != nullptr) return plan_.kernel(arrays_.data(), plan_.dims.data(), plan_.cells.data());
  return plan_.callback();
}

void Stage::show_failure() noexcept {
  take_back();
  for (std::size_t i = 0; i < arrays_.size(); ++i)
    if (arrays_[i] != port(i).buffer) std::memcpy(port(i).buffer, arrays_[i], port(i).bytes);
}

// ---- taking a call back --------------------------------------------------------------------------------------------

// Computing in place means computing before it is known that the frame lay still. If it did not, the call is taken
// back: states from a copy made before, outputs from their streams. Worth it where that copy is much smaller than the
// frame.
bool Stage::reversible() const noexcept {
  return small_states_ &&
         std::all_of(outputs_.begin(), outputs_.end(), [this](const Output& o) { return holds_ours(o); });
}

// Whether the stream holds our last frame, hence what the unit's own array held before this call.
bool Stage::holds_ours(const Output& output) const noexcept {
  const StreamMap& map = *output.writer.map();
  return output.published != 0 && map.count() == output.published &&
         shared(map.header().write).load(std::memory_order_acquire) == 0;
}

void Stage::keep_states() noexcept {
  std::byte* to = states_before_.data();
  for (const Port& port : plan_.ports) {
    if (port.kind != PortKind::state) continue;
    std::memcpy(to, port.buffer, port.bytes);
    to += port.bytes;
  }
  states_kept_ = true;
}

void Stage::take_back() noexcept {
  for (const Output& output : outputs_)
    if (output.published != 0)
      std::memcpy(port(output.argument).buffer, output.writer.map()->pixels(), port(output.argument).bytes);
  if (!std::exchange(states_kept_, false)) return;
  const std::byte* from = states_before_.data();
  for (const Port& port : plan_.ports) {
    if (port.kind != PortKind::state) continue;
    std::memcpy(port.buffer, from, port.bytes);
    from += port.bytes;
  }
}

// ---- publishing ----------------------------------------------------------------------------------------------------

void Stage::publish(std::int64_t acquisition_ns, const Lineage& parents) noexcept {
  Ancestry ancestry;
  ancestry.trigger_mode = frame.trigger_mode;
  ancestry.trigger_inode = frame.trigger_inode;
  ancestry.trigger_count = frame.trigger_count;
  ancestry.processing_start_ns = frame.start_ns;
  ancestry.parents = parents.entries.data();
  ancestry.parent_count = parents.count;
  for (Output& output : outputs_)
    output.published = output.writer.write(port(output.argument).buffer, acquisition_ns, &ancestry);
}

void Stage::stamp() const noexcept {
  record().stamp(frame.trigger_count, frame.trigger_ns, frame.start_ns, frame.end_ns, frame.missed);
}

// ---- files that changed hands --------------------------------------------------------------------------------------

bool Stage::any_retired() const noexcept {
  return std::any_of(inputs_.begin(), inputs_.end(), [](const Input& i) { return i.reader.map()->retired(); }) ||
         std::any_of(outputs_.begin(), outputs_.end(), [](const Output& o) { return o.writer.map()->retired(); });
}

void Stage::follow() {
  for (Input& input : inputs_) {
    if (const StreamMapPtr next = successor(*input.reader.map())) {
      input.reader.rebase(next);
      input.seen = 0;
    }
  }
  for (Output& output : outputs_) {
    if (output.writer.map()->standing() == StreamMap::Standing::gone)
      throw_recreated(output.writer.map()->file().path() + ": an output of the unit was removed while it ran");
    if (const StreamMapPtr next = successor(*output.writer.map())) {
      require_writable(*next);
      output.writer = Writer(next);
      output.published = 0;
    }
  }
}

}  // namespace framebus
