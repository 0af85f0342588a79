#ifndef VARVE_STORAGE_RECORD_STORE_CONTRACT_H_
#define VARVE_STORAGE_RECORD_STORE_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "storage/record_store.h"

namespace varve::storage {

// An implementation of RecordStore and the data it keeps, for one test.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual RecordStore& store() = 0;
  // Closes the store and opens it again, with what was in it.
  virtual void Reopen() = 0;
};

// What every RecordStore promises, as tests (record_store_contract.cc). An implementation's own
// test instantiates them with INSTANTIATE_TEST_SUITE_P and a function that makes an empty store.
class RecordStoreContractTest
    : public testing::TestWithParam<std::function<std::unique_ptr<StoreUnderTest>()>> {
 protected:
  RecordStore& store() { return under_test_->store(); }
  void Reopen() { under_test_->Reopen(); }

 private:
  const std::unique_ptr<StoreUnderTest> under_test_ = GetParam()();
};

}  // namespace varve::storage

#endif  // VARVE_STORAGE_RECORD_STORE_CONTRACT_H_
