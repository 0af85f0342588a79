#ifndef VARVE_SERVER_VERSION_H_
#define VARVE_SERVER_VERSION_H_

#include <string_view>

namespace varve::server {

// The release this is built from; see CHANGELOG.md.
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace varve::server

#endif  // VARVE_SERVER_VERSION_H_
