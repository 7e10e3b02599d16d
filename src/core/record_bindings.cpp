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
             std::int64_t end_ns, std::uint64_t missed, std::uint64_t trigger_inode, std::int64_t tick_ns) {
            own(self).stamp(trigger_count, trigger_ns, start_ns, end_ns, missed, trigger_inode, tick_ns);
          },
          nb::arg("trigger_count"), nb::arg("trigger_ns"), nb::arg("start_ns"), nb::arg("end_ns"),
          nb::arg("missed") = 0, nb::arg("trigger_inode") = 0, nb::arg("tick_ns") = 0,
          "One loop was done. Of the loop's thread only.")
      .def(
          "time_stamps", [](ProcessRecord& self, std::uint32_t loops) { return own(self).time_stamps(loops); },
          nb::arg("loops"), nb::call_guard<nb::gil_scoped_release>(),  // touches shared memory only
          "Stamp so many loops in a row; the ns that took, for benchmarks.")
      .def("note_skipped", [](ProcessRecord& self) { own(self).note_skipped(); })
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
          "set_refusals", [](ProcessRecord& self, const std::string& text) { own(self).set_refusals(text); },
          nb::arg("text"))
      .def(
          "reset_control", [](ProcessRecord& self) { own(self).reset_control(); },
          "The unit starts anew: the control word says run.")
      .def(
          "serve_events", [](ProcessRecord& self, bool serves) { own(self).serve_events(serves); }, nb::arg("serves"))
      .def(
          "take_event", [](ProcessRecord& self) { return own(self).take_event(); },
          "Remove the event that waits and return its number; 0 if there is none.")
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

void define_limits(nb::class_<ProcessRecord>& record) {
  record
      .def(
          "set_limits",
          [](ProcessRecord& self, std::int64_t period_ns, std::int64_t compute_ns, bool pause) {
            self.set_limits({period_ns, compute_ns, pause ? LimitAction::pause : LimitAction::alarm});
          },
          nb::arg("period_ns"), nb::arg("compute_ns"), nb::arg("pause"), "0: no limit.")
      .def(
          "limits",
          [](const ProcessRecord& self) {
            const ProcessRecord::Limits limits = self.limits();
            return nb::make_tuple(limits.period_ns, limits.compute_ns, limits.action == LimitAction::pause);
          },
          nb::sig("def limits(self) -> tuple[int, int, bool]"), "Period and compute time in ns, whether they pause.")
      .def_prop_ro("alarms", &ProcessRecord::alarms)
      .def(
          "last_alarm",
          [](const ProcessRecord& self) {
            const ProcessRecord::Alarm alarm = self.last_alarm();
            return nb::make_tuple(alarm.ns, python_text(alarm.text));
          },
          nb::sig("def last_alarm(self) -> tuple[int, str]"), "When (0: never) and what.");
}

void define_events(nb::class_<ProcessRecord>& record) {
  record.def("post_event", &ProcessRecord::post_event, nb::arg("event"), "Leave an event for whoever serves them.")
      .def_prop_ro("serves_events", &ProcessRecord::serves_events)
      .def_prop_ro("activity", &ProcessRecord::activity)
      .def("wait_activity", &ProcessRecord::wait_activity, nb::arg("seen"), nb::arg("timeout_ns"),
           nb::call_guard<nb::gil_scoped_release>(),  // sleeps; touches shared memory only
           "Sleep while control, event and state stay as they were when activity was `seen`; whether one changed.");
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
  define_limits(record);
  define_events(record);
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
      .def_prop_ro("skipped", &ProcessRecord::skipped)
      .def_prop_ro("refusals", [](const ProcessRecord& self) { return python_text(self.refusals()); })
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
