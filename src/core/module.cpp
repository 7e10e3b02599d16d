#include <nanobind/nanobind.h>

#include "core/register.hpp"

NB_MODULE(_core, module) {
  module.doc() = "Native core of framebus: shared memory, publish, wait, the loop, CPU placement, clocks.";
  framebus::register_errors(module);
  framebus::register_platform(module);
  framebus::register_stream(module);
  framebus::register_frame_reader(module);
  framebus::register_params(module);
  framebus::register_record(module);
  framebus::register_loop(module);
  framebus::register_placement(module);
}
