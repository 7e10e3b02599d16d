#include "core/record.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <new>

#include "core/errors.hpp"
#include "core/fields.hpp"

namespace framebus {

namespace {

constexpr char magic[8] = {'F', 'B', 'R', 'E', 'C', 'O', 'R', 'D'};
constexpr std::uint32_t layout_version = 2;
constexpr std::size_t record_size = record_header_size + timing_ring * sizeof(Timing);

static_assert(offsetof(RecordHeader, unit) == 32 && offsetof(RecordHeader, use) == 112);
static_assert(offsetof(RecordHeader, host) == 368 && offsetof(RecordHeader, trigger) == 432);
static_assert(offsetof(RecordHeader, pid) == 512 && offsetof(RecordHeader, creation_ns) == 536);
static_assert(offsetof(RecordHeader, state) == 576 && offsetof(RecordHeader, control) == 640);
static_assert(offsetof(RecordHeader, loop_count) == 704 && offsetof(RecordHeader, text_generation) == 768);
static_assert(offsetof(RecordHeader, period_limit_ns) == 544 && offsetof(RecordHeader, limit_action) == 560);
static_assert(offsetof(RecordHeader, event_word) == 644 && offsetof(RecordHeader, activity) == 652);
static_assert(offsetof(RecordHeader, skipped) == 728 && offsetof(RecordHeader, alarms) == 736);
static_assert(offsetof(RecordHeader, texts) == 832 && sizeof(RecordHeader::Texts) == 2304);
static_assert(offsetof(RecordHeader, alarm) == 5440 && sizeof(RecordHeader::Alarm) == 256);
static_assert(offsetof(RecordHeader, refusals) == 5952 && sizeof(RecordHeader::Refusals) == 1024);

std::uint32_t control_word_of(Control command, std::uint32_t steps) noexcept {
  return static_cast<std::uint32_t>(command) | (command == Control::step ? steps << 8U : 0U);
}

bool is_control_word(std::uint32_t word) noexcept {
  const std::uint32_t steps = word >> 8U;
  const std::uint32_t command = word & 0xFFU;
  return command <= 3 && (command == static_cast<std::uint32_t>(Control::step)) == (steps != 0);
}

// Two banks as in a parameter set: a reader, also one that comes after a crash, finds one that is whole.
template <class Bank>
void publish(std::atomic<std::uint64_t>& generation, Bank (&banks)[2], const Bank& content) noexcept {
  static_assert(sizeof(Bank) % 8 == 0);
  std::uint64_t words[sizeof(Bank) / 8];
  std::memcpy(words, &content, sizeof content);
  const std::uint64_t before = generation.load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);  // pairs with the acquire fence in current()
  store_words(reinterpret_cast<std::uint64_t*>(&banks[(before + 1) & 1U]), words, sizeof words / 8);
  generation.store(before + 1, std::memory_order_release);
}

template <class Bank>
Bank current(const std::atomic<std::uint64_t>& generation, const Bank (&banks)[2]) noexcept {
  std::uint64_t words[sizeof(Bank) / 8];
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const std::uint64_t before = generation.load(std::memory_order_acquire);
    load_words(words, reinterpret_cast<const std::uint64_t*>(&banks[before & 1U]), sizeof words / 8);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (generation.load(std::memory_order_relaxed) == before) break;
  }
  Bank copy;
  std::memcpy(&copy, words, sizeof copy);
  return copy;
}

void check_length(const char* what, const std::string& text, std::size_t size) {
  if (text.size() >= size)
    throw_usage(std::string("process record: ") + what + " is " + std::to_string(text.size()) +
                " bytes long, at most " + std::to_string(size - 1) + " fit");
}

}  // namespace

// ---- create and open -------------------------------------------------------------------------------------------

ProcessRecord::ProcessRecord(SharedFile file) : file_(std::move(file)) {}

