// What each concern adds to the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace framebus {

void register_errors(nanobind::module_& module);
void register_platform(nanobind::module_& module);
void register_stream(nanobind::module_& module);
void register_frame_reader(nanobind::module_& module);
void register_params(nanobind::module_& module);
void register_record(nanobind::module_& module);
void register_loop(nanobind::module_& module);
void register_placement(nanobind::module_& module);

}  // namespace framebus
