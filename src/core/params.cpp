#include "core/params.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <optional>
#include <set>
#include <system_error>
#include <thread>

#include "core/errors.hpp"
#include "core/fields.hpp"
#include "core/params_format.hpp"

namespace framebus {

// ---- holders -----------------------------------------------------------------------------------------------------

namespace {

std::uint64_t this_holder() noexcept {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(process_id())) << 32U) | process_start_ticks();
}
std::int32_t holder_pid(std::uint64_t holder) noexcept { return static_cast<std::int32_t>(holder >> 32U); }
std::uint32_t holder_ticks(std::uint64_t holder) noexcept { return static_cast<std::uint32_t>(holder & 0xFFFFFFFFU); }
bool holder_alive(std::uint64_t holder) noexcept { return process_alive(holder_pid(holder), holder_ticks(holder)); }
bool same(const ProcessName& a, const ProcessName& b) noexcept {
  return a.pid == b.pid && a.start_ticks == b.start_ticks;
}
ProcessName this_process() noexcept { return {process_id(), process_start_ticks()}; }

constexpr std::int64_t patience_ns = 1'000'000'000;  // for a lock or an undisturbed copy; either takes microseconds

}  // namespace

// The writers' lock. A holder that died has left the active bank whole, so its lock is simply taken over.
class ParamSet::Lock {
 public:
  Lock(std::atomic<std::uint64_t>& word, const std::string& name) : word_(word), mine_(this_holder()) {
    const std::int64_t deadline = monotonic_ns() + patience_ns;
    for (unsigned attempt = 0;; ++attempt) {
      std::uint64_t holder = 0;
      // acquire pairs with the release in ~Lock: we see the whole of the last holder's bank.
      if (word_.compare_exchange_weak(holder, mine_, std::memory_order_acquire, std::memory_order_relaxed)) return;
      if (attempt < 100) {
        cpu_relax();
        continue;
      }
      if (holder != 0 && !holder_alive(holder) &&
          word_.compare_exchange_strong(holder, mine_, std::memory_order_acquire, std::memory_order_relaxed))
        return;
      if (monotonic_ns() > deadline)
        throw_timeout("parameter set '" + name + "': process " + std::to_string(holder_pid(holder)) +
                      " has held the writers' lock for 1 s; it is alive but does not go on (stopped? in a debugger?)");
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  ~Lock() {
    std::uint64_t mine = mine_;
    word_.compare_exchange_strong(mine, 0, std::memory_order_release, std::memory_order_relaxed);
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  std::atomic<std::uint64_t>& word_;
  std::uint64_t mine_;
};

// ---- create and open -----------------------------------------------------------------------------------------------

ParamSet::ParamSet(SharedFile file) : file_(std::move(file)) {}

ParamHeader* ParamSet::header() const noexcept { return reinterpret_cast<ParamHeader*>(file_.data()); }

std::uint64_t* ParamSet::bank(std::uint64_t generation) const noexcept {
  return reinterpret_cast<std::uint64_t*>(file_.data() + banks_offset_) + (generation & 1U) * bank_words_;
}

namespace {

// The set that a new file of that path is about to replace, if it is one and can be told.
std::shared_ptr<ParamSet> replaced_set(const std::string& path) {
  if (file_identity(path).inode == 0) return nullptr;
  try {
    return ParamSet::open(path);
  } catch (const Error&) {
    return nullptr;  // corrupt or foreign: nobody can be using it as a set
  } catch (const std::system_error&) {
    return nullptr;  // not ours to read, then not ours to retire
  }
}

}  // namespace

std::shared_ptr<ParamSet> ParamSet::create(const std::string& path, const std::string& name,
                                           const std::vector<ParamSpec>& specs, unsigned mode,
                                           const std::vector<Change>& values, ProcessName successor_of) {
  if (name.empty() || name.size() > 79) throw_usage("parameter set '" + name + "': expected a name of 1 to 79 bytes");
  if (specs.size() > param_max_entries)
    throw_parameter("parameter set '" + name + "': " + std::to_string(specs.size()) + " entries, at most " +
                    std::to_string(param_max_entries) + " are possible");
  std::set<std::string> names;
  std::size_t texts = 0;
  std::size_t help_bytes = 0;
  for (const ParamSpec& spec : specs) {
    check_spec(name, spec);
    help_bytes += spec.help.size();
    if (!names.insert(spec.name).second) refuse_entry(name, "'" + spec.name + "'", "is declared twice");
    texts += is_text(spec.type) ? 1 : 0;
  }
  const ParamLayout layout(specs.size(), texts, help_bytes);
  SharedFile file = SharedFile::create(path, layout.file_size, mode);
  auto* const header = new (file.data()) ParamHeader{};
  std::memcpy(header->magic, param_magic, sizeof param_magic);
  header->version = param_layout_version;
  header->header_size = sizeof(ParamHeader);
  header->file_size = layout.file_size;
  header->entry_count = static_cast<std::uint32_t>(specs.size());
  header->text_count = static_cast<std::uint32_t>(texts);
  header->descriptor_size = sizeof(ParamDescriptor);
  header->help_size = static_cast<std::uint32_t>(help_bytes);
  set_field(header->name, sizeof header->name, name);
  header->creation_ns = realtime_ns();
  header->creator_pid = process_id();
  header->creator_start_ticks = process_start_ticks();
  ParamPlace place;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    write_entry(file.data(), layout, i, place, specs[i]);
    place.text_index += is_text(specs[i].type) ? 1 : 0;
    place.help_offset += specs[i].help.size();
  }
  std::shared_ptr<ParamSet> made(new ParamSet(std::move(file)));
  made->validate();
  if (!values.empty()) made->update(values, true);
  while (!made->take_name(successor_of)) {
  }
  return made;
}

// False: another set got the name, or lost it, while we looked who has it; look again.
bool ParamSet::take_name(ProcessName successor_of) {
  const SharedFile::Identity before = file_identity(path());
  const auto replaced = replaced_set(path());
  std::optional<Lock> lock;  // claim() takes it too: no unit starts with the old set between the look and the end
  if (replaced && replaced->writable()) lock.emplace(replaced->header()->lock, name_);
  // Whoever replaces the same set does so under the same lock.
  if (file_identity(path()) != (replaced ? replaced->file_.identity() : before)) return false;
  const ProcessName user = replaced ? replaced->user() : ProcessName{};
  if (user.pid != 0 && !same(user, this_process()) && !same(user, successor_of))
    throw_usage("parameter set '" + name_ + "': a unit of process " + std::to_string(user.pid) +
                " runs with it, so it cannot be replaced; stop that unit first");
  try {
    file_.publish(before.inode == 0);
  } catch (const Error&) {
    return false;
  }
  if (replaced) replaced->retire();
  return true;
}

std::shared_ptr<ParamSet> ParamSet::open(const std::string& path) {
  std::shared_ptr<ParamSet> opened(new ParamSet(SharedFile::open(path)));
  opened->validate();
  return opened;
}

void ParamSet::validate() {
  const std::string& where = file_.path();
  const std::size_t size = file_.size();
  require(size >= sizeof(ParamHeader), where, "file size",
          std::to_string(size) + " bytes, fewer than the header's " + std::to_string(sizeof(ParamHeader)));
  const ParamHeader& h = *header();
  require(std::memcmp(h.magic, param_magic, sizeof param_magic) == 0, where, "magic",
          "not a parameter set of framebus");
  require(
      h.version == param_layout_version, where, "version",
      "layout version " + std::to_string(h.version) +
          ", this framebus reads version 2 only; end what uses this file and remove it, or update the older framebus");
  require(h.header_size == sizeof(ParamHeader), where, "header_size", std::to_string(h.header_size) + ", expected 384");
  require(h.descriptor_size == sizeof(ParamDescriptor), where, "descriptor_size",
          std::to_string(h.descriptor_size) + ", expected 320");
  const std::size_t entries = h.entry_count;
  const std::size_t texts = h.text_count;
  require(entries <= param_max_entries, where, "entry_count", std::to_string(entries) + ", at most 1024 are possible");
  require(texts <= entries, where, "text_count",
          std::to_string(texts) + " texts in " + std::to_string(entries) + " entries");
  require(h.help_size <= entries * param_help_size, where, "help_size",
          std::to_string(h.help_size) + ", at most 4000 bytes for each entry are possible");
  const ParamLayout layout(entries, texts, h.help_size);
  require(h.file_size == layout.file_size, where, "file_size",
          std::to_string(h.file_size) + ", expected " + std::to_string(layout.file_size) + " for these entries");
  require(size == layout.file_size, where, "file size",
          std::to_string(size) + " bytes, the header says " + std::to_string(layout.file_size));
  require(h.creation_ns >= 0, where, "creation_ns", "negative");
  require(h.creator_pid > 0, where, "creator_pid", std::to_string(h.creator_pid) + " is no process id");
  require(h.retired.load(std::memory_order_relaxed) <= 1, where, "retired", "neither 0 nor 1");
  require(h.generation.load(std::memory_order_relaxed) != never, where, "generation", "a number that no set reaches");
  name_ = checked_text(h.name, sizeof h.name, where, "name");
  require(!name_.empty(), where, "name", "empty");
  creation_ns_ = h.creation_ns;
  creator_pid_ = h.creator_pid;
  generation_ = &header()->generation;
  banks_offset_ = layout.banks;
  bank_words_ = layout.bank_bytes / 8;
  findings_word_ = layout.findings_word;
  specs_.resize(entries);
  text_words_.assign(entries, 0);
  std::set<std::string> names;
  std::set<std::size_t> places;
  for (std::size_t i = 0; i < entries; ++i) {
    validate_entry(i, layout);
    require(names.insert(specs_[i].name).second, where, "entry name", "'" + specs_[i].name + "' stands there twice");
    if (is_text(specs_[i].type))
      require(places.insert(text_words_[i]).second, where, "text_index", "two entries share one text");
  }
  require(places.size() == texts, where, "text_count", "another number of text entries than declared");
  check_values();
}

void ParamSet::validate_entry(std::size_t index, const ParamLayout& layout) {
  const std::string& where = file_.path();
  // A private copy: what is checked is what is used.
  ParamDescriptor descriptor;
  std::memcpy(&descriptor, file_.data() + sizeof(ParamHeader) + index * sizeof(ParamDescriptor), sizeof descriptor);
  ParamSpec& spec = specs_[index];
  spec.name = checked_text(descriptor.name, sizeof descriptor.name, where, "entry name");
  require(is_entry_name(spec.name), where, "entry name", "entry " + std::to_string(index) + " has no valid name");
  spec.unit = checked_text(descriptor.unit, sizeof descriptor.unit, where, "unit");
  spec.description = checked_text(descriptor.description, sizeof descriptor.description, where, "description");
  require(is_param_type(descriptor.type), where, "type",
          "'" + spec.name + "' has the unknown type " + std::to_string(descriptor.type));
  spec.type = static_cast<ParamType>(descriptor.type);
  require((descriptor.flags & ~param_all_flags) == 0, where, "flags", "'" + spec.name + "' has unknown flags");
  spec.flags = descriptor.flags;
  spec.minimum = descriptor.minimum;
  spec.maximum = descriptor.maximum;
  spec.initial = descriptor.initial;
  require(descriptor.help_length <= param_help_size && descriptor.help_offset <= layout.help_bytes &&
              descriptor.help_length <= layout.help_bytes - descriptor.help_offset,
          where, "help", "'" + spec.name + "' has its help outside the file");
  spec.help.assign(reinterpret_cast<const char*>(file_.data()) + layout.help + descriptor.help_offset,
                   descriptor.help_length);
  if (!is_text(spec.type)) {
    require(cell_allowed(spec.type, spec.minimum, spec.minimum, spec.maximum), where, "minimum",
            "'" + spec.name + "' has limits that allow nothing");
    require(cell_allowed(spec.type, spec.maximum, spec.minimum, spec.maximum), where, "maximum",
            "'" + spec.name + "' has limits that allow nothing");
    require(cell_allowed(spec.type, spec.initial, spec.minimum, spec.maximum), where, "default",
            "'" + spec.name + "' has a default outside its limits");
    return;
  }
  require(layout.defaults + (descriptor.text_index + 1ULL) * param_text_size <= layout.help, where, "text_index",
          "'" + spec.name + "' has its text outside the file");
  text_words_[index] = layout.texts_word + descriptor.text_index * param_text_words;
  const auto* text =
      reinterpret_cast<const char*>(file_.data()) + layout.defaults + descriptor.text_index * param_text_size;
  spec.initial_text = checked_text(text, param_text_size, where, "default");
}

void ParamSet::check_values() const {
  const Values now = values();
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    const ParamSpec& spec = specs_[i];
    require(is_text(spec.type) || cell_allowed(spec.type, now.cells[i], spec.minimum, spec.maximum), file_.path(),
            "value", "'" + spec.name + "' has a value outside its limits");
    require(now.texts[i].size() < param_text_size, file_.path(), "value", "'" + spec.name + "' has no terminating NUL");
    require(now.findings[i].size() < param_finding_size, file_.path(), "finding",
            "'" + spec.name + "' has no terminating NUL");
  }
}

// ---- reading -------------------------------------------------------------------------------------------------------

// While the generation is g, writers touch only the bank of g + 1. So a copy of bank g is whole exactly if the
// generation is still g when the copy is done: once it is g + 1, the next writer may already be in bank g.

bool ParamSet::copy_cells(std::uint64_t& seen, std::int64_t* cells) const noexcept {
  static_assert(sizeof(std::int64_t) == sizeof(std::uint64_t));
  std::uint64_t staged[param_max_entries];
  for (int attempt = 0; attempt < 4; ++attempt) {
    const std::uint64_t before = generation_->load(std::memory_order_acquire);  // pairs with publish_bank()'s release
    load_words(staged, bank(before), specs_.size());
    // Pairs with the release fence in publish_bank(): if a word above came from a later writer, the load below sees
    // the generation that this writer started from.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (generation_->load(std::memory_order_relaxed) == before) {
      std::memcpy(cells, staged, 8 * specs_.size());
      seen = before;
      return true;
    }
  }
  return false;
}