std::shared_ptr<ProcessRecord> ProcessRecord::create(const std::string& path, const Identity& identity, unsigned mode) {
  if (identity.unit.empty()) throw_usage("process record: the unit needs a name");
  check_length("the unit's name", identity.unit, sizeof RecordHeader::unit);
  check_length("'use'", identity.use, sizeof RecordHeader::use);
  check_length("the trigger's name", identity.trigger, sizeof RecordHeader::trigger);
  SharedFile file = SharedFile::create(path, record_size, mode);
  auto& h = *new (file.data()) RecordHeader{};
  std::memcpy(h.magic, magic, sizeof magic);
  h.version = layout_version;
  h.header_size = record_header_size;
  h.file_size = record_size;
  h.ring_length = timing_ring;
  h.entry_size = sizeof(Timing);
  set_field(h.unit, sizeof h.unit, identity.unit);
  set_field(h.use, sizeof h.use, identity.use);
  set_field(h.trigger, sizeof h.trigger, identity.trigger);
  if (::gethostname(h.host, sizeof h.host - 1) != 0) h.host[0] = '\0';  // longer than the field: better none than half
  h.pid = process_id();
  h.start_ticks = process_start_ticks();
  h.thread_id = h.pid;
  h.cpu = identity.cpu;
  h.priority = identity.priority;
  h.creation_ns = realtime_ns();
  std::shared_ptr<ProcessRecord> made(new ProcessRecord(std::move(file)));
  made->validate();
  made->file_.publish();
  return made;
}

std::shared_ptr<ProcessRecord> ProcessRecord::open(const std::string& path) {
  std::shared_ptr<ProcessRecord> opened(new ProcessRecord(SharedFile::open(path)));
  opened->validate();
  return opened;
}

void ProcessRecord::validate() {
  const std::string& where = file_.path();
  require(file_.size() == record_size, where, "file size",
          std::to_string(file_.size()) + " bytes, expected " + std::to_string(record_size));
  const RecordHeader& h = *header();
  const auto number = [](auto value) { return std::to_string(value); };
  require(std::memcmp(h.magic, magic, sizeof magic) == 0, where, "magic", "not a process record of framebus");
  require(h.version == layout_version, where, "version",
          "layout version " + number(h.version) + ", this framebus reads version 2; update the older of the two");
  require(h.header_size == record_header_size, where, "header_size", number(h.header_size) + ", expected 8192");
  require(h.file_size == record_size, where, "file_size", number(h.file_size) + ", expected " + number(record_size));
  require(h.ring_length == timing_ring, where, "ring_length", number(h.ring_length) + ", expected 1024");
  require(h.entry_size == sizeof(Timing), where, "entry_size", number(h.entry_size) + ", expected 64");
  identity_.unit = checked_text(h.unit, sizeof h.unit, where, "unit");
  require(!identity_.unit.empty(), where, "unit", "empty");
  identity_.use = checked_text(h.use, sizeof h.use, where, "use");
  identity_.trigger = checked_text(h.trigger, sizeof h.trigger, where, "trigger");
  host_ = checked_text(h.host, sizeof h.host, where, "host");
  require(h.pid > 0, where, "pid", number(h.pid) + " is no process id");
  require(h.thread_id > 0, where, "thread_id", number(h.thread_id) + " is no thread id");
  require(h.creation_ns >= 0, where, "creation_ns", "negative");
  require(h.cpu >= -1, where, "cpu", number(h.cpu) + ", expected a CPU number or -1");
  require(h.priority >= 0 && h.priority <= 99, where, "priority", number(h.priority) + ", expected 0 to 99");
  require(h.period_limit_ns.load(std::memory_order_relaxed) >= 0, where, "period_limit_ns", "negative");
  require(h.compute_limit_ns.load(std::memory_order_relaxed) >= 0, where, "compute_limit_ns", "negative");
  const std::uint32_t action = h.limit_action.load(std::memory_order_relaxed);
  require(action <= static_cast<std::uint32_t>(LimitAction::pause), where, "limit_action",
          number(action) + ", expected 0 or 1");
  const std::uint32_t state_now = h.state.load(std::memory_order_relaxed);
  require(state_now <= static_cast<std::uint32_t>(State::error), where, "state",
          number(state_now) + ", expected 0 to 4");
  const std::uint32_t word = h.control.load(std::memory_order_relaxed);
  require(is_control_word(word), where, "control", number(word) + " is no control word");
  const std::uint32_t event = h.event_word.load(std::memory_order_relaxed) & 0xFFU;
  require(event <= last_event, where, "event_word", number(event) + " is no event");
  identity_.cpu = h.cpu;
  identity_.priority = h.priority;
  creation_ns_ = h.creation_ns;
  pid_ = h.pid;
  start_ticks_ = h.start_ticks;
}

