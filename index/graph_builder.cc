#include "index/graph_builder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace varve::index {
namespace {

// What the center of the codes is the mean of: no more than is read in a millisecond, for rows are not
// committed meanwhile.
constexpr uint64_t kCenterRows = 1024;
constexpr uint64_t kCenterElements = uint64_t{1} << 20;

// Distances between candidates are worked out so many at a time: most that are dropped are dropped for
// one of the first.
constexpr size_t kKeptAtOnce = 4;

// The level of a node, drawn from the distribution the paper gives: exp(-level * ln(m)). A function
// of the ordinal alone, so that it needs no shared random state (splitmix64: Steele, Lea, Flood
// 2014).
int LevelOf(uint32_t node, uint32_t m) {
  uint64_t x = (uint64_t{node} + 1) * 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  x ^= x >> 31;
  const double uniform = (static_cast<double>(x >> 11) + 0.5) * 0x1p-53;  // in (0, 1)
  return static_cast<int>(-std::log(uniform) / std::log(m));
}

hwy::AlignedFreeUniquePtr<float[]> CenterOf(const RowSource& rows, uint32_t sample,
                                            const VectorSpace& space) {
  std::vector<const char*> sampled;
  const uint64_t count = std::min(
      {uint64_t{sample}, kCenterRows, std::max(kCenterElements / space.dimension(), uint64_t{1})});
  for (uint64_t i = 0; i < count; ++i) {
    sampled.push_back(rows.vector(static_cast<uint32_t>(i * sample / count)));
  }
  auto center = hwy::AllocateAligned<float>(space.padded_dimension());
  CodeSpace::Center(space, sampled, center.get());
  return center;
}

}  // namespace

GraphBuilder::GraphBuilder(const RowSource* rows, uint32_t capacity, uint32_t sample,
                           const VectorSpace& space, const IndexOptions& options)
    : rows_(rows),
      space_(space),
      capacity_(capacity),
      m_(options.m),
      ef_construction_(options.ef_construction),
      center_(CenterOf(*rows, sample, space)),
      code_space_(space, options.quantization, center_.get()),
      codes_(capacity * code_space_.code_bytes()),
      base_(size_t{capacity} * (1 + 2 * m_)),
      upper_(capacity),
      levels_(capacity) {}

void GraphBuilder::Links::Prefetch(uint32_t node) const {
  constexpr size_t kLinksPerLine = 16;
  const Link* const list = builder_.List(node, 0);
  for (size_t i = 0; i <= builder_.Room(0); i += kLinksPerLine) __builtin_prefetch(list + i);
}

absl::Span<const uint32_t> GraphBuilder::CopyLinks(uint32_t node, int level,
                                                   uint32_t* buffer) const {
  const Link* const list = List(node, level);
  const size_t count = list[0].load(std::memory_order_acquire);
  for (size_t i = 0; i < count; ++i) buffer[i] = list[1 + i].load(std::memory_order_acquire);
  return {buffer, count};
}

void GraphBuilder::SetLinks(uint32_t node, int level, absl::Span<const uint32_t> links) {
  Link* const list = List(node, level);
  for (size_t i = 0; i < links.size(); ++i) {
    list[1 + i].store(links[i], std::memory_order_release);
  }
  list[0].store(static_cast<uint32_t>(links.size()), std::memory_order_release);
}

void GraphBuilder::Encode(uint32_t node) {
  RowReader reader(space_);
  code_space_.Encode(reader.Read(rows_->vector(node)), Code(node));
}

void GraphBuilder::PrepareNode(uint32_t node, int level) {
  levels_.data()[node] = static_cast<uint8_t>(level);
  if (level == 0) return;
  auto lists = std::make_unique<Link[]>(size_t(level) * (1 + m_));
  upper_.data()[node] = lists.get();
  MutexLock lock(&upper_mu_);
  upper_lists_.push_back(std::move(lists));
}

