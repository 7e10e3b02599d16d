#include "core/platform.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "core/errors.hpp"
#include "core/register.hpp"

namespace nb = nanobind;

namespace framebus {

// ---- clocks ----------------------------------------------------------------------------------------------------

namespace {
constexpr std::int64_t second_ns = 1'000'000'000;

std::int64_t clock_ns(clockid_t clock) noexcept {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * second_ns + now.tv_nsec;
}
}  // namespace

std::int64_t realtime_ns() noexcept { return clock_ns(CLOCK_REALTIME); }
std::int64_t monotonic_ns() noexcept { return clock_ns(CLOCK_MONOTONIC); }
std::int64_t coarse_ns() noexcept { return clock_ns(CLOCK_MONOTONIC_COARSE); }

// ---- processes -------------------------------------------------------------------------------------------------

namespace {

std::uint32_t read_start_ticks(const char* path) noexcept {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[1024];
  const ssize_t length = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (length <= 0) return 0;
  text[length] = '\0';
  // The command name (field 2) may hold anything, ')' included: fields are counted from its last ')'.
  const char* cursor = std::strrchr(text, ')');
  if (cursor == nullptr || cursor[1] == '\0') return 0;
  const char state = cursor[2];
  if (state == 'Z' || state == 'X') return 0;  // a zombie writes no more frames
  cursor += 1;
  for (int field = 3; field <= 22; ++field) {
    cursor = std::strchr(cursor + 1, ' ');
    if (cursor == nullptr) return 0;
    if (field == 21) break;
  }
  const auto ticks = static_cast<std::uint32_t>(std::strtoull(cursor + 1, nullptr, 10));
  return ticks == 0 ? 1 : ticks;
}

struct ProcessIdentity {
  std::int32_t pid = 0;
  std::uint32_t start = 0;
  std::uint64_t generation = 0;
};

ProcessIdentity& self() noexcept {
  static ProcessIdentity identity = [] {
    // Runs in the child before fork() returns there, so no thread can see the parent's identity.
    pthread_atfork(nullptr, nullptr, [] {
      ProcessIdentity& mine = self();
      mine.pid = static_cast<std::int32_t>(::getpid());
      mine.start = read_start_ticks("/proc/self/stat");
      mine.generation += 1;
    });
    return ProcessIdentity{static_cast<std::int32_t>(::getpid()), read_start_ticks("/proc/self/stat"), 1};
  }();
  return identity;
}

}  // namespace

std::int32_t process_id() noexcept { return self().pid; }
std::uint32_t process_start_ticks() noexcept { return self().start; }
std::uint64_t fork_generation() noexcept { return self().generation; }

std::uint32_t process_start_ticks(std::int32_t pid) noexcept {
  if (pid <= 0) return 0;
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
  return read_start_ticks(path);
}

bool process_alive(std::int32_t pid, std::uint32_t start_ticks) noexcept {
  const std::uint32_t now = process_start_ticks(pid);
  return now != 0 && (start_ticks == 0 || now == start_ticks);
}

// ---- futex -----------------------------------------------------------------------------------------------------

namespace {
static_assert(sizeof(std::atomic<std::uint32_t>) == 4 && std::atomic<std::uint32_t>::is_always_lock_free);

long futex(const std::atomic<std::uint32_t>* word, int operation, std::uint32_t value,
           const timespec* timeout) noexcept {
  return ::syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
}

FutexResult result_of(long returned) noexcept {
  if (returned == 0) return FutexResult::woken;
  if (errno == ETIMEDOUT) return FutexResult::timed_out;
  if (errno == EINTR) return FutexResult::interrupted;
  return FutexResult::value_changed;
}
}  // namespace

FutexResult futex_wait(const std::atomic<std::uint32_t>* word, std::uint32_t expected,
                       std::int64_t timeout_ns) noexcept {
  const timespec timeout{static_cast<time_t>(timeout_ns / second_ns), static_cast<long>(timeout_ns % second_ns)};
  return result_of(futex(word, FUTEX_WAIT, expected, &timeout));
}

FutexResult futex_wait_until(const std::atomic<std::uint32_t>* word, std::uint32_t expected,
                             std::int64_t until_ns) noexcept {
  const timespec until{static_cast<time_t>(until_ns / second_ns), static_cast<long>(until_ns % second_ns)};
  return result_of(::syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, &until, nullptr, FUTEX_BITSET_MATCH_ANY));
}

void futex_wake_all(const std::atomic<std::uint32_t>* word) noexcept { futex(word, FUTEX_WAKE, INT_MAX, nullptr); }

// ---- a shared file -----------------------------------------------------------------------------------------------

namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const noexcept { return number_; }

 private:
  int number_;
};

std::byte* map(int file, std::size_t size, bool writable, const std::string& path) {
  void* const address = ::mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file, 0);
  if (address == MAP_FAILED)
    throw_system(errno, "cannot map " + std::to_string(size) + " bytes of shared memory", path);
  return static_cast<std::byte*>(address);
}

SharedFile::Identity identity_of(int file, const std::string& path, std::size_t* size) {
  struct stat status{};
  if (::fstat(file, &status) != 0) throw_system(errno, "cannot stat", path);
  if (size != nullptr) {
    if (!S_ISREG(status.st_mode)) throw_format(path, "file type", path + ": not a regular file");
    *size = static_cast<std::size_t>(status.st_size);
  }
  return {static_cast<std::uint64_t>(status.st_ino), static_cast<std::uint64_t>(status.st_dev)};
}