void ProcessRecord::check_writable() const {
  if (!file_.writable())
    throw_system(EACCES, "the record of unit '" + identity_.unit + "' may only be read by this user", path());
}

// ---- control ---------------------------------------------------------------------------------------------------

void ProcessRecord::request(Control command, std::uint32_t steps) {
  check_writable();
  if (command == Control::step && (steps == 0 || steps > max_steps))
    throw_usage("unit '" + identity_.unit + "': cannot step " + std::to_string(steps) + " frames; 1 to " +
                std::to_string(max_steps) + " are possible");
  std::atomic<std::uint32_t>& control = header()->control;
  std::uint32_t now = control.load(std::memory_order_relaxed);
  std::uint32_t wanted = 0;
  do {
    if (ProcessRecord::command(now) == Control::stop && command != Control::stop)
      throw_usage("unit '" + identity_.unit +
                  "' was told to stop: it cannot be paused, stepped or resumed any more; start it again");
    // Steps asked for while others are pending come on top of them, up to what the word holds.
    const std::uint32_t pending = ProcessRecord::command(now) == Control::step ? now >> 8U : 0U;
    wanted = control_word_of(command, steps > max_steps - pending ? max_steps : steps + pending);
    // release pairs with control_word()'s acquire: what the requester wrote before (a parameter) is there when seen.
  } while (!control.compare_exchange_weak(now, wanted, std::memory_order_acq_rel, std::memory_order_relaxed));
  futex_wake_all(&control);
  note_activity();
}

void ProcessRecord::reset_control() noexcept {
  header()->control.store(control_word_of(Control::run, 0), std::memory_order_release);
  note_activity();
}

void ProcessRecord::hold() noexcept {
  std::uint32_t run = control_word_of(Control::run, 0);
  if (header()->control.compare_exchange_strong(run, control_word_of(Control::pause, 0), std::memory_order_acq_rel,
                                                std::memory_order_relaxed))
    note_activity();
}

bool ProcessRecord::take_step() noexcept {
  std::atomic<std::uint32_t>& control = header()->control;
  std::uint32_t now = control.load(std::memory_order_acquire);
  while (command(now) == Control::step) {
    const std::uint32_t left = now >> 8U;
    const std::uint32_t next = left > 1 ? control_word_of(Control::step, left - 1) : control_word_of(Control::pause, 0);
    // acquire as in control_word(); a failure means that somebody asked for something else meanwhile: look again.
    if (control.compare_exchange_weak(now, next, std::memory_order_acq_rel, std::memory_order_acquire)) {
      return true;
    }
  }
  return false;
}

bool ProcessRecord::wait_control_change(std::uint32_t seen, std::int64_t timeout_ns) const noexcept {
  const std::atomic<std::uint32_t>& control = header()->control;
  if (control.load(std::memory_order_acquire) == seen && timeout_ns > 0) futex_wait(&control, seen, timeout_ns);
  return control.load(std::memory_order_acquire) != seen;
}

void ProcessRecord::wait_control_until(std::uint32_t seen, std::int64_t until_ns) const noexcept {
  futex_wait_until(&header()->control, seen, until_ns);
}

