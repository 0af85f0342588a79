#ifndef VARVE_INDEX_CANDIDATE_POOL_H_
#define VARVE_INDEX_CANDIDATE_POOL_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace varve::index {

// A row of one segment and its distance from a query.
struct Candidate {
  float distance = 0;
  uint32_t ordinal = 0;

  friend bool operator<(const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.ordinal < b.ordinal;
  }
};

// What a best-first walk has found and where it goes next, in one sorted array: the `capacity` nearest
// accepted candidates, and those not accepted that are no farther than these. For the few hundred that a
// walk keeps, moving an array's end along is cheaper than a heap, and there is nothing to sort at the
// end. One thread; ordinals are below 2^30.
class CandidatePool {
 public:
  explicit CandidatePool(size_t capacity) { Reset(capacity); }

  void Reset(size_t capacity) {
    capacity_ = capacity;
    accepted_ = next_ = 0;
    entries_.clear();
    entries_.reserve(capacity + 1);
  }

  // Whether inserting a candidate at this distance would change anything.
  bool Wants(float distance) const {
    return accepted_ < capacity_ || distance < entries_.back().distance;
  }

  // Of one that is wanted.
  void Insert(const Candidate& candidate, bool accepted) {
    const size_t at = UpperBound(candidate.distance);
    next_ = std::min(next_, at);
    entries_.insert(entries_.begin() + at,
                    {candidate.distance, candidate.ordinal | (accepted ? 0 : kRejected)});
    if (!accepted) return;
    if (++accepted_ > capacity_) {
      entries_.pop_back();
      --accepted_;
    }
    if (accepted_ == capacity_) DropRejectedTail();
  }

  // The nearest candidate not taken yet; false when all are.
  bool TakeNext(uint32_t* ordinal) {
    while (next_ < entries_.size() && (entries_[next_].bits & kTaken) != 0) ++next_;
    if (next_ == entries_.size()) return false;
    *ordinal = entries_[next_].bits & kOrdinal;
    entries_[next_].bits |= kTaken;
    return true;
  }

  // Those accepted, nearest first.
  void TakeAccepted(std::vector<Candidate>* out) const {
    out->clear();
    for (const Entry& entry : entries_) {
      if ((entry.bits & kRejected) == 0) out->push_back({entry.distance, entry.bits & kOrdinal});
    }
  }

 private:
  static constexpr uint32_t kTaken = uint32_t{1} << 31;
  static constexpr uint32_t kRejected = uint32_t{1} << 30;
  static constexpr uint32_t kOrdinal = kRejected - 1;

  struct Entry {
    float distance;
    uint32_t bits;  // ordinal, kTaken, kRejected
  };

  // How many entries are no farther than `distance`. Which way each step goes nobody can foretell, so the
  // steps are sums and not branches.
  size_t UpperBound(float distance) const {
    const Entry* begin = entries_.data();
    size_t size = entries_.size();
    while (size > 0) {
      const size_t half = (size + 1) / 2;
      begin += (begin[half - 1].distance <= distance) * half;
      size -= half;
    }
    return begin - entries_.data();
  }

  // Of a full pool the last one is accepted.
  void DropRejectedTail() {
    while ((entries_.back().bits & kRejected) != 0) entries_.pop_back();
  }

  size_t capacity_ = 0;
  size_t accepted_ = 0;
  size_t next_ = 0;  // every entry before is taken
  std::vector<Entry> entries_;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_CANDIDATE_POOL_H_
