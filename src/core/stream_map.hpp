// One mapped stream file: typed access to its header and blocks. No policy.
#pragma once

#include <semaphore.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/layout.hpp"
#include "core/platform.hpp"

namespace framebus {

// Fields that other processes read or write while we do. All are naturally aligned, hence lock-free.
template <class T>
std::atomic_ref<T> shared(T& field) noexcept {
  static_assert(std::atomic_ref<T>::is_always_lock_free);
  return std::atomic_ref<T>(field);
}

class StreamMap {
 public:
  struct Request {
    std::string path;
    std::string name;
    std::vector<std::uint32_t> size;  // fastest axis first
    unsigned datatype = 9;
    std::uint32_t history = 0;
    std::uint16_t semaphores = 10;
    std::uint16_t keywords = 0;
    std::uint16_t trace_entries = 10;
    unsigned mode = 0660;
    bool huge_pages = false;
    bool local = false;
    bool must_be_new = false;
    std::vector<Keyword> initial_keywords;  // fill the first of the `keywords` slots
  };

  // A new stream, ready and visible when this returns. What had that name is replaced and its users are told.
  static std::shared_ptr<StreamMap> create(const Request& request);
  // Throws StreamNotFound, StreamFormatError, OSError.
  static std::shared_ptr<StreamMap> open(const std::string& path);

  StreamMap(SharedFile file, const Layout& layout) : file_(std::move(file)), layout_(layout) {}

  const Layout& layout() const noexcept { return layout_; }
  const SharedFile& file() const noexcept { return file_; }
  Header& header() const noexcept { return *reinterpret_cast<Header*>(file_.data()); }

  std::byte* pixels() const noexcept { return file_.data() + Layout::pixels_at; }
  Keyword& keyword(std::size_t i) const noexcept { return at<Keyword>(layout_.keywords_at, i); }
  sem_t* semaphore(std::size_t i) const noexcept {
    return reinterpret_cast<sem_t*>(file_.data() + layout_.semaphores_at + i * semaphore_bytes);
  }
  sem_t* log_semaphore() const noexcept { return reinterpret_cast<sem_t*>(file_.data() + layout_.log_semaphore_at); }
  std::int32_t& reader_pid(std::size_t i) const noexcept { return at<std::int32_t>(layout_.reader_pids_at, i); }
  std::int32_t& writer_pid(std::size_t i) const noexcept { return at<std::int32_t>(layout_.writer_pids_at, i); }
  TraceEntry& trace(std::size_t i) const noexcept { return at<TraceEntry>(layout_.trace_at, i); }
  SlotMetadata& slot_metadata(std::size_t i) const noexcept { return at<SlotMetadata>(layout_.slot_metadata_at, i); }
  std::byte* slot(std::size_t i) const noexcept { return file_.data() + layout_.slots_at + i * layout_.frame_bytes; }

  std::uint64_t count() const noexcept { return shared(header().cnt0).load(std::memory_order_acquire); }
  // The half of cnt0 that a futex can watch; little-endian, so the low half comes first.
  const std::atomic<std::uint32_t>* count_word() const noexcept {
    return reinterpret_cast<const std::atomic<std::uint32_t>*>(&header().cnt0);
  }
  // How long ago the newest frame was published, by its writer's clock. Nonsense from shared memory gives nonsense.
  std::int64_t age_ns() const noexcept {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(realtime_ns()) -
                                     static_cast<std::uint64_t>(to_ns(header().writetime)));
  }
  bool retired() const noexcept { return shared(header().fb_retired).load(std::memory_order_acquire) != 0; }
  // Whether the newest frame (`count`, or those that came since it was asked for) came from a framebus writer: then
  // `write` is kept and sleepers on cnt0 are woken.
  bool framebus_writes(std::uint64_t count) const noexcept;

  // The keyword that says from when on a frame is to be used; null if the stream has none.
  Keyword* at_count_slot() const noexcept;

  // Every way to wake whoever waits here, whether or not a frame came.
  void wake_everyone() const noexcept;
  // Marks the file as no longer the one of its name, and wakes its users.
  void retire() const noexcept;
  // The same for a process-local stream, which has no name that a successor could be found by.
  void retire_for(std::shared_ptr<StreamMap> next) const;
  std::shared_ptr<StreamMap> local_successor() const;
  enum class Standing { current, replaced, gone };
  // Whether the file's name still is this file's.
  Standing standing() const noexcept;
  // The last process that wrote here, as far as the file tells; 0 if nobody did.
  std::int32_t last_writer() const noexcept;
  bool last_writer_alive() const noexcept;

 private:
  template <class T>
  T& at(std::size_t block, std::size_t i) const noexcept {
    return *reinterpret_cast<T*>(file_.data() + block + i * sizeof(T));
  }

  SharedFile file_;
  Layout layout_;
  mutable std::mutex local_lock_;
  mutable std::shared_ptr<StreamMap> local_successor_;
};

using StreamMapPtr = std::shared_ptr<StreamMap>;

// The stream that took the place of `map`, ready for use; null while there is none (or it is not ready yet). Throws
// StreamRecreated when its frames have another shape or dtype.
StreamMapPtr successor(const StreamMap& map);

constexpr int semaphore_cap = 10;
// The processes' part in publish and retire: post unless the value has reached the format's cap.
void post_semaphore(sem_t* semaphore) noexcept;

}  // namespace framebus
