#include "core/dao_layout.hpp"

#include <algorithm>
#include <cstring>

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

std::uint32_t number_at(const std::byte* file, std::size_t file_bytes, std::size_t at) noexcept {
  std::uint32_t number = 0;
  if (at != 0 && at + sizeof number <= file_bytes) std::memcpy(&number, file + at, sizeof number);
  return number;
}

// Lays the file out as that release would. False: the sizes overflow.
bool lay_out(Layout& layout, const DaoRelease& release, std::size_t depth) noexcept {
  layout.header_bytes = release.header_bytes;
  layout.packets = release.packets;
  layout.fifo_at = release.fifo_at;
  layout.depth = depth;
  try {
    place_dao(layout);
  } catch (const Error&) {
    return false;
  }
  return true;
}

// Which release made it, and how many slots there are: what agrees with the file's size.
bool find_release(const std::byte* file, std::size_t file_bytes, Findings& found) {
  for (const DaoRelease& release : dao_releases) {
    // Files from before the FIFO have 0 where its size is now.
    const std::size_t depth = std::max<std::uint32_t>(number_at(file, file_bytes, release.fifo_at), 1);
    if (!lay_out(found.layout, release, depth) || found.layout.file_bytes != file_bytes) continue;
    const std::uint32_t last = depth > 1 ? number_at(file, file_bytes, release.fifo_at + 4) : 0;
    if (last >= depth)
      return found.refuse("fifo_last_written", "is " + text(last) + ", expected less than fifo_size = " + text(depth));
    if (number_at(file, file_bytes, release.gpu_at) != 0)
      return found.refuse("gpu_magic", "says that the pixels are in a GPU's memory; expected 0 (in the file)");
    return true;
  }
  const std::uint32_t slots = number_at(file, file_bytes, dao_releases[0].fifo_at);
  if (!lay_out(found.layout, dao_releases[0], std::max<std::uint32_t>(slots, 1)))
    return found.refuse("fifo_size", "is " + text(slots) + ": the bytes of its slots overflow");
  return found.refuse("file size", "");
}

Findings look(const std::byte* file, std::size_t file_bytes) {
  Findings found;
  found.layout.dialect = Dialect::dao;
  // A copy: the checks and the values used must be the same ones, whatever another process writes meanwhile.
  DaoHeader header{};
  std::memcpy(&header, file, std::min(sizeof header, file_bytes));
  if (find_shape(header, found)) find_release(file, file_bytes, found);
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
  if (file_bytes < dao_least_bytes) return false;
  try {
    return look(file, file_bytes).field == nullptr;
  } catch (const std::exception&) {
    return false;  // no memory for a message
  }
}

Layout read_dao_layout(const std::byte* file, std::size_t file_bytes, const std::string& path) {
  if (file_bytes < dao_least_bytes)
    throw_format(path, "file size",
                 path + ": holds " + text(file_bytes) + " bytes, less than a header of DAO (" +
                     text(dao_releases[0].header_bytes) + "); truncated?");
  const Findings found = look(file, file_bytes);
  if (found.field == nullptr) return found.layout;
  if (std::string(found.field) != "file size")
    throw_format(path, found.field, path + ": header field '" + found.field + "' of DAO's format: " + found.why);
  const Layout& described = found.layout;
  throw_format(path, "file size",
               path + ": holds " + text(file_bytes) + " bytes, but its header (of DAO's format) describes " +
                   text(described.file_bytes) + " (fifo_size " + text(described.depth) + ", NBkw " +
                   text(described.keywords) + ", frame " + text(described.frame_bytes) +
                   " bytes); truncated or corrupt");
}

}  // namespace framebus
