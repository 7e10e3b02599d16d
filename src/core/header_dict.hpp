// A stream's header as Python sees it: every field by name, as it stands.
#pragma once

#include <nanobind/nanobind.h>

#include "core/stream_map.hpp"

namespace framebus {

nanobind::dict header_dict(const StreamMap& map);

}  // namespace framebus
