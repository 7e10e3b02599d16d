#include "core/buffer.hpp"

#include <nanobind/ndarray.h>

#include <cstring>
#include <utility>

namespace nb = nanobind;

namespace framebus {

namespace {

enum class Kind : char { none, unsigned_integer, signed_integer, real, complex };

Kind kind_of_format(const char* format) noexcept {
  if (format == nullptr) return Kind::unsigned_integer;  // a buffer without a format holds bytes
  if (*format == '@' || *format == '=' || *format == '<') ++format;
  if (format[0] == 'Z' && std::strchr("fd", format[1]) != nullptr && format[1] != '\0' && format[2] == '\0')
    return Kind::complex;
  if (format[0] == '\0' || format[1] != '\0') return Kind::none;
  if (std::strchr("BHILQ", format[0]) != nullptr) return Kind::unsigned_integer;
  if (std::strchr("bhilq", format[0]) != nullptr) return Kind::signed_integer;
  if (std::strchr("efd", format[0]) != nullptr) return Kind::real;
  return Kind::none;
}

Kind kind_of_datatype(unsigned datatype) noexcept {
  constexpr Kind kinds[] = {Kind::none,           Kind::unsigned_integer,
                            Kind::signed_integer, Kind::unsigned_integer,
                            Kind::signed_integer, Kind::unsigned_integer,
                            Kind::signed_integer, Kind::unsigned_integer,
                            Kind::signed_integer, Kind::real,
                            Kind::real,           Kind::complex,
                            Kind::complex,        Kind::real};
  return datatype < std::size(kinds) ? kinds[datatype] : Kind::none;
}

nb::dlpack::dtype dlpack_type(unsigned datatype) noexcept {
  nb::dlpack::dtype type{};
  switch (kind_of_datatype(datatype)) {
    case Kind::unsigned_integer:
      type.code = static_cast<std::uint8_t>(nb::dlpack::dtype_code::UInt);
      break;
    case Kind::signed_integer:
      type.code = static_cast<std::uint8_t>(nb::dlpack::dtype_code::Int);
      break;
    case Kind::complex:
      type.code = static_cast<std::uint8_t>(nb::dlpack::dtype_code::Complex);
      break;
    default:
      type.code = static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float);
      break;
  }
  type.bits = static_cast<std::uint8_t>(item_bytes(datatype) * 8);
  type.lanes = 1;
  return type;
}

}  // namespace

Buffer::Buffer(nb::handle object, bool writable) noexcept {
  const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
  held_ = PyObject_GetBuffer(object.ptr(), &view_, flags) == 0;
  if (!held_) PyErr_Clear();  // the caller says what was expected instead
}

Buffer::~Buffer() {
  if (held_) PyBuffer_Release(&view_);
}

bool Buffer::is_frame_of(const Layout& layout) const noexcept {
  if (!held_ || std::cmp_not_equal(view_.ndim, layout.naxis)) return false;
  for (unsigned axis = 0; axis < layout.naxis; ++axis)
    if (std::cmp_not_equal(view_.shape[axis], layout.size[layout.naxis - 1 - axis])) return false;
  return holds(layout.datatype);
}

bool Buffer::holds(unsigned datatype) const noexcept {
  return held_ && std::cmp_equal(view_.itemsize, item_bytes(datatype)) &&
         kind_of_format(view_.format) == kind_of_datatype(datatype);
}

nb::object frame_array(const StreamMapPtr& map, const std::byte* data, bool writable) {
  const Layout& layout = map->layout();
  std::size_t shape[3] = {0, 0, 0};
  for (unsigned axis = 0; axis < layout.naxis; ++axis) shape[axis] = layout.size[layout.naxis - 1 - axis];
  auto keep = std::make_unique<StreamMapPtr>(map);
  const nb::capsule owner(keep.get(), [](void* pointer) noexcept { delete static_cast<StreamMapPtr*>(pointer); });
  [[maybe_unused]] StreamMapPtr* const given = keep.release();  // the capsule's from here on
  const nb::dlpack::dtype type = dlpack_type(layout.datatype);
  if (writable)
    return nb::cast(nb::ndarray<nb::numpy>(const_cast<std::byte*>(data), layout.naxis, shape, owner, nullptr, type));
  return nb::cast(nb::ndarray<nb::numpy, nb::ro>(data, layout.naxis, shape, owner, nullptr, type));
}

}  // namespace framebus
