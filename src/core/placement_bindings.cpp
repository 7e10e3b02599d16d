#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/placement.hpp"
#include "core/register.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace framebus {

namespace {

// Of the calling thread; gives back what was taken when the thread ends.
PlacedThread& this_thread() {
  thread_local PlacedThread placed;
  return placed;
}

std::vector<std::string> place_thread(std::vector<int> cpus, int priority, bool lock_memory, int numa_node,
                                      double dma_latency_us, std::string huge_pages, std::vector<std::string> irqs) {
  const Placement placement{std::move(cpus),       priority,       lock_memory, numa_node, dma_latency_us,
                            std::move(huge_pages), std::move(irqs)};
  // To lock memory may take long; nothing of Python is touched.
  const nb::gil_scoped_release released;
  return this_thread().place(placement);
}

using Bytes = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>, nb::c_contig>;

// The array owns the memory: no view of it outlives the mapping.
std::pair<Bytes, std::string> huge_memory(std::size_t bytes, bool explicit_pages) {
  auto memory = std::make_unique<HugeMemory>(bytes, explicit_pages);
  void* const data = memory->data;
  std::string refusal = memory->refusal;
  const nb::capsule owner(memory.get(), [](void* held) noexcept { delete static_cast<HugeMemory*>(held); });
  [[maybe_unused]] const HugeMemory* const capsules = memory.release();
  return {Bytes(data, {bytes}, owner), std::move(refusal)};
}

using AnyArray = nb::ndarray<nb::c_contig, nb::device::cpu>;

std::vector<std::string> place_own_array(const AnyArray& array, bool lock_memory, int numa_node,
                                         std::string huge_pages) {
  Placement placement;
  placement.lock_memory = lock_memory;
  placement.numa_node = numa_node;
  placement.huge_pages = std::move(huge_pages);
  return place_array(array.data(), array.nbytes(), placement, true, true);
}

}  // namespace

void register_placement(nb::module_& module) {
  module.def("place_thread", &place_thread, nb::kw_only(), "cpus"_a = std::vector<int>{}, "priority"_a = 0,
             "lock_memory"_a = false, "numa_node"_a = -1, "dma_latency_us"_a = -1.0, "huge_pages"_a = "",
             "irqs"_a = std::vector<std::string>{},
             "Place the calling thread. Everything is tried; returns what the kernel refused, a sentence each. What is "
             "held for the thread is given back when it ends.");
  module.def(
      "restore_thread", [] { return this_thread().restore(); },
      "Put the calling thread back to where place_thread found it. Returns what was refused, a sentence each.");
  module.def("steer_interrupts", &steer_interrupts, "irqs"_a, "cpus"_a, "proc"_a = "/proc",
             "Move interrupts (numbers, names, shell patterns) to CPUs. Returns what was refused, a sentence each.");
  module.def("place_array", &place_own_array, "array"_a, nb::kw_only(), "lock_memory"_a = false, "numa_node"_a = -1,
             "huge_pages"_a = "",
             "Place an array that no other process maps: its pages huge, on a NUMA node, present. Its content stays. "
             "Returns what was refused, a sentence each.");
  module.def("huge_memory", &huge_memory, "bytes"_a, "explicit_pages"_a,
             "Zeroed memory on huge pages, and why it has not the explicit ones that were asked for (\"\": it has).");
}

}  // namespace framebus
