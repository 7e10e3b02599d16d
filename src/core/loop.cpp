#include "core/loop.hpp"

#include <nanobind/nanobind.h>

#include <algorithm>
#include <new>
#include <utility>

#include "core/errors.hpp"

namespace framebus {

namespace {

constexpr std::int64_t slice_ns = 20'000'000;  // the longest sleep before control words and files are looked at
constexpr std::int64_t busy_ns = 1'000'000;    // the longest sleep while a writer is in the way

}  // namespace

// ---- setting up ------------------------------------------------------------------------------------------------

Loop::~Loop() {
  request_stop();
  join();
}

void Loop::refuse_once_started(const char* what) const {
  if (thread_.joinable()) throw_usage(std::string("the loop runs already; ") + what + " before start()");
}

void Loop::add_stage(StagePlan plan) {
  refuse_once_started("stages are added");
  Stage stage(std::move(plan), stages_);
  if (const Port* const port = stage.trigger_port()) {
    trigger_.emplace(Trigger{Reader(port->stream), port->buffer, {}});
    trigger_->reader.set_cursor(port->stream->count());
  }
  stages_.push_back(std::move(stage));
}

void Loop::configure(const LoopSettings& settings) {
  refuse_once_started("it is configured");
  if (settings.trigger == TriggerKind::delay && settings.period_ns <= 0)
    throw_usage("a delay trigger needs a period above 0");
  settings_ = settings;
}

void Loop::hold_gate(bool holds) {
  refuse_once_started("its gate is set up");
  gated_ = holds;
}

void Loop::open_gate() noexcept {
  gate_.store(static_cast<std::uint32_t>(Gate::open), std::memory_order_release);
  futex_wake_all(&gate_);
}

void Loop::start(std::shared_ptr<Barrier> barrier) {
  if (thread_.joinable()) throw_usage("the loop was started already");
  if (stages_.empty()) throw_usage("the loop has no stage");
  if (settings_.trigger == TriggerKind::stream && !trigger_)
    throw_usage("a loop that is triggered by a stream needs a trigger port");
  generation_ = fork_generation();
  barrier_ = std::move(barrier);
  thread_ = std::thread([this] { run(); });
  const auto made = static_cast<std::uint32_t>(Phase::made);
  while (phase() == Phase::made) futex_wait(&phase_, made, slice_ns);
}

bool Loop::wait_ready(std::int64_t timeout_ns) const {
  Phase now = phase();
  const std::int64_t until = monotonic_ns() + timeout_ns;
  while ((now == Phase::made || now == Phase::armed) && generation_ == fork_generation()) {
    const std::int64_t left = until - monotonic_ns();
    if (left <= 0 || futex_wait(&phase_, static_cast<std::uint32_t>(now), left) == FutexResult::interrupted)
      return false;
    now = phase();
  }
  if (now == Phase::ended && !began_ && failure_) throw Error("UnitError", failure_->message);
  return true;
}

void Loop::request_stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  if (!thread_.joinable() || generation_ != fork_generation()) return;
  // Wherever it sleeps; a wake-up that comes too early is made up for by the end of its slice.
  for (const Stage& stage : stages_) stage.record().wake_control();
  futex_wake_all(&gate_);
  if (const std::atomic<std::uint32_t>* const bed = bed_.load(std::memory_order_acquire)) futex_wake_all(bed);
}

bool Loop::wait_end(std::int64_t timeout_ns) const noexcept {
  const auto over = [this](Phase phase) {
    return phase == Phase::made || phase == Phase::ended || generation_ != fork_generation();
  };
  // Acquire: whoever sees the end sees the failure that led to it.
  const std::int64_t until = monotonic_ns() + timeout_ns;
  for (;;) {
    const Phase now = phase();
    if (over(now)) return true;
    const std::int64_t left = until - monotonic_ns();
    if (left <= 0 || timeout_ns <= 0) return false;
    const FutexResult result = futex_wait(&phase_, static_cast<std::uint32_t>(now), left);
    if (result == FutexResult::interrupted) return over(phase());  // Ctrl-C: Python looks at it
  }
}

