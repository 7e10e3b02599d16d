// Keywords that follow those of another stream, for units that hand a stream on.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "core/stream_map.hpp"

namespace framebus {

class KeywordCarrier {
 public:
  // Writes what is new or changed in `from`, and removes what it wrote before and is no longer there. Keywords of `to`
  // that it did not write stay. Returns false when some found no slot. Costs one look while nothing changes.
  bool carry(const StreamMap& from, const StreamMap& to);

 private:
  using Name = std::array<char, sizeof(Keyword::name)>;

  std::vector<Keyword> seen_;
  std::vector<Name> written_;
  const StreamMap* to_ = nullptr;
  bool all_fit_ = true;
};

}  // namespace framebus
