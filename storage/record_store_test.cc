#include "storage/record_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "storage/record_store_contract.h"
#include "storage/temporary_directory.h"

namespace varve::storage {
namespace {

// RocksDB in a directory of its own.
class RocksUnderTest final : public StoreUnderTest {
 public:
  RocksUnderTest() { Reopen(); }
  RecordStore& store() override { return *store_; }
  void Reopen() override {
    store_.reset();
    auto store = RecordStore::Open(directory_.path(), RecordStoreOptions());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

 private:
  const TemporaryDirectory directory_;
  std::unique_ptr<RecordStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Rocks, RecordStoreContractTest,
                         testing::Values([] { return std::make_unique<RocksUnderTest>(); }));

}  // namespace
}  // namespace varve::storage