void GraphBuilder::Insert(uint32_t node) {
  const int level = LevelOf(node, m_);
  Encode(node);
  PrepareNode(node, level);
  EntryPoint from;
  {
    MutexLock lock(&entry_mu_);
    from = entry_;
    if (from.node == kNoNode) {
      entry_ = {node, level};
      return;
    }
  }
  Links links(this);
  GraphWalk walk(&links, codes(), code_space_.Prepare(Code(node)), capacity_);
  const auto accept = [](uint32_t) { return true; };
  Candidate nearest = walk.Descend(from, level);
  std::vector<std::vector<Candidate>> found(std::min(level, from.level) + 1);
  for (int l = static_cast<int>(found.size()) - 1; l >= 0; --l) {
    static thread_local CandidatePool pool(0);
    pool.Reset(ef_construction_);
    walk.Search(nearest, l, accept, CallControl(), &pool).IgnoreError();  // nobody cancels
    pool.TakeAccepted(&found[l]);
    nearest = found[l].front();
  }
  for (size_t l = 0; l < found.size(); ++l) Connect(node, static_cast<int>(l), &found[l]);
  MutexLock lock(&entry_mu_);
  if (level > entry_.level) entry_ = {node, level};
}

void GraphBuilder::ThinCopies(uint32_t node, std::vector<Candidate>* candidates) const {
  constexpr size_t kCopiesKept = 4;
  const CodeArray codes = this->codes();
  const auto is_copy = [&](const Candidate& candidate) {
    return std::memcmp(codes[candidate.ordinal], codes[node], code_space_.code_bytes()) == 0;
  };
  const auto apart = [node](uint32_t copy) { return copy > node ? copy - node : node - copy; };
  std::vector<uint32_t> copies;  // how far from the node they are in order of insertion
  for (const Candidate& candidate : *candidates) {
    if (is_copy(candidate)) copies.push_back(apart(candidate.ordinal));
  }
  if (copies.size() <= kCopiesKept) return;
  std::nth_element(copies.begin(), copies.begin() + kCopiesKept, copies.end());
  std::erase_if(*candidates, [&](const Candidate& candidate) {
    return is_copy(candidate) && apart(candidate.ordinal) >= copies[kCopiesKept];
  });
}

void GraphBuilder::SelectDiverse(uint32_t node, std::vector<Candidate>* candidates,
                                 size_t most) const {
  if (candidates->size() < most) return;
  ThinCopies(node, candidates);
  const CodeArray codes = this->codes();
  std::vector<const char*> kept;
  kept.reserve(most);
  size_t next = 0;
  for (const Candidate& candidate : *candidates) {
    if (kept.size() == most) break;
    const CodeSpace::Query query = code_space_.Prepare(codes[candidate.ordinal]);
    bool leads_elsewhere = true;
    for (size_t i = 0; i < kept.size() && leads_elsewhere; i += kKeptAtOnce) {
      float distances[kKeptAtOnce];
      const size_t count = std::min(kKeptAtOnce, kept.size() - i);
      code_space_.Distances(query, &kept[i], count, distances);
      leads_elsewhere = std::all_of(distances, distances + count,
                                    [&](float distance) { return distance >= candidate.distance; });
    }
    if (!leads_elsewhere) continue;
    kept.push_back(codes[candidate.ordinal]);
    (*candidates)[next++] = candidate;
  }
  candidates->resize(next);
}

void GraphBuilder::Connect(uint32_t node, int level, std::vector<Candidate>* candidates) {
  SelectDiverse(node, candidates, m_);
  std::vector<uint32_t> links;
  links.reserve(candidates->size());
  for (const Candidate& candidate : *candidates) links.push_back(candidate.ordinal);
  SetLinks(node, level, links);
  for (uint32_t link : links) AddLink(link, node, level);
}

