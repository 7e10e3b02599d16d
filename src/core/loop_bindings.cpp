#include "core/register.hpp"

namespace framebus {
void register_loop(nanobind::module_& /*module*/) {}
}  // namespace framebus
