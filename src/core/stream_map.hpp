// One mapped stream file: typed access to its header and blocks. No policy.
#pragma once

#include <semaphore.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/dao_layout.hpp"
#include "core/layout.hpp"
#include "core/lost_pages.hpp"
#include "core/named_semaphores.hpp"
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
    Dialect dialect = Dialect::isio;
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
  // Throws StreamNotFound, StreamFormatError, OSError. Who opens it with `looks_only` can neither write nor be woken.
  static std::shared_ptr<StreamMap> open(const std::string& path, bool looks_only = false);

  StreamMap(SharedFile file, const Layout& layout)
      : file_(std::move(file)), layout_(layout), lost_pages_(file_.data(), file_.size()) {}
  ~StreamMap();
  StreamMap(const StreamMap&) = delete;
  StreamMap& operator=(const StreamMap&) = delete;

  const Layout& layout() const noexcept { return layout_; }
  const SharedFile& file() const noexcept { return file_; }
  bool dao() const noexcept { return layout_.dao(); }

  // ---- of both dialects ----

  // Null where the dialect's semaphores are files of their own, and this one is not there or not ours to use.
  sem_t* semaphore(std::size_t i) const noexcept {
    if (dao()) return named_.at(i);
    return reinterpret_cast<sem_t*>(file_.data() + layout_.semaphores_at + i * semaphore_bytes);
  }
  sem_t* log_semaphore() const noexcept {
    if (dao()) return named_.log();
    return reinterpret_cast<sem_t*>(file_.data() + layout_.log_semaphore_at);
  }
  const NamedSemaphores& named_semaphores() const noexcept { return named_; }
  // Up to which value a semaphore is posted.
  int semaphore_cap() const noexcept { return dao() ? 1 : 10; }
  // The newest frame. Of DAO's FIFO the one that it is in.
  std::byte* newest_pixels() const noexcept { return dao() ? slot(last_slot()) : file_.data() + layout_.pixels_at; }
  // Where the frame that is written next comes.
  std::byte* next_pixels() const noexcept { return dao() ? slot(next_slot()) : file_.data() + layout_.pixels_at; }
  // Slots of the history; of DAO all frames lie in one.
  std::byte* slot(std::size_t i) const noexcept { return file_.data() + layout_.slots_at + i * layout_.frame_bytes; }
  // A frame was begun and not finished, or is being written just now.
  bool writing() const noexcept;
  std::uint32_t& waiting_word() const noexcept { return dao() ? dao_header().fb_waiting : header().fb_waiting; }
  std::uint32_t& published_word() const noexcept { return dao() ? dao_header().fb_count : header().fb_count; }
  bool made_by_framebus() const noexcept { return (dao() ? dao_header().fb_layout : header().fb_layout) != 0; }
  // The process that made the stream; 0: the file does not tell.
  std::int32_t maker() const noexcept { return dao() ? 0 : header().creatorPID; }
  // When the newest frame was published, by its writer's clock.
  std::int64_t written_ns() const noexcept;

  // A keyword as it stands, whole, without a copy of it being torn.
  Keyword load_keyword(std::size_t i) const noexcept;
  void store_keyword(std::size_t i, const Keyword& keyword) const noexcept;

  // ---- of DAO ----

  DaoHeader& dao_header(std::size_t slot = 0) const noexcept {
    return *reinterpret_cast<DaoHeader*>(file_.data() + slot * layout_.header_bytes);
  }
  std::size_t last_slot() const noexcept {
    if (layout_.depth == 1) return 0;
    return shared(fifo_last_written()).load(std::memory_order_acquire) % layout_.depth;
  }
  std::size_t next_slot() const noexcept { return (last_slot() + 1) % layout_.depth; }
  // The newest count whatever happened to the stream: the FIFO moves on a moment before the slot's counter does, and
  // until then the counter of the slot before is the newest.
  std::uint64_t fifo_count() const noexcept {
    const std::size_t last = last_slot();
    const std::uint64_t count = shared(dao_header(last).cnt0).load(std::memory_order_acquire);
    if (layout_.depth == 1) return count;
    const std::size_t before = (last + layout_.depth - 1) % layout_.depth;
    return std::max(count, shared(dao_header(before).cnt0).load(std::memory_order_acquire));
  }
  // Only where there is a FIFO; in older files pixels lie there.
  bool has_fifo_fields() const noexcept { return layout_.fifo_at != 0; }
  std::uint32_t& fifo_size(std::size_t slot = 0) const noexcept { return fifo_field(slot, 0); }
  std::uint32_t& fifo_last_written(std::size_t slot = 0) const noexcept { return fifo_field(slot, 4); }
  // For which frame a packet was last written.
  std::uint64_t& packet_frame(std::size_t slot, std::size_t packet) const noexcept {
    return *reinterpret_cast<std::uint64_t*>(reinterpret_cast<std::byte*>(&dao_header(slot)) + sizeof(DaoHeader) +
                                             packet * sizeof(std::uint64_t));
  }

  // ---- of ImageStreamIO ----

  Header& header() const noexcept { return *reinterpret_cast<Header*>(file_.data()); }
  Keyword& keyword(std::size_t i) const noexcept { return at<Keyword>(layout_.keywords_at, i); }
  std::int32_t& reader_pid(std::size_t i) const noexcept { return at<std::int32_t>(layout_.reader_pids_at, i); }
  std::int32_t& writer_pid(std::size_t i) const noexcept { return at<std::int32_t>(layout_.writer_pids_at, i); }
  TraceEntry& trace(std::size_t i) const noexcept { return at<TraceEntry>(layout_.trace_at, i); }
  SlotMetadata& slot_metadata(std::size_t i) const noexcept { return at<SlotMetadata>(layout_.slot_metadata_at, i); }

  // ---- of both ----

  // The file is not what it was when it was mapped: it was shortened, or a DAO program made its stream anew in it.
  bool reborn() const noexcept {
    return lost_pages_.any() ||
           (dao() && shared(dao_header().creation_time).load(std::memory_order_acquire) != created_);
  }
  // 0 in a file that is not what it was: none of its frames are ours to count.
  std::uint64_t count() const noexcept {
    if (reborn()) return 0;
    return dao() ? fifo_count() : shared(header().cnt0).load(std::memory_order_acquire);
  }
  // What a futex watches: it changes with every frame of a framebus writer. The low half of cnt0 (little-endian, so it
  // comes first); of DAO, whose counters lie in many places, fb_count.
  const std::atomic<std::uint32_t>* count_word() const noexcept {
    if (dao()) return reinterpret_cast<const std::atomic<std::uint32_t>*>(&dao_header().fb_count);
    return reinterpret_cast<const std::atomic<std::uint32_t>*>(&header().cnt0);
  }
  // How long ago the newest frame was published, by its writer's clock. Nonsense from shared memory gives nonsense.
  std::int64_t age_ns() const noexcept {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(realtime_ns()) -
                                     static_cast<std::uint64_t>(written_ns()));
  }
  bool retired() const noexcept {
    return reborn() ||
           shared(dao() ? dao_header().fb_retired : header().fb_retired).load(std::memory_order_acquire) != 0;
  }
  // Whether the newest frame (`count`, or those that came since it was asked for) came from a framebus writer: then
  // `write` is kept and sleepers on cnt0 are woken.
  bool framebus_writes(std::uint64_t count) const noexcept;

  // The keyword that says from when on a frame is to be used; null if the stream has none (of DAO never).
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
  // The last process that wrote here, as far as the file tells; 0 if nobody did, or if it does not tell.
  std::int32_t last_writer() const noexcept;
  bool last_writer_alive() const noexcept;
  bool maker_alive() const noexcept;
  // The last writer, or the maker of a stream without a frame, gave the stream up in order: it closed it, or ended as
  // programs should, and was not killed. (Of DAO nobody can tell.)
  bool last_writer_left() const noexcept;

 private:
  std::uint32_t& fifo_field(std::size_t slot, std::size_t behind) const noexcept {
    return *reinterpret_cast<std::uint32_t*>(reinterpret_cast<std::byte*>(&dao_header(slot)) + layout_.fifo_at +
                                             behind);
  }

  template <class T>
  T& at(std::size_t block, std::size_t i) const noexcept {
    return *reinterpret_cast<T*>(file_.data() + block + i * sizeof(T));
  }

  // Says that this process writes no more here, if it was the last to do so.
  void leave() const noexcept;
  void know_dao();
  void fill_dao_header(const Request& request) const;

  SharedFile file_;
  Layout layout_;
  NamedSemaphores named_;
  LostPages lost_pages_;
  std::uint64_t created_ = 0;  // of DAO: the creation time in the file that this is a map of
  mutable std::mutex local_lock_;
  mutable std::shared_ptr<StreamMap> local_successor_;
};

using StreamMapPtr = std::shared_ptr<StreamMap>;

// The stream that took the place of `map`, ready for use; null while there is none (or it is not ready yet). Throws
// StreamRecreated when its frames have another shape or dtype.
StreamMapPtr successor(const StreamMap& map);

// The processes' part in publish and retire: post unless the value has reached the format's cap.
void post_semaphore(sem_t* semaphore, int cap) noexcept;
// glibc ends the process when a semaphore's word for 'shared or private' holds anything but its two values (the kernel
// then refuses the futex operation made of it). So damaged ones are found before anybody touches them.
bool is_semaphore(const sem_t* semaphore) noexcept;

}  // namespace framebus
