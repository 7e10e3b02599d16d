#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <tuple>

#include "core/buffer.hpp"
#include "core/errors.hpp"
#include "core/handle.hpp"
#include "core/loop.hpp"
#include "core/python_text.hpp"
#include "core/register.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace framebus {

namespace {

// A Loop and the Python objects that it uses: arrays are borrowed and callables kept for as long as it lives.
class PythonLoop {
 public:
  void add_stage(std::uint64_t kernel, nb::object callback, const nb::list& ports, std::vector<std::int64_t> dims,
                 std::shared_ptr<ParamSet> parameters, std::vector<std::int64_t> cells,
                 std::shared_ptr<ProcessRecord> record, bool carries) {
    StagePlan plan;
    plan.carries = carries;
    plan.kernel = reinterpret_cast<Kernel>(kernel);  // an address that the compiler of units gave
    if (!callback.is_none()) plan.callback = wrap(callback);
    for (const nb::handle item : ports) plan.ports.push_back(port_of(nb::cast<nb::tuple>(item)));
    plan.dims = std::move(dims);
    plan.parameters = std::move(parameters);
    plan.cells = std::move(cells);
    plan.record = std::move(record);
    loop.add_stage(std::move(plan));
  }

  // Declared first, so destroyed last: the loop's thread must have ended before its arrays go.
  std::vector<std::unique_ptr<Buffer>> arrays;
  std::vector<nb::object> callbacks;
  Loop loop;

 private:
  std::function<std::int32_t()> wrap(const nb::object& callback) {
    callbacks.push_back(callback);
    PyObject* const function = callback.ptr();  // kept by `callbacks`
    return [function]() -> std::int32_t {
      const nb::gil_scoped_acquire acquired;
      PyObject* const result = PyObject_CallNoArgs(function);
      const long code = result != nullptr ? PyLong_AsLong(result) : -1;
      Py_XDECREF(result);
      if (PyErr_Occurred() != nullptr) {
        PyErr_WriteUnraisable(function);  // the unit's own errors are caught in Python; this is none of them
        return unit_raised;
      }
      return static_cast<std::int32_t>(code);
    };
  }

  Port port_of(const nb::tuple& item) {
    Port port;
    const auto kind = nb::cast<std::string>(item[0]);
    if (kind == "trigger")
      port.kind = PortKind::trigger;
    else if (kind == "input")
      port.kind = PortKind::input;
    else if (kind == "output")
      port.kind = PortKind::output;
    else if (kind == "state")
      port.kind = PortKind::state;
    else if (kind == "linked")
      port.kind = PortKind::linked;
    else
      throw_usage("port kind '" + kind + "' is unknown");
    auto buffer = std::make_unique<Buffer>(item[1], true);
    if (!buffer->held()) throw_usage("an array bound to a unit must be writable and C-contiguous");
    port.buffer = static_cast<std::byte*>(buffer->data());
    port.bytes = buffer->bytes();
    arrays.push_back(std::move(buffer));
    if (!item[2].is_none()) port.stream = nb::cast<StreamHandle&>(item[2]).map();
    const bool needs_stream =
        port.kind == PortKind::trigger || port.kind == PortKind::input || port.kind == PortKind::output;
    if (needs_stream && !port.stream) throw_usage("a port of kind '" + kind + "' needs a stream");
    return port;
  }
};

TriggerKind trigger_of(const std::string& name) {
  if (name == "stream") return TriggerKind::stream;
  if (name == "delay") return TriggerKind::delay;
  if (name == "once") return TriggerKind::once;
  if (name == "free") return TriggerKind::free;
  throw_usage("trigger '" + name + "' is unknown; expected 'stream', 'delay', 'once' or 'free'");
}

void configure(PythonLoop& self, const std::string& trigger, std::int64_t period_ns, bool every_frame,
               std::int64_t spin_ns, std::vector<int> cpus, int priority, const std::string& name, bool lock_memory,
               int numa_node, double dma_latency_us, const std::string& huge_pages, std::vector<std::string> irqs) {
  LoopSettings settings;
  settings.trigger = trigger_of(trigger);
  settings.period_ns = period_ns;
  settings.every_frame = every_frame;
  settings.spin_ns = spin_ns < 0 ? LoopSettings::forever : spin_ns;
  settings.placement.cpus = std::move(cpus);
  settings.placement.priority = priority;
  settings.placement.lock_memory = lock_memory;
  settings.placement.numa_node = numa_node;
  settings.placement.dma_latency_us = dma_latency_us;
  settings.placement.huge_pages = huge_pages == "none" ? "" : huge_pages;
  settings.placement.irqs = std::move(irqs);
  settings.name = name;
  self.loop.configure(settings);
}

void start(PythonLoop& self, std::shared_ptr<Barrier> barrier) {
  constexpr std::int64_t ctrl_c_ns = 100'000'000;
  const bool alone = barrier == nullptr;
  bool ready = false;
  {
    const nb::gil_scoped_release released;  // touches no Python object; the new thread may need the GIL
    self.loop.start(std::move(barrier));
  }
  while (alone && !ready) {
    {
      const nb::gil_scoped_release released;  // as above
      ready = self.loop.wait_ready(ctrl_c_ns);
    }
    if (!ready && PyErr_CheckSignals() != 0) throw nb::python_error();
  }
}

void register_barrier(nb::module_& module) {
  nb::class_<Barrier>(module, "Barrier", "Where the loops of a process wait for one another; given to Loop.start.")
      .def(nb::init<std::uint32_t>(), "parties"_a)
      .def_prop_ro("missing", &Barrier::missing, "How many loops have not come yet.")
      .def("abort", &Barrier::abort, "Not all will come: those that wait end without having begun.");
}

}  // namespace

