#ifndef VARVE_CLIENTS_CLI_VERBS_INDEX_OPTIONS_H_
#define VARVE_CLIENTS_CLI_VERBS_INDEX_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "clients/cpp/varve/namespace.h"

namespace varve::cli {

// An option whose value is one of a few words.
template <typename Value, typename T>
void AddChoice(CLI::App* verb, const std::string& name, Value* value,
               const std::vector<std::pair<std::string, T>>& choices, const std::string& help) {
  std::vector<std::string> words;
  for (const auto& choice : choices) words.push_back(choice.first);
  verb->add_option_function<std::string>(
          name,
          [value, choices](const std::string& word) {
            for (const auto& choice : choices) {
              if (choice.first == word) *value = choice.second;
            }
          },
          help)
      ->check(CLI::IsMember(words));
}

// An option for each index option; those that are not given stay unset.
void AddIndexOptions(CLI::App* verb, client::IndexOptions* index);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_VERBS_INDEX_OPTIONS_H_
