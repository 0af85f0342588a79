#include "index/compaction.h"

#include <algorithm>
#include <utility>

#include "base/give_way.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "index/graph_repair.h"

namespace varve::index {
namespace {

// A graph of which more is dead is better grown anew than mended.
constexpr uint64_t kDeadPercentAdopted = 50;

// A graph with more gaps than one in so many nodes stands at is grown anew too: a walk that comes to a
// gap finds what is near on its own side, and turns back.
constexpr uint64_t kAdoptedPerFrayed = 1000;

// The sample whose neighbours tell whether a new graph is as good as those it replaces.
constexpr uint64_t kSampleQueries = 64;
constexpr size_t kSampleNeighbors = 10;
constexpr double kSampleNoise = 0.01;

constexpr uint32_t kRowsPerGivingWay = 4096;
constexpr uint32_t kRowsPerEncodeTurn = 64;

// How many of `found` are among the nearest: their distance tells as well as their numbers would.
size_t CountWithin(const TopK<float>& truth, TopK<float> found) {
  const std::vector<float> distances = found.TakeSorted();
  return std::count_if(distances.begin(), distances.end(),
                       [&](float distance) { return distance <= truth.worst(); });
}

uint32_t LiveRows(const SealedSegment& segment) {
  return segment.size() - std::min(segment.size(), segment.tombstones()->dead());
}

bool WorthAdopting(const SealedSegment& segment, uint32_t m) {
  const uint64_t dead = segment.size() - LiveRows(segment);
  return segment.graph().m() == m && dead * 100 <= kDeadPercentAdopted * segment.size();
}

}  // namespace

Compaction::Compaction(uint64_t id, const VectorSpace& space, const IndexOptions& options,
                       uint64_t sequence, std::vector<std::shared_ptr<const SealedSegment>> inputs,
                       bool anew)
    : id_(id),
      space_(space),
      options_(options),
      sequence_(sequence),
      inputs_(std::move(inputs)),
      anew_(anew) {}

bool Compaction::Takes(const Segment& segment) const {
  return std::any_of(inputs_.begin(), inputs_.end(),
                     [&](const auto& input) { return input.get() == &segment; });
}

bool Compaction::HasWork() const {
  MutexLock lock(&mu_);
  return stage_ != kDone && taken_ < items_[stage_];
}

absl::Status Compaction::status() const {
  MutexLock lock(&mu_);
  return status_;
}

Compaction::Turn Compaction::Take() {
  constexpr uint32_t kItemsPerTurn[] = {1, 64, 32};
  MutexLock lock(&mu_);
  if (stage_ == kDone || taken_ == items_[stage_]) return {};
  Turn turn{.stage = stage_, .begin = taken_};
  turn.end = taken_ = std::min(items_[stage_], taken_ + kItemsPerTurn[stage_]);
  return turn;
}

bool Compaction::Finish(const Turn& turn) {
  MutexLock lock(&mu_);
  finished_ += turn.end - turn.begin;
  if (finished_ < items_[stage_]) return false;
  NextStage();
  return stage_ == kDone;
}

void Compaction::NextStage() {
  if (stage_ == kAdopt && frayed_ * kAdoptedPerFrayed > adopted_.end - adopted_.begin) StartAnew();
  do {
    stage_ = static_cast<Stage>(stage_ + 1);
    taken_ = finished_ = 0;
  } while (stage_ != kDone && items_[stage_] == 0);
}

bool Compaction::Work() {
  const Turn turn = Take();
  switch (turn.stage) {
    case kDone:
      return false;
    case kPrepare:
      Prepare();
      break;
    case kAdopt:
      Adopt(turn);
      break;
    case kInsert:
      for (uint32_t i = turn.begin; i < turn.end; ++i) {
        builder_->Insert(i < adopted_.begin ? i : i - adopted_.begin + adopted_.end);
        GiveWay();
      }
      break;
  }
  GiveWay();
  return Finish(turn);
}

void Compaction::Prepare() {
  absl::Status status;
  for (const auto& input : inputs_) {
    const absl::Status verified = input->Verify();
    if (absl::IsDataLoss(verified)) damaged_.push_back(input->id());
    status.Update(verified);
  }
  if (!status.ok()) {
    MutexLock lock(&mu_);
    status_ = status;
    return;
  }
  uint32_t largest = 0;
  std::vector<uint32_t> begins;
  for (uint32_t i = 0; i < inputs_.size(); ++i) {
    begins.push_back(size());
    Keep(i);
    if (LiveRows(*inputs_[i]) > LiveRows(*inputs_[largest])) largest = i;
  }
  if (kept_.empty()) return;
  builder_ = std::make_unique<GraphBuilder>(this, size(), size(), space_, options_);
  if (!anew_ && WorthAdopting(*inputs_[largest], options_.m)) AdoptGraph(largest, begins[largest]);

  MutexLock lock(&mu_);
  items_[kAdopt] = static_cast<uint32_t>(adopted_.renumbered.size());
  items_[kInsert] = size() - (adopted_.end - adopted_.begin);
}

void Compaction::Keep(uint32_t input) {
  const SealedSegment& segment = *inputs_[input];
  for (uint32_t ordinal = 0; ordinal < segment.size(); ++ordinal) {
    if (segment.tombstones()->LiveAt(ordinal, sequence_)) kept_.push_back({input, ordinal});
  }
}

void Compaction::AdoptGraph(uint32_t input, uint32_t begin) {
  const SealedSegment& segment = *inputs_[input];
  adopted_.segment = &segment;
  adopted_.begin = adopted_.end = begin;
  adopted_.levels = segment.graph().Levels();
  adopted_.renumbered.assign(segment.size(), kNoNode);
  for (; adopted_.end < size() && kept_[adopted_.end].input == input; ++adopted_.end) {
    adopted_.renumbered[kept_[adopted_.end].ordinal] = adopted_.end;
    builder_->Encode(adopted_.end);
    if (adopted_.end % kRowsPerEncodeTurn == 0) GiveWay();
  }
}

void Compaction::Adopt(const Turn& turn) {
  const GraphView& graph = adopted_.segment->graph();
  uint32_t frayed = 0;
  for (uint32_t node = turn.begin; node < turn.end; ++node) {
    if (!builder_->Adopt(graph, node, adopted_.levels[node], adopted_.renumbered)) ++frayed;
  }
  MutexLock lock(&mu_);
  frayed_ += frayed;
}

void Compaction::StartAnew() {
  adopted_ = {};
  builder_ = std::make_unique<GraphBuilder>(this, size(), size(), space_, options_);
  items_[kInsert] = size();
}

absl::StatusOr<SegmentFileSummary> Compaction::WriteTo(ByteSink* sink) const {
  GraphArrays graph = builder_->Freeze(size());
  ConnectUnreachable(builder_->codes(), &graph);
  std::vector<std::vector<uint32_t>> renumbered = Renumbered();
  // What was changed since is taken from there, and not from the columns.
  std::vector<std::string> changed_bytes;
  std::vector<uint32_t> changed_rows;
  AttributeColumnsBuilder changed_builder;
  std::vector<ColumnsToMerge> attributes;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    inputs_[i]->history()->overlay.ForEach(
        sequence_, [&](uint32_t ordinal, std::string_view encoded) {
          const uint32_t becomes = std::exchange(renumbered[i][ordinal], kNoOrdinal);
          if (becomes == kNoOrdinal) return;
          changed_bytes.emplace_back(encoded);
          changed_rows.push_back(becomes);
        });
    attributes.push_back(
        {.columns = &inputs_[i]->columns(), .renumbered = renumbered[i], .first = 0});
  }
  for (size_t i = 0; i < changed_rows.size(); ++i) {
    changed_builder.Add(changed_rows[i], changed_bytes[i]);
  }
  const std::string changed_block = changed_builder.Finish();
  VARVE_ASSIGN_OR_RETURN(const AttributeColumns changed,
                         AttributeColumns::Parse(changed_block, size(), "changed attributes"));
  attributes.push_back({.columns = &changed, .renumbered = {}, .first = 0});
  return WriteSegment(id_, space_, *this, size(), graph, builder_->codes(), attributes, sink);
}

