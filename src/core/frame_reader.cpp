// The Python side of reading in a loop, in one call: a reader that has just been woken finds its caches cold, and every
// step that the interpreter is spared then counts in microseconds.

#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "core/buffer.hpp"
#include "core/errors.hpp"
#include "core/handle.hpp"
#include "core/register.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace framebus {

namespace {

constexpr double longest_ns = 4e18;

// Seconds (or None: for ever, -1) to nanoseconds.
std::int64_t timeout_ns(nb::handle timeout_s) {
  if (timeout_s.is_none()) return -1;
  const double seconds = PyFloat_AsDouble(timeout_s.ptr());
  if (PyErr_Occurred() != nullptr) throw nb::python_error();
  if (!(seconds >= 0))
    throw_usage("timeout_s is " + std::to_string(seconds) + "; expected seconds >= 0, or None to wait for ever");
  return static_cast<std::int64_t>(std::min(seconds * 1e9, longest_ns));
}

std::int64_t spin_ns(double spin_us) {
  if (!(spin_us >= 0))
    throw_usage("spin_us is " + std::to_string(spin_us) + "; expected microseconds >= 0, or inf to never sleep");
  return static_cast<std::int64_t>(std::min(spin_us * 1e3, longest_ns));
}

class FrameReader {
 public:
  FrameReader(std::shared_ptr<StreamHandle> handle, nb::type_object frame_type, nb::object make_array, nb::object shape,
              nb::object dtype)
      : handle_(std::move(handle)),
        frame_type_(std::move(frame_type)),
        make_array_(std::move(make_array)),
        shape_(std::move(shape)),
        dtype_(std::move(dtype)) {
    if (PyType_IsSubtype(type(), &PyTuple_Type) == 0) throw_usage("a frame's type must be a named tuple");
  }

  nb::object operator()(const nb::object& out, nb::handle timeout_s, double spin_us, bool newest) const {
    const nb::object array = out.is_none() ? make_array_(shape_, dtype_) : out;
    FrameInfo info;
    {
      const Buffer buffer(array, true);
      if (!buffer.is_frame_of(handle_->map()->layout()))
        throw_usage(handle_->map()->file().path() +
                    ": the array to read into must be writable, C-contiguous and have the stream's shape and dtype");
      info = handle_->read_next(buffer.data(), newest, timeout_ns(timeout_s), spin_ns(spin_us));
    }
    // As frame_type(array, ...), without the interpreter: a named tuple is a tuple of another type.
    PyObject* const frame = type()->tp_alloc(type(), 5);
    if (frame == nullptr) throw nb::python_error();
    PyTuple_SET_ITEM(frame, 0, array.inc_ref().ptr());
    PyTuple_SET_ITEM(frame, 1, PyLong_FromUnsignedLongLong(info.count));
    PyTuple_SET_ITEM(frame, 2, PyLong_FromLongLong(info.acquisition_ns));
    PyTuple_SET_ITEM(frame, 3, PyLong_FromLongLong(info.write_ns));
    PyTuple_SET_ITEM(frame, 4, PyLong_FromUnsignedLongLong(info.missed));
    return nb::steal(frame);
  }

 private:
  PyTypeObject* type() const noexcept { return reinterpret_cast<PyTypeObject*>(frame_type_.ptr()); }

  std::shared_ptr<StreamHandle> handle_;
  nb::type_object frame_type_;
  nb::object make_array_;
  nb::object shape_;
  nb::object dtype_;
};

}  // namespace

void register_frame_reader(nb::module_& module) {
  nb::class_<FrameReader>(module, "FrameReader", "What Stream.read_next does, in one call.")
      .def(nb::init<std::shared_ptr<StreamHandle>, nb::type_object, nb::object, nb::object, nb::object>(), "handle"_a,
           "frame_type"_a, "make_array"_a, "shape"_a, "dtype"_a)
      .def("__call__", &FrameReader::operator(), "out"_a.none(), "timeout_s"_a.none(), "spin_us"_a, "newest"_a);
}

}  // namespace framebus
