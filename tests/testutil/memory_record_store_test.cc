#include "tests/testutil/memory_record_store.h"

#include <gtest/gtest.h>

#include <memory>

#include "storage/record_store_contract.h"

namespace varve::storage {
namespace {

class MemoryUnderTest final : public StoreUnderTest {
 public:
  RecordStore& store() override { return store_; }
  void Reopen() override {}

 private:
  MemoryRecordStore store_;
};

INSTANTIATE_TEST_SUITE_P(Memory, RecordStoreContractTest,
                         testing::Values([] { return std::make_unique<MemoryUnderTest>(); }));

}  // namespace
}  // namespace varve::storage
