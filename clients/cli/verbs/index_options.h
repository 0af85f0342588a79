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

// Calls `visit(name, limit, help)` with each limit of a namespace.
template <typename Limits, typename Visit>
void ForEachLimit(Limits* limits, Visit visit) {
  visit("max_vectors", limits->max_vectors, "Vectors that it may hold, all fields together");
  visit("max_vector_bytes", limits->max_vector_bytes, "Bytes of these vectors");
  visit("max_request_bytes", limits->max_request_bytes,
        "Bytes of a search, a write, or a batch of a stream");
  visit("max_k", limits->max_k, "Results that a search may ask for");
  visit("max_ef_search", limits->max_ef_search, "Effort that a search may ask for");
  visit("max_searches", limits->max_searches, "Searches at a time");
  visit("max_streams", limits->max_streams, "Ingest streams at a time");
  visit("max_ingest_bytes_per_second", limits->max_ingest_bytes_per_second,
        "Bytes written each second; streams are held back");
}

// An option for each limit; those that are not given stay unset.
void AddLimitOptions(CLI::App* verb, client::NamespaceLimits* limits);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_VERBS_INDEX_OPTIONS_H_
