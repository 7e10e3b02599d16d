#include "core/layout.hpp"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <string_view>

#include "core/dao_layout.hpp"
#include "core/errors.hpp"

namespace framebus {

std::size_t item_bytes(unsigned datatype) noexcept {
  constexpr std::size_t bytes[] = {0, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 8, 16, 2};
  return datatype < std::size(bytes) ? bytes[datatype] : 0;
}

namespace {

std::size_t padded(std::size_t bytes) noexcept { return (bytes + 7) / 8 * 8; }

bool multiply(std::size_t a, std::size_t b, std::size_t& product) noexcept {
  return !__builtin_mul_overflow(a, b, &product) && product <= (std::size_t{1} << 62);
}

std::string text(std::uint64_t number) { return std::to_string(number); }

}  // namespace

void Layout::place() {
  if (dao()) {
    place_dao(*this);
    return;
  }
  std::size_t at = sizeof(Header);
  bool fits = true;
  const auto block = [&](std::size_t count, std::size_t bytes) {
    const std::size_t start = at;
    std::size_t length = 0;
    fits = fits && multiply(count, bytes, length) && !__builtin_add_overflow(at, padded(length), &at) &&
           at <= (std::size_t{1} << 62);
    return start;
  };
  block(1, frame_bytes);
  keywords_at = block(keywords, sizeof(Keyword));
  semaphores_at = block(semaphores, semaphore_bytes);
  log_semaphore_at = block(1, semaphore_bytes);
  reader_pids_at = block(semaphores, sizeof(std::int32_t));
  writer_pids_at = block(semaphores, sizeof(std::int32_t));
  semaphore_control_at = block(semaphores, sizeof(std::uint32_t));
  semaphore_status_at = block(semaphores, sizeof(std::uint32_t));
  trace_at = block(trace_entries, sizeof(TraceEntry));
  slices_at = at;
  if ((imagetype & type_temporal_cube_mask) == type_temporal_cube) {
    const std::size_t slices = size[2];
    block(slices, sizeof(Timespec));
    block(slices, sizeof(Timespec));
    block(slices, sizeof(std::uint64_t));
  }
  slot_metadata_at = block(history, sizeof(SlotMetadata));
  slots_at = at;
  if (history > 0) block(history, frame_bytes);
  file_bytes = at;
  if (!fits) throw_usage("the stream would need more bytes than an address holds; make its shape or history smaller");
}

bool Layout::same_frames(const Layout& other) const noexcept {
  return naxis == other.naxis && datatype == other.datatype && std::equal(size, size + naxis, other.size);
}

namespace {

[[noreturn]] void bad(const std::string& path, const char* field, const std::string& why) {
  throw_format(path, field, path + ": header field '" + field + "': " + why);
}

void check_version(const Header& header, const std::string& path) {
  if (std::memchr(header.version, '\0', sizeof header.version) == nullptr)
    bad(path, "version", "not a text that ends; this is no ImageStreamIO file");
  if (std::strcmp(header.version, layout_version) == 0) return;
  if (header.version[0] == '\0')
    bad(path, "version", "empty: the stream is still being made, or its maker died doing so");
  std::string shown;
  for (const char c : std::string(header.version).substr(0, 12)) shown += (c >= ' ' && c <= '~') ? c : '?';
  bad(path, "version", "is \"" + shown + "\", expected \"" + layout_version + "\"");
}

void check_shape(const Header& header, Layout& layout, const std::string& path) {
  layout.naxis = header.naxis;
  if (layout.naxis < 1 || layout.naxis > 3) bad(path, "naxis", "is " + text(layout.naxis) + ", expected 1, 2 or 3");
  std::size_t elements = 1;
  for (unsigned axis = 0; axis < 3; ++axis) {
    layout.size[axis] = header.size[axis];
    if (axis >= layout.naxis) continue;
    if (layout.size[axis] == 0) bad(path, "size", "axis " + text(axis) + " has length 0");
    if (!multiply(elements, layout.size[axis], elements)) bad(path, "size", "the product of the axes overflows");
  }
  layout.nelement = header.nelement;
  if (layout.nelement != elements)
    bad(path, "nelement", "is " + text(layout.nelement) + ", but the axes multiply to " + text(elements));
  layout.datatype = header.datatype;
  const std::size_t item = item_bytes(layout.datatype);
  if (item == 0) bad(path, "datatype", "is " + text(layout.datatype) + ", expected a code from 1 to 13");
  if (!multiply(elements, item, layout.frame_bytes)) bad(path, "size", "the frame's bytes overflow");
  if (header.imdatamemsize != layout.frame_bytes)
    bad(path, "imdatamemsize",
        "is " + text(header.imdatamemsize) + ", but " + text(elements) + " elements of " + text(item) + " bytes are " +
            text(layout.frame_bytes));
}

Layout read_isio_layout(const std::byte* file, std::size_t file_bytes, const std::string& path) {
  if (file_bytes < sizeof(Header))
    throw_format(path, "file size",
                 path + ": holds " + text(file_bytes) + " bytes, less than a header of " + text(sizeof(Header)) +
                     "; truncated?");
  // A copy: the checks and the values used must be the same ones, whatever another process writes meanwhile.
  Header header;
  std::memcpy(&header, file, sizeof header);
  check_version(header, path);
  Layout layout;
  check_shape(header, layout, path);
  if (header.location != -1)
    bad(path, "location", "is " + std::to_string(header.location) + " (a GPU's memory), expected -1 (shared memory)");
  layout.imagetype = header.imagetype;
  layout.semaphores = header.sem;
  layout.keywords = header.NBkw;
  layout.trace_entries = header.NBproctrace;
  layout.history = header.CBsize;
  try {
    layout.place();
  } catch (const Error&) {
    bad(path, "CBsize", "is " + text(header.CBsize) + ": the history's bytes overflow");
  }
  if (layout.file_bytes != file_bytes)
    throw_format(path, "file size",
                 path + ": holds " + text(file_bytes) + " bytes, but its header describes " + text(layout.file_bytes) +
                     " (sem " + text(layout.semaphores) + ", NBkw " + text(layout.keywords) + ", NBproctrace " +
                     text(layout.trace_entries) + ", CBsize " + text(layout.history) + ", frame " +
                     text(layout.frame_bytes) + " bytes); truncated or corrupt");
  if (layout.history > 0 && header.CBindex >= layout.history)
    bad(path, "CBindex", "is " + text(header.CBindex) + ", expected less than CBsize = " + text(layout.history));
  return layout;
}

// DAO's header begins with the path of its file, ImageStreamIO's with a version.
bool begins_with_a_path(const std::byte* file, std::size_t file_bytes) noexcept {
  const std::string_view begin(reinterpret_cast<const char*>(file), std::min<std::size_t>(file_bytes, 80));
  return begin.starts_with('/') || begin.starts_with('.') || begin.find(".im.shm") != std::string_view::npos;
}

}  // namespace

Layout read_layout(const std::byte* file, std::size_t file_bytes, const std::string& path) {
  const bool isio =
      file_bytes >= sizeof layout_version && std::memcmp(file, layout_version, sizeof layout_version) == 0;
  if (!isio && (begins_with_a_path(file, file_bytes) || looks_like_dao(file, file_bytes)))
    return read_dao_layout(file, file_bytes, path);
  return read_isio_layout(file, file_bytes, path);
}

}  // namespace framebus
