// ImageStreamIO structure version "2.00": the header, the blocks behind it, and framebus' extension words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace framebus {

// The two formats of streams.
enum class Dialect : std::uint8_t { isio, dao };

struct Timespec {
  std::int64_t seconds;
  std::int64_t nanoseconds;
};

// In unsigned arithmetic: the numbers come from shared memory and may be anything.
inline std::int64_t to_ns(const Timespec& t) noexcept {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(t.seconds) * 1'000'000'000U +
                                   static_cast<std::uint64_t>(t.nanoseconds));
}
inline Timespec to_timespec(std::int64_t ns) noexcept { return {ns / 1'000'000'000, ns % 1'000'000'000}; }

// Members named fb_* lie in bytes that no field of the format covers and that other writers leave zero:
//   fb_layout   1 when framebus created the file
//   fb_retired  1 once framebus removed or replaced the file: handles look for the new one
//   fb_count    low 32 bits of the last count that a framebus writer published; equal to cnt0's while framebus writes,
//               which tells readers that the `write` flag is kept and that futex waiters are woken
//   fb_waiting  newest count (low 32 bits) at which somebody sleeps on cnt0
//   fb_pid, fb_start  the last framebus writer, at first the stream's maker: pid, and start time in clock ticks. Of one
//               that gave the stream up in order the pid is negative
//   fb_at       1 + the slot of the keyword `at_count`; 0 while no frame was ever written for later use
struct Header {
  char version[32];
  char name[80];
  std::uint8_t naxis;
  std::uint8_t pad_113[3];
  std::uint32_t size[3];
  std::uint64_t nelement;
  std::uint8_t datatype;
  std::uint8_t pad_137[3];
  std::int32_t fb_pid;
  std::uint64_t imagetype;
  Timespec creationtime;
  Timespec lastaccesstime;
  Timespec atime;
  Timespec writetime;
  std::int32_t creatorPID;
  std::int32_t ownerPID;
  std::uint8_t shared;
  std::uint8_t pad_225[3];
  std::uint32_t fb_waiting;
  std::uint64_t inode;
  std::int8_t location;
  std::uint8_t status;
  std::uint16_t fb_layout;
  std::uint32_t fb_start;
  std::uint64_t flag;
  std::uint8_t logflag;
  std::uint8_t pad_257;
  std::uint16_t sem;
  std::uint16_t NBproctrace;
  std::uint16_t fb_at;
  std::uint64_t cnt0;
  std::uint64_t cnt1;
  std::uint64_t cnt2;
  std::uint8_t write;
  std::uint8_t fb_retired;
  std::uint16_t NBkw;
  std::uint32_t CBsize;
  std::uint32_t CBindex;
  std::uint32_t fb_count;
  std::uint64_t CBcycle;
  std::uint64_t imdatamemsize;
  std::byte cudaMemHandle[64];
};

static_assert(sizeof(Header) == 384);
static_assert(offsetof(Header, name) == 32 && offsetof(Header, naxis) == 112 && offsetof(Header, size) == 116);
static_assert(offsetof(Header, nelement) == 128 && offsetof(Header, datatype) == 136 &&
              offsetof(Header, fb_pid) == 140);
static_assert(offsetof(Header, imagetype) == 144 && offsetof(Header, creationtime) == 152 &&
              offsetof(Header, lastaccesstime) == 168);
static_assert(offsetof(Header, atime) == 184 && offsetof(Header, writetime) == 200 &&
              offsetof(Header, creatorPID) == 216);
static_assert(offsetof(Header, ownerPID) == 220 && offsetof(Header, shared) == 224 &&
              offsetof(Header, fb_waiting) == 228);