void GraphBuilder::AddLink(uint32_t from, uint32_t to, int level) {
  MutexLock lock(&locks_[from % kLocks]);
  Link* const list = List(from, level);
  const uint32_t count = list[0].load(std::memory_order_relaxed);
  if (count < Room(level)) {
    list[1 + count].store(to, std::memory_order_release);
    list[0].store(count + 1, std::memory_order_release);
    return;
  }
  std::vector<uint32_t> links(count + 1);
  CopyLinks(from, level, links.data());
  links.back() = to;
  const CodeArray codes = this->codes();
  std::vector<const char*> link_codes;
  for (uint32_t link : links) link_codes.push_back(codes[link]);
  std::vector<float> distances(links.size());
  code_space_.Distances(code_space_.Prepare(codes[from]), link_codes.data(), links.size(),
                        distances.data());
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < links.size(); ++i) candidates.push_back({distances[i], links[i]});
  std::sort(candidates.begin(), candidates.end());
  SelectDiverse(from, &candidates, Room(level));
  links.clear();
  for (const Candidate& candidate : candidates) links.push_back(candidate.ordinal);
  SetLinks(from, level, links);
}

// The links that an adopted node takes along. False when a dropped one has no living neighbour.
bool GraphBuilder::SurvivingLinks(const GraphView& graph, uint32_t node, int level,
                                  absl::Span<const uint32_t> renumbered,
                                  std::vector<uint32_t>* out) const {
  std::vector<uint32_t>& links = *out;
  links.clear();
  bool all_have_heirs = true;
  for (uint32_t link : graph.Links(node, level)) {
    if (renumbered[link] != kNoNode) links.push_back(renumbered[link]);
  }
  const CodeArray codes = this->codes();
  const CodeSpace::Query query = code_space_.Prepare(codes[renumbered[node]]);
  for (uint32_t dropped : graph.Links(node, level)) {
    if (renumbered[dropped] != kNoNode) continue;
    Candidate nearest{std::numeric_limits<float>::max(), kNoNode};
    bool has_heirs = false;
    for (uint32_t link : graph.Links(dropped, level)) {
      const uint32_t heir = renumbered[link];
      if (heir == kNoNode || link == node) continue;
      has_heirs = true;
      if (std::find(links.begin(), links.end(), heir) != links.end()) continue;
      nearest = std::min(nearest, {code_space_.Distance(query, codes[heir]), heir});
    }
    if (nearest.ordinal != kNoNode) links.push_back(nearest.ordinal);
    all_have_heirs &= has_heirs;
  }
  return all_have_heirs;
}

bool GraphBuilder::Adopt(const GraphView& graph, uint32_t node, int level,
                         absl::Span<const uint32_t> renumbered) {
  const uint32_t adopted = renumbered[node];
  if (adopted == kNoNode) return true;
  PrepareNode(adopted, level);
  std::vector<uint32_t> links;
  for (int l = level; l > 0; --l) {
    SurvivingLinks(graph, node, l, renumbered, &links);
    SetLinks(adopted, l, links);
  }
  const bool whole = SurvivingLinks(graph, node, 0, renumbered, &links);
  SetLinks(adopted, 0, links);
  MutexLock lock(&entry_mu_);
  if (entry_.node == kNoNode || level > entry_.level) entry_ = {adopted, level};
  return whole;
}

EntryPoint GraphBuilder::entry() const {
  MutexLock lock(&entry_mu_);
  return entry_;
}

GraphArrays GraphBuilder::Freeze(uint32_t nodes) const {
  GraphArrays graph(nodes, m_);
  std::vector<uint32_t> buffer(Room(0));
  for (uint32_t node = 0; node < nodes; ++node) {
    for (int level = 0; level <= levels_.data()[node]; ++level) {
      graph.AddLevel(node, level, CopyLinks(node, level, buffer.data()));
    }
  }
  graph.set_entry(entry());
  return graph;
}

size_t GraphBuilder::memory_bytes(uint32_t nodes) const {
  return nodes * (code_space_.code_bytes() + (1 + Room(0)) * sizeof(Link) + sizeof(Link*) + 1);
}

}  // namespace varve::index
