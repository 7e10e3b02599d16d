// A parameter set in shared memory: `<name>.params.fb`. docs/params.md gives the layout byte by byte.
//
// Values live in two banks; bank (generation & 1) is the active one. A writer, alone under the lock word, copies the
// active bank to the other, changes it there and bumps the generation. So a reader never waits, a writer killed at
// any instruction leaves the active bank whole, and several entries change together or not at all.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "core/platform.hpp"

namespace framebus {

enum class ParamType : std::uint32_t {
  int32 = 1,
  int64 = 2,
  uint32 = 3,
  uint64 = 4,
  float32 = 5,
  float64 = 6,
  onoff = 7,
  string = 8,
  path = 9,
  stream = 10,
  pid = 11,
  timestamp = 12,
};
inline constexpr bool is_text(ParamType type) noexcept {
  return type == ParamType::string || type == ParamType::path || type == ParamType::stream;
}

inline constexpr std::uint32_t param_live = 1;     // may be written while a unit runs with the set
inline constexpr std::uint32_t param_restart = 2;  // takes effect at the unit's next start
inline constexpr std::uint32_t param_saved = 4;    // belongs into saved files
inline constexpr std::uint32_t param_status = 8;   // only the unit itself writes it
inline constexpr std::size_t param_max_entries = 1024;
inline constexpr std::size_t param_text_size = 256;
inline constexpr std::size_t param_help_size = 4000;    // at most, without a NUL
inline constexpr std::size_t param_finding_size = 160;  // with its NUL

// A numeric value is always one 8-byte cell: the bits of a float64, an int64, uint64 or (0 | 1) on/off; float32, int32
// and uint32 in the low 4 bytes with zeros above. Text entries have a cell too, which stays 0.
struct ParamSpec {
  std::string name;
  ParamType type = ParamType::float64;
  std::uint32_t flags = param_live | param_saved;
  std::string unit;
  std::string description;
  std::int64_t minimum = 0;  // cell of the type
  std::int64_t maximum = 0;
  std::int64_t initial = 0;  // default cell
  std::string initial_text;  // default of a text entry
  std::string help;          // as long as a reader needs
};

struct ParamHeader;
struct ParamLayout;

// A process, told apart from a later one with the same number.
struct ProcessName {
  std::int32_t pid = 0;  // 0 = none
  std::uint32_t start_ticks = 0;
};

class ParamSet {
 public:
  using Change = std::tuple<std::uint32_t, std::int64_t, std::string>;  // entry, cell, text (of a text entry)

  // A `seen` generation that no set ever has: the first refresh() with it always copies.
  static constexpr std::uint64_t never = ~std::uint64_t{0};

  // A new file of that path, replacing (and retiring) an old one, with the defaults and then `values` as its values.
  // Throws ParameterError for a bad spec or value, UsageError if another live process than `successor_of` runs a unit
  // with the old one, WaitTimeout (the old one's lock), OSError.
  static std::shared_ptr<ParamSet> create(const std::string& path, const std::string& name,
                                          const std::vector<ParamSpec>& specs, unsigned mode = 0660,
                                          const std::vector<Change>& values = {}, ProcessName successor_of = {});
  // Maps and checks an existing file. Throws StreamFormatError (path, field), StreamNotFound, OSError.
  static std::shared_ptr<ParamSet> open(const std::string& path);

  // ---- the loop's side: wait-free, no syscall, no allocation ----
  std::size_t cell_count() const noexcept { return specs_.size(); }
  // If the set changed since `seen`: all cells (cell i = entry i) of one generation into `cells` (cell_count() of
  // them), that generation into `seen`, true. False: nothing changed, or writers were in the way the few times it
  // tried; then `cells` and `seen` are untouched and the next frame tries again.
  bool refresh(std::uint64_t& seen, std::int64_t* cells) const noexcept {
    // acquire pairs with the release in publish_bank(): a new generation means its bank is complete.
    if (generation_->load(std::memory_order_acquire) == seen) return false;
    return copy_cells(seen, cells);
  }

