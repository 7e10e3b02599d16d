// DAO's semaphores: POSIX named ones, files of their own beside all other programs' semaphores. Streams whose files
// have the same name up to the first dot share theirs, wherever the files are: a post is even less than a hint.
#pragma once

#include <semaphore.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/platform.hpp"

namespace framebus {

class NamedSemaphores {
 public:
  // What the names of a stream's semaphores begin with: its file's name up to the first dot (leading ones
  // apart).
  static std::string local_name(const std::string& path);
  // Makes those that are not there, so many and the log's; a damaged one is replaced. Returns the files that are new.
  // Throws OSError.
  static std::vector<std::string> create(const std::string& path, std::size_t count, unsigned mode);
  // Removes all that there are. Throws UsageError for a path that cannot have any.
  static void remove(const std::string& path);

  NamedSemaphores() = default;
  // Maps those that are there and that this process may use.
  NamedSemaphores(const std::string& path, std::size_t count);

  // Null: not there, damaged, or not ours to use.
  sem_t* at(std::size_t i) const noexcept { return i < files_.size() ? pointer(files_[i]) : nullptr; }
  sem_t* log() const noexcept { return pointer(log_); }
  // Takes a lock that marks semaphore `i` as used by one framebus reader; the kernel frees it when the descriptor is
  // closed, however the process ends. Returns the descriptor, -1 if somebody has it.
  int claim(std::size_t i) const noexcept;

 private:
  static sem_t* pointer(const SharedFile& file) noexcept { return reinterpret_cast<sem_t*>(file.data()); }

  std::vector<SharedFile> files_;
  SharedFile log_;
};

// How many threads sleep on it now, whoever they are: glibc counts them in the word's upper half.
std::uint32_t semaphore_waiters(const sem_t* semaphore) noexcept;

}  // namespace framebus
