#include "core/named_semaphores.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>

#include "core/dao_layout.hpp"
#include "core/errors.hpp"
#include "core/layout.hpp"
#include "core/stream_map.hpp"

namespace framebus {

namespace {

constexpr std::size_t longest_name = 240;  // the system allows 251 bytes with what is put behind

std::string file_of(const std::string& local, const std::string& which) {
  return "/dev/shm/sem." + local + "_sem" + which;
}

std::string numbered(const std::string& local, std::size_t i) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "%02zu", i);
  return file_of(local, digits);
}

// Maps one, if it can be used as a semaphore without danger to the process.
SharedFile open_one(const std::string& path) noexcept {
  try {
    SharedFile file = SharedFile::open(path);
    if (file.writable() && file.size() >= semaphore_bytes && is_semaphore(reinterpret_cast<const sem_t*>(file.data())))
      return file;
    return {};
  } catch (const std::exception&) {
    return {};  // not there, or not ours: readers look at the counter instead
  }
}

// Whether there was none.
bool create_one(const std::string& path, unsigned mode) {
  if (open_one(path)) return false;
  SharedFile file = SharedFile::create(path, semaphore_bytes, mode);
  sem_init(reinterpret_cast<sem_t*>(file.data()), 1, 0);
  if (::access(path.c_str(), F_OK) != 0) {
    try {
      file.publish(true);
      return true;
    } catch (const Error& error) {
      if (std::strcmp(error.kind(), "StreamExists") != 0) throw;
      return false;  // somebody else was faster, with the same in mind
    }
  }
  if (::access(path.c_str(), R_OK | W_OK) == 0) file.publish();  // else another user's, and not for us
  return false;
}

}  // namespace

std::string NamedSemaphores::local_name(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const auto start = name.find_first_not_of('.');  // DAO's library passes over leading dots
  std::string local = start == std::string::npos ? "" : name.substr(start, name.find('.', start) - start);
  if (local.empty() || local.size() > longest_name)
    throw_usage(path +
                ": the semaphores of a DAO stream are named after its file's name up to the first dot, which must "
                "have 1 to " +
                std::to_string(longest_name) + " bytes");
  return local;
}

std::vector<std::string> NamedSemaphores::create(const std::string& path, std::size_t count, unsigned mode) {
  const std::string local = local_name(path);
  std::vector<std::string> made;
  for (std::size_t i = 0; i <= count; ++i) {
    std::string file = i < count ? numbered(local, i) : file_of(local, "log");
    if (create_one(file, mode)) made.push_back(std::move(file));
  }
  return made;
}

void NamedSemaphores::remove(const std::string& path) {
  const std::string local = local_name(path);
  for (std::size_t i = 0; i < dao_most_semaphores; ++i) ::unlink(numbered(local, i).c_str());
  ::unlink(file_of(local, "log").c_str());
}

NamedSemaphores::NamedSemaphores(const std::string& path, std::size_t count) {
  std::string local;
  try {
    local = local_name(path);
  } catch (const Error&) {
    return;  // no program can have made semaphores for such a file
  }
  files_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) files_.push_back(open_one(numbered(local, i)));
  log_ = open_one(file_of(local, "log"));
}

int NamedSemaphores::claim(std::size_t i) const noexcept {
  if (at(i) == nullptr) return -1;
  const int file = ::open(files_[i].path().c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return -1;
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(file, F_OFD_SETLK, &lock) == 0) return file;
  ::close(file);
  return -1;
}

std::uint32_t semaphore_waiters(const sem_t* semaphore) noexcept {
  std::uint64_t word = 0;
  __atomic_load(reinterpret_cast<const std::uint64_t*>(semaphore), &word, __ATOMIC_RELAXED);
  return static_cast<std::uint32_t>(word >> 32);
}

}  // namespace framebus
