// Python arrays in and out: the one place that decides whether an array can be copied byte for byte.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

#include "core/stream_map.hpp"

namespace framebus {

// Borrows an object's buffer for as long as it lives. Needs the GIL to be made and to go.
class Buffer {
 public:
  Buffer(nanobind::handle object, bool writable) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  // Whether this is C-contiguous and exactly one frame: same axes, same dtype.
  bool is_frame_of(const Layout& layout) const noexcept;
  // Whether this is C-contiguous and has elements of that datatype.
  bool holds(unsigned datatype) const noexcept;
  bool held() const noexcept { return held_; }
  void* data() const noexcept { return view_.buf; }
  std::size_t bytes() const noexcept { return static_cast<std::size_t>(view_.len); }

 private:
  Py_buffer view_{};
  bool held_ = false;
};

// A NumPy view of a frame at `data` inside the map. The array owns a reference to the map: no view outlives its memory.
nanobind::object frame_array(const StreamMapPtr& map, const std::byte* data, bool writable);

}  // namespace framebus
