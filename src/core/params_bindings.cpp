// What Python sees of parameter sets.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "core/errors.hpp"
#include "core/params.hpp"
#include "core/python_text.hpp"
#include "core/register.hpp"

namespace nb = nanobind;

namespace framebus {

namespace {

using Cells = nb::ndarray<std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::uint64_t python_refresh(const ParamSet& set, std::uint64_t seen, const Cells& cells) {
  if (cells.size() != set.cell_count())
    throw_usage("parameter set '" + set.name() + "': refresh() needs " + std::to_string(set.cell_count()) +
                " cells, got " + std::to_string(cells.size()));
  set.refresh(seen, cells.data());
  return seen;
}

nb::list python_texts(const std::vector<std::string>& texts) {
  nb::list result;
  for (const std::string& text : texts) result.append(python_text(text));
  return result;
}

nb::tuple python_values(const ParamSet& set) {
  ParamSet::Values values;
  {
    const nb::gil_scoped_release unlocked;  // touches shared memory only; may retry while a writer is busy
    values = set.values();
  }
  return nb::make_tuple(values.generation, values.cells, values.changes, values.changed, python_texts(values.texts),
                        python_texts(values.findings));
}

void register_spec(nb::module_& module) {
  nb::class_<ParamSpec>(module, "ParamSpec", "One entry of a parameter set as its file holds it.")
      .def(
          "__init__",
          [](ParamSpec* self, std::string name, std::uint32_t type, std::uint32_t flags, std::string unit,
             std::string description, std::int64_t minimum, std::int64_t maximum, std::int64_t initial,
             std::string initial_text, std::string help) {
            new (self) ParamSpec{std::move(name),
                                 static_cast<ParamType>(type),
                                 flags,
                                 std::move(unit),
                                 std::move(description),
                                 minimum,
                                 maximum,
                                 initial,
                                 std::move(initial_text),
                                 std::move(help)};
          },
          nb::arg("name"), nb::arg("type"), nb::arg("flags"), nb::arg("unit"), nb::arg("description"),
          nb::arg("minimum"), nb::arg("maximum"), nb::arg("initial"), nb::arg("initial_text"), nb::arg("help") = "")
      .def_ro("name", &ParamSpec::name)
      .def_prop_ro("type", [](const ParamSpec& spec) { return static_cast<std::uint32_t>(spec.type); })
      .def_ro("flags", &ParamSpec::flags)
      .def_prop_ro("unit", [](const ParamSpec& spec) { return python_text(spec.unit); })
      .def_prop_ro("description", [](const ParamSpec& spec) { return python_text(spec.description); })
      .def_ro("minimum", &ParamSpec::minimum)
      .def_ro("maximum", &ParamSpec::maximum)
      .def_ro("initial", &ParamSpec::initial)
      .def_prop_ro("initial_text", [](const ParamSpec& spec) { return python_text(spec.initial_text); })
      .def_prop_ro("help", [](const ParamSpec& spec) { return python_text(spec.help); });
}

using Process = std::tuple<std::int32_t, std::uint32_t>;

std::shared_ptr<ParamSet> python_create(const std::string& path, const std::string& name,
                                        const std::vector<ParamSpec>& specs, unsigned mode,
                                        const std::vector<ParamSet::Change>& values, const Process& successor_of) {
  const nb::gil_scoped_release unlocked;  // may wait for the lock of the set that is replaced
  return ParamSet::create(path, name, specs, mode, values, {std::get<0>(successor_of), std::get<1>(successor_of)});
}

}  // namespace

void register_params(nb::module_& module) {
  register_spec(module);
  // Calls that may wait for another writer release the GIL: their arguments are C++ values by then.
  using Unlocked = nb::call_guard<nb::gil_scoped_release>;
  nb::class_<ParamSet> set(module, "ParamSet", "A parameter set in shared memory; framebus.params.Params is its face.");
  set.attr("never") = nb::int_(ParamSet::never);  // a generation that refresh() has never seen
  set.def_static("create", &python_create, nb::arg("path"), nb::arg("name"), nb::arg("specs"), nb::arg("mode") = 0660,
                 nb::arg("values") = std::vector<ParamSet::Change>(), nb::arg("successor_of") = Process(0, 0),
                 "A new set, replacing one of that path, with (entry, cell, text) values over its defaults. Raises "
                 "ParameterError, UsageError (another live process than (pid, start ticks) runs with the old one), "
                 "WaitTimeout, OSError.")
      .def_static("open", &ParamSet::open, nb::arg("path"),
                  "An existing set, fully checked. Raises StreamFormatError, StreamNotFound, OSError.")
      .def("values", &python_values,
           nb::sig("def values(self) -> tuple[int, list[int], list[int], list[int], list[str], list[str]]"),
           "Generation, and per entry: cell, number of writes, generation of the last change, text, finding. All of "
           "one generation.")
      .def("update", &ParamSet::update, nb::arg("changes"), nb::arg("from_unit") = false, Unlocked(),
           "Apply (entry, cell, text) changes in one generation, or none; returns the generation.")
      .def("refresh", &python_refresh, nb::arg("seen"), nb::arg("cells"),
           "What the native loop does before a frame: if the set changed since the generation `seen`, copy all cells "
           "(int64, one per entry) and return the generation they are of; else return `seen`.")
      .def("problems", &ParamSet::problems, nb::arg("changes"), nb::arg("from_unit") = false,
           "Per (entry, cell, text) change: why update() would refuse it now, or ''.")
      .def("set_findings", &ParamSet::set_findings, nb::arg("findings"), Unlocked(),
           "What a check found, one text per entry (cut to 159 bytes), '' for nothing; returns the generation.")
      .def("wait", &ParamSet::wait, nb::arg("seen"), nb::arg("sleep_ns"), Unlocked(),
           "Sleep until the generation is not `seen`, the time is over or a signal came; the generation. Raises "
           "StreamRecreated.")
      .def(
          "claim",
          [](ParamSet& self, const Process& from) {
            const nb::gil_scoped_release unlocked;  // may wait for a writer
            self.claim({std::get<0>(from), std::get<1>(from)});
          },
          nb::arg("from_process") = Process(0, 0),
          "This process runs a unit with the set, taking over from (pid, start ticks) if that one does.")
      .def("release", &ParamSet::release, "This process no longer does.")
      .def("retire", &ParamSet::retire, "Tell all handles that this file is no longer the set of that name.")
      .def_prop_ro("retired", &ParamSet::retired)
      .def_prop_ro("user_pid", &ParamSet::user_pid)
      .def_prop_ro("user",
                   [](const ParamSet& self) {
                     const ProcessName user = self.user();
                     return Process(user.pid, user.start_ticks);
                   })
      .def_prop_ro("generation", &ParamSet::generation)
      .def_prop_ro("writable", &ParamSet::writable)
      .def_prop_ro("inode", &ParamSet::inode)
      .def_prop_ro("specs", [](const ParamSet& self) { return self.specs(); })
      .def_prop_ro("name", [](const ParamSet& self) { return python_text(self.name()); })
      .def_prop_ro("path", [](const ParamSet& self) { return python_text(self.path()); })
      .def_prop_ro("creation_ns", &ParamSet::creation_ns)
      .def_prop_ro("creator_pid", &ParamSet::creator_pid);
}

}  // namespace framebus