void Loop::join() noexcept {
  if (!thread_.joinable()) return;
  if (generation_ != fork_generation()) {
    // The parent's, not ours to wait for, and nothing here may touch it: neither joined nor destroyed.
    static_cast<void>(new (std::nothrow) std::thread(std::move(thread_)));
    return;
  }
  // The loop may be waiting for the GIL on its way out; whoever destroys it may hold it.
  if (PyGILState_Check() != 0) {
    const nanobind::gil_scoped_release released;
    thread_.join();
  } else {
    thread_.join();
  }
}

bool Loop::interpreted() const noexcept {
  return std::any_of(stages_.begin(), stages_.end(), [](const Stage& stage) { return stage.interpreted(); });
}

// ---- the thread ------------------------------------------------------------------------------------------------

void Loop::place_thread(PlacedThread& placed) {
  block_all_signals();  // they are the main thread's
  name_thread(settings_.name.empty() ? "fb-loop" : settings_.name);
  set_timer_slack(1);
  refusals_ = placed.place(settings_.placement);
  for (const Stage& stage : stages_) stage.place_streams(settings_.placement, refusals_);
  std::string told;
  for (const std::string& refusal : refusals_) told += (told.empty() ? "" : "\n") + refusal;
  const std::vector<int>& cpus = settings_.placement.cpus;
  for (Stage& stage : stages_) {
    stage.record().set_thread(thread_id());
    stage.record().set_placement(cpus.empty() ? -1 : cpus.front(), settings_.placement.priority);
    stage.record().set_refusals(told);
    stage.touch();
  }
}

void Loop::enter(Phase phase) noexcept {
  phase_.store(static_cast<std::uint32_t>(phase), std::memory_order_release);
  futex_wake_all(&phase_);
}

void Loop::note_bed() noexcept {
  if (trigger_) bed_.store(trigger_->reader.map()->count_word(), std::memory_order_release);
}

// False: the others will not come, or the loop was told to stop.
bool Loop::arrive() noexcept {
  enter(Phase::armed);
  if (!barrier_) return true;
  barrier_->arrive();
  while (!barrier_->wait(slice_ns))
    if (barrier_->aborted() || told_to_end()) return false;
  return true;
}

void Loop::run() noexcept {
  PyThreadState* idle = nullptr;
  PyGILState_STATE gil{};
  bool with_python = false;
  PlacedThread placed;
  try {
    place_thread(placed);
    note_bed();
    if (interpreted()) {  // one thread state for the thread's life: taking the GIL per frame then costs no allocation
      with_python = true;
      gil = PyGILState_Ensure();
      idle = PyEval_SaveThread();
    }
    next_tick_ns_ = monotonic_ns();
    if (arrive() && take_over()) {
      set_states(State::running);
      began_ = true;
      carry_keywords();  // what changes from now on is noticed
      enter(Phase::running);
      serve();
    }
  } catch (const std::exception& error) {
    if (barrier_) barrier_->abort();  // if it has not come, the others wait for it in vain
    fail(0, unit_raised, error.what());
  }
  waiter_.release();
  if (!failure_) set_states(State::off);
  if (with_python) {
    PyEval_RestoreThread(idle);
    PyGILState_Release(gil);
  }
  enter(Phase::ended);
}

// ---- the frames ----------------------------------------------------------------------------------------------------

void Loop::serve() {
  looked_ns_ = coarse_ns();
  while (!failure_) {
    Turn turn = obey();
    if (turn == Turn::compute) turn = await();
    if (turn == Turn::end) return;
    if (turn == Turn::compute) {
      compute_and_publish();
      if (settings_.trigger == TriggerKind::once && loops_.load(std::memory_order_relaxed) > 0) return;
    }
    if (!failure_ && time_to_look(turn == Turn::again)) look_around();
  }
}

