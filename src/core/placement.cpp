#include "core/placement.hpp"

#include <fcntl.h>
#include <fnmatch.h>
#include <linux/capability.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <new>
#include <sstream>
#include <system_error>
#include <utility>

#include "core/platform.hpp"

namespace framebus {

namespace {

using Refusals = std::vector<std::string>;

constexpr std::size_t word_bits = sizeof(unsigned long) * CHAR_BIT;
constexpr int max_nodes = 1024;
constexpr std::size_t stack_bytes = 256UL * 1024;  // far more than a kernel's frames take

std::string reason(int error) { return std::generic_category().message(error); }

// The one form in which everything is told that the kernel did not grant.
std::string refusal(const std::string& what, const std::string& why, const std::string& remedy) {
  return what + " refused: " + why + "; " + remedy;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// In the namespace of the process; a container's may promise more than the kernel then grants.
bool has_capability(unsigned capability) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
  return ((data[capability / 32].effective >> (capability % 32)) & 1U) != 0;
}

std::string size_text(rlim_t bytes) {
  if (bytes == RLIM_INFINITY) return "unlimited";
  return bytes % (1 << 20) == 0 ? std::to_string(bytes >> 20) + " MiB" : std::to_string(bytes) + " bytes";
}

rlim_t soft_limit(decltype(RLIMIT_RTPRIO) resource) noexcept {
  rlimit limit{};
  return ::getrlimit(resource, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

// ---- CPUs ------------------------------------------------------------------------------------------------------

template <typename Bits>
bool has(const Bits& bits, int number) noexcept {
  const auto at = static_cast<std::size_t>(number);
  return number >= 0 && at < bits.size() * word_bits && ((bits[at / word_bits] >> (at % word_bits)) & 1U) != 0;
}

template <typename Bits>
void add(Bits& bits, int number) noexcept {
  const auto at = static_cast<std::size_t>(number);
  if (number >= 0 && at < bits.size() * word_bits) bits[at / word_bits] |= 1UL << (at % word_bits);
}

// The kernel's own calls: glibc's take sets of 1024 CPUs.
template <typename Bits>
int set_affinity(const Bits& bits) noexcept {
  return ::syscall(SYS_sched_setaffinity, 0, sizeof bits, bits.data()) == 0 ? 0 : errno;
}

template <typename Bits>
Bits affinity() noexcept {
  Bits bits{};
  static_cast<void>(::syscall(SYS_sched_getaffinity, 0, sizeof bits, bits.data()));
  return bits;
}

// "0-3,8": as the kernel writes and reads lists.
std::string list_text(std::vector<int> numbers) {
  std::sort(numbers.begin(), numbers.end());
  std::string text;
  for (std::size_t first = 0; first < numbers.size();) {
    std::size_t last = first;
    while (last + 1 < numbers.size() && numbers[last + 1] <= numbers[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(numbers[first]);
    if (numbers[last] > numbers[first]) text += "-" + std::to_string(numbers[last]);
    first = last + 1;
  }
  return text;
}

template <typename Bits>
std::string list_text(const Bits& bits) {
  std::vector<int> numbers;
  for (int i = 0; i < static_cast<int>(bits.size() * word_bits); ++i)
    if (has(bits, i)) numbers.push_back(i);
  return list_text(std::move(numbers));
}

template <typename Bits>
void pin(const std::vector<int>& cpus, Refusals& refused) {
  const auto found = affinity<Bits>();
  Bits wanted{};
  for (const int cpu : cpus) add(wanted, cpu);
  const int error = set_affinity(wanted);
  // What is offline or outside the cpuset is left out without a word if something remains: only looking tells.
  const auto given = error == 0 ? affinity<Bits>() : Bits{};
  std::vector<int> missing;
  std::copy_if(cpus.begin(), cpus.end(), std::back_inserter(missing), [&](int cpu) { return !has(given, cpu); });
  if (missing.empty()) return;
  Bits every;
  every.fill(~0UL);
  static_cast<void>(set_affinity(every));
  const std::string possible = list_text(affinity<Bits>());
  static_cast<void>(set_affinity(error == 0 ? wanted : found));
  refused.push_back(refusal("CPU " + list_text(missing),
                            error == 0 || error == EINVAL ? "not online or not in the cpuset" : reason(error),
                            "choose among CPUs " + possible + ", or put it online or into the process' cpuset"));
}

// ---- scheduling --------------------------------------------------------------------------------------------------

void prioritize(int priority, Refusals& refused) {
  const int error = set_thread_priority(priority);
  if (error == 0) return;
  const std::string what = "SCHED_FIFO priority " + std::to_string(priority);
  const rlim_t limit = soft_limit(RLIMIT_RTPRIO);
  if (error == EPERM && (has_capability(CAP_SYS_NICE) || std::cmp_greater_equal(limit, priority)))
    refused.push_back(refusal(what, reason(error) + " although the limit allows it",
                              "give the control group real-time time (cpu.rt_runtime_us)"));
  else if (error == EPERM)
    refused.push_back(refusal(what, reason(error),
                              "raise RLIMIT_RTPRIO (now " + std::to_string(limit) +
                                  ") in /etc/security/limits.conf or run with CAP_SYS_NICE"));
  else
    refused.push_back(refusal(what, reason(error), "use 1 to 99"));
}

// ---- memory --------------------------------------------------------------------------------------------------------

// The placed threads of the process that asked for locked memory.
struct Lockers {
  std::mutex guard;
  int count = 0;
  std::uint64_t generation = 0;
};

Lockers& lockers() {
  static Lockers& all = *[] {
    static Lockers made;
    // A child must not inherit a lock that a thread of its parent held.
    pthread_atfork([] { lockers().guard.lock(); }, [] { lockers().guard.unlock(); }, [] { lockers().guard.unlock(); });
    return &made;
  }();
  return all;
}

// ONFAULT: what is in memory stays, and what comes in stays. To load all of the address space instead would bring in
// whole libraries (LLVM's), every thread's stack, mapped data cubes, and the pages that sparse foreign streams reserve.
// What a loop uses is made present by place_array and by touching the stack.
bool lock_all(Refusals& refused) {
  const rlim_t limit = soft_limit(RLIMIT_MEMLOCK);
  // At a finite limit a lock on future memory turns into allocations that fail some day: worse than a page fault.
  const bool limited = limit != RLIM_INFINITY && !has_capability(CAP_IPC_LOCK);
  const std::string now = " (now " + size_text(limit) + ")";
  const std::string remedy = " in /etc/security/limits.conf or run with CAP_IPC_LOCK";
  Lockers& all = lockers();
  const std::scoped_lock held(all.guard);
  if (all.generation != fork_generation()) {  // a child inherits the number, and none of the locks
    all.count = 0;
    all.generation = fork_generation();
  }
  if (::mlockall(limited ? MCL_CURRENT | MCL_ONFAULT : MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    refused.push_back(refusal("locked memory", reason(errno), "set RLIMIT_MEMLOCK" + now + " to unlimited" + remedy));
    return false;
  }
  if (limited)
    refused.push_back(refusal("locking of memory allocated from now on", "allocations would fail at the limit",
                              "set RLIMIT_MEMLOCK" + now + " to unlimited" + remedy));
  ++all.count;
  return true;
}

void unlock_all() noexcept {
  Lockers& all = lockers();
  const std::scoped_lock held(all.guard);
  if (--all.count == 0) ::munlockall();
}

__attribute__((noinline)) void touch_stack() noexcept {
  volatile char room[stack_bytes];
  for (std::size_t i = 0; i < stack_bytes; i += 4096) room[i] = 0;
  static_cast<void>(room[0]);
}

struct Pages {
  void* begin = nullptr;
  std::size_t bytes = 0;
};

// Those that lie in [data, data + bytes) as a whole, or every one that it touches.
Pages pages_of(void* data, std::size_t bytes, bool whole) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  const auto down = [page](std::uintptr_t at) { return at / page * page; };
  const std::uintptr_t begin = whole ? down(address + page - 1) : down(address);
  const std::uintptr_t end = whole ? down(address + bytes) : down(address + bytes + page - 1);
  return begin < end ? Pages{reinterpret_cast<void*>(begin), end - begin} : Pages{};
}

void make_present(void* data, std::size_t bytes, bool writable) noexcept {
#if !defined(MADV_POPULATE_READ)
  constexpr int MADV_POPULATE_READ = 22, MADV_POPULATE_WRITE = 23;  // Linux 5.14; older headers lack them
#endif
  const Pages pages = pages_of(data, bytes, false);
  if (pages.bytes == 0 || ::madvise(pages.begin, pages.bytes, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0)
    return;
  // An older kernel: reading brings in all that has content. Others may write there meanwhile; nothing is made of it.
  const volatile char* const bytes_read = static_cast<char*>(data);
  for (std::size_t i = 0; i < bytes; i += 4096) static_cast<void>(bytes_read[i]);
}

// ---- NUMA --------------------------------------------------------------------------------------------------------

using NodeBits = std::array<unsigned long, max_nodes / word_bits>;
constexpr unsigned long node_bits_length = max_nodes + 1;  // the kernel takes off one

std::string node_refusal(int node, int error) {
  const std::string known = first_line("/sys/devices/system/node/has_memory");
  return refusal("memory of NUMA node " + std::to_string(node),
                 error == EINVAL ? "it has no memory or is not in the cpuset" : reason(error),
                 known.empty() ? "this kernel has no NUMA nodes: ask for none" : "choose among nodes " + known);
}

void prefer_node(int node, Refusals& refused) {
  NodeBits bits{};
  add(bits, node);
  const int error = node >= max_nodes                                                                  ? EINVAL
                    : ::syscall(SYS_set_mempolicy, MPOL_PREFERRED, bits.data(), node_bits_length) == 0 ? 0
                                                                                                       : errno;
  if (error != 0) refused.push_back(node_refusal(node, error));
}

// ---- huge pages
// ------------------------------------------------------------------------------------------------------

const char* const transparent_switch = "/sys/kernel/mm/transparent_hugepage/enabled";

struct Pool {
  std::size_t page_bytes = std::size_t{2} << 20;
  std::size_t total = 0;
  std::size_t free = 0;
};

Pool explicit_pool() {
  Pool pool;
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key;
    std::size_t value = 0;
    if (!(words >> key >> value)) continue;
    if (key == "HugePages_Total:") pool.total = value;
    if (key == "HugePages_Free:") pool.free = value;
    if (key == "Hugepagesize:" && value > 0) pool.page_bytes = value << 10;
  }
  return pool;
}

std::string no_pool(const Pool& pool) {
  return refusal("explicit huge pages", "none are reserved on this machine",
                 "reserve some: sysctl vm.nr_hugepages=N (" + std::to_string(pool.page_bytes >> 10) + " KiB each)");
}

std::string no_transparent(const std::string& why) {
  return refusal("transparent huge pages", why, std::string("write 'madvise' to ") + transparent_switch);
}

void allow_huge_pages(const std::string& kind, Refusals& refused) {
  if (kind == "transparent") {
    ::prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);  // whoever started us may have left it set
    const std::string modes = first_line(transparent_switch);
    if (modes.empty())
      refused.push_back(refusal("transparent huge pages", "the kernel is built without", "ask for none"));
    if (modes.find("[never]") != std::string::npos) refused.push_back(no_transparent("they are switched off"));
  } else if (kind == "explicit") {
    const Pool pool = explicit_pool();
    if (pool.total == 0) refused.push_back(no_pool(pool));
  }
}

// ---- interrupts
// ------------------------------------------------------------------------------------------------------

bool is_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Numbers of the interrupts of which a handler's name matches. A line of /proc/interrupts: the number, a count for each
// CPU, the chip, and after two blanks the handlers' names, with ", " between them.
std::vector<std::string> interrupts_named(const std::string& pattern, const std::string& proc) {
  std::vector<std::string> found;
  std::ifstream file(proc + "/interrupts");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    const auto names_at = line.rfind("  ");
    const auto digit = line.find_first_not_of(' ');
    if (colon == std::string::npos || names_at == std::string::npos || names_at < colon) continue;
    const std::string number = line.substr(digit, colon - digit);
    if (!is_number(number)) continue;  // NMI, LOC and their like belong to the CPUs
    std::istringstream names(line.substr(names_at + 2));
    for (std::string name; std::getline(names >> std::ws, name, ',');) {
      if (::fnmatch(pattern.c_str(), name.c_str(), 0) != 0) continue;
      found.push_back(number);
      break;
    }
  }
  return found;
}

int write_text(const std::string& path, const std::string& text) noexcept {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return errno;
  const int error = ::write(file, text.data(), text.size()) < 0 ? errno : 0;
  ::close(file);
  return error;
}

const char* interrupt_remedy(int error) {
  if (error == EACCES) return "run as root, or let root write to smp_affinity_list in /proc/irq";
  if (error == EIO || error == EPERM) return "its driver places it: boot with isolcpus=managed_irq,... to keep it away";
  if (error == ENOENT) return "see /proc/interrupts for those there are";
  return "choose CPUs that are online";
}

}  // namespace

std::vector<std::string> steer_interrupts(const std::vector<std::string>& irqs, const std::vector<int>& cpus,
                                          const std::string& proc) {
  Refusals refused;
  const std::string where = list_text(cpus);
  for (const std::string& irq : irqs) {
    std::string what = "interrupt '";
    what.append(irq).append("' on CPU ").append(where);
    if (cpus.empty()) {
      refused.push_back(refusal(what + "?", "no CPU is asked for", "say which: cpu = ..."));
      continue;
    }
    const auto numbers = is_number(irq) ? std::vector<std::string>{irq} : interrupts_named(irq, proc);
    if (numbers.empty()) refused.push_back(refusal(what, "there is none of that name", interrupt_remedy(ENOENT)));
    for (const std::string& number : numbers) {
      std::string path = proc;
      path.append("/irq/").append(number).append("/smp_affinity_list");
      const int error = write_text(path, where);
      if (error == 0) continue;
      std::string which = what;
      if (number != irq) which.append(" (number ").append(number).append(")");
      refused.push_back(
          refusal(which, error == ENOENT ? "there is none of that number" : reason(error), interrupt_remedy(error)));
    }
  }
  return refused;
}

// ---- the thread
// ------------------------------------------------------------------------------------------------------

void PlacedThread::remember() {
  if (before_) return;
  Before before;
  before.cpus = affinity<Bits>();
  before.policy = ::sched_getscheduler(0);
  sched_param parameter{};
  if (::sched_getparam(0, &parameter) == 0) before.priority = parameter.sched_priority;
  // Of a kernel without NUMA: stays the default.
  static_cast<void>(
      ::syscall(SYS_get_mempolicy, &before.memory_policy, before.nodes.data(), node_bits_length - 1, nullptr, 0));
  before_ = before;
}

void PlacedThread::hold_latency(double microseconds, Refusals& refused) {
  const char* const device = "/dev/cpu_dma_latency";
  const int file = ::open(device, O_WRONLY | O_CLOEXEC);
  int error = file < 0 ? errno : 0;
  const auto value = static_cast<std::int32_t>(std::min(microseconds, 2e9));
  if (error == 0 && ::write(file, &value, sizeof value) < 0) error = errno;
  if (error == 0) {
    if (latency_fd_ >= 0) ::close(latency_fd_);
    latency_fd_ = file;  // the request ends when it is closed
    return;
  }
  if (file >= 0) ::close(file);
  refused.push_back(refusal("CPU wake-up latency of " + std::to_string(value) + " us", reason(error),
                            error == ENOENT ? std::string("this kernel has no ") + device + ": boot with idle=poll"
                                            : std::string("make ") + device + " writable for this user (a udev rule)"));
}

std::vector<std::string> PlacedThread::place(const Placement& placement) {
  Refusals refused;
  if (generation_ != fork_generation()) release();
  generation_ = fork_generation();
  remember();
  if (placement.numa_node >= 0) prefer_node(placement.numa_node, refused);
  if (!placement.cpus.empty()) pin<Bits>(placement.cpus, refused);
  allow_huge_pages(placement.huge_pages, refused);
  if (placement.lock_memory) {
    if (!locked_) locked_ = lock_all(refused);
    touch_stack();
  }
  if (placement.dma_latency_us >= 0) hold_latency(placement.dma_latency_us, refused);
  for (std::string& text : steer_interrupts(placement.irqs, placement.cpus)) refused.push_back(std::move(text));
  // Last: what came before may take long, and nobody should have to wait for it.
  if (placement.priority > 0) prioritize(placement.priority, refused);
  return refused;
}

void PlacedThread::release() noexcept {
  const bool ours = generation_ == fork_generation();
  if (latency_fd_ >= 0) {
    // A child of fork() may have the file open still, and with it the request.
    constexpr std::int32_t no_request = 2'000'000'000;
    if (ours) static_cast<void>(!::write(latency_fd_, &no_request, sizeof no_request));
    ::close(std::exchange(latency_fd_, -1));
  }
  if (std::exchange(locked_, false) && ours) unlock_all();
}

std::vector<std::string> PlacedThread::restore() {
  Refusals refused;
  release();
  if (!before_) return refused;
  const Before before = *std::exchange(before_, std::nullopt);
  const auto note = [&](int error, const std::string& what) {
    if (error != 0) refused.push_back(refusal("return to the former " + what, reason(error), "end the thread"));
  };
  sched_param parameter{};
  parameter.sched_priority = before.priority;
  note(::sched_setscheduler(0, before.policy, &parameter) == 0 ? 0 : errno, "scheduling");
  note(set_affinity(before.cpus), "CPUs");
  const bool plain = before.memory_policy == MPOL_DEFAULT;
  if (::syscall(SYS_set_mempolicy, before.memory_policy, plain ? nullptr : before.nodes.data(),
                plain ? 0 : node_bits_length) != 0 &&
      errno != ENOSYS)
    note(errno, "NUMA policy");
  return refused;
}

// ---- arrays
// ----------------------------------------------------------------------------------------------------------

std::string advise_huge(void* data, std::size_t bytes, bool explicit_pages) {
  const Pages pages = pages_of(data, bytes, true);
  if (pages.bytes == 0 || ::madvise(pages.begin, pages.bytes, MADV_HUGEPAGE) == 0 || explicit_pages) return {};
  return no_transparent(reason(errno));
}

std::vector<std::string> place_array(void* data, std::size_t bytes, const Placement& placement, bool owned,
                                     bool writable) {
  Refusals refused;
  if (bytes == 0) return refused;
  if (placement.huge_pages == "transparent" || placement.huge_pages == "explicit") {
    std::string text = advise_huge(data, bytes, placement.huge_pages == "explicit");
    if (!text.empty()) refused.push_back(std::move(text));
  }
  if (placement.numa_node >= 0 && placement.numa_node < max_nodes && owned) {
    const Pages pages = pages_of(data, bytes, true);
    NodeBits bits{};
    add(bits, placement.numa_node);
    // Moves what was touched already; what was not follows the policy when it is.
    if (pages.bytes > 0 && ::syscall(SYS_mbind, pages.begin, pages.bytes, MPOL_PREFERRED, bits.data(), node_bits_length,
                                     MPOL_MF_MOVE) != 0)
      refused.push_back(node_refusal(placement.numa_node, errno));
  }
  if (placement.lock_memory) make_present(data, bytes, writable);
  return refused;
}

HugeMemory::HugeMemory(std::size_t bytes, bool explicit_pages) {
  const Pool pool = explicit_pool();
  const std::size_t page = pool.page_bytes;
  if (bytes > SIZE_MAX / 4) throw std::bad_alloc();  // more than an address space has
  const std::size_t whole = (std::max<std::size_t>(bytes, 1) + page - 1) / page * page;
  constexpr int access = PROT_READ | PROT_WRITE;
  constexpr int kind = MAP_PRIVATE | MAP_ANONYMOUS;
  if (explicit_pages) {
    mapping_ = ::mmap(nullptr, whole, access, kind | MAP_HUGETLB, -1, 0);
    if (mapping_ != MAP_FAILED) {
      mapped_ = whole;
      data = static_cast<std::byte*>(mapping_);
      return;
    }
    refusal = pool.total == 0
                  ? no_pool(pool)
                  : framebus::refusal(std::to_string(whole / page) + " explicit huge pages", reason(errno),
                                      "reserve more than the " + std::to_string(pool.total) + " there are, of which " +
                                          std::to_string(pool.free) + " are free: sysctl vm.nr_hugepages=N");
  }
  mapped_ = whole + page;  // room to begin where a huge page does
  mapping_ = ::mmap(nullptr, mapped_, access, kind, -1, 0);
  if (mapping_ == MAP_FAILED) throw std::bad_alloc();
  const auto address = reinterpret_cast<std::uintptr_t>(mapping_);
  data = static_cast<std::byte*>(mapping_) + ((address + page - 1) / page * page - address);
  const std::string text = advise_huge(data, whole, explicit_pages);
  if (refusal.empty()) refusal = text;
}

HugeMemory::~HugeMemory() { ::munmap(mapping_, mapped_); }

}  // namespace framebus
