// Runs a libFuzzer target on mutations of the files named on the command line, the same ones every
// time, so that it can be a test like any other. Prints how to repeat what it did when it crashes:
// the run's number is the seed.

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr uint32_t kRuns = 20'000;

void Run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

// Some of: a bit flipped, a number made extreme, bytes cut off, copied or repeated.
std::string Mutate(std::string bytes, std::mt19937* random) {
  constexpr uint32_t kExtremes[] = {0, 1, 0x7fff'ffff, 0x8000'0000, 0xffff'ffff, 64, 1 << 20};
  for (uint32_t changes = 1 + (*random)() % 4; changes > 0 && bytes.size() > 8; --changes) {
    const size_t at = (*random)() % (bytes.size() - 8);
    switch ((*random)() % 5) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << (*random)() % 8));
        break;
      case 1: {
        const uint32_t value = kExtremes[(*random)() % std::size(kExtremes)];
        bytes.replace(at / 4 * 4, 4, reinterpret_cast<const char*>(&value), 4);
        break;
      }
      case 2:
        bytes.resize((*random)() % 8 == 0 ? at : bytes.size());
        break;
      case 3:
        bytes.replace(at, 8, bytes.substr((*random)() % (bytes.size() - 8), 8));
        break;
      default:
        bytes[at] = static_cast<char>((*random)());
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> seeds;
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "%s: cannot be read\n", argv[i]);
      return 1;
    }
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    Run(seeds.back());
  }
  for (uint32_t run = 0; run < kRuns && !seeds.empty(); ++run) {
    std::mt19937 random(run);
    Run(Mutate(seeds[run % seeds.size()], &random));
  }
  std::printf("%u runs\n", kRuns);
}
