#include "core/header_dict.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <vector>

#include "core/fields.hpp"
#include "core/python_text.hpp"

namespace nb = nanobind;

namespace framebus {

namespace {

nb::dict isio_header(const StreamMap& map) {
  const Header& h = map.header();
  nb::dict d;
  d["version"] = field_text(h.version, sizeof h.version);
  d["name"] = python_text(field_text(h.name, sizeof h.name));
  d["naxis"] = h.naxis;
  d["size"] = std::vector<std::uint32_t>(h.size, h.size + 3);
  d["nelement"] = h.nelement;
  d["datatype"] = h.datatype;
  d["imagetype"] = h.imagetype;
  d["creation_ns"] = to_ns(h.creationtime);
  d["access_ns"] = to_ns(h.lastaccesstime);
  d["atime_ns"] = to_ns(h.atime);
  d["writetime_ns"] = to_ns(h.writetime);
  d["creator_pid"] = h.creatorPID;
  d["owner_pid"] = h.ownerPID;
  d["shared"] = h.shared;
  d["inode"] = h.inode;
  d["location"] = static_cast<int>(h.location);
  d["status"] = h.status;
  d["flag"] = h.flag;
  d["logflag"] = h.logflag;
  d["sem"] = h.sem;
  d["nproctrace"] = h.NBproctrace;
  d["cnt0"] = h.cnt0;
  d["cnt1"] = h.cnt1;
  d["cnt2"] = h.cnt2;
  d["write"] = h.write;
  d["nkw"] = h.NBkw;
  d["cbsize"] = h.CBsize;
  d["cbindex"] = h.CBindex;
  d["cbcycle"] = h.CBcycle;
  d["imdatamemsize"] = h.imdatamemsize;
  d["file_size"] = map.layout().file_bytes;
  d["framebus"] = h.fb_layout;
  nb::list values;
  nb::list readers;
  nb::list writers;
  for (std::size_t i = 0; i < map.layout().semaphores; ++i) {
    int value = 0;
    sem_getvalue(map.semaphore(i), &value);
    values.append(value);
    readers.append(map.reader_pid(i));
    writers.append(map.writer_pid(i));
  }
  int log_value = 0;
  sem_getvalue(map.log_semaphore(), &log_value);
  d["sem_values"] = values;
  d["semlog_value"] = log_value;
  d["sem_read_pid"] = readers;
  d["sem_write_pid"] = writers;
  return d;
}

nb::dict dao_slot(const StreamMap& map, std::size_t slot) {
  const DaoHeader& h = map.dao_header(slot);
  nb::dict d;
  d["name"] = python_text(field_text(h.name, sizeof h.name));
  d["naxis"] = h.naxis;
  d["size"] = std::vector<std::uint32_t>(h.size, h.size + 3);
  d["nelement"] = h.nelement;
  d["atype"] = h.atype;
  d["atime_ns"] = atime_ns(h);
  d["shared"] = h.shared;
  d["status"] = h.status;
  d["logflag"] = h.logflag;
  d["sem"] = h.sem;
  d["cnt0"] = h.cnt0;
  d["cnt1"] = h.cnt1;
  d["cnt2"] = h.cnt2;
  d["write"] = h.write;
  d["nkw"] = h.NBkw;
  d["last_pos"] = h.lastPos;
  d["last_nb"] = h.lastNb;
  d["packet_nb"] = h.packetNb;
  d["packet_total"] = h.packetTotal;
  d["fifo_size"] = map.has_fifo_fields() ? map.fifo_size(slot) : 0U;
  d["fifo_last_written"] = map.has_fifo_fields() ? map.fifo_last_written(slot) : 0U;
  return d;
}

// The newest frame's header with what is the stream's own, and the headers of all slots.
nb::dict dao_header(const StreamMap& map) {
  const DaoHeader& first = map.dao_header();
  nb::dict d = dao_slot(map, map.last_slot());
  nb::list slots;
  for (std::size_t i = 0; i < map.layout().depth; ++i) slots.append(dao_slot(map, i));
  double created = 0;
  std::memcpy(&created, &first.creation_time, sizeof created);
  d["sem"] = first.sem;
  d["fifo_size"] = map.has_fifo_fields() ? map.fifo_size() : 0U;
  d["fifo_last_written"] = map.has_fifo_fields() ? map.fifo_last_written() : 0U;
  d["creation_s"] = created;
  d["access_s"] = first.last_access;
  d["slots"] = slots;
  d["file_size"] = map.layout().file_bytes;
  d["framebus"] = first.fb_layout;
  nb::list values;
  for (std::size_t i = 0; i < map.layout().semaphores; ++i) {
    int value = 0;
    if (map.semaphore(i) != nullptr && sem_getvalue(map.semaphore(i), &value) == 0)
      values.append(value);
    else
      values.append(nb::none());
  }
  d["sem_values"] = values;
  int log_value = 0;
  if (map.log_semaphore() != nullptr && sem_getvalue(map.log_semaphore(), &log_value) == 0)
    d["semlog_value"] = log_value;
  else
    d["semlog_value"] = nb::none();
  return d;
}

}  // namespace

nb::dict header_dict(const StreamMap& map) { return map.dao() ? dao_header(map) : isio_header(map); }

}  // namespace framebus