bool ParamSet::copy_bank(std::uint64_t& generation, std::vector<std::uint64_t>& words) const {
  generation = generation_->load(std::memory_order_acquire);  // orderings as in copy_cells()
  load_words(words.data(), bank(generation), bank_words_);
  std::atomic_thread_fence(std::memory_order_acquire);
  return generation_->load(std::memory_order_relaxed) == generation;
}

ParamSet::Values ParamSet::values() const {
  Values result;
  std::vector<std::uint64_t> words(bank_words_);
  const std::int64_t deadline = monotonic_ns() + patience_ns;
  while (!copy_bank(result.generation, words)) {
    if (monotonic_ns() > deadline)
      throw_timeout("parameter set '" + name_ +
                    "': changed during every attempt to read it for 1 s; a writer runs wild");
    cpu_relax();
  }
  const std::size_t entries = specs_.size();
  result.cells.resize(entries);
  std::memcpy(result.cells.data(), words.data(), 8 * entries);
  result.changes.assign(words.begin() + static_cast<std::ptrdiff_t>(entries),
                        words.begin() + static_cast<std::ptrdiff_t>(2 * entries));
  result.changed.assign(words.begin() + static_cast<std::ptrdiff_t>(2 * entries),
                        words.begin() + static_cast<std::ptrdiff_t>(3 * entries));
  const auto text_at = [&](std::size_t word, std::size_t size) {
    return field_text(reinterpret_cast<const char*>(words.data() + word), size);
  };
  result.texts.resize(entries);
  result.findings.resize(entries);
  for (std::size_t i = 0; i < entries; ++i) {
    if (is_text(specs_[i].type)) result.texts[i] = text_at(text_words_[i], param_text_size);
    result.findings[i] = text_at(findings_word_ + i * param_finding_words, param_finding_size);
  }
  return result;
}

