#include "core/loop.hpp"

#include <nanobind/nanobind.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/errors.hpp"

namespace framebus {

namespace {

constexpr std::int64_t slice_ns = 20'000'000;       // the longest sleep before control words and files are looked at
constexpr std::int64_t look_again_ns = 50'000'000;  // how often a busy loop looks at its files
constexpr std::size_t copy_below = 16 * 1024;       // smaller triggers are copied: cheaper than being wrong now and then
constexpr std::size_t longest_lineage = 64;

}  // namespace

// ---- setting up ------------------------------------------------------------------------------------------------

Loop::~Loop() {
  request_stop();
  join();
}

void Loop::add_stage(StagePlan plan) {
  if (thread_.joinable()) throw_usage("the loop runs already; stages are added before start()");
  if ((plan.kernel == nullptr) == !plan.callback) throw_usage("a stage needs either a kernel or a callback");
  if (!plan.record) throw_usage("a stage needs a process record");
  Stage stage;
  std::size_t state_bytes = 0;
  std::size_t trigger_bytes = 0;
  for (std::size_t i = 0; i < plan.ports.size(); ++i) {
    const Port& port = plan.ports[i];
    stage.arrays.push_back(port.buffer);
    if (port.kind == PortKind::state) state_bytes += port.bytes;
    if (port.kind == PortKind::trigger) trigger_bytes = port.bytes;
    if (port.stream && port.bytes != port.stream->layout().frame_bytes)
      throw_usage(port.stream->file().path() + ": the array bound to it has another size");
    if (port.kind == PortKind::trigger) {
      if (trigger_ || !stages_.empty()) throw_usage("only the first stage of a loop can have a trigger, and only one");
      trigger_.emplace(Input{Reader(port.stream), port.buffer, i, 0});
      trigger_->reader.set_cursor(port.stream->count());
    } else if (port.kind == PortKind::input) {
      stage.inputs.push_back(Input{Reader(port.stream), port.buffer, i, 0});
    } else if (port.kind == PortKind::output) {
      stage.outputs.push_back(Output{Writer(port.stream), port.buffer});
    }
  }
  // In place means computing before it is known that the frame lay still, and taking it back if not: outputs from their
  // streams, states from a copy made before. Worth it where that copy is much smaller than the frame.
  stage.may_read_in_place = plan.kernel != nullptr && trigger_bytes >= copy_below && state_bytes * 8 <= trigger_bytes;
  if (stage.may_read_in_place) stage.states_before.resize(state_bytes);
  stage.plan = std::move(plan);
  stages_.push_back(std::move(stage));
}

void Loop::configure(const LoopSettings& settings) {
  if (thread_.joinable()) throw_usage("the loop runs already; it is configured before start()");
  if (settings.trigger == TriggerKind::delay && settings.period_ns <= 0) throw_usage("a delay trigger needs a period above 0");
  settings_ = settings;
}

void Loop::start() {
  if (thread_.joinable()) throw_usage("the loop was started already");
  if (stages_.empty()) throw_usage("the loop has no stage");
  const bool by_stream = settings_.trigger == TriggerKind::stream;
  if (by_stream && !trigger_) throw_usage("a loop that is triggered by a stream needs a trigger port");
  lineage_.resize(longest_lineage);
  ended_.store(0, std::memory_order_relaxed);
  thread_ = std::thread([this] { run(); });
}

void Loop::request_stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  // A sleeping loop looks up at once instead of after its slice.
  if (trigger_ && thread_.joinable()) trigger_->reader.map()->wake_everyone();
}

bool Loop::wait_end(std::int64_t timeout_ns) const noexcept {
  if (!thread_.joinable() || ended_.load(std::memory_order_acquire) != 0) return true;
  futex_wait(&ended_, 0, timeout_ns);
  return ended_.load(std::memory_order_acquire) != 0;
}

void Loop::join() noexcept {
  if (!thread_.joinable()) return;
  // The loop may be waiting for the GIL on its way out; whoever destroys it may hold it.
  if (PyGILState_Check() != 0) {
    const nanobind::gil_scoped_release released;
    thread_.join();
  } else {
    thread_.join();
  }
}

bool Loop::interpreted() const noexcept {
  return std::any_of(stages_.begin(), stages_.end(), [](const Stage& stage) { return stage.plan.kernel == nullptr; });
}

// ---- the thread ------------------------------------------------------------------------------------------------

void Loop::place_thread() {
  block_all_signals();  // they are the main thread's
  name_thread(settings_.name.empty() ? "fb-loop" : settings_.name);
  set_timer_slack(1);
  const auto note = [&](int error, const std::string& what) {
    if (error != 0) refusals_.push_back(what + ": " + std::strerror(error));
  };
  if (settings_.cpu >= 0) note(pin_thread(settings_.cpu), "CPU " + std::to_string(settings_.cpu));
  if (settings_.priority > 0) note(set_thread_priority(settings_.priority), "priority " + std::to_string(settings_.priority));
  for (Stage& stage : stages_) {
    stage.plan.record->set_thread(thread_id());
    stage.plan.record->set_placement(settings_.cpu, settings_.priority);
  }
}

