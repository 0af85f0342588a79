// The varve command line.

#include <unistd.h>

#include <iostream>

#include "clients/cli/app.h"
#include "clients/cli/interrupt.h"

int main(int argc, char** argv) {
  varve::cli::Interrupt interrupt;
  return varve::cli::Run({.command_line = {argv, argv + argc},
                          .out = &std::cout,
                          .err = &std::cerr,
                          .err_is_terminal = isatty(STDERR_FILENO) == 1,
                          .interrupt = &interrupt});
}