// ---- writing -------------------------------------------------------------------------------------------------------

void ParamSet::check_writable() const {
  if (!file_.writable()) throw_system(EACCES, "parameter set '" + name_ + "' may only be read by this user", path());
}

void ParamSet::check_current() const {
  if (retired()) throw_gone();
}

void ParamSet::throw_gone() const {
  throw_recreated("parameter set '" + name_ + "' was replaced or removed since it was opened; open it again");
}

// The words after "parameter set 'x': ", or nothing. `user`: the process whose unit runs with the set, 0 = none.
std::string ParamSet::problem(const Change& change, bool from_unit, std::int32_t user) const {
  const auto& [index, cell, text] = change;
  if (index >= specs_.size()) return "no entry " + std::to_string(index) + ", it has " + std::to_string(specs_.size());
  const ParamSpec& spec = specs_[index];
  const std::string runs = "unit '" + name_ + "' of process " + std::to_string(user) + " runs";
  const std::string value = is_text(spec.type) ? "'" + text + "'" : cell_text(spec.type, cell);
  if (is_text(spec.type)) {
    if (text.size() >= param_text_size)
      return spec.name + " takes a text of at most 255 bytes, got " + std::to_string(text.size());
    if (text.find('\0') != std::string::npos) return spec.name + " takes a text without NUL characters";
  } else if (!cell_allowed(spec.type, cell, spec.minimum, spec.maximum)) {
    return spec.name + " = " + value + " is outside its limits " + limits_text(spec) + " (" + type_name(spec.type) +
           ")" + (user != 0 ? "; " + runs + " with it" : "; no unit runs with it");
  }
  const std::string subject = spec.name + " = " + value + " (" + kind_text(spec) + ")";
  if (from_unit && user != 0 && user != process_id())
    return subject + ": " + runs + " with it, and only that one may write as the unit itself";
  if (from_unit) return {};
  if ((spec.flags & param_status) != 0)
    return subject + ": " + spec.name + " is a status value, only the unit itself writes it";
  if (user != 0 && (spec.flags & param_live) == 0)
    return subject + ": " + spec.name + " is fixed while " + runs + "; stop it first";
  return {};
}

