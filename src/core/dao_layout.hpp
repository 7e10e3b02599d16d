// DAO's shared-memory format: one header and one frame for each slot of its FIFO, keywords behind them, and framebus'
// extension words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/layout.hpp"

namespace framebus {

// A slot's header, up to the packets' counters; what follows differs between DAO's releases, see DaoRelease.
// Members named fb_* lie in bytes that no field of the format covers and that DAO leaves zero. All but fb_busy count in
// the header of slot 0 only:
//   fb_pid      the last framebus writer (24 bits hold every pid of Linux)
//   fb_busy     while a framebus writer changes the slot, its pixels or its counters after them: busy_mark() of the
//   frame
//               that comes there; else 0
//   fb_layout   1 when framebus created the file
//   fb_retired  1 once framebus removed or replaced the file: handles look for the new one
//   fb_waiting  newest count (low 32 bits) at which somebody sleeps
//   fb_start    start time of the process fb_pid, low 16 bits of its clock ticks
//   fb_count    low 32 bits of the last count that a framebus writer published; what sleepers sleep on
struct DaoHeader {
  char name[80];
  std::uint8_t naxis;
  std::uint8_t fb_pid[3];
  std::uint32_t size[3];  // slowest axis first
  std::uint64_t nelement;
  std::uint8_t atype;
  std::uint8_t fb_busy;
  std::uint8_t fb_layout;
  std::uint8_t fb_retired;
  std::uint32_t fb_waiting;
  std::uint64_t creation_time;  // of a double, in s since the epoch: the bits
  double last_access;
  std::int64_t atime_first;  // DAO leaves 0 here and puts all nanoseconds into the other
  std::int64_t atime_second;
  std::uint8_t shared;
  std::uint8_t status;
  std::uint8_t logflag;
  std::uint8_t pad_147;
  std::uint16_t sem;
  std::uint16_t fb_start;
  std::uint64_t cnt0;
  std::uint64_t cnt1;
  std::uint64_t cnt2;  // frame id
  std::uint8_t write;
  std::uint8_t pad_177;
  std::uint16_t NBkw;
  std::uint32_t lastPos;
  std::uint32_t lastNb;
  std::uint32_t packetNb;
  std::uint32_t packetTotal;
  std::uint32_t fb_count;
};
static_assert(sizeof(DaoHeader) == 200);
static_assert(offsetof(DaoHeader, naxis) == 80 && offsetof(DaoHeader, size) == 84 &&
              offsetof(DaoHeader, nelement) == 96);
static_assert(offsetof(DaoHeader, atype) == 104 && offsetof(DaoHeader, fb_waiting) == 108 &&
              offsetof(DaoHeader, creation_time) == 112);
static_assert(offsetof(DaoHeader, last_access) == 120 && offsetof(DaoHeader, atime_first) == 128 &&
              offsetof(DaoHeader, shared) == 144);
static_assert(offsetof(DaoHeader, sem) == 148 && offsetof(DaoHeader, fb_start) == 150 &&
              offsetof(DaoHeader, cnt0) == 152);
static_assert(offsetof(DaoHeader, cnt2) == 168 && offsetof(DaoHeader, write) == 176 &&
              offsetof(DaoHeader, NBkw) == 178);
static_assert(offsetof(DaoHeader, lastPos) == 180 && offsetof(DaoHeader, fb_count) == 196);

// What follows: a counter (u64) for each packet of a frame, then the FIFO's two fields (u32: how many slots, which was
// written last; of slot 0 they count), then, in the newest releases, where on a GPU the pixels are.
struct DaoRelease {
  std::size_t header_bytes;
  std::size_t packets;
  std::size_t fifo_at;  // 0: from before the FIFO
  std::size_t gpu_at;   // a magic number, 0 if the pixels are in the file; 0: has no such field
};
constexpr DaoRelease dao_releases[] = {
    {4304, 512, 4296, 0},         // the one that framebus makes
    {4296, 512, 0, 0},            //
    {16448, 2024, 16392, 16400},  //
    {16400, 2024, 16392, 0},      //
};
constexpr std::size_t dao_least_bytes = 4296;
constexpr unsigned dao_datatypes = 12;
constexpr std::size_t dao_most_semaphores = 100;  // their names have two digits

// An ImageStreamIO keyword without its counter.
struct DaoKeyword {
  char name[16];
  char type;
  char pad[7];
  char value[16];
  char comment[80];
};
static_assert(sizeof(DaoKeyword) == 120 && offsetof(DaoKeyword, value) == 24 && offsetof(DaoKeyword, comment) == 40);

// Never 0.
inline std::uint8_t busy_mark(std::uint64_t count) noexcept { return static_cast<std::uint8_t>(1 + count % 255); }

inline std::int64_t atime_ns(const DaoHeader& header) noexcept {
  return to_ns({header.atime_first, header.atime_second});
}

// When the slot's frame was published. DAO gives a frame one time; framebus leaves this one in last_access, to a
// quarter of a microsecond. One from before the frame's other time is of another frame: then its writer left none.
std::int64_t published_ns(const DaoHeader& header) noexcept;

// Fills the offsets of a layout whose fields are set. Throws UsageError when the sizes overflow.
void place_dao(Layout& layout);

// Whether the file can be nothing but DAO's: the format has no version, only sizes that must agree.
bool looks_like_dao(const std::byte* file, std::size_t file_bytes) noexcept;
// Checks every field that a size or an index depends on. Throws StreamFormatError with the field's name.
Layout read_dao_layout(const std::byte* file, std::size_t file_bytes, const std::string& path);

}  // namespace framebus