  // ---- everyone's side ----
  struct Values {
    std::uint64_t generation = 0;
    std::vector<std::int64_t> cells;
    std::vector<std::uint64_t> changes;  // how often each entry was written
    std::vector<std::uint64_t> changed;  // the generation that gave each entry another value; 0 = it has its first one
    std::vector<std::string> texts;      // one per entry; empty for numeric ones
    std::vector<std::string> findings;
  };
  // All changes in one generation, or none. `from_unit`: the caller is the unit, which may write its status entries
  // and entries that are fixed while it runs. Returns the new generation. Throws ParameterError, WaitTimeout (another
  // live process holds the lock), StreamRecreated (the set was replaced or removed), OSError (read-only file).
  std::uint64_t update(const std::vector<Change>& changes, bool from_unit);
  // Why a change would be refused now, for each; empty if it would not.
  std::vector<std::string> problems(const std::vector<Change>& changes, bool from_unit) const;
  // Replaces what a check found about each entry (one text for each, cut to fit). Returns the generation, a new one if
  // they differ from those before. Throws as update() does.
  std::uint64_t set_findings(const std::vector<std::string>& findings);
  // Sleeps until the generation is not `seen`, `sleep_ns` have passed or a signal came; the generation. Throws
  // StreamRecreated if it is still `seen` and the set was replaced or removed.
  std::uint64_t wait(std::uint64_t seen, std::int64_t sleep_ns) const;
  Values values() const;  // of one generation
  std::uint64_t generation() const noexcept { return generation_->load(std::memory_order_acquire); }

  // The process that runs a unit with this set; entries without param_live are fixed while it lives.
  // For this process. UsageError if another live process than `from` has it.
  void claim(ProcessName from = {});
  void release();                     // if this process has it
  ProcessName user() const noexcept;  // pid 0 = nobody, or its process died
  std::int32_t user_pid() const noexcept { return user().pid; }

  // Tells every handle that this file is no longer the set of that name: their writes raise StreamRecreated.
  void retire() noexcept;
  bool retired() const noexcept;

  const std::string& name() const noexcept { return name_; }
  const std::string& path() const noexcept { return file_.path(); }
  bool writable() const noexcept { return file_.writable(); }
  std::uint64_t inode() const noexcept { return file_.identity().inode; }
  std::int64_t creation_ns() const noexcept { return creation_ns_; }
  std::int32_t creator_pid() const noexcept { return creator_pid_; }
  const std::vector<ParamSpec>& specs() const noexcept { return specs_; }

 private:
  class Lock;
  explicit ParamSet(SharedFile file);
  bool take_name(ProcessName successor_of);
  void validate();
  void validate_entry(std::size_t index, const ParamLayout& layout);
  void check_values() const;
  std::string problem(const Change& change, bool from_unit, std::int32_t user) const;
  void check_writable() const;
  void check_current() const;
  [[noreturn]] void throw_gone() const;
  bool copy_cells(std::uint64_t& seen, std::int64_t* cells) const noexcept;
  bool copy_bank(std::uint64_t& generation, std::vector<std::uint64_t>& words) const;
  std::uint64_t* prepare_bank(std::uint64_t before) noexcept;
  void put_change(std::uint64_t* to, const Change& change, std::uint64_t generation) noexcept;
  std::uint64_t publish_bank(std::uint64_t before) noexcept;
  std::uint64_t* bank(std::uint64_t generation) const noexcept;
  ParamHeader* header() const noexcept;

  SharedFile file_;
  // What open() checked. The file's own copies are never trusted again: whoever damages it later cannot send a
  // handle outside its map.
  std::atomic<std::uint64_t>* generation_ = nullptr;
  std::size_t banks_offset_ = 0;
  std::size_t bank_words_ = 0;
  std::size_t findings_word_ = 0;  // where the findings begin in a bank
  std::vector<ParamSpec> specs_;
  std::vector<std::size_t> text_words_;  // where each entry's text lies in a bank, in words; 0 for numeric entries
  std::string name_;
  std::int64_t creation_ns_ = 0;
  std::int32_t creator_pid_ = 0;
};

}  // namespace framebus