std::vector<std::string> ParamSet::problems(const std::vector<Change>& changes, bool from_unit) const {
  const std::int32_t user = user_pid();
  std::vector<std::string> found;
  found.reserve(changes.size());
  for (const Change& change : changes) found.push_back(problem(change, from_unit, user));
  return found;
}

std::uint64_t ParamSet::update(const std::vector<Change>& changes, bool from_unit) {
  check_writable();
  const Lock lock(header()->lock, name_);
  check_current();
  // Under the lock, as claim() is: no unit starts between this check and the change.
  const std::int32_t user = user_pid();
  for (const Change& change : changes) {
    const std::string found = problem(change, from_unit, user);
    if (!found.empty()) throw_parameter("parameter set '" + name_ + "': " + found);
  }
  if (changes.empty()) return generation();
  const std::uint64_t before = generation();
  std::uint64_t* const to = prepare_bank(before);
  for (const Change& change : changes) put_change(to, change, before + 1);
  return publish_bank(before);
}

std::uint64_t ParamSet::set_findings(const std::vector<std::string>& findings) {
  if (findings.size() != specs_.size())
    throw_usage("parameter set '" + name_ + "': set_findings() needs " + std::to_string(specs_.size()) +
                " texts, got " + std::to_string(findings.size()));
  std::vector<std::uint64_t> words(specs_.size() * param_finding_words);
  for (std::size_t i = 0; i < findings.size(); ++i)
    set_field(reinterpret_cast<char*>(words.data() + i * param_finding_words), param_finding_size, findings[i]);
  check_writable();
  const Lock lock(header()->lock, name_);
  check_current();
  const std::uint64_t before = generation();
  std::vector<std::uint64_t> known(words.size());
  load_words(known.data(), bank(before) + findings_word_, known.size());
  if (known == words) return before;
  store_words(prepare_bank(before) + findings_word_, words.data(), words.size());
  return publish_bank(before);
}