std::vector<std::vector<uint32_t>> Compaction::Renumbered() const {
  std::vector<std::vector<uint32_t>> renumbered;
  for (const auto& input : inputs_) renumbered.emplace_back(input->size(), kNoOrdinal);
  for (uint32_t i = 0; i < size(); ++i) renumbered[kept_[i].input][kept_[i].ordinal] = i;
  return renumbered;
}

absl::Status Compaction::Verify(const SealedSegment& made) const {
  VARVE_RETURN_IF_ERROR(made.Verify());
  if (const size_t lost = UnreachableNodes(made.graph()).size(); lost > 0) {
    return absl::InternalError(StrCat("compaction: ", lost, " of ", size(),
                                      " rows cannot be reached in the graph of segment ", id_));
  }
  std::vector<const SealedSegment*> inputs;
  uint64_t rows = 0;  // dead ones too: where they were, others must be found now
  for (const auto& input : inputs_) {
    inputs.push_back(input.get());
    rows += input->size();
  }
  const uint64_t sample = std::min(kSampleQueries, rows);
  RowReader reader(space_);
  size_t wanted = 0, before = 0, after = 0;
  for (uint64_t i = 0; i < sample; ++i) {
    const float* query = reader.Read(InputVector(i * rows / sample));
    const TopK<float> truth = NearestByScan(query);
    wanted += truth.size();
    before += CountWithin(truth, NearestBySearch(query, inputs, options_.ef_search));
    after +=
        CountWithin(truth, NearestBySearch(query, {&made}, options_.ef_search * inputs.size()));
  }
  if (after + kSampleNoise * wanted >= before) return absl::OkStatus();
  return absl::InternalError(StrCat("compaction: of ", wanted, " neighbours of a sample segment ",
                                    id_, " finds ", after, ", the segments it is made of find ",
                                    before));
}

