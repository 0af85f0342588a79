#!/usr/bin/env bash
# build.sh OUT: generates the stubs and leaves in OUT
#   module/   the Go module varve.dev/go, ready for `go mod edit -replace varve.dev/go=OUT/module`
#   example   programs/example, built against that module
#   driver    programs/driver, the same
# Needs go (1.19 or later; GO names another) and protoc. Downloads what the module cache does not have.
set -euo pipefail

if (($# != 1)); then
  echo "usage: build.sh OUT" >&2
  exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")"
go=${GO:-go}
proto=../../proto
export GOTOOLCHAIN=local # the Go that is there, not a newer one from the network

# A plugin that is there in this version stays, so that only the first build looks for it in the network.
install_plugin() { # PACKAGE VERSION
  local plugin=$out/bin/${1##*/}
  if [[ -x $plugin && $("$plugin" --version) == *[\ v]"$2" ]]; then return; fi
  GOBIN=$out/bin "$go" install "$1@v$2"
}
install_plugin google.golang.org/protobuf/cmd/protoc-gen-go 1.33.0
install_plugin google.golang.org/grpc/cmd/protoc-gen-go-grpc 1.3.0

rm -rf "$out/module"
mkdir "$out/module"
cp -r go.mod go.sum README.md ../../LICENSE varve ingest "$out/module"
PATH=$out/bin:$PATH protoc --proto_path="$proto" \
  --go_out="$out/module" --go_opt=module=varve.dev/go \
  --go-grpc_out="$out/module" --go-grpc_opt=module=varve.dev/go \
  "$proto"/varve/v1/*.proto
(cd "$out/module" && "$go" build ./...)

# What a user of the module would do, in copies: the tree stays as it is.
cp programs/go.mod "$out/programs.mod"
cp go.sum "$out/programs.sum"
"$go" mod edit -replace "varve.dev/go=$out/module" "$out/programs.mod"
(cd programs && "$go" build -buildvcs=false -modfile="$out/programs.mod" -o "$out/" ./...)