// A copy of the active bank, to be changed and published. Only under the lock.
std::uint64_t* ParamSet::prepare_bank(std::uint64_t before) noexcept {
  // Pairs with the acquire fence of the readers: who sees one of our words sees at least generation `before`.
  std::atomic_thread_fence(std::memory_order_release);
  std::uint64_t* const from = bank(before);
  std::uint64_t* const to = bank(before + 1);
  for (std::size_t i = 0; i < bank_words_; ++i) store_words(to + i, from + i, 1);
  return to;
}

void ParamSet::put_change(std::uint64_t* to, const Change& change, std::uint64_t generation) noexcept {
  const auto& [index, cell, text] = change;
  const std::size_t entries = specs_.size();
  std::uint64_t words[param_text_words] = {static_cast<std::uint64_t>(cell)};
  const bool texts = is_text(specs_[index].type);
  const std::size_t count = texts ? param_text_words : 1;
  std::uint64_t* const value = to + (texts ? text_words_[index] : index);
  if (texts) {
    char field[param_text_size];
    set_field(field, sizeof field, text);
    std::memcpy(words, field, sizeof words);
  }
  std::uint64_t known[param_text_words];
  load_words(known, value, count);
  if (std::memcmp(known, words, 8 * count) != 0) {
    store_words(value, words, count);
    store_words(to + 2 * entries + index, &generation, 1);
  }
  const std::uint64_t writes = to[entries + index] + 1;
  store_words(to + entries + index, &writes, 1);
  constexpr std::uint64_t nothing[param_finding_words] = {};  // what was found was about the value that is gone
  store_words(to + findings_word_ + index * param_finding_words, nothing, param_finding_words);
}

