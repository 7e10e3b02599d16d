// What Python sees of process records.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include "core/errors.hpp"
#include "core/python_text.hpp"
#include "core/record.hpp"
#include "core/register.hpp"

namespace nb = nanobind;

namespace framebus {

namespace {

using Buffer = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Python may hold records of other processes, even mapped read-only; these are for the unit's own process.
ProcessRecord& own(ProcessRecord& record) {
  if (record.pid() != process_id() || !record.writable())
    throw_usage("the record of unit '" + record.identity().unit + "' belongs to process " +
                std::to_string(record.pid()) + "; only that process writes it");
  return record;
}

void define_unit_side(nb::class_<ProcessRecord>& record) {
  record
      .def(
          "stamp",
          [](ProcessRecord& self, std::uint64_t trigger_count, std::int64_t trigger_ns, std::int64_t start_ns,
             std::int64_t end_ns,
             std::uint64_t missed) { own(self).stamp(trigger_count, trigger_ns, start_ns, end_ns, missed); },
          nb::arg("trigger_count"), nb::arg("trigger_ns"), nb::arg("start_ns"), nb::arg("end_ns"),
          nb::arg("missed") = 0, "One loop was done. Of the loop's thread only.")
      .def(
          "set_state",
          [](ProcessRecord& self, std::uint32_t state) {
            if (state > static_cast<std::uint32_t>(State::error)) throw_usage("no state " + std::to_string(state));
            own(self).set_state(static_cast<State>(state));
          },
          nb::arg("state"))
      .def(
          "set_thread", [](ProcessRecord& self, std::int32_t thread_id) { own(self).set_thread(thread_id); },
          nb::arg("thread_id"))
      .def(
          "set_placement", [](ProcessRecord& self, int cpu, int priority) { own(self).set_placement(cpu, priority); },
          nb::arg("cpu"), nb::arg("priority"))
      .def(
          "set_message",
          [](ProcessRecord& self, const std::string& message, const std::string& traceback) {
            own(self).set_message(message, traceback);
          },
          nb::arg("message"), nb::arg("traceback") = "")
      .def(
          "fail",
          [](ProcessRecord& self, int code, const std::string& message, const std::string& traceback) {
            own(self).fail(code, message, traceback);
          },
          nb::arg("code"), nb::arg("message"), nb::arg("traceback") = "",
          "Counts an error, keeps its message and traceback, sets the state error.")
      .def(
          "take_step", [](ProcessRecord& self) { return own(self).take_step(); },
          "Use up one frame of a step request; False if there is none.");
}

void define_identity(nb::class_<ProcessRecord>& record) {
  record.def_prop_ro("unit", [](const ProcessRecord& self) { return python_text(self.identity().unit); })
      .def_prop_ro("use", [](const ProcessRecord& self) { return python_text(self.identity().use); })
      .def_prop_ro("trigger", [](const ProcessRecord& self) { return python_text(self.identity().trigger); })
      .def_prop_ro("host", [](const ProcessRecord& self) { return python_text(self.host()); })
      .def_prop_ro("path", [](const ProcessRecord& self) { return python_text(self.path()); })
      .def_prop_ro("pid", &ProcessRecord::pid)
      .def_prop_ro("start_ticks", &ProcessRecord::start_ticks)
      .def_prop_ro("thread_id", &ProcessRecord::thread_id)
      .def_prop_ro("cpu", &ProcessRecord::cpu)
      .def_prop_ro("priority", &ProcessRecord::priority)
      .def_prop_ro("creation_ns", &ProcessRecord::creation_ns)
      .def_prop_ro("alive", &ProcessRecord::alive)
      .def_prop_ro("writable", &ProcessRecord::writable)
      .def_prop_ro("inode", &ProcessRecord::inode);
}

}  // namespace

void register_record(nb::module_& module) {
  nb::class_<ProcessRecord> record(module, "ProcessRecord",
                                   "A process record in shared memory; framebus.process.ProcessRecord is its face.");
  record
      .def_static(
          "create",
          [](const std::string& path, std::string unit, std::string use, std::string trigger, int cpu, int priority,
             unsigned mode) {
            return ProcessRecord::create(path, {std::move(unit), std::move(use), std::move(trigger), cpu, priority},
                                         mode);
          },
          nb::arg("path"), nb::arg("unit"), nb::arg("use") = "", nb::arg("trigger") = "", nb::arg("cpu") = -1,
          nb::arg("priority") = 0, nb::arg("mode") = 0660, "The record of a unit in this process.")
      .def_static("open", &ProcessRecord::open, nb::arg("path"),
                  "An existing record, fully checked. Raises StreamFormatError, StreamNotFound, OSError.");
  define_unit_side(record);
  define_identity(record);
  record
      .def(
          "request",
          [](ProcessRecord& self, std::uint32_t command, std::uint32_t steps) {
            if (command > static_cast<std::uint32_t>(Control::stop))
              throw_usage("no command " + std::to_string(command));
            self.request(static_cast<Control>(command), steps);
          },
          nb::arg("command"), nb::arg("steps") = 1, "0 run, 1 pause, 2 step, 3 stop.")
      .def_prop_ro("control_word", &ProcessRecord::control_word)
      .def("wait_control_change", &ProcessRecord::wait_control_change, nb::arg("seen"), nb::arg("timeout_ns"),
           nb::call_guard<nb::gil_scoped_release>(),  // sleeps; touches shared memory only
           "Sleep while the control word is `seen`; whether it changed.")
      .def_prop_ro("state", [](const ProcessRecord& self) { return static_cast<std::uint32_t>(self.state()); })
      .def_prop_ro("loop_count", &ProcessRecord::loop_count)
      .def_prop_ro("missed", &ProcessRecord::missed)
      .def_prop_ro("last_missed", &ProcessRecord::last_missed)
      .def_prop_ro("error_code", &ProcessRecord::error_code)
      .def_prop_ro("errors", &ProcessRecord::errors)
      .def(
          "texts",
          [](const ProcessRecord& self) {
            const ProcessRecord::Texts texts = self.texts();
            return nb::make_tuple(python_text(texts.message), python_text(texts.traceback));
          },
          nb::sig("def texts(self) -> tuple[str, str]"), "Message and traceback.")
      .def(
          "read_timings",
          [](const ProcessRecord& self, const Buffer& to) {
            return self.read_timings(reinterpret_cast<std::byte*>(to.data()), to.size() / sizeof(Timing));
          },
          nb::arg("to"), "Fill `to` (uint8, 64 bytes per loop) with the newest loops, oldest first; how many.");
}

}  // namespace framebus