// Reserves the pages now: a full tmpfs then is an error here and not a SIGBUS at the first frame.
void reserve(int file, std::size_t size, const std::string& path) {
  int error = 0;
  do error = ::posix_fallocate(file, 0, static_cast<off_t>(size));
  while (error == EINTR);  // a signal; large files take a while
  if (error != 0) throw_system(error, "cannot reserve " + std::to_string(size) + " bytes of shared memory", path);
}

}  // namespace

SharedFile::~SharedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void SharedFile::swap(SharedFile& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(writable_, other.writable_);
  std::swap(looks_only_, other.looks_only_);
  std::swap(local_, other.local_);
  std::swap(identity_, other.identity_);
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
}

SharedFile SharedFile::create(const std::string& path, std::size_t size, unsigned mode) {
  static std::atomic<unsigned> serial{0};
  const auto slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  const std::string file_name = slash == std::string::npos ? path : path.substr(slash + 1);
  SharedFile made;
  made.path_ = path;
  made.temporary_ = directory + ".fb-" + std::to_string(process_id()) + "-" + std::to_string(serial.fetch_add(1)) +
                    "-" + file_name.substr(0, 60) + ".new";
  ::unlink(made.temporary_.c_str());  // of a process that died with our pid
  const Descriptor file(::open(made.temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (file.get() < 0) {
    const int error = errno;
    made.temporary_.clear();
    throw_system(error, "cannot create", path);
  }
  reserve(file.get(), size, path);
  made.identity_ = identity_of(file.get(), path, nullptr);
  made.data_ = map(file.get(), size, true, path);
  made.size_ = size;
  made.writable_ = true;
  return made;
}

SharedFile SharedFile::create_local(const std::string& name, std::size_t size) {
  const Descriptor file(::memfd_create(name.c_str(), MFD_CLOEXEC));
  if (file.get() < 0) throw_system(errno, "cannot create a process-local stream", name);
  reserve(file.get(), size, name);
  SharedFile made;
  made.path_ = name;
  made.identity_ = identity_of(file.get(), name, nullptr);
  made.data_ = map(file.get(), size, true, name);
  made.size_ = size;
  made.writable_ = true;
  made.local_ = true;
  return made;
}

SharedFile SharedFile::open(const std::string& path, bool looks_only) {
  bool writable = !looks_only;
  int number = ::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
  if (number < 0 && writable && (errno == EACCES || errno == EROFS || errno == EPERM)) {
    writable = false;
    number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  }
  if (number < 0) {
    if (errno == ENOENT || errno == ENOTDIR) throw_not_found(path + ": no such file");
    if (errno == EISDIR) throw_format(path, "file type", path + ": is a directory");
    throw_system(errno, "cannot open", path);
  }
  const Descriptor file(number);
  SharedFile opened;
  opened.path_ = path;
  opened.identity_ = identity_of(file.get(), path, &opened.size_);
  if (opened.size_ == 0) throw_format(path, "file size", path + ": the file is empty");
  opened.data_ = map(file.get(), opened.size_, writable, path);
  opened.writable_ = writable;
  opened.looks_only_ = looks_only;
  return opened;
}

void SharedFile::publish(bool only_if_new) {
  if (temporary_.empty()) return;
  if (only_if_new) {
    if (::link(temporary_.c_str(), path_.c_str()) != 0) {
      if (errno == EEXIST) throw Error("StreamExists", path_ + ": exists already, and it was to be new");
      throw_system(errno, "cannot give the new file its name", path_);
    }
    ::unlink(temporary_.c_str());
  } else if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    throw_system(errno, "cannot give the new file its name", path_);
  }
  temporary_.clear();
}

bool SharedFile::advise_huge_pages() noexcept { return ::madvise(data_, size_, MADV_HUGEPAGE) == 0; }

SharedFile::Identity file_identity(const std::string& path) noexcept {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {static_cast<std::uint64_t>(status.st_ino), static_cast<std::uint64_t>(status.st_dev)};
}

// ---- placement of the calling thread -----------------------------------------------------------------------------

int pin_thread(int cpu) noexcept {
  if (cpu < 0 || cpu >= CPU_SETSIZE) return EINVAL;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
}

int set_thread_priority(int priority) noexcept {
  sched_param parameter{};
  parameter.sched_priority = priority;
  return ::pthread_setschedparam(::pthread_self(), priority > 0 ? SCHED_FIFO : SCHED_OTHER, &parameter);
}

int set_timer_slack(unsigned long slack_ns) noexcept {
  return ::prctl(PR_SET_TIMERSLACK, slack_ns, 0, 0, 0) == 0 ? 0 : errno;
}

void name_thread(const std::string& name) noexcept {
  ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
}

void block_all_signals() noexcept {
  sigset_t all;
  sigfillset(&all);
  // Those that an instruction itself raises: blocked, they end the process whatever their handlers would do.
  for (const int own : {SIGBUS, SIGSEGV, SIGFPE, SIGILL}) sigdelset(&all, own);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

std::int32_t thread_id() noexcept { return static_cast<std::int32_t>(::syscall(SYS_gettid)); }

void register_platform(nb::module_& module) {
  module.def("realtime_ns", &realtime_ns, "CLOCK_REALTIME in integer nanoseconds: the clock of stream headers.");
  module.def("monotonic_ns", &monotonic_ns, "CLOCK_MONOTONIC in integer nanoseconds.");
  module.def("process_alive", &process_alive, nb::arg("pid"), nb::arg("start_ticks") = 0,
             "Whether that very process runs: pid and start time (0: any) agree, and it is no zombie.");
  module.def("process_start_ticks", nb::overload_cast<std::int32_t>(&process_start_ticks), nb::arg("pid"),
             "Start time of a process in clock ticks since boot (low 32 bits); 0 if it does not run.");
}

}  // namespace framebus