void Loop::run() noexcept {
  PyThreadState* idle = nullptr;
  PyGILState_STATE gil{};
  const bool with_python = interpreted();
  if (with_python) {  // one thread state for the thread's life: taking the GIL per frame then costs no allocation
    gil = PyGILState_Ensure();
    idle = PyEval_SaveThread();
  }
  try {
    place_thread();
    serve();
  } catch (const std::exception& error) {
    fail(0, INT32_MIN, error.what());
  }
  waiter_.release();
  if (!failure_) set_states(State::off);
  if (with_python) {
    PyEval_RestoreThread(idle);
    PyGILState_Release(gil);
  }
  ended_.store(1, std::memory_order_release);
  futex_wake_all(&ended_);
}

void Loop::serve() {
  set_states(State::running);
  next_tick_ns_ = monotonic_ns();
  looked_ns_ = coarse_ns();
  while (!failure_) {
    Turn turn = obey();
    if (turn == Turn::compute) turn = await();
    if (turn == Turn::end) return;
    if (turn == Turn::compute) {
      compute_and_publish();
      if (settings_.trigger == TriggerKind::once && loops_.load(std::memory_order_relaxed) > 0) return;
    }
    const std::int64_t now = coarse_ns();
    if (turn == Turn::again || now - looked_ns_ > look_again_ns) {
      looked_ns_ = now;
      look_around();
    }
  }
}

Loop::Turn Loop::obey() {
  if (stopping_.load(std::memory_order_acquire)) return Turn::end;
  const ProcessRecord* holding = nullptr;
  std::uint32_t word = 0;
  for (const Stage& stage : stages_) {
    const std::uint32_t seen = stage.plan.record->control_word();
    const Control command = ProcessRecord::command(seen);
    if (command == Control::stop) return Turn::end;
    if (command == Control::pause && holding == nullptr) {
      holding = stage.plan.record.get();
      word = seen;
    }
  }
  if (holding == nullptr) {
    if (std::exchange(paused_, false)) {
      set_states(State::running);
      next_tick_ns_ = monotonic_ns();
    }
    return Turn::compute;
  }
  if (!std::exchange(paused_, true)) set_states(State::idle);
  holding->wait_control_change(word, slice_ns);
  return Turn::again;
}

void Loop::set_states(State state) noexcept {
  for (Stage& stage : stages_) stage.plan.record->set_state(state);
}

// ---- waiting -----------------------------------------------------------------------------------------------------

Loop::Turn Loop::await() {
  frame_ = {};
  in_place_ = {};
  ancestors_ = 0;
  switch (settings_.trigger) {
    case TriggerKind::stream: return await_stream();
    case TriggerKind::delay: return await_clock();
    case TriggerKind::once: return await_once();
    case TriggerKind::free: break;
  }
  stages_[0].start_ns = frame_.acquisition_ns = realtime_ns();
  return Turn::compute;
}

bool Loop::take_trigger(bool any) noexcept {
  Input& trigger = *trigger_;
  Stage& first = stages_[0];
  Reader& reader = trigger.reader;
  first.arrays[trigger.argument] = trigger.buffer;
  const bool in_place = first.may_read_in_place && !settings_.every_frame && !any && !std::exchange(copy_next_, false);
  if (in_place) {
    const FrameView view = reader.view_newest();
    // Only where a change during the computation is certain to be noticed.
    if (view && (view.flagged || view.place == FrameView::Place::counted_slot) && view.count != reader.cursor()) {
      in_place_ = view;
      frame_ = reader.info_of(view);
      first.arrays[trigger.argument] = const_cast<std::byte*>(view.data);
      return true;
    }
  }
  const ReadStatus status = any                     ? reader.newest(trigger.buffer, frame_)
                            : settings_.every_frame ? reader.next(trigger.buffer, frame_)
                                                    : reader.next_newest(trigger.buffer, frame_);
  return status == ReadStatus::ok;
}

Loop::Turn Loop::await_stream() {
  Reader& reader = trigger_->reader;
  const bool spin_only = settings_.spin_ns == LoopSettings::forever;
  const std::int64_t spin = spin_only ? slice_ns : std::min(settings_.spin_ns, slice_ns);
  if (!waiter_.wait(reader.map(), reader.cursor(), spin, spin_only ? 0 : slice_ns)) {
    // Also where a writer set the counter back: the reader starts over with it.
    if (reader.map()->count() < reader.cursor()) reader.set_cursor(0);
    return Turn::again;
  }
  stages_[0].start_ns = realtime_ns();
  if (!take_trigger(false)) return Turn::again;
  ancestors_ = reader.copy_trace(frame_.count, lineage_);
  return Turn::compute;
}

