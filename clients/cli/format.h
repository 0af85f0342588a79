#ifndef VARVE_CLIENTS_CLI_FORMAT_H_
#define VARVE_CLIENTS_CLI_FORMAT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "clients/cpp/varve/records.h"

namespace varve::cli {

// For people: "12,288", "16.3 MB" (10^6 bytes), "8.25s" or "2m03s".
std::string Thousands(uint64_t number);
std::string Megabytes(double bytes);
std::string Took(absl::Duration duration);
// An estimate: "9s", "2m3s".
std::string About(absl::Duration duration);

// "7" or "text", with bytes that would disturb a terminal escaped.
std::string IdText(const client::Id& id);

// The line that a filter is, with a caret below the column that `message`, a server's, names in it:
// "filter, column 7: ...". Empty where it names none, or there is no filter.
std::string FilterFault(std::string_view filter, std::string_view message);

// Milliseconds, without their unit: "0.125".
std::string Milliseconds(absl::Duration duration);
// A share in percent, without the sign: "12.50".
std::string Percent(double share);

// A word as a shell reads it back, quoted if it has to be.
std::string ShellWord(std::string_view word);

// Lines of cells in columns, the first line being the head; numbers to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { Add(std::move(head)); }
  void Add(std::vector<std::string> line) { lines_.push_back(std::move(line)); }
  // Leaves out columns, from `first` on, in which there is nothing below the head.
  void DropEmpty(size_t first);
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> lines_;
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_FORMAT_H_
