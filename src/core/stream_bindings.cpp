#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "core/buffer.hpp"
#include "core/errors.hpp"
#include "core/fields.hpp"
#include "core/handle.hpp"
#include "core/header_dict.hpp"
#include "core/python_text.hpp"
#include "core/register.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace framebus {

namespace {

nb::tuple info_tuple(const FrameInfo& info) {
  return nb::make_tuple(info.count, info.acquisition_ns, info.write_ns, info.missed);
}

void require_frame(const StreamHandle& handle, const Buffer& buffer) {
  if (!buffer.is_frame_of(handle.map()->layout()))
    throw_usage(handle.map()->file().path() +
                ": the array to read into must be writable, C-contiguous and have the stream's shape and dtype");
}

// ---- keywords --------------------------------------------------------------------------------------------------

void require_keyword(const StreamHandle& handle, std::size_t i) {
  if (i >= handle.map()->layout().keywords) throw_usage("keyword slot " + std::to_string(i) + " does not exist");
}

nb::object keyword(const StreamHandle& handle, std::size_t i) {
  require_keyword(handle, i);
  const Keyword entry = handle.map()->load_keyword(i);
  nb::object value;
  if (entry.type == 'L') {
    std::int64_t number = 0;
    std::memcpy(&number, entry.value, sizeof number);
    value = nb::int_(number);
  } else if (entry.type == 'D') {
    double number = 0;
    std::memcpy(&number, entry.value, sizeof number);
    value = nb::float_(number);
  } else if (entry.type == 'S') {
    value = python_text(field_text(entry.value, sizeof entry.value));
  } else {
    return nb::none();
  }
  return nb::make_tuple(python_text(field_text(entry.name, sizeof entry.name)), std::string(1, entry.type), value,
                        entry.count, python_text(field_text(entry.comment, sizeof entry.comment)));
}

void fill_text(char* field, std::size_t size, const nb::bytes& text) {
  std::memset(field, 0, size);
  std::memcpy(field, text.c_str(), std::min(size, text.size()));
}

using KeywordFields = std::tuple<nb::bytes, char, nb::object, std::optional<nb::bytes>>;  // name, type, value, comment

Keyword make_keyword(const KeywordFields& fields) {
  const auto& [name, type, value, comment] = fields;
  Keyword entry{};
  fill_text(entry.name, sizeof entry.name, name);
  if (comment) fill_text(entry.comment, sizeof entry.comment, *comment);
  entry.type = type;
  if (type == 'L') {
    const auto number = nb::cast<std::int64_t>(value);
    std::memcpy(entry.value, &number, sizeof number);
  } else if (type == 'D') {
    const auto number = nb::cast<double>(value);
    std::memcpy(entry.value, &number, sizeof number);
  } else if (type == 'S') {
    fill_text(entry.value, sizeof entry.value, nb::cast<nb::bytes>(value));
  }
  entry.count = type == 'N' ? 0 : 1;
  return entry;
}

void set_keyword(const StreamHandle& handle, std::size_t i, const KeywordFields& fields) {
  require_keyword(handle, i);
  if (!handle.map()->file().writable()) throw_usage("this process may not write to the stream, so not to its keywords");
  const Keyword there = handle.map()->load_keyword(i);
  Keyword entry = make_keyword(fields);
  entry.count = entry.type == 'N' ? 0 : there.count + 1;
  // Without a new comment the old one stays, as it is: another program may have written it in another encoding.
  if (!std::get<3>(fields)) std::memcpy(entry.comment, there.comment, sizeof entry.comment);
  handle.map()->store_keyword(i, entry);
}

// ---- the trace -----------------------------------------------------------------------------------------------

nb::list trace(StreamHandle& handle) {
  nb::list entries;
  for (const TraceEntry& e : handle.trace())
    entries.append(nb::make_tuple(e.trigger_mode, e.pid, e.trigger_inode, to_ns(e.processing_start),
                                  to_ns(e.stream_update), e.trigger_semaphore, e.trigger_status, e.trigger_count));
  return entries;
}

const char* mode_name(WaitMode mode) noexcept {
  switch (mode) {
    case WaitMode::futex:
      return "futex";
    case WaitMode::semaphore:
      return "semaphore";
    case WaitMode::poll:
      return "poll";
    case WaitMode::automatic:
      break;
  }
  return "auto";
}

WaitMode mode_of(const std::string& name) {
  for (const WaitMode mode : {WaitMode::automatic, WaitMode::futex, WaitMode::semaphore, WaitMode::poll})
    if (name == mode_name(mode)) return mode;
  throw_usage("wake mode '" + name + "' is unknown; expected 'auto', 'futex', 'semaphore' or 'poll'");
}

nb::dict statistics(StreamHandle& handle) {
  nb::dict d;
  d["frames_read"] = handle.frames_read();
  d["frames_missed"] = handle.frames_missed();
  d["frames_written"] = handle.frames_written();
  d["cursor"] = handle.reader().cursor();
  d["retries"] = handle.reader().retries();
  d["recreated"] = handle.recreated();
  d["unannounced"] = handle.waiter().unannounced();
  d["wake"] = mode_name(handle.waiter().current());
  d["semaphore"] = handle.waiter().claimed_semaphore();
  return d;
}

const char* dialect_name(Dialect dialect) noexcept { return dialect == Dialect::dao ? "dao" : "isio"; }

Dialect dialect_of(const std::string& name) {
  for (const Dialect dialect : {Dialect::isio, Dialect::dao})
    if (name == dialect_name(dialect)) return dialect;
  throw_usage("dialect '" + name + "' is unknown; expected 'isio' (ImageStreamIO's format) or 'dao' (DAO's)");
}

std::shared_ptr<StreamHandle> create(const std::string& path, const std::string& name,
                                     const std::vector<std::uint32_t>& size, unsigned datatype, std::uint32_t history,
                                     std::uint16_t semaphores, std::uint16_t keywords, unsigned mode, bool huge_pages,
                                     bool local, bool must_be_new, const std::vector<KeywordFields>& initial_keywords,
                                     const std::string& dialect) {
  StreamMap::Request request;
  request.dialect = dialect_of(dialect);
  request.path = path;
  request.name = name;
  request.size = size;
  request.datatype = datatype;
  request.history = history;
  request.semaphores = semaphores;
  request.keywords = keywords;
  request.mode = mode;
  request.huge_pages = huge_pages;
  request.local = local;
  request.must_be_new = must_be_new;
  for (const KeywordFields& fields : initial_keywords) request.initial_keywords.push_back(make_keyword(fields));
  return std::make_shared<StreamHandle>(StreamMap::create(request));
}

void register_latest(nb::module_& module) {
  nb::class_<LatestView>(module, "LatestView", "A frame in shared memory itself: no copy was made.")
      .def_prop_ro("data", [](const LatestView& self) { return frame_array(self.reader.map(), self.view.data, false); })
      .def_prop_ro("info", [](const LatestView& self) { return info_tuple(self.info); })
      .def("still_valid", [](LatestView& self) { return self.reader.valid(self.view); });
}

void register_reading(nb::class_<StreamHandle>& type) {
  type.def(
          "read_newest",
          [](StreamHandle& self, nb::handle out, std::int64_t timeout_ns, bool keep_cursor) {
            const Buffer buffer(out, true);
            require_frame(self, buffer);
            return info_tuple(self.read_newest(buffer.data(), timeout_ns, keep_cursor));
          },
          "out"_a, "timeout_ns"_a, "keep_cursor"_a = false)
      .def(
          "read_next",
          [](StreamHandle& self, nb::handle out, bool newest, std::int64_t timeout_ns, std::int64_t spin_ns) {
            const Buffer buffer(out, true);
            require_frame(self, buffer);
            return info_tuple(self.read_next(buffer.data(), newest, timeout_ns, spin_ns));
          },
          "out"_a, "newest"_a, "timeout_ns"_a, "spin_ns"_a)
      .def(
          "read_at",
          [](StreamHandle& self, std::uint64_t count, nb::handle out) -> nb::object {
            const Buffer buffer(out, true);
            require_frame(self, buffer);
            const auto info = self.read_at(count, buffer.data());
            return info ? nb::object(info_tuple(*info)) : nb::none();
          },
          "count"_a, "out"_a, nb::sig("def read_at(self, count: int, out: object) -> tuple[int, int, int, int] | None"),
          "A given frame; None if it is gone or has not come yet.")
      .def("latest", &StreamHandle::latest, "timeout_ns"_a)
      .def(
          "times",
          [](StreamHandle& self, std::uint64_t after) {
            // Counts as signed numbers, for an array of int64: only a damaged header has one beyond.
            std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t>> rows;
            for (const FrameInfo& info : self.times(after))
              rows.emplace_back(static_cast<std::int64_t>(info.count), info.acquisition_ns, info.write_ns);
            return rows;
          },
          "after"_a)
      .def("wait_newer", &StreamHandle::wait_newer, "count"_a, "timeout_ns"_a, "spin_ns"_a)
      .def("oldest", &StreamHandle::oldest)
      .def_prop_rw("cursor", &StreamHandle::cursor, &StreamHandle::set_cursor);
}

void put(StreamHandle& handle, nb::handle elements, std::uint64_t position, std::uint32_t packet, std::uint32_t packets,
         std::uint64_t frame_id) {
  const Buffer buffer(elements, false);
  const std::size_t item = item_bytes(handle.map()->layout().datatype);
  if (!buffer.holds(handle.map()->layout().datatype))
    throw_usage(handle.map()->file().path() + ": a packet must be C-contiguous and have the stream's dtype");
  handle.put(buffer.data(), {position, buffer.bytes() / item, packet, packets, frame_id});
}

void register_writing(nb::class_<StreamHandle>& type) {
  type.def(
          "write",
          [](StreamHandle& self, nb::handle array, std::int64_t acquisition_ns, std::uint64_t at_count,
             std::uint64_t count) -> std::uint64_t {
            const Buffer buffer(array, false);
            if (!buffer.is_frame_of(self.map()->layout())) return 0;
            return self.write(buffer.data(), {acquisition_ns, nullptr, at_count, count});
          },
          "array"_a.none(), "acquisition_ns"_a = 0, "at_count"_a = 0, "count"_a = 0,
          "Returns the count; 0 when the array is not byte for byte a frame of this stream.")
      .def("begin_write",
           [](StreamHandle& self) {
             self.begin_write();
             return frame_array(self.map(), self.map()->next_pixels(), true);
           })
      .def("put", &put, "elements"_a, "position"_a, "packet"_a, "packets"_a, "frame_id"_a,
           "Of a frame that was begun: stores a part of it, which has the stream's dtype.")
      .def("end_write", &StreamHandle::end_write, "acquisition_ns"_a = 0)
      .def("abandon_write", &StreamHandle::abandon_write);
}

}  // namespace