std::uint64_t ParamSet::publish_bank(std::uint64_t before) noexcept {
  generation_->store(before + 1, std::memory_order_release);  // pairs with the readers' acquire: the bank is complete
  futex_wake_all(reinterpret_cast<std::atomic<std::uint32_t>*>(generation_));
  return before + 1;
}

// ---- waiting -------------------------------------------------------------------------------------------------------

std::uint64_t ParamSet::wait(std::uint64_t seen, std::int64_t sleep_ns) const {
  // The low half on a little-endian machine. A generation that differs by 2^32 is met again only after so many writes.
  const auto* const word = reinterpret_cast<const std::atomic<std::uint32_t>*>(generation_);
  if (generation() == seen && !retired() && sleep_ns > 0) {
    const FutexResult result = futex_wait(word, static_cast<std::uint32_t>(seen), sleep_ns);
    // A kernel that refuses to wait on a read-only mapping must not make the caller spin.
    if (result == FutexResult::value_changed && generation() == seen)
      std::this_thread::sleep_for(std::chrono::nanoseconds(std::min<std::int64_t>(sleep_ns, 1'000'000)));
  }
  const std::uint64_t now = generation();
  if (now == seen && (retired() || file_identity(path()) != file_.identity())) throw_gone();
  return now;
}

// ---- who runs with it ----------------------------------------------------------------------------------------------

ProcessName ParamSet::user() const noexcept {
  const std::uint64_t user = header()->user.load(std::memory_order_acquire);
  return user != 0 && holder_alive(user) ? ProcessName{holder_pid(user), holder_ticks(user)} : ProcessName{};
}

void ParamSet::claim(ProcessName from) {
  check_writable();
  const Lock lock(header()->lock, name_);
  check_current();
  std::uint64_t user = header()->user.load(std::memory_order_acquire);
  const ProcessName named{holder_pid(user), holder_ticks(user)};
  if (user != 0 && holder_alive(user) && named.pid != process_id() && !same(named, from))
    throw_usage("parameter set '" + name_ + "': process " + std::to_string(named.pid) +
                " already runs a unit with it; stop that unit first");
  // release() is not under the lock: the user that we take over from may end just now, which changes nothing for us.
  while (!header()->user.compare_exchange_weak(user, this_holder(), std::memory_order_acq_rel,
                                               std::memory_order_acquire)) {
  }
}

void ParamSet::release() {
  if (!file_.writable()) return;
  std::uint64_t mine = this_holder();
  header()->user.compare_exchange_strong(mine, 0, std::memory_order_acq_rel, std::memory_order_relaxed);
}

void ParamSet::retire() noexcept {
  if (!file_.writable()) return;
  header()->retired.store(1, std::memory_order_release);
  futex_wake_all(reinterpret_cast<std::atomic<std::uint32_t>*>(generation_));
}

bool ParamSet::retired() const noexcept { return header()->retired.load(std::memory_order_acquire) != 0; }

}  // namespace framebus
