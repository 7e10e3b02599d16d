// Named errors of the core. They become the exceptions of the same name in framebus.errors.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace framebus {

class Error : public std::runtime_error {
 public:
  Error(const char* kind, const std::string& message, std::string field = {}, std::string path = {})
      : std::runtime_error(message), kind_(kind), field_(std::move(field)), path_(std::move(path)) {}
  const char* kind() const noexcept { return kind_; }
  const std::string& field() const noexcept { return field_; }
  const std::string& path() const noexcept { return path_; }

 private:
  const char* kind_;  // the class name in framebus.errors; always a string literal
  std::string field_;
  std::string path_;
};

[[noreturn]] void throw_usage(const std::string& message);
[[noreturn]] void throw_format(const std::string& path, const std::string& field, const std::string& message);
[[noreturn]] void throw_not_found(const std::string& message);
[[noreturn]] void throw_recreated(const std::string& message);
[[noreturn]] void throw_timeout(const std::string& message);
[[noreturn]] void throw_parameter(const std::string& message);
// OSError with errno's meaning: the kernel refused, and its own words are the best there are.
[[noreturn]] void throw_system(int error_number, const std::string& what, const std::string& path);

}  // namespace framebus
