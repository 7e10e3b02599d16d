#include "core/stage.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "core/errors.hpp"

namespace framebus {

namespace {
constexpr std::size_t copy_below = 16'384;  // smaller triggers are copied: cheaper than being wrong now and then
constexpr std::size_t cache_line = 64;
constexpr int renew_copies = 4;                         // tried of an input whose writer is in the way, per frame
constexpr std::int64_t denied_long_ns = 1'000'000'000;  // without a whole frame: to be told

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
  for (std::size_t i = 0; i < plan_.cells.size() && plan_.parameters; ++i)
    if ((plan_.parameters->specs()[i].flags & param_restart) != 0) fixed_.emplace_back(i, plan_.cells[i]);
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

// ---- before the first frame ----------------------------------------------------------------------------------------

namespace {

// Reads a byte of every page; of private memory that was never written to, it writes it back, too.
void touch_pages(std::byte* data, std::size_t bytes, bool own) noexcept {
  constexpr std::size_t page = 4096;
  for (std::size_t at = 0; at < bytes; at += page) {
    volatile std::byte* const byte = data + at;
    const std::byte value = *byte;
    if (own) *byte = value;
  }
}

}  // namespace

void Stage::touch() noexcept {
  for (const Port& port : plan_.ports) {
    if (port.kind != PortKind::linked) touch_pages(port.buffer, port.bytes, true);
    if (!port.stream) continue;
    const Layout& layout = port.stream->layout();
    touch_pages(port.stream->file().data(), layout.pixels_at + layout.depth * layout.frame_bytes, false);
  }
  for (Input& input : inputs_) touch_pages(input.room.data(), input.room.size(), true);
  touch_pages(states_before_.data(), states_before_.size(), true);
}

void Stage::place_streams(const Placement& placement, std::vector<std::string>& refused) const {
  if (!placement.lock_memory && placement.huge_pages.empty()) return;
  for (const Port& port : plan_.ports) {
    if (!port.stream) continue;
    const SharedFile& file = port.stream->file();
    for (std::string& refusal : place_array(file.data(), file.size(), placement, false, file.writable()))
      if (std::find(refused.begin(), refused.end(), refusal) == refused.end()) refused.push_back(std::move(refusal));
  }
}

void Stage::adopt_outputs() {
  for (Output& output : outputs_) {
    std::vector<std::byte> found(port(output.argument).bytes);
    FrameInfo info;
    // Not whole: its writer died in the middle of it. What was found when the unit was bound stands.
    if (Reader(output.writer.map()).newest(found.data(), info) == ReadStatus::ok)
      std::memcpy(port(output.argument).buffer, found.data(), found.size());
  }
}

// ---- computing ---------------------------------------------------------------------------------------------------

void Stage::adopt(Input& input) noexcept {
  input.due = 0;
  if (interpreted()) {
    std::memcpy(arrays_[input.argument], input.spare, input.bytes);  // Python holds on to its array
  } else {
    arrays_[input.argument] = std::exchange(input.spare, static_cast<std::byte*>(arrays_[input.argument]));
  }
}

void Stage::renew(std::uint64_t trigger_count) noexcept {
  if (plan_.parameters && plan_.parameters->refresh(parameters_seen_, plan_.cells.data()))
    for (const auto& [i, cell] : fixed_) plan_.cells[i] = cell;
  for (Input& input : inputs_) {
    if (input.reader.map()->count() == input.seen) {
      if (input.due != 0 && trigger_count >= input.due) adopt(input);
      continue;
    }
    FrameInfo info;
    std::uint64_t at_count = 0;
    input.due = 0;  // what waited is replaced, in the stream and, maybe in part, here
    // Beside the copy in use: an attempt that fails leaves half a frame. `busy` keeps the copy that we have: whole, if
    // old. The next frame tries again.
    if (input.reader.newest_for(input.spare, info, at_count, renew_copies) != ReadStatus::ok) {
      if (input.denied_ns == 0 && input.reader.map()->count() != 0) input.denied_ns = coarse_ns();
      continue;
    }
    input.seen = info.count;
    input.denied_ns = 0;
    if (trigger_count != 0 && at_count > trigger_count) {
      input.due = at_count;
    } else {
      adopt(input);
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
  return output.published != 0 && map.count() == output.published && !map.writing();
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
      std::memcpy(port(output.argument).buffer, output.writer.map()->newest_pixels(), port(output.argument).bytes);
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
  const std::uint64_t count = plan_.carries ? frame.trigger_count : 0;
  ancestry.trigger_mode = frame.trigger_mode;
  ancestry.trigger_inode = frame.trigger_inode;
  ancestry.trigger_count = frame.trigger_count;
  ancestry.processing_start_ns = frame.start_ns;
  ancestry.parents = parents.entries.data();
  ancestry.parent_count = parents.count;
  for (Output& output : outputs_) {
    if (output.writer.map()->reborn()) renew(output);
    output.published = output.writer.write(port(output.argument).buffer, {acquisition_ns, &ancestry, 0, count});
    if (output.published == 0) ++unpublished_;
  }
}

// Its file is not what it was. If there is another one that fits, the frame goes there.
void Stage::renew(Output& output) noexcept {
  try {
    if (const StreamMapPtr next = successor(*output.writer.map())) output.writer = Writer(next);
  } catch (const std::exception&) {
    return;  // another shape: follow() will tell
  }
}

std::uint64_t Stage::next_count(std::size_t i) const noexcept {
  const std::uint64_t next = output(i).count() + 1;
  return plan_.carries ? std::max(next, frame.trigger_count) : next;
}

void Stage::carry_keywords(const StreamMap& source) {
  if (!plan_.carries) return;
  for (Output& output : outputs_)
    if (!output.keywords.carry(source, *output.writer.map()) && !std::exchange(told_no_slot_, true))
      record().set_message(output.writer.map()->file().path() + ": has too few keyword slots for those of " +
                           source.file().path() + "; create it with more (keyword_slots=...)");
}

void Stage::stamp() const noexcept {
  record().stamp(frame.trigger_count, frame.trigger_ns, frame.start_ns, frame.end_ns, frame.missed, frame.trigger_inode,
                 frame.tick_ns);
}

void Stage::keep_to_itself() noexcept {
  for (Output& output : outputs_) output.published = 0;
}

// ---- files that changed hands --------------------------------------------------------------------------------------

bool Stage::any_retired() const noexcept {
  return std::any_of(inputs_.begin(), inputs_.end(), [](const Input& i) { return i.reader.map()->retired(); }) ||
         std::any_of(outputs_.begin(), outputs_.end(), [](const Output& o) { return o.writer.map()->retired(); });
}

void Stage::tell_trouble() {
  for (Input& input : inputs_) {
    const std::string& path = input.reader.map()->file().path();
    if (input.told && input.denied_ns == 0) {
      input.told = false;
      record().set_message(path + ": is read whole again");
    } else if (!input.told && input.denied_ns != 0 && coarse_ns() - input.denied_ns >= denied_long_ns) {
      input.told = true;
      record().set_message(path +
                           ": no whole frame for more than 1 s, the unit goes on with the last that it has: the writer "
                           "leaves no pause between two frames, or has not finished one. Give the stream a history");
    }
  }
  if (unpublished_ != told_unpublished_) {
    told_unpublished_ = unpublished_;
    record().set_message(std::to_string(unpublished_) +
                         " frames were not published: an output was being made anew by another program");
  }
  if (!told_replaced_ && plan_.parameters && plan_.parameters->retired()) {
    told_replaced_ = true;
    record().set_message(
        "the parameter set was replaced or removed; the unit goes on with the values that it had. "
        "Start it again to use the new ones");
  }
}

void Stage::follow() {
  for (Input& input : inputs_) {
    if (const StreamMapPtr next = successor(*input.reader.map())) {
      input.reader.rebase(next);
      input.seen = input.due = 0;
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
