#include "core/params_format.hpp"

#include <charconv>
#include <cstring>
#include <limits>

#include "core/errors.hpp"
#include "core/fields.hpp"

namespace framebus {

namespace {

constexpr const char* type_names[] = {"",      "int32",  "int64", "uint32", "uint64", "float32",  "float64",
                                      "onoff", "string", "path",  "stream", "pid",    "timestamp"};

template <class Function>
auto with_type(ParamType type, Function function) {
  switch (type) {
    case ParamType::int32:
      return function(std::int32_t{});
    case ParamType::uint32:
      return function(std::uint32_t{});
    case ParamType::uint64:
      return function(std::uint64_t{});
    case ParamType::float32:
      return function(float{});
    case ParamType::float64:
      return function(double{});
    default:
      return function(std::int64_t{});
  }
}

template <class Value>
Value cell_value(std::int64_t cell) noexcept {
  Value value;
  std::memcpy(&value, &cell, sizeof value);  // little-endian: the low bytes
  return value;
}

bool is_word(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

bool cell_allowed(ParamType type, std::int64_t cell, std::int64_t minimum, std::int64_t maximum) noexcept {
  return with_type(type, [&](auto example) {
    using Value = decltype(example);
    const auto value = cell_value<Value>(cell);
    const bool canonical = sizeof(Value) == 8 || (static_cast<std::uint64_t>(cell) >> 32U) == 0;
    return canonical && value >= cell_value<Value>(minimum) && value <= cell_value<Value>(maximum);  // false for NaN
  });
}

std::string cell_text(ParamType type, std::int64_t cell) {
  if (type == ParamType::onoff && (cell == 0 || cell == 1)) return cell == 1 ? "on" : "off";
  return with_type(type, [&](auto example) {
    char text[40];
    const auto end = std::to_chars(text, text + sizeof text, cell_value<decltype(example)>(cell)).ptr;
    return std::string(text, end);
  });
}

const char* type_name(ParamType type) noexcept {
  const auto number = static_cast<std::uint32_t>(type);
  return is_param_type(number) ? type_names[number] : "?";
}

bool is_param_type(std::uint32_t number) noexcept { return number >= 1 && number <= 12; }

bool is_entry_name(const std::string& name) noexcept {
  bool part_open = false;
  for (const char c : name) {
    if (c == '.' ? !part_open : !is_word(c)) return false;
    part_open = c != '.';
  }
  return part_open;
}

std::string limits_text(const ParamSpec& spec) {
  return "[" + cell_text(spec.type, spec.minimum) + ", " + cell_text(spec.type, spec.maximum) + "]";
}

std::string kind_text(const ParamSpec& spec) {
  std::string kind = type_name(spec.type);
  if (is_text(spec.type) || spec.type == ParamType::onoff) return kind;
  const bool limited = with_type(spec.type, [&](auto example) {
    using Range = std::numeric_limits<decltype(example)>;
    const auto lowest = Range::has_infinity ? -Range::infinity() : Range::lowest();
    const auto highest = Range::has_infinity ? Range::infinity() : Range::max();
    return cell_value<decltype(example)>(spec.minimum) != lowest ||
           cell_value<decltype(example)>(spec.maximum) != highest;
  });
  return limited ? kind + ", " + cell_text(spec.type, spec.minimum) + " to " + cell_text(spec.type, spec.maximum)
                 : kind;
}

void refuse_entry(const std::string& set, const std::string& entry, const std::string& message) {
  throw_parameter("parameter set '" + set + "': " + entry + " " + message);
}

void check_spec(const std::string& set, const ParamSpec& spec) {
  const auto bad = [&](const std::string& message) { refuse_entry(set, "'" + spec.name + "'", message); };
  if (!is_entry_name(spec.name) || spec.name.size() > 63)
    bad("is no parameter name: expected letters, digits and _ in parts joined by '.', at most 63 characters");
  if (spec.unit.size() > 23) bad("has a unit longer than 23 bytes");
  if (spec.description.size() > 159) bad("has a description longer than 159 bytes; what is longer goes into help");
  if (spec.help.size() > param_help_size)
    bad("has a help text longer than " + std::to_string(param_help_size) + " bytes");
  if (!is_param_type(static_cast<std::uint32_t>(spec.type))) bad("has no known type");
  if ((spec.flags & ~param_all_flags) != 0) bad("has unknown flags");
  if (is_text(spec.type)) {
    if (spec.initial_text.size() >= param_text_size) bad("has a default longer than 255 bytes");
    if (spec.initial_text.find('\0') != std::string::npos) bad("has a default with a NUL in it");
    return;
  }
  const std::string limits = limits_text(spec);
  if (!cell_allowed(spec.type, spec.minimum, spec.minimum, spec.maximum) ||
      !cell_allowed(spec.type, spec.maximum, spec.minimum, spec.maximum))
    bad("has limits that allow nothing: " + limits);
  if (!cell_allowed(spec.type, spec.initial, spec.minimum, spec.maximum))
    bad("has the default " + cell_text(spec.type, spec.initial) + ", which is outside its limits " + limits);
}

void write_entry(std::byte* data, const ParamLayout& layout, std::size_t index, const ParamPlace& place,
                 const ParamSpec& spec) {
  auto& descriptor = reinterpret_cast<ParamDescriptor*>(data + sizeof(ParamHeader))[index];
  set_field(descriptor.name, sizeof descriptor.name, spec.name);
  set_field(descriptor.unit, sizeof descriptor.unit, spec.unit);
  set_field(descriptor.description, sizeof descriptor.description, spec.description);
  descriptor.type = static_cast<std::uint32_t>(spec.type);
  descriptor.flags = spec.flags;
  descriptor.help_offset = static_cast<std::uint32_t>(place.help_offset);
  descriptor.help_length = static_cast<std::uint32_t>(spec.help.size());
  std::memcpy(data + layout.help + place.help_offset, spec.help.data(), spec.help.size());
  if (is_text(spec.type)) {
    descriptor.text_index = static_cast<std::uint32_t>(place.text_index);
    for (const std::size_t at : {layout.defaults, layout.banks + 8 * layout.texts_word})
      std::memcpy(data + at + param_text_size * place.text_index, spec.initial_text.data(), spec.initial_text.size());
    return;
  }
  descriptor.minimum = spec.minimum;
  descriptor.maximum = spec.maximum;
  descriptor.initial = spec.initial;
  reinterpret_cast<std::int64_t*>(data + layout.banks)[index] = spec.initial;
}

}  // namespace framebus
