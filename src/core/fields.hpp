// Small helpers for the two file formats that are framebus' own (parameter sets, process records): text fields,
// word-wise copies from memory that another process may be writing, and checks that name the field that is wrong.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "core/errors.hpp"

namespace framebus {

// Copies 8-byte words between shared memory and private memory. Every word is one relaxed atomic access: another
// process may write meanwhile, and the caller decides by a generation or sequence number whether the copy counts.
inline void load_words(std::uint64_t* to, const std::uint64_t* shared, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) to[i] = __atomic_load_n(shared + i, __ATOMIC_RELAXED);
}
inline void store_words(std::uint64_t* shared, const std::uint64_t* from, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) __atomic_store_n(shared + i, from[i], __ATOMIC_RELAXED);
}

// The text of a fixed field: up to its first NUL, or all of it.
inline std::string field_text(const char* field, std::size_t size) {
  return std::string(field, static_cast<std::size_t>(std::find(field, field + size, '\0') - field));
}

// How much of `text` fits into `room` bytes without cutting a UTF-8 character in two.
inline std::size_t fitting(std::string_view text, std::size_t room) noexcept {
  if (text.size() <= room) return text.size();
  std::size_t end = room;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return end;
}

// Fills a private field: the text, cut to fit with its NUL, and zeros behind it.
inline void set_field(char* field, std::size_t size, std::string_view text) noexcept {
  const std::size_t length = fitting(text, size - 1);
  std::memcpy(field, text.data(), length);
  std::memset(field + length, 0, size - length);
}

// One condition of a valid file.
inline void require(bool condition, const std::string& path, const char* field, const std::string& message) {
  if (!condition) throw_format(path, field, path + ": " + field + ": " + message);
}

inline std::string checked_text(const char* bytes, std::size_t size, const std::string& path, const char* field) {
  std::string text = field_text(bytes, size);
  require(text.size() < size, path, field, "no terminating NUL in its " + std::to_string(size) + " bytes");
  return text;
}

}  // namespace framebus