void ProcessRecord::wake_control() const noexcept { futex_wake_all(&header()->control); }

void ProcessRecord::note_activity() noexcept {
  // release pairs with activity()'s acquire: whoever sees the number move sees what moved it.
  header()->activity.fetch_add(1, std::memory_order_release);
  futex_wake_all(&header()->activity);
}

bool ProcessRecord::wait_activity(std::uint32_t seen, std::int64_t timeout_ns) const noexcept {
  if (activity() == seen && timeout_ns > 0) futex_wait(&header()->activity, seen, timeout_ns);
  return activity() != seen;
}

std::int64_t ProcessRecord::time_stamps(std::uint32_t loops) noexcept {
  const std::int64_t start_ns = monotonic_ns();
  for (std::uint32_t loop = 0; loop < loops; ++loop) {
    // A period of 1 ms and 10 µs of computing.
    const std::int64_t at_ns = start_ns + std::int64_t{loop} * 1'000'000;
    stamp(loop, at_ns - 2'000, at_ns, at_ns + 10'000, 0, 1);
  }
  return monotonic_ns() - start_ns;
}

// ---- events ----------------------------------------------------------------------------------------------------

void ProcessRecord::post_event(std::uint32_t event) {
  check_writable();
  if (event == 0 || event > last_event) throw_usage("no event " + std::to_string(event));
  if (!serves_events())
    throw_usage("unit '" + identity_.unit +
                "' takes no events: nothing in its process serves them; stop it and start it "
                "again instead");
  std::atomic<std::uint32_t>& word = header()->event_word;
  std::uint32_t now = word.load(std::memory_order_relaxed);
  do {
    if ((now & 0xFFU) != 0)
      throw_usage("unit '" + identity_.unit + "' has not taken the event before this one yet; try again in a moment");
    // release pairs with take_event()'s acquire: what the sender wrote before (a parameter) is there when it is taken.
  } while (!word.compare_exchange_weak(now, now | event, std::memory_order_release, std::memory_order_relaxed));
  note_activity();
}

std::uint32_t ProcessRecord::take_event() noexcept {
  std::atomic<std::uint32_t>& word = header()->event_word;
  std::uint32_t now = word.load(std::memory_order_acquire);
  while ((now & 0xFFU) != 0) {
    const std::uint32_t taken = ((now >> 8U) + 1U) << 8U;
    if (word.compare_exchange_weak(now, taken, std::memory_order_acq_rel, std::memory_order_acquire))
      return now & 0xFFU;
  }
  return 0;
}

void ProcessRecord::serve_events(bool serves) noexcept {
  header()->serves_events.store(serves ? 1U : 0U, std::memory_order_release);
}

// ---- limits ----------------------------------------------------------------------------------------------------

void ProcessRecord::set_limits(const Limits& limits) {
  check_writable();
  if (limits.period_ns < 0 || limits.compute_ns < 0)
    throw_usage("a limit is negative; expected ns above 0, or 0: none");
  RecordHeader& h = *header();
  h.limit_action.store(static_cast<std::uint32_t>(limits.action), std::memory_order_relaxed);
  h.period_limit_ns.store(limits.period_ns, std::memory_order_relaxed);
  h.compute_limit_ns.store(limits.compute_ns, std::memory_order_relaxed);
}

ProcessRecord::Limits ProcessRecord::limits() const noexcept {
  const RecordHeader& h = *header();
  const bool pauses = h.limit_action.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(LimitAction::pause);
  return {h.period_limit_ns.load(std::memory_order_relaxed), h.compute_limit_ns.load(std::memory_order_relaxed),
          pauses ? LimitAction::pause : LimitAction::alarm};
}