void register_loop(nb::module_& module) {
  register_barrier(module);
  nb::class_<PythonLoop>(module, "Loop", "A native thread that runs one unit, or several fused; see framebus.unit.")
      .def(nb::init<>())
      .def("add_stage", &PythonLoop::add_stage, "kernel"_a, "callback"_a.none(), "ports"_a, "dims"_a,
           "parameters"_a.none(), "cells"_a, "record"_a, "carries"_a = false)
      .def("configure", &configure, "trigger"_a, "period_ns"_a, "every_frame"_a, "spin_ns"_a, "cpus"_a, "priority"_a,
           "name"_a, "lock_memory"_a = false, "numa_node"_a = -1, "dma_latency_us"_a = -1.0, "huge_pages"_a = "",
           "irqs"_a = std::vector<std::string>())
      .def(
          "succeed",
          [](PythonLoop& self, std::vector<std::shared_ptr<ProcessRecord>> records, std::int64_t patience_ns) {
            self.loop.succeed(std::move(records), patience_ns);
          },
          "records"_a, "patience_ns"_a = 10'000'000'000,
          "Before start: take over from the loop that these records are of, its first unit's first.")
      .def(
          "hold_gate", [](PythonLoop& self, bool holds) { self.loop.hold_gate(holds); }, "holds"_a,
          "Before start: whenever the loop became idle, it runs again only after open_gate.")
      .def("open_gate", [](PythonLoop& self) { self.loop.open_gate(); })
      .def_prop_ro("gate_closed", [](const PythonLoop& self) { return self.loop.gate_closed(); })
      .def("start", &start, "barrier"_a.none() = nb::none(),
           "Returns when the loop waits for its first frame; with a barrier, when it stands before it.")
      .def(
          "wait_ready",
          [](const PythonLoop& self, std::int64_t timeout_ns) { return self.loop.wait_ready(timeout_ns); },
          "timeout_ns"_a, nb::call_guard<nb::gil_scoped_release>(),  // touches no Python object
          "Whether the loop waits for its first frame, or did. Raises UnitError: it could not begin.")
      .def("request_stop", [](PythonLoop& self) { self.loop.request_stop(); })
      .def(
          "wait_end", [](const PythonLoop& self, std::int64_t timeout_ns) { return self.loop.wait_end(timeout_ns); },
          "timeout_ns"_a, nb::call_guard<nb::gil_scoped_release>())  // touches no Python object
      .def("join", [](PythonLoop& self) { self.loop.join(); })
      .def_prop_ro("state", [](const PythonLoop& self) { return static_cast<std::uint32_t>(self.loop.state()); })
      .def_prop_ro("loops", [](const PythonLoop& self) { return self.loop.loops(); })
      .def_prop_ro("refusals", [](const PythonLoop& self) { return self.loop.refusals(); })
      .def_prop_ro(
          "failure",
          [](const PythonLoop& self) -> nb::object {
            const auto& failure = self.loop.failure();
            if (!self.loop.wait_end(0) || !failure) return nb::none();  // the loop's thread writes it until its end
            return nb::make_tuple(failure->stage, failure->code, failure->message);
          },
          nb::sig("def failure(self) -> tuple[int, int, str] | None"));
}

}  // namespace framebus
