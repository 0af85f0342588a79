#include <dlfcn.h>

#include <cstdint>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace {

using Extend = uint32_t (*)(uint32_t crc, const char* data, size_t size);

constexpr char kName[] = "_ZN7rocksdb6crc32c6ExtendEjPKcm";

// What the library would use by itself.
Extend Theirs() {
  // A function beside it that nothing takes the place of.
  void* const neighbor = dlsym(RTLD_DEFAULT, "_ZN7rocksdb6crc32c13Crc32cCombineEjjm");
  Dl_info info;
  if (neighbor == nullptr || dladdr(neighbor, &info) == 0) return nullptr;
  void* const library = dlopen(info.dli_fname, RTLD_NOLOAD | RTLD_NOW);
  return library == nullptr ? nullptr : reinterpret_cast<Extend>(dlsym(library, kName));
}

TEST(RocksCrc32cTest, TheLibraryFindsTheProgramsChecksum) {
  void* const found = dlsym(RTLD_DEFAULT, kName);
  ASSERT_NE(found, nullptr);
  Dl_info here, there;
  ASSERT_NE(dladdr(found, &there), 0);
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&Theirs), &here), 0);
  EXPECT_EQ(here.dli_fbase, there.dli_fbase) << there.dli_fname;
}

TEST(RocksCrc32cTest, ItIsTheSameChecksum) {
  const Extend theirs = Theirs();
  ASSERT_NE(theirs, nullptr);
  const auto ours = reinterpret_cast<Extend>(dlsym(RTLD_DEFAULT, kName));
  EXPECT_NE(ours, theirs);
  std::mt19937 random(1);
  std::string bytes(3000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  for (size_t size = 0; size < 2900; size += 1 + size / 50) {
    const char* const data = bytes.data() + size % 13;
    const uint32_t crc = static_cast<uint32_t>(random());
    EXPECT_EQ(ours(crc, data, size), theirs(crc, data, size)) << size;
  }
  EXPECT_EQ(ours(0, "123456789", 9), 0xe3069283u);  // RFC 3720's polynomial
}

}  // namespace