TopK<float> Compaction::NearestByScan(const float* query) const {
  TopK<float> nearest(kSampleNeighbors);
  for (uint32_t row = 0; row < size(); ++row) {
    const float distance = space_.RawDistance(query, vector(row));
    if (nearest.Wants(distance)) nearest.Offer(distance);
    if (row % kRowsPerGivingWay == 0) GiveWay();
  }
  return nearest;
}

TopK<float> Compaction::NearestBySearch(const float* query,
                                        const std::vector<const SealedSegment*>& segments,
                                        size_t ef) const {
  const CallControl control;  // nobody cancels
  TopK<float> nearest(kSampleNeighbors);
  for (const SealedSegment* segment : segments) {
    TopK<Candidate> found(kSampleNeighbors);
    SearchReport report;
    segment
        ->Search({.vector = query,
                  .k = kSampleNeighbors,
                  .ef = std::max(ef, kSampleNeighbors),
                  .sequence = sequence_,
                  .control = &control},
                 segment->size(), &found, &report)
        .IgnoreError();
    for (const Candidate& candidate : found.TakeSorted()) nearest.Offer(candidate.distance);
    GiveWay();
  }
  return nearest;
}

const char* Compaction::InputVector(uint64_t position) const {
  size_t input = 0;
  for (; position >= inputs_[input]->size(); ++input) position -= inputs_[input]->size();
  return inputs_[input]->vector(static_cast<uint32_t>(position));
}

void Compaction::CopyHistory(RowHistory* history) const {
  bool changed = false;
  for (const auto& input : inputs_) changed |= input->history()->overlay.changed_rows() > 0;
  const auto renumbered = changed ? Renumbered() : std::vector<std::vector<uint32_t>>();
  for (size_t i = 0; i < renumbered.size(); ++i) {
    inputs_[i]->history()->overlay.ForEachSince(
        sequence_, [&](uint32_t ordinal, uint64_t changed_at, std::string_view encoded) {
          const uint32_t becomes = renumbered[i][ordinal];
          if (becomes != kNoOrdinal) history->overlay.Set(becomes, changed_at, encoded, 0);
        });
  }
  for (uint32_t ordinal = 0; ordinal < size(); ++ordinal) {
    const uint64_t died_at = Input(ordinal).tombstones()->DiedAt(kept_[ordinal].ordinal);
    if (died_at != 0 && history->tombstones.DiedAt(ordinal) == 0) {
      history->tombstones.MarkDead(ordinal, died_at);
    }
  }
}

}  // namespace varve::index
