// The bytes of a parameter set's file, and what one entry may hold. docs/params.md says the same in words.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/params.hpp"

namespace framebus {

struct alignas(64) ParamHeader {
  char magic[8];
  std::uint32_t version;
  std::uint32_t header_size;
  std::uint64_t file_size;
  std::uint32_t entry_count;
  std::uint32_t text_count;
  std::uint32_t descriptor_size;
  std::uint32_t help_size;
  char name[80];
  std::int64_t creation_ns;
  std::int32_t creator_pid;
  std::uint32_t creator_start_ticks;
  std::atomic<std::uint32_t> retired;
  alignas(64) std::atomic<std::uint64_t> generation;  // its low half is also the futex that changes wake
  alignas(64) std::atomic<std::uint64_t> lock;        // holder: pid << 32 | start ticks; 0 = free
  alignas(64) std::atomic<std::uint64_t> user;        // whose unit runs with the set, as above
};

inline constexpr char param_magic[8] = {'F', 'B', 'P', 'A', 'R', 'A', 'M', 'S'};
inline constexpr std::uint32_t param_layout_version = 2;
inline constexpr std::size_t param_text_words = param_text_size / 8;
inline constexpr std::size_t param_finding_words = param_finding_size / 8;
inline constexpr std::uint32_t param_all_flags = param_live | param_restart | param_saved | param_status;

struct ParamDescriptor {
  char name[64];
  char unit[24];
  char description[160];
  std::uint32_t type;
  std::uint32_t flags;
  std::uint32_t text_index;  // of a text entry; 0 for numeric ones
  std::uint32_t reserved0;
  std::int64_t minimum;
  std::int64_t maximum;
  std::int64_t initial;
  std::uint32_t help_offset;  // into the help texts
  std::uint32_t help_length;
  std::uint8_t reserved[24];
};

static_assert(sizeof(ParamHeader) == 384 && offsetof(ParamHeader, help_size) == 36 &&
              offsetof(ParamHeader, name) == 40 && offsetof(ParamHeader, retired) == 136);
static_assert(offsetof(ParamHeader, generation) == 192 && offsetof(ParamHeader, lock) == 256 &&
              offsetof(ParamHeader, user) == 320);
static_assert(sizeof(ParamDescriptor) == 320 && offsetof(ParamDescriptor, type) == 248 &&
              offsetof(ParamDescriptor, minimum) == 264 && offsetof(ParamDescriptor, help_offset) == 288);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

struct ParamLayout {
  ParamLayout(std::size_t entries, std::size_t texts, std::size_t help_bytes) noexcept
      : defaults(sizeof(ParamHeader) + sizeof(ParamDescriptor) * entries),
        help(defaults + param_text_size * texts),
        help_bytes(help_bytes),
        banks((help + help_bytes + 63) / 64 * 64),
        texts_word(3 * entries),
        findings_word(texts_word + param_text_words * texts),
        bank_bytes((8 * (findings_word + param_finding_words * entries) + 63) / 64 * 64),
        file_size(banks + 2 * bank_bytes) {}
  std::size_t defaults;  // default texts
  std::size_t help;
  std::size_t help_bytes;
  std::size_t banks;
  // A bank begins with a word each for every entry's cell, number of writes and generation of its last change.
  std::size_t texts_word;
  std::size_t findings_word;
  std::size_t bank_bytes;
  std::size_t file_size;
};

// Where an entry's parts of other sizes lie.
struct ParamPlace {
  std::size_t text_index = 0;
  std::size_t help_offset = 0;
};

const char* type_name(ParamType type) noexcept;
bool is_param_type(std::uint32_t number) noexcept;
// Letters, digits and _, in parts joined by single dots: "gain", "loop.gain".
bool is_entry_name(const std::string& name) noexcept;
// Whether the cell is a value of the type, with nothing in bytes that the type does not use, inside the limits.
bool cell_allowed(ParamType type, std::int64_t cell, std::int64_t minimum, std::int64_t maximum) noexcept;
std::string cell_text(ParamType type, std::int64_t cell);
// "[0, 1]"
std::string limits_text(const ParamSpec& spec);
// "float64, 0 to 1", or "float64" where the type sets the only limits.
std::string kind_text(const ParamSpec& spec);

[[noreturn]] void refuse_entry(const std::string& set, const std::string& entry, const std::string& message);
// Throws ParameterError if a set cannot have such an entry.
void check_spec(const std::string& set, const ParamSpec& spec);
// Writes an entry, with its default as its value, into a new file that nobody else sees yet.
void write_entry(std::byte* data, const ParamLayout& layout, std::size_t index, const ParamPlace& place,
                 const ParamSpec& spec);

}  // namespace framebus