static_assert(offsetof(Header, inode) == 232 && offsetof(Header, location) == 240 && offsetof(Header, status) == 241);
static_assert(offsetof(Header, fb_layout) == 242 && offsetof(Header, fb_start) == 244 && offsetof(Header, flag) == 248);
static_assert(offsetof(Header, logflag) == 256 && offsetof(Header, sem) == 258 && offsetof(Header, NBproctrace) == 260);
static_assert(offsetof(Header, fb_at) == 262);
static_assert(offsetof(Header, cnt0) == 264 && offsetof(Header, cnt1) == 272 && offsetof(Header, cnt2) == 280);
static_assert(offsetof(Header, write) == 288 && offsetof(Header, fb_retired) == 289 && offsetof(Header, NBkw) == 290);
static_assert(offsetof(Header, CBsize) == 292 && offsetof(Header, CBindex) == 296 && offsetof(Header, fb_count) == 300);
static_assert(offsetof(Header, CBcycle) == 304 && offsetof(Header, imdatamemsize) == 312 &&
              offsetof(Header, cudaMemHandle) == 320);

struct Keyword {
  char name[16];
  char type;
  char pad[7];
  char value[16];
  std::uint64_t count;
  char comment[80];
};
// The keyword `at_count` of type 'L': its value is the trigger count from which on units use the frame of the count
// that follows in the other half of the value, which no 'L' uses.
constexpr char at_count_keyword[16] = "at_count";

static_assert(sizeof(Keyword) == 128 && offsetof(Keyword, value) == 24 && offsetof(Keyword, comment) == 48);

struct TraceEntry {
  std::int32_t trigger_mode;
  std::int32_t pid;
  std::uint64_t trigger_inode;
  Timespec processing_start;
  Timespec stream_update;
  std::int32_t trigger_semaphore;
  std::int32_t trigger_status;
  std::uint64_t trigger_count;
};
static_assert(sizeof(TraceEntry) == 64 && offsetof(TraceEntry, trigger_count) == 56);

struct SlotMetadata {
  std::uint64_t cnt0;
  std::uint64_t cnt1;
  Timespec atime;
  Timespec writetime;
};
static_assert(sizeof(SlotMetadata) == 48);

constexpr std::size_t semaphore_bytes = 32;
constexpr char layout_version[] = "2.00";
constexpr std::uint64_t type_temporal_cube_mask = 0xF000F;
constexpr std::uint64_t type_temporal_cube = 0x20001;
constexpr std::uint64_t type_math_data = 2;

// Bytes of one element of an ImageStreamIO datatype code 1-13; 0 for any other code.
std::size_t item_bytes(unsigned datatype) noexcept;

// Where everything lies. Taken from the header once, checked, and never read from shared memory again: what another
// process does to the header afterwards cannot lead a reader outside the map.
struct Layout {
  Dialect dialect = Dialect::isio;
  unsigned naxis = 0;
  std::uint32_t size[3] = {0, 0, 0};  // fastest axis first, in both dialects
  unsigned datatype = 0;
  std::uint64_t imagetype = type_math_data;
  std::uint64_t nelement = 0;
  std::size_t frame_bytes = 0;
  std::size_t semaphores = 0;
  std::size_t keywords = 0;
  std::size_t trace_entries = 0;
  std::size_t history = 0;       // frames kept, beyond which a reader misses some; 0: none but the newest
  std::size_t depth = 1;         // of DAO: slots, each with a header of its own
  std::size_t header_bytes = 0;  // of DAO: of one slot's header; how many packet counters it has; where it tells of
  std::size_t packets = 0;       // the FIFO (0: nowhere)
  std::size_t fifo_at = 0;

  std::size_t pixels_at = sizeof(Header);
  std::size_t keywords_at = 0;
  std::size_t semaphores_at = 0;
  std::size_t log_semaphore_at = 0;
  std::size_t reader_pids_at = 0;
  std::size_t writer_pids_at = 0;
  std::size_t semaphore_control_at = 0;
  std::size_t semaphore_status_at = 0;
  std::size_t trace_at = 0;
  std::size_t slices_at = 0;  // acquisition times, write times and counters of a temporal cube
  std::size_t slot_metadata_at = 0;
  std::size_t slots_at = 0;
  std::size_t file_bytes = 0;

  bool dao() const noexcept { return dialect == Dialect::dao; }
  // Fills the offsets from the fields above them. Throws UsageError when the sizes overflow.
  void place();
  bool same_frames(const Layout& other) const noexcept;
};

// Of either dialect: checks every field that a size or an index depends on. Throws StreamFormatError with the field's
// name.
Layout read_layout(const std::byte* file, std::size_t file_bytes, const std::string& path);

}  // namespace framebus