void register_stream(nb::module_& module) {
  register_latest(module);
  nb::class_<StreamHandle> type(module, "StreamHandle", "One handle of one stream; see framebus.stream.Stream.");
  type.def_static(
          "open",
          [](const std::string& path, bool looks_only) {
            return std::make_shared<StreamHandle>(StreamMap::open(path, looks_only));
          },
          "path"_a, "looks_only"_a = false)
      .def(
          "share", [](const StreamHandle& self) { return std::make_shared<StreamHandle>(self.map()); },
          "Another handle of the same mapping, with a cursor of its own.")
      .def("close", &StreamHandle::close)
      .def("follow", &StreamHandle::follow)
      .def("retire",
           [](const StreamHandle& self) {
             if (self.map()->file().writable()) self.map()->retire();
           })
      .def(
          "retire_for", [](const StreamHandle& self, const StreamHandle& next) { self.map()->retire_for(next.map()); },
          "next"_a, "Of a process-local stream: `next` takes its place.")
      .def("wake", [](const StreamHandle& self) { self.map()->wake_everyone(); })
      .def_prop_ro("closed", &StreamHandle::closed)
      .def_prop_ro("path", [](const StreamHandle& self) { return self.map()->file().path(); })
      .def_prop_ro("inode", [](const StreamHandle& self) { return self.map()->file().identity().inode; })
      .def_prop_ro("device", [](const StreamHandle& self) { return self.map()->file().identity().device; })
      .def_prop_ro("local", [](const StreamHandle& self) { return self.map()->file().local(); })
      .def_prop_ro("writable", [](const StreamHandle& self) { return self.map()->file().writable(); })
      .def_prop_ro("current",
                   [](const StreamHandle& self) { return self.map()->standing() == StreamMap::Standing::current; })
      .def_prop_ro("size",
                   [](const StreamHandle& self) {
                     const Layout& layout = self.map()->layout();
                     return std::vector<std::uint32_t>(layout.size, layout.size + layout.naxis);
                   })
      .def_prop_ro("datatype", [](const StreamHandle& self) { return self.map()->layout().datatype; })
      .def_prop_ro("history", [](const StreamHandle& self) { return self.map()->layout().history; })
      .def_prop_ro("keyword_slots", [](const StreamHandle& self) { return self.map()->layout().keywords; })
      .def_prop_ro("semaphores", [](const StreamHandle& self) { return self.map()->layout().semaphores; })
      .def_prop_ro("count", [](const StreamHandle& self) { return self.map()->count(); })
      .def_prop_ro("dialect", [](const StreamHandle& self) { return dialect_name(self.map()->layout().dialect); })
      .def_prop_ro("maker", [](const StreamHandle& self) { return self.map()->maker(); })
      .def_prop_ro("maker_alive", [](const StreamHandle& self) { return self.map()->maker_alive(); })
      .def_prop_ro("written_ns", [](const StreamHandle& self) { return self.map()->written_ns(); })
      .def_prop_ro("framebus_writes",
                   [](const StreamHandle& self) { return self.map()->framebus_writes(self.map()->count()); })
      .def_prop_ro("last_writer", [](const StreamHandle& self) { return self.map()->last_writer(); })
      .def_prop_ro("last_writer_alive", [](const StreamHandle& self) { return self.map()->last_writer_alive(); })
      .def_prop_ro("last_writer_left", [](const StreamHandle& self) { return self.map()->last_writer_left(); })
      .def_prop_rw(
          "wake_mode", [](StreamHandle& self) { return std::string(mode_name(self.waiter().preferred())); },
          [](StreamHandle& self, const std::string& name) { self.waiter().prefer(mode_of(name)); })
      .def("keyword", &keyword, "slot"_a,
           nb::sig("def keyword(self, slot: int) -> tuple[str, str, int | float | str, int, str] | None"))
      .def("set_keyword", &set_keyword, "slot"_a, "fields"_a,
           "Name, type, value, comment (None keeps the one there is).")
      .def(
          "packet_frame_ids",
          [](const StreamHandle& self, std::size_t slot, std::size_t packets) {
            const StreamMap& map = *self.map();
            std::vector<std::uint64_t> ids;
            if (!map.dao() || slot >= map.layout().depth) return ids;
            for (std::size_t i = 0; i < std::min(packets, map.layout().packets); ++i)
              ids.push_back(shared(map.packet_frame(slot, i)).load(std::memory_order_acquire));
            return ids;
          },
          "slot"_a, "packets"_a, "Of DAO: for which frame each packet was last written.")
      .def("header", [](const StreamHandle& self) { return header_dict(*self.map()); })
      .def("trace", &trace)
      .def("statistics", &statistics);
  register_reading(type);
  register_writing(type);
  module.def("create_stream", &create, "path"_a, "name"_a, "size"_a, "datatype"_a, "history"_a, "semaphores"_a,
             "keywords"_a, "mode"_a, "huge_pages"_a, "local"_a, "must_be_new"_a, "initial_keywords"_a,
             "dialect"_a = "isio");
  module.def(
      "remove_semaphores", [](const std::string& path) { NamedSemaphores::remove(path); }, "path"_a,
      "Of a DAO stream: its semaphores are files of their own.");
}

}  // namespace framebus