// In the loop's thread: neither allocates nor sleeps.
void ProcessRecord::exceeded(const char* what, std::int64_t value_ns, std::int64_t limit_ns,
                             std::uint64_t loop) noexcept {
  RecordHeader& h = *header();
  RecordHeader::Alarm alarm{realtime_ns(), {}};
  const bool fine = limit_ns < 1000;  // of which tenths of a microsecond would tell little
  const auto whole = [fine](std::int64_t ns) { return static_cast<long long>(fine ? ns : ns / 1000); };
  const auto tenth = [](std::int64_t ns) { return static_cast<int>(ns % 1000 / 100); };
  const auto number = static_cast<unsigned long long>(loop);
  if (fine)
    std::snprintf(alarm.text, sizeof alarm.text, "%s %lld ns is above its limit of %lld ns (loop %llu)", what,
                  whole(value_ns), whole(limit_ns), number);
  else
    std::snprintf(alarm.text, sizeof alarm.text, "%s %lld.%d µs is above its limit of %lld.%d µs (loop %llu)", what,
                  whole(value_ns), tenth(value_ns), whole(limit_ns), tenth(limit_ns), number);
  publish(h.alarm_generation, h.alarm, alarm);
  h.alarms.store(h.alarms.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  if (limits().action != LimitAction::pause) return;
  std::uint32_t now = h.control.load(std::memory_order_relaxed);
  while (command(now) == Control::run || command(now) == Control::step) {
    if (!h.control.compare_exchange_weak(now, control_word_of(Control::pause, 0), std::memory_order_acq_rel,
                                         std::memory_order_relaxed))
      continue;
    char message[sizeof alarm.text + 8];
    std::snprintf(message, sizeof message, "paused: %s", alarm.text);
    set_message(message);
    return;
  }
}

ProcessRecord::Alarm ProcessRecord::last_alarm() const {
  const RecordHeader::Alarm copy = current(header()->alarm_generation, header()->alarm);
  return {copy.ns, field_text(copy.text, sizeof copy.text)};
}

// ---- the unit's side -------------------------------------------------------------------------------------------

void ProcessRecord::set_state(State state) noexcept {
  // release: whoever sees 'running' or 'error' sees what was written before it (thread id, message).
  header()->state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
  note_activity();
}

void ProcessRecord::set_thread(std::int32_t thread_id) noexcept {
  __atomic_store_n(&header()->thread_id, thread_id, __ATOMIC_RELAXED);
}

void ProcessRecord::set_placement(int cpu, int priority) noexcept {
  __atomic_store_n(&header()->cpu, cpu, __ATOMIC_RELAXED);
  __atomic_store_n(&header()->priority, priority, __ATOMIC_RELAXED);
}

void ProcessRecord::set_message(std::string_view message, std::string_view traceback) noexcept {
  const std::scoped_lock lock(text_mutex_);
  RecordHeader::Texts texts;
  set_field(texts.message, sizeof texts.message, message);
  set_field(texts.traceback, sizeof texts.traceback, traceback);
  publish(header()->text_generation, header()->texts, texts);
}

void ProcessRecord::set_refusals(std::string_view text) noexcept {
  const std::scoped_lock lock(text_mutex_);
  RecordHeader::Refusals refusals;
  set_field(refusals.text, sizeof refusals.text, text);
  publish(header()->refusals_generation, header()->refusals, refusals);
}

void ProcessRecord::fail(int code, std::string_view message, std::string_view traceback) noexcept {
  set_message(message, traceback);
  header()->error_code.store(code, std::memory_order_relaxed);
  header()->errors.fetch_add(1, std::memory_order_relaxed);
  set_state(State::error);
}

// ---- the readers' side -----------------------------------------------------------------------------------------

bool ProcessRecord::alive() const noexcept { return process_alive(pid_, start_ticks_); }

State ProcessRecord::state() const noexcept {
  const std::uint32_t state = header()->state.load(std::memory_order_acquire);
  return state <= static_cast<std::uint32_t>(State::error) ? static_cast<State>(state) : State::error;
}

std::int32_t ProcessRecord::thread_id() const noexcept {
  return __atomic_load_n(&header()->thread_id, __ATOMIC_RELAXED);
}
int ProcessRecord::cpu() const noexcept { return __atomic_load_n(&header()->cpu, __ATOMIC_RELAXED); }
int ProcessRecord::priority() const noexcept { return __atomic_load_n(&header()->priority, __ATOMIC_RELAXED); }

ProcessRecord::Texts ProcessRecord::texts() const {
  const RecordHeader::Texts copy = current(header()->text_generation, header()->texts);
  return {field_text(copy.message, sizeof copy.message), field_text(copy.traceback, sizeof copy.traceback)};
}

std::string ProcessRecord::refusals() const {
  const RecordHeader::Refusals copy = current(header()->refusals_generation, header()->refusals);
  return field_text(copy.text, sizeof copy.text);
}

namespace {

// Copies the entry if it is that of `loop`, whole.
bool copy_timing(std::byte* to, const Timing& entry, std::uint64_t loop) noexcept {
  std::uint64_t words[sizeof(Timing) / 8];
  // acquire pairs with stamp()'s release store: the number is there, so the fields are.
  if (entry.loop.load(std::memory_order_acquire) != loop) return false;
  load_words(words, reinterpret_cast<const std::uint64_t*>(&entry), sizeof(Timing) / 8);
  std::atomic_thread_fence(std::memory_order_acquire);  // pairs with stamp()'s release fence
  if (entry.loop.load(std::memory_order_relaxed) != loop) return false;
  words[0] = loop;
  std::memcpy(to, words, sizeof(Timing));
  return true;
}

}  // namespace

std::size_t ProcessRecord::read_timings(std::byte* to, std::size_t count) const noexcept {
  std::size_t kept = 0;
  // Again only if this thread was off its CPU just here for so long that the ring went all the way round.
  for (int attempt = 0; attempt < 100 && kept == 0; ++attempt) {
    const std::uint64_t newest = header()->loop_count.load(std::memory_order_acquire);
    count = std::min<std::uint64_t>({count, timing_ring, newest});
    // From the newest backwards: what the unit overwrites meanwhile is older than all that were copied.
    while (kept < count) {
      const std::uint64_t loop = newest - kept;
      if (!copy_timing(to + (count - 1 - kept) * sizeof(Timing), ring()[loop % timing_ring], loop)) break;
      ++kept;
    }
  }
  std::memmove(to, to + (count - kept) * sizeof(Timing), kept * sizeof(Timing));
  return kept;
}

void ProcessRecord::continue_from(const ProcessRecord& before) noexcept {
  RecordHeader& h = *header();
  const RecordHeader& b = *before.header();
  const std::uint64_t loop = before.loop_count();
  std::uint64_t words[sizeof(Timing) / 8];
  if (!copy_timing(reinterpret_cast<std::byte*>(words), before.ring()[loop % timing_ring], loop)) return;
  store_words(reinterpret_cast<std::uint64_t*>(&ring()[loop % timing_ring]), words, sizeof words / 8);
  h.missed.store(b.missed.load(std::memory_order_relaxed), std::memory_order_relaxed);
  h.skipped.store(b.skipped.load(std::memory_order_relaxed), std::memory_order_relaxed);
  h.alarms.store(b.alarms.load(std::memory_order_relaxed), std::memory_order_relaxed);
  h.errors.store(b.errors.load(std::memory_order_relaxed), std::memory_order_relaxed);
  h.loop_count.store(loop, std::memory_order_release);  // as in stamp()
}

ProcessRecord::Start ProcessRecord::last_start() const noexcept {
  std::uint64_t words[sizeof(Timing) / 8];
  if (read_timings(reinterpret_cast<std::byte*>(words), 1) == 0) return {};
  return {words[0], words[6], words[1], static_cast<std::int64_t>(words[7])};
}

}  // namespace framebus