Loop::Turn Loop::obey() {
  if (stopping_.load(std::memory_order_acquire)) return Turn::end;
  const ProcessRecord* holding = nullptr;
  std::uint32_t word = 0;
  for (const Stage& stage : stages_) {
    const std::uint32_t seen = stage.record().control_word();
    const Control command = ProcessRecord::command(seen);
    if (command == Control::stop) return Turn::end;
    if (command == Control::pause && holding == nullptr) {
      holding = &stage.record();
      word = seen;
    }
  }
  if (holding == nullptr) {
    if (!paused_) return Turn::compute;
    if (gate_closed()) {
      futex_wait(&gate_, static_cast<std::uint32_t>(Gate::closed), slice_ns);
      return Turn::again;
    }
    paused_ = false;
    for (const Stage& stage : stages_) stage.record().forget_period();
    set_states(State::running);
    next_tick_ns_ = monotonic_ns();
    return Turn::compute;
  }
  if (!std::exchange(paused_, true)) {
    // Before the state is seen: whoever sees the loop idle finds its gate closed.
    if (gated_) gate_.store(static_cast<std::uint32_t>(Gate::closed), std::memory_order_release);
    set_states(State::idle);
  }
  holding->wait_control_change(word, slice_ns);
  return Turn::again;
}

// Whether the loop was told, while it waited, not to compute. Asked before a frame is taken: none is lost so.
bool Loop::told_to_hold() const noexcept {
  if (stopping_.load(std::memory_order_acquire)) return true;
  return std::any_of(stages_.begin(), stages_.end(), [](const Stage& stage) {
    const Control command = stage.record().control();
    return command == Control::pause || command == Control::stop;
  });
}

// Whether the loop was told to stop, while it does not obey() yet.
bool Loop::told_to_end() const noexcept {
  if (stopping_.load(std::memory_order_acquire)) return true;
  return std::any_of(stages_.begin(), stages_.end(),
                     [](const Stage& stage) { return stage.record().control() == Control::stop; });
}

void Loop::set_states(State state) noexcept {
  for (const Stage& stage : stages_) stage.record().set_state(state);
}

// ---- waiting -----------------------------------------------------------------------------------------------------

Loop::Turn Loop::await() {
  bool due = true;
  switch (settings_.trigger) {
    case TriggerKind::stream:
      due = wait_for_frame();
      break;
    case TriggerKind::delay:
      due = wait_for_tick();
      break;
    case TriggerKind::once:
      due = !trigger_ || wait_for_first_frame();
      break;
    case TriggerKind::free:
      break;
  }
  if (!due || told_to_hold()) return Turn::again;
  frame_ = {};
  ancestors_.count = 0;
  stages_[0].frame.start_ns = realtime_ns();
  if (trigger_) {
    if (!take_trigger()) return Turn::again;
  } else {
    take_tick();
  }
  return Turn::compute;
}

bool Loop::wait_for_frame() {
  Reader& reader = trigger_->reader;
  const bool spin_only = settings_.spin_ns == LoopSettings::forever;
  const std::int64_t spin = spin_only ? slice_ns : std::min(settings_.spin_ns, slice_ns);
  if (waiter_.wait(reader.map(), reader.cursor(), spin, spin_only ? 0 : slice_ns)) return true;
  // Also where a writer set the counter back: the reader starts over with it.
  if (reader.map()->count() < reader.cursor()) reader.set_cursor(0);
  return false;
}

bool Loop::wait_for_first_frame() {
  const StreamMapPtr& map = trigger_->reader.map();
  return map->count() > 0 || waiter_.wait(map, 0, 0, slice_ns);
}

bool Loop::wait_for_tick() const noexcept {
  // An absolute clock: a late frame does not shift those after it. The sleep ends early when the unit is told
  // something.
  const ProcessRecord& record = stages_[0].record();
  const std::uint32_t word = record.control_word();
  const std::int64_t now = monotonic_ns();
  const std::int64_t wake = next_tick_ns_ - std::min(settings_.spin_ns, settings_.period_ns);
  if (wake > now && !told_to_hold()) record.wait_control_until(word, std::min(wake, now + slice_ns));
  if (record.control_word() != word || stopping_.load(std::memory_order_acquire)) return false;
  const std::int64_t spin_until = std::min(next_tick_ns_, now + slice_ns);
  while (monotonic_ns() < spin_until && record.control_word() == word && !stopping_.load(std::memory_order_relaxed))
    cpu_relax();
  return monotonic_ns() >= next_tick_ns_;
}