Loop::Turn Loop::await_once() {
  if (trigger_) {
    if (trigger_->reader.map()->count() == 0) {
      waiter_.wait(trigger_->reader.map(), 0, 0, slice_ns);
      return Turn::again;
    }
    if (!take_trigger(true)) return Turn::again;
    frame_.missed = 0;
    ancestors_ = trigger_->reader.copy_trace(frame_.count, lineage_);
  }
  stages_[0].start_ns = realtime_ns();
  if (frame_.acquisition_ns == 0) frame_.acquisition_ns = stages_[0].start_ns;
  return Turn::compute;
}

Loop::Turn Loop::await_clock() {
  // An absolute clock: a late frame does not shift those after it.
  const std::int64_t sleep_until = next_tick_ns_ - std::min<std::int64_t>(settings_.spin_ns, settings_.period_ns);
  const std::int64_t now = monotonic_ns();
  if (sleep_until > now) {
    const std::int64_t until = std::min(sleep_until, now + slice_ns);
    const timespec at{static_cast<time_t>(until / 1'000'000'000), static_cast<long>(until % 1'000'000'000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
    if (until < sleep_until) return Turn::again;
  }
  while (monotonic_ns() < next_tick_ns_) cpu_relax();
  const std::int64_t late = monotonic_ns() - next_tick_ns_;
  const std::int64_t skipped = late / settings_.period_ns;
  frame_.missed = static_cast<std::uint64_t>(skipped);
  next_tick_ns_ += (skipped + 1) * settings_.period_ns;
  stages_[0].start_ns = frame_.acquisition_ns = realtime_ns();
  return Turn::compute;
}

// ---- computing ---------------------------------------------------------------------------------------------------

void Loop::renew_inputs(Stage& stage) noexcept {
  for (Input& input : stage.inputs) {
    const std::uint64_t count = input.reader.map()->count();
    if (count == input.seen) continue;
    FrameInfo info;
    // `busy` keeps the copy that we have: whole, if old. The next frame tries again.
    if (input.reader.newest(input.buffer, info) == ReadStatus::ok) input.seen = info.count;
  }
}

void Loop::keep_states(Stage& stage) noexcept {
  std::byte* to = stage.states_before.data();
  for (const Port& port : stage.plan.ports) {
    if (port.kind != PortKind::state) continue;
    std::memcpy(to, port.buffer, port.bytes);
    to += port.bytes;
  }
}

void Loop::restore_states(Stage& stage) noexcept {
  const std::byte* from = stage.states_before.data();
  for (const Port& port : stage.plan.ports) {
    if (port.kind != PortKind::state) continue;
    std::memcpy(port.buffer, from, port.bytes);
    from += port.bytes;
  }
}

std::int32_t Loop::call(Stage& stage) noexcept {
  if (stage.plan.kernel != nullptr) return stage.plan.kernel(stage.arrays.data(), stage.plan.dims.data(), stage.plan.cells.data());
  return stage.plan.callback();
}

bool Loop::trigger_lay_still() noexcept {
  if (!in_place_) return true;
  if (!trigger_->reader.valid(in_place_)) {
    copy_next_ = true;
    return false;
  }
  frame_.missed = trigger_->reader.accept(in_place_.count);
  return true;
}

// The private output arrays are what the unit remembers of its last frame: put back what was last published.
void Loop::restore_outputs(Stage& stage) noexcept {
  for (Output& output : stage.outputs) {
    const StreamMap& map = *output.writer.map();
    if (map.count() > 0)
      std::memcpy(output.buffer, map.pixels(), map.layout().frame_bytes);
    else
      std::memset(output.buffer, 0, map.layout().frame_bytes);
  }
}

bool Loop::compute(std::size_t index) {
  Stage& stage = stages_[index];
  if (stage.plan.parameters) stage.plan.parameters->refresh(stage.parameters_seen, stage.plan.cells.data());
  renew_inputs(stage);
  if (index > 0) stage.start_ns = stages_[index - 1].end_ns;
  const bool in_place = index == 0 && in_place_;
  if (in_place) keep_states(stage);
  const std::int32_t code = call(stage);
  stage.end_ns = realtime_ns();
  if (index == 0 && !trigger_lay_still()) {
    restore_outputs(stage);
    restore_states(stage);
    return false;
  }
  if (code != 0) {
    // Whoever reports the failure finds the frame that caused it in the unit's own array.
    if (in_place) std::memcpy(trigger_->buffer, in_place_.data, trigger_->reader.map()->layout().frame_bytes);
    restore_outputs(stage);
    fail(index, code, "");
    return false;
  }
  return true;
}

void Loop::note_lineage(std::size_t index) noexcept {
  // Stage i's entry stands at stages - 1 - i; behind the first stage's come the trigger's own.
  Stage& stage = stages_[index];
  TraceEntry& entry = lineage_[stages_.size() - 1 - index];
  entry = TraceEntry{};
  entry.trigger_mode = settings_.trigger == TriggerKind::delay && index == 0 ? 4 : stage.trigger_inode != 0 ? 1 : 0;
  entry.pid = process_id();
  entry.trigger_inode = stage.trigger_inode;
  entry.processing_start = to_timespec(stage.start_ns);
  entry.stream_update = to_timespec(stage.end_ns);
  entry.trigger_semaphore = -1;
  entry.trigger_status = stage.trigger_inode != 0 ? 1 : 0;
  entry.trigger_count = stage.trigger_count;
}

void Loop::compute_and_publish() {
  for (const Stage& stage : stages_)
    if (ProcessRecord::command(stage.plan.record->control_word()) == Control::step && !stage.plan.record->take_step()) return;
  const std::size_t n = stages_.size();
  if (ancestors_ > 0 && n > 0) {
    ancestors_ = std::min(ancestors_, lineage_.size() - std::min(n, lineage_.size()));
    std::memmove(lineage_.data() + n, lineage_.data(), ancestors_ * sizeof(TraceEntry));
  }
  std::size_t done = 0;
  for (; done < n; ++done) {
    if (!compute(done)) break;
    Stage& stage = stages_[done];
    if (done == 0) {
      stage.trigger_inode = trigger_ && frame_.count > 0 ? trigger_->reader.map()->file().identity().inode : 0;
      stage.trigger_count = frame_.count;
      stage.trigger_ns = frame_.write_ns;
      stage.missed = frame_.missed;
    } else {
      const Stage& before = stages_[done - 1];
      const StreamMap* link = before.outputs.empty() ? nullptr : before.outputs[0].writer.map().get();
      stage.trigger_inode = link != nullptr ? link->file().identity().inode : 0;
      stage.trigger_count = link != nullptr ? link->count() + 1 : 0;
      stage.trigger_ns = before.end_ns;
    }
    note_lineage(done);
  }
  publish(done);
  if (done > 0) loops_.store(loops_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

// The last stage first: its frame (the command) is the one that somebody waits for with the shortest patience.
void Loop::publish(std::size_t done) noexcept {
  const std::size_t n = stages_.size();
  for (std::size_t i = done; i-- > 0;) {
    Stage& stage = stages_[i];
    const TraceEntry& own = lineage_[n - 1 - i];
    Ancestry ancestry;
    ancestry.trigger_mode = own.trigger_mode;
    ancestry.trigger_inode = stage.trigger_inode;
    ancestry.trigger_count = stage.trigger_count;
    ancestry.processing_start_ns = stage.start_ns;
    ancestry.parents = lineage_.data() + (n - i);
    ancestry.parent_count = i + ancestors_;
    for (Output& output : stage.outputs) output.writer.write(output.buffer, frame_.acquisition_ns, &ancestry);
  }
  for (std::size_t i = 0; i < done; ++i) {
    Stage& stage = stages_[i];
    stage.plan.record->stamp(stage.trigger_count, stage.trigger_ns, stage.start_ns, stage.end_ns, stage.missed);
    stage.missed = 0;
  }
}

void Loop::fail(std::size_t stage, std::int32_t code, const std::string& message) noexcept {
  failure_ = LoopFailure{stage, code, message};
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    if (i == stage)
      stages_[i].plan.record->fail(code, message.empty() ? "the unit failed" : message);
    else
      stages_[i].plan.record->set_state(State::off);
  }
}

// ---- files that changed hands ------------------------------------------------------------------------------------

void Loop::follow(Input& input) const {
  if (const StreamMapPtr next = successor(*input.reader.map())) {
    input.reader.rebase(next);
    input.seen = 0;
  }
}

void Loop::look_around() {
  std::size_t at = 0;
  try {
    if (trigger_) follow(*trigger_);
    for (; at < stages_.size(); ++at) {
      for (Input& input : stages_[at].inputs) follow(input);
      for (Output& output : stages_[at].outputs) {
        if (output.writer.map()->standing() == StreamMap::Standing::gone)
          throw_recreated(output.writer.map()->file().path() + ": an output of the unit was removed while it ran");
        if (const StreamMapPtr next = successor(*output.writer.map())) output.writer = Writer(next);
      }
    }
  } catch (const Error& error) {
    fail(std::min(at, stages_.size() - 1), INT32_MIN, error.what());
  }
}

}  // namespace framebus
