#include "core/errors.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <exception>
#include <system_error>

#include "core/register.hpp"

namespace nb = nanobind;

namespace framebus {

void throw_usage(const std::string& message) { throw Error("UsageError", message); }
void throw_format(const std::string& path, const std::string& field, const std::string& message) {
  throw Error("StreamFormatError", message, field, path);
}
void throw_not_found(const std::string& message) { throw Error("StreamNotFound", message); }
void throw_recreated(const std::string& message) { throw Error("StreamRecreated", message); }
void throw_timeout(const std::string& message) { throw Error("WaitTimeout", message); }
void throw_parameter(const std::string& message) { throw Error("ParameterError", message); }

namespace {

class SystemError : public std::system_error {
 public:
  SystemError(int error_number, const std::string& what, std::string path)
      : std::system_error(error_number, std::generic_category(), what), path_(std::move(path)) {}
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

void raise_named(const Error& error) {
  nb::object type = nb::module_::import_("framebus.errors").attr(error.kind());
  nb::object value = error.field().empty() && error.path().empty() ? type(error.what())
                                                                   : type(error.what(), error.field(), error.path());
  PyErr_SetObject(type.ptr(), value.ptr());
}

void translate(const std::exception_ptr& pointer, void* /*payload*/) {
  try {
    std::rethrow_exception(pointer);
  } catch (const Error& error) {
    raise_named(error);
  } catch (const SystemError& error) {
    nb::object type = nb::borrow(PyExc_OSError);
    nb::object value = type(error.code().value(), error.what(), error.path());
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(value.ptr())), value.ptr());
  }
}

}  // namespace

void throw_system(int error_number, const std::string& what, const std::string& path) {
  throw SystemError(error_number, what, path);
}

void register_errors(nb::module_& module) {
  nb::register_exception_translator(translate);
  // One thrower, so that tests can see every error cross the language border.
  module.def(
      "throw_error",
      [](const std::string& kind, const std::string& message) {
        if (kind == "UsageError") throw_usage(message);
        if (kind == "StreamFormatError") throw_format("some/path", "size", message);
        if (kind == "StreamNotFound") throw_not_found(message);
        if (kind == "StreamRecreated") throw_recreated(message);
        if (kind == "WaitTimeout") throw_timeout(message);
        if (kind == "ParameterError") throw_parameter(message);
        if (kind == "OSError") throw_system(2, message, "some/path");
        throw_usage("throw_error: unknown kind '" + kind + "'");
      },
      nb::arg("kind"), nb::arg("message"), "Throw the core's error of that name (for tests).");
}

}  // namespace framebus