void Loop::take_tick() noexcept {
  frame_.acquisition_ns = stages_[0].frame.start_ns;
  if (settings_.trigger != TriggerKind::delay) return;
  const std::int64_t skipped = (monotonic_ns() - next_tick_ns_) / settings_.period_ns;
  frame_.missed = static_cast<std::uint64_t>(skipped);
  tick_ns_ = next_tick_ns_ + skipped * settings_.period_ns;
  next_tick_ns_ = tick_ns_ + settings_.period_ns;
}

bool Loop::try_in_place() noexcept {
  Reader& reader = trigger_->reader;
  if (settings_.trigger == TriggerKind::once || settings_.every_frame || !stages_[0].reversible()) return false;
  if (std::exchange(trigger_->copy_next, false)) return false;
  const FrameView view = reader.view_newest();
  // Only where a change during the computation is certain to be noticed.
  if (!view || !reader.guarded(view) || view.count == reader.cursor()) return false;
  trigger_->in_place = view;
  frame_ = reader.info_of(view);
  stages_[0].set_trigger(view.data);
  return true;
}

bool Loop::take_trigger() noexcept {
  Reader& reader = trigger_->reader;
  trigger_->in_place = {};
  if (!try_in_place()) {
    std::byte* const to = trigger_->buffer;
    const bool once = settings_.trigger == TriggerKind::once;
    const ReadStatus status = once                    ? reader.newest(to, frame_)
                              : settings_.every_frame ? reader.next(to, frame_)
                                                      : reader.next_newest(to, frame_);
    // A writer in the way is gone in a moment, or dead.
    if (status == ReadStatus::busy && settings_.spin_ns != LoopSettings::forever)
      waiter_.wait(reader.map(), reader.map()->count(), 0, busy_ns);
    if (status != ReadStatus::ok) return false;
    if (once) frame_.missed = 0;
    stages_[0].set_trigger(to);
  }
  ancestors_.count = reader.copy_trace(frame_.count, ancestors_.entries);
  return true;
}

// ---- computing ---------------------------------------------------------------------------------------------------

bool Loop::trigger_lay_still() noexcept {
  if (!trigger_ || !trigger_->in_place) return true;
  if (!trigger_->reader.valid(trigger_->in_place)) {
    trigger_->copy_next = true;
    return false;
  }
  frame_.missed = trigger_->reader.accept(trigger_->in_place.count);
  return true;
}

// 0: no frame triggers it.
std::uint64_t Loop::trigger_count_of(std::size_t index) const noexcept {
  if (index == 0) return frame_.count;
  const Stage::Link* const link = stages_[index].link();
  return link != nullptr ? stages_[link->stage].next_count(link->output) : 0;  // not published yet
}

std::int32_t Loop::compute(std::size_t index) noexcept {
  Stage& stage = stages_[index];
  if (index > 0) stage.frame.start_ns = stages_[index - 1].frame.end_ns;
  stage.renew(trigger_count_of(index));
  if (index == 0 && trigger_ && trigger_->in_place) stage.keep_states();
  const std::int32_t code = stage.call();
  stage.frame.end_ns = realtime_ns();
  return code;
}

