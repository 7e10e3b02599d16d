// Text from shared memory as a Python str. Another process wrote it, so it may not be UTF-8: bad bytes become U+FFFD.
#pragma once

#include <nanobind/nanobind.h>

#include <string>

namespace framebus {

inline nanobind::str python_text(const std::string& text) {
  PyObject* const made = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
  if (made == nullptr) throw nanobind::python_error();
  return nanobind::steal<nanobind::str>(made);
}

}  // namespace framebus
