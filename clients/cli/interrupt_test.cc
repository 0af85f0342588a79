#include "clients/cli/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <future>

namespace varve::cli {
namespace {

TEST(InterruptTest, TheFirstSignalCallsTheHandler) {
  for (const int signal : {SIGINT, SIGTERM}) {
    Interrupt interrupt;
    EXPECT_FALSE(interrupt.happened());
    std::promise<void> called;
    interrupt.SetHandler([&] { called.set_value(); });
    kill(getpid(), signal);
    called.get_future().wait();
    EXPECT_TRUE(interrupt.happened());
  }
}

TEST(InterruptTest, AHandlerThatComesLateIsCalledAtOnce) {
  Interrupt interrupt;
  std::promise<void> called;
  interrupt.SetHandler([&] { called.set_value(); });
  kill(getpid(), SIGINT);
  called.get_future().wait();
  bool late = false;
  interrupt.SetHandler([&] { late = true; });
  EXPECT_TRUE(late);
  interrupt.SetHandler(nullptr);
}

TEST(InterruptDeathTest, TheSecondSignalKills) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        Interrupt interrupt;
        std::promise<void> called;
        interrupt.SetHandler([&] { called.set_value(); });
        kill(getpid(), SIGINT);
        called.get_future().wait();
        kill(getpid(), SIGINT);
        pause();
      },
      ::testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace varve::cli