void Loop::note_origin(std::size_t index) noexcept {
  Stage::Frame& frame = stages_[index].frame;
  frame.trigger_mode = 0;
  frame.trigger_inode = frame.trigger_count = frame.missed = 0;
  frame.trigger_ns = frame.tick_ns = 0;
  if (index == 0) {
    if (trigger_) {
      frame.trigger_mode = 1;
      frame.trigger_inode = trigger_->reader.map()->file().identity().inode;
      frame.trigger_count = frame_.count;
      frame.trigger_ns = frame_.write_ns;
    } else if (settings_.trigger == TriggerKind::delay) {
      frame.trigger_mode = 4;
      frame.tick_ns = tick_ns_;
    }
    frame.missed = frame_.missed + (trigger_ ? std::exchange(trigger_->lost, 0) : 0);
  } else if (const Stage::Link* const link = stages_[index].link()) {
    const Stage& source = stages_[link->stage];
    frame.trigger_mode = 1;
    frame.trigger_inode = source.output(link->output).file().identity().inode;
    frame.trigger_count = trigger_count_of(index);
    frame.trigger_ns = source.frame.end_ns;
  }
}

const Lineage& Loop::parents_of(const Stage& stage) const noexcept {
  if (&stage == stages_.data()) return ancestors_;
  return stage.link() != nullptr ? stages_[stage.link()->stage].lineage : nobody_;
}

void Loop::note_lineage(std::size_t index) noexcept {
  Stage& stage = stages_[index];
  const Lineage& parents = parents_of(stage);
  TraceEntry& own = stage.lineage.entries[0];
  own = TraceEntry{};
  own.trigger_mode = stage.frame.trigger_mode;
  own.pid = process_id();
  own.trigger_inode = stage.frame.trigger_inode;
  own.processing_start = to_timespec(stage.frame.start_ns);
  own.stream_update = to_timespec(stage.frame.end_ns);
  own.trigger_semaphore = -1;
  own.trigger_status = stage.frame.trigger_inode != 0 ? 1 : 0;
  own.trigger_count = stage.frame.trigger_count;
  stage.lineage.count = 1 + std::min(parents.count, longest_lineage - 1);
  std::copy_n(parents.entries.begin(), stage.lineage.count - 1, stage.lineage.entries.begin() + 1);
}

void Loop::compute_and_publish() {
  std::size_t done = 0;
  std::int32_t code = 0;
  for (; done < stages_.size(); ++done) {
    code = compute(done);
    if (done == 0 && !trigger_lay_still()) {
      stages_[0].take_back();  // as if it had not been; the same again
      return;
    }
    if (code != 0) break;
    note_origin(done);
    note_lineage(done);
  }
  publish(done);
  const bool skipped = code == unit_skips;
  if (skipped) skip(done);
  if (done > 0 || skipped) loops_.store(loops_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  if (code != 0 && !skipped) {
    stages_[done].show_failure();
    fail(done, code, "");
  }
  take_steps();
}

void Loop::take_steps() noexcept {
  for (const Stage& stage : stages_)
    if (stage.record().control() == Control::step) stage.record().take_step();
}

// The unit has no frame to show for this one, and says so: the stages behind it have nothing to do.
void Loop::skip(std::size_t index) noexcept {
  Stage& stage = stages_[index];
  note_origin(index);
  stage.keep_to_itself();
  stage.stamp();
  stage.record().note_skipped();
}

// What was computed before a unit failed is good, and is published as if the units ran apart. The last stage first: its
// frame (the command) is the one that somebody waits for with the shortest patience.
void Loop::publish(std::size_t done) noexcept {
  for (std::size_t i = done; i-- > 0;) stages_[i].publish(frame_.acquisition_ns, parents_of(stages_[i]));
  for (std::size_t i = 0; i < done; ++i) stages_[i].stamp();
}

void Loop::fail(std::size_t stage, std::int32_t code, const std::string& message) noexcept {
  failure_ = LoopFailure{stage, code, message};
  for (std::size_t i = 0; i < stages_.size(); ++i)
    if (i != stage) stages_[i].record().set_state(State::off);
  ProcessRecord& record = stages_[stage].record();
  ProcessRecord::Texts texts = record.texts();  // a unit in the interpreter has told already
  if (!message.empty()) texts = {message, ""};
  if (texts.message.empty())
    texts.message = code == unit_raised ? "raised an exception" : "returned " + std::to_string(code);
  record.fail(code, texts.message, texts.traceback);
}

}  // namespace framebus
