#include "core/dao_layout.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/errors.hpp"

namespace framebus {

namespace {

constexpr std::size_t most_bytes = std::size_t{1} << 62;

bool multiply(std::size_t a, std::size_t b, std::size_t& product) noexcept {
  return !__builtin_mul_overflow(a, b, &product) && product <= most_bytes;
}

std::string text(std::uint64_t number) { return std::to_string(number); }

// What the header's fields say, and the first of them that cannot be.
struct Findings {
  Layout layout;
  const char* field = nullptr;
  std::string why;

  bool refuse(const char* name, std::string reason) {
    field = name;
    why = std::move(reason);
    return false;
  }
};

bool find_shape(const DaoHeader& header, Findings& found) {
  Layout& layout = found.layout;
  layout.naxis = header.naxis;
  if (layout.naxis < 1 || layout.naxis > 3)
    return found.refuse("naxis", "is " + text(layout.naxis) + ", expected 1, 2 or 3");
  std::size_t elements = 1;
  for (unsigned axis = 0; axis < layout.naxis; ++axis) {
    const std::uint32_t length = header.size[axis];
    if (length == 0) return found.refuse("size", "axis " + text(axis) + " has length 0");
    if (!multiply(elements, length, elements)) return found.refuse("size", "the product of the axes overflows");
    layout.size[layout.naxis - 1 - axis] = length;
  }
  layout.nelement = header.nelement;
  if (layout.nelement != elements)
    return found.refuse("nelement", "is " + text(layout.nelement) + ", but the axes multiply to " + text(elements));
  layout.datatype = header.atype;
  if (layout.datatype < 1 || layout.datatype > dao_datatypes)
    return found.refuse("atype", "is " + text(layout.datatype) + ", expected a code from 1 to 12");
  if (!multiply(elements, item_bytes(layout.datatype), layout.frame_bytes))
    return found.refuse("size", "the frame's bytes overflow");
  if (header.sem > dao_most_semaphores)
    return found.refuse("sem", "is " + text(header.sem) + ", expected at most " + text(dao_most_semaphores));
  layout.semaphores = header.sem;
  layout.keywords = header.NBkw;
  return true;
}

// The size that a file would have with headers of so many bytes and so deep a FIFO; none if it overflows.
std::optional<std::size_t> size_with(Layout& layout, std::size_t header_bytes, std::size_t depth) noexcept {
  layout.header_bytes = header_bytes;
  layout.depth = depth;
  try {
    place_dao(layout);
  } catch (const Error&) {
    return std::nullopt;
  }
  return layout.file_bytes;
}

bool find_depth(const DaoHeader& header, std::size_t file_bytes, Findings& found) {
  const std::size_t depth = std::max<std::uint32_t>(header.fifo_size, 1);
  const auto described = size_with(found.layout, dao_header_bytes, depth);
  if (described == file_bytes) {
    if (depth > 1 && header.fifo_last_written >= depth)
      return found.refuse("fifo_last_written",
                          "is " + text(header.fifo_last_written) + ", expected less than fifo_size = " + text(depth));
    return true;
  }
  if (size_with(found.layout, dao_old_header_bytes, 1) == file_bytes) return true;
  if (!described)
    return found.refuse("fifo_size", "is " + text(header.fifo_size) + ": the bytes of its slots overflow");
  return found.refuse("file size", "");
}

Findings look(const std::byte* file, std::size_t file_bytes) {
  Findings found;
  found.layout.dialect = Dialect::dao;
  // A copy: the checks and the values used must be the same ones, whatever another process writes meanwhile.
  DaoHeader header{};
  std::memcpy(&header, file, std::min(sizeof header, file_bytes));
  if (find_shape(header, found)) find_depth(header, file_bytes, found);
  return found;
}

}  // namespace

void place_dao(Layout& layout) {
  std::size_t at = 0;
  bool fits = true;
  const auto block = [&](std::size_t count, std::size_t bytes) {
    const std::size_t start = at;
    std::size_t length = 0;
    fits = fits && multiply(count, bytes, length) && !__builtin_add_overflow(at, length, &at) && at <= most_bytes;
    return start;
  };
  block(layout.depth, layout.header_bytes);
  layout.pixels_at = layout.slots_at = block(layout.depth, layout.frame_bytes);
  layout.keywords_at = block(layout.keywords, sizeof(DaoKeyword));
  layout.file_bytes = at;
  layout.history = layout.depth > 1 ? layout.depth : 0;
  if (!fits) throw_usage("the stream would need more bytes than an address holds; make its shape or history smaller");
}

bool looks_like_dao(const std::byte* file, std::size_t file_bytes) noexcept {
  if (file_bytes < dao_old_header_bytes) return false;
  try {
    return look(file, file_bytes).field == nullptr;
  } catch (const std::exception&) {
    return false;  // no memory for a message
  }
}

Layout read_dao_layout(const std::byte* file, std::size_t file_bytes, const std::string& path) {
  if (file_bytes < dao_old_header_bytes)
    throw_format(path, "file size",
                 path + ": holds " + text(file_bytes) + " bytes, less than a header of DAO (" + text(dao_header_bytes) +
                     "); truncated?");
  const Findings found = look(file, file_bytes);
  if (found.field == nullptr) return found.layout;
  if (std::string(found.field) != "file size")
    throw_format(path, found.field, path + ": header field '" + found.field + "' of DAO's format: " + found.why);
  Layout described = found.layout;
  std::uint32_t slots = 0;
  std::memcpy(&slots, file + offsetof(DaoHeader, fifo_size), file_bytes < dao_header_bytes ? 0 : sizeof slots);
  size_with(described, dao_header_bytes, std::max<std::uint32_t>(slots, 1));
  throw_format(path, "file size",
               path + ": holds " + text(file_bytes) + " bytes, but its header (of DAO's format) describes " +
                   text(described.file_bytes) + " (fifo_size " + text(slots) + ", NBkw " + text(described.keywords) +
                   ", frame " + text(described.frame_bytes) + " bytes); truncated or corrupt");
}

}  // namespace framebus
