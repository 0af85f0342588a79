#include "index/active_segment.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/give_way.h"
#include "base/status_macros.h"
#include "index/graph_repair.h"

namespace varve::index {

ActiveSegment::ActiveSegment(uint64_t id, VectorSpace space, const IndexOptions& options,
                             uint32_t capacity)
    : Segment(id, space, std::make_shared<RowHistory>(capacity)),
      rows_(space.row_bytes(), capacity),
      options_(options) {}

void ActiveSegment::Commit(uint32_t rows) {
  MutexLock lock(&mu_);
  committed_ = rows;
}

bool ActiveSegment::Close() {
  MutexLock lock(&mu_);
  if (Ended()) return false;  // whoever links the last row says so
  closed_ = true;
  return linked_.load(std::memory_order_relaxed) == committed_;
}

bool ActiveSegment::TakesRows() const {
  MutexLock lock(&mu_);
  return !Ended();
}

bool ActiveSegment::LinkSome() {
  uint32_t begin, end;
  {
    MutexLock lock(&mu_);
    if (!Due() || taken_ == committed_) return false;
    if (builder_ == nullptr) {
      builder_ = std::make_unique<GraphBuilder>(this, capacity(), committed_, space(), options_);
    }
    begin = taken_;
    end = std::min(committed_, begin + kRowsPerTurn);
    taken_ = end;
  }
  for (uint32_t ordinal = begin; ordinal < end; ++ordinal) {
    builder_->Insert(ordinal);
    GiveWay();
  }

  MakeBlocks(linked_.load(std::memory_order_relaxed));

  MutexLock lock(&mu_);
  finished_[begin] = end;
  uint32_t linked = linked_.load(std::memory_order_relaxed);
  while (!finished_.empty() && finished_.begin()->first == linked) {
    linked = finished_.begin()->second;
    finished_.erase(finished_.begin());
  }
  const bool advanced = linked != linked_.load(std::memory_order_relaxed);
  linked_.store(linked, std::memory_order_release);
  return advanced && Ended() && linked == committed_;
}

uint32_t ActiveSegment::Waiting() const {
  MutexLock lock(&mu_);
  return Due() ? committed_ - taken_ : 0;
}

uint32_t ActiveSegment::Unlinked(uint64_t row) const {
  MutexLock lock(&mu_);
  if (!Due()) return 0;
  const uint32_t below = LowerBound(row, committed_);
  return below - std::min(below, linked_.load(std::memory_order_relaxed));
}

absl::StatusOr<SegmentFileSummary> ActiveSegment::WriteTo(ByteSink* sink) const {
  const uint32_t rows = rows_.size();
  GraphArrays graph = builder_->Freeze(rows);
  ConnectUnreachable(builder_->codes(), &graph);
  ColumnBlocks blocks = Blocks();
  const auto first_left = static_cast<uint32_t>(blocks.size() * kRowsPerBlock);
  for (uint32_t begin = first_left; begin < rows; begin += kRowsPerBlock) {
    blocks.push_back(MakeBlock(begin, std::min(rows, begin + kRowsPerBlock)));
  }
  std::vector<ColumnsToMerge> attributes;
  for (size_t i = 0; i < blocks.size(); ++i) {
    attributes.push_back({.columns = &blocks[i]->columns,
                          .renumbered = {},
                          .first = static_cast<uint32_t>(i * kRowsPerBlock)});
  }
  return WriteSegment(id(), space(), *this, rows, graph, builder_->codes(), attributes, sink);
}

ActiveSegment::ColumnBlocks ActiveSegment::Blocks() const {
  MutexLock lock(&columns_mu_);
  return blocks_;
}

std::shared_ptr<const ActiveSegment::ColumnBlock> ActiveSegment::MakeBlock(uint32_t begin,
                                                                           uint32_t end) const {
  AttributeColumnsBuilder builder;
  for (uint32_t i = begin; i < end; ++i) builder.Add(i - begin, rows_.attributes(i));
  auto block = std::make_shared<ColumnBlock>();
  block->bytes = builder.Finish();
  // Bytes of our own always parse.
  block->columns = *AttributeColumns::Parse(block->bytes, end - begin, "attributes");
  return block;
}

void ActiveSegment::MakeBlocks(uint32_t linked) {
  MutexLock making(&making_columns_mu_);
  for (size_t made = Blocks().size(); (made + 1) * kRowsPerBlock <= linked; ++made) {
    const auto begin = static_cast<uint32_t>(made * kRowsPerBlock);
    auto block = MakeBlock(begin, begin + kRowsPerBlock);
    MutexLock lock(&columns_mu_);
    blocks_.push_back(std::move(block));
  }
}

std::shared_ptr<const RowBitmap> ActiveSegment::MatchAsWritten(const metadata::Filter& filter,
                                                               uint32_t visible) const {
  auto matches = std::make_shared<RowBitmap>(visible);
  const ColumnBlocks blocks = Blocks();
  uint32_t begin = 0;
  for (const auto& block : blocks) {
    if (begin >= visible) return matches;
    matches->Place(begin, block->columns.Select(filter));
    begin += kRowsPerBlock;
  }
  for (uint32_t i = begin; i < visible; ++i) {
    if (metadata::Matches(filter, rows_.attributes(i))) matches->Set(i);
  }
  return matches;
}

double ActiveSegment::EstimateMatches(const metadata::Filter& filter, uint32_t visible) const {
  const ColumnBlocks blocks = Blocks();
  if (blocks.empty()) return visible;
  double estimate = 0;
  for (const auto& block : blocks) estimate += block->columns.Estimate(filter);
  return estimate * visible / static_cast<double>(blocks.size() * kRowsPerBlock);
}

absl::Status ActiveSegment::Search(const SegmentQuery& query, uint32_t visible,
                                   TopK<Candidate>* nearest, SearchReport* report) const {
  // The graph may hold rows beyond `linked` and `visible`: the walk passes through them, and
  // results are taken from below both, so no row is found twice and none that the reader must not
  // see.
  const uint32_t linked = std::min(linked_.load(std::memory_order_acquire), visible);
  const auto vector = [this](uint32_t ordinal) { return rows_.vector(ordinal); };
  const SearchPlan plan = Plan(query, linked, options_.m);
  if (plan == SearchPlan::kScan && !WorthScanningCodes(query, linked)) {
    return Scan(query, vector, 0, visible, nearest, report);
  }
  if (plan == SearchPlan::kScan) {
    VARVE_RETURN_IF_ERROR(ScanCodes(query, vector, builder_->codes(), linked, nearest, report));
    return Scan(query, vector, linked, visible, nearest, report);
  }
  VARVE_RETURN_IF_ERROR(Walk(query, plan, vector, GraphBuilder::Links(builder_.get()),
                             builder_->codes(), builder_->entry(), capacity(), linked, nearest,
                             report));
  return Scan(query, vector, linked, visible, nearest, report);
}

SegmentInfo ActiveSegment::Info(uint32_t visible) const {
  const uint32_t linked = linked_.load(std::memory_order_acquire);
  return {.id = id(),
          .state = TakesRows() ? SegmentState::kActive : SegmentState::kSealing,
          .rows = visible,
          .live_rows = LiveRows(visible),
          .indexed_rows = linked,
          .memory_bytes = rows_.memory_bytes() + (linked > 0 ? builder_->memory_bytes(linked) : 0)};
}

}  // namespace varve::index
