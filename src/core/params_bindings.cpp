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

nb::tuple python_values(const ParamSet& set) {
  ParamSet::Values values;
  {
    const nb::gil_scoped_release unlocked;  // touches shared memory only; may retry while a writer is busy
    values = set.values();
  }
  nb::list texts;
  for (const std::string& text : values.texts) texts.append(python_text(text));
  return nb::make_tuple(values.generation, values.cells, values.changes, texts);
}

void register_spec(nb::module_& module) {
  nb::class_<ParamSpec>(module, "ParamSpec", "One entry of a parameter set as its file holds it.")
      .def(
          "__init__",
          [](ParamSpec* self, std::string name, std::uint32_t type, std::uint32_t flags, std::string unit,
             std::string description, std::int64_t minimum, std::int64_t maximum, std::int64_t initial,
             std::string initial_text) {
            new (self) ParamSpec{std::move(name),
                                 static_cast<ParamType>(type),
                                 flags,
                                 std::move(unit),
                                 std::move(description),
                                 minimum,
                                 maximum,
                                 initial,
                                 std::move(initial_text)};
          },
          nb::arg("name"), nb::arg("type"), nb::arg("flags"), nb::arg("unit"), nb::arg("description"),
          nb::arg("minimum"), nb::arg("maximum"), nb::arg("initial"), nb::arg("initial_text"))
      .def_ro("name", &ParamSpec::name)
      .def_prop_ro("type", [](const ParamSpec& spec) { return static_cast<std::uint32_t>(spec.type); })
      .def_ro("flags", &ParamSpec::flags)
      .def_prop_ro("unit", [](const ParamSpec& spec) { return python_text(spec.unit); })
      .def_prop_ro("description", [](const ParamSpec& spec) { return python_text(spec.description); })
      .def_ro("minimum", &ParamSpec::minimum)
      .def_ro("maximum", &ParamSpec::maximum)
      .def_ro("initial", &ParamSpec::initial)
      .def_prop_ro("initial_text", [](const ParamSpec& spec) { return python_text(spec.initial_text); });
}

}  // namespace

void register_params(nb::module_& module) {
  register_spec(module);
  // Calls that may wait for another writer release the GIL: their arguments are C++ values by then.
  using Unlocked = nb::call_guard<nb::gil_scoped_release>;
  nb::class_<ParamSet> set(module, "ParamSet", "A parameter set in shared memory; framebus.params.Params is its face.");
  set.attr("never") = nb::int_(ParamSet::never);  // a generation that refresh() has never seen
  set.def_static("create", &ParamSet::create, nb::arg("path"), nb::arg("name"), nb::arg("specs"),
                 nb::arg("mode") = 0660, "A new set, replacing one of that path. Raises ParameterError, OSError.")
      .def_static("open", &ParamSet::open, nb::arg("path"),
                  "An existing set, fully checked. Raises StreamFormatError, StreamNotFound, OSError.")
      .def("values", &python_values, nb::sig("def values(self) -> tuple[int, list[int], list[int], list[str]]"),
           "Generation, and per entry: cell, change count, text. All of one generation.")
      .def("update", &ParamSet::update, nb::arg("changes"), nb::arg("from_unit") = false, Unlocked(),
           "Apply (entry, cell, text) changes in one generation, or none; returns the generation.")
      .def("refresh", &python_refresh, nb::arg("seen"), nb::arg("cells"),
           "What the native loop does before a frame: if the set changed since the generation `seen`, copy all cells "
           "(int64, one per entry) and return the generation they are of; else return `seen`.")
      .def("claim", &ParamSet::claim, Unlocked(), "This process runs a unit with the set.")
      .def("release", &ParamSet::release, "This process no longer does.")
      .def("retire", &ParamSet::retire, "Tell all handles that this file is no longer the set of that name.")
      .def_prop_ro("retired", &ParamSet::retired)
      .def_prop_ro("user_pid", &ParamSet::user_pid)
      .def_prop_ro("generation", &ParamSet::generation)
      .def_prop_ro("writable", &ParamSet::writable)
      .def_prop_ro("inode", &ParamSet::inode)
      .def_prop_ro("specs", [](const ParamSet& set) { return set.specs(); })
      .def_prop_ro("name", [](const ParamSet& set) { return python_text(set.name()); })
      .def_prop_ro("path", [](const ParamSet& set) { return python_text(set.path()); })
      .def_prop_ro("creation_ns", &ParamSet::creation_ns)
      .def_prop_ro("creator_pid", &ParamSet::creator_pid);
}

}  // namespace framebus
