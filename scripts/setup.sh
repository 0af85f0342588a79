# What a machine must have to build and test Varve, and how to get it: sourced by ./dev, run from the
# repository's root. Every setup_* function returns at once when its part is there already.

TOOLS=.tools
LOGS=$TOOLS/logs

# Debian 12 packages. Their versions are Debian 12's own; nothing else is linked into the server.
BUILD_PACKAGES=(
  bazel-bootstrap bazel-rules-java bazel-rules-proto ca-certificates clang libstdc++-12-dev lld
  libabsl-dev libbenchmark-dev libcli11-dev libcpp-httplib-dev libfmt-dev libgmock-dev libgrpc++-dev
  libgtest-dev libhdf5-dev libhnswlib-dev libhwy-dev libjemalloc-dev libprotobuf-dev librocksdb-dev
  libspdlog-dev libssl-dev nlohmann-json3-dev prometheus-cpp-dev protobuf-compiler
  protobuf-compiler-grpc zlib1g-dev
)
PYTHON_PACKAGES=(ca-certificates openssl python3 python3-venv)
FORMAT_PACKAGES=(clang-format)
TEST_PACKAGES=(clang-format libclang-rt-14-dev llvm shellcheck)
LINT_PACKAGES=(clang-tidy)
CONTAINER_PACKAGES=(buildah debootstrap)

GRPCURL=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.8.9 # the last that Debian 12's Go 1.19 builds

say() { printf '==> %s\n' "$*"; }

die() {
  printf './dev: %s\n' "$*" >&2
  exit 1
}

# attempt WHAT CURE COMMAND...: runs COMMAND quietly; when it fails shows the end of what it printed,
# then one line that names WHAT could not be had and the CURE to try.
attempt() {
  local what=$1 cure=$2 log
  shift 2
  mkdir -p "$LOGS"
  log=${what//[^a-zA-Z0-9]/-}
  log=$LOGS/${log:0:40}.log
  say "$what"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    die "failed: $what. $cure (all output: $log)"
  fi
}

as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

# Prints those of the packages named that are not installed.
missing_packages() {
  local package status
  local -A installed=()
  while read -r package status; do
    if [[ $status == installed ]]; then installed[$package]=1; fi
  done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null)
  for package in "$@"; do
    if [[ -z ${installed[$package]:-} ]]; then printf '%s\n' "$package"; fi
  done
}

install_packages() {
  local missing
  command -v dpkg-query >/dev/null ||
    die "this machine has no dpkg: set-up knows Debian 12 only. Use a Debian 12 machine or container"
  mapfile -t missing < <(missing_packages "$@" | sort -u)
  if ((${#missing[@]} == 0)); then return; fi
  (
    # shellcheck source=/dev/null
    source /etc/os-release
    [[ ${ID:-} == debian && ${VERSION_ID:-} == 12 ]]
  ) || die "missing: ${missing[*]}. Set-up knows Debian 12 only; install them by other means"
  if [[ $(id -u) != 0 ]] && ! command -v sudo >/dev/null; then
    die "missing: ${missing[*]}. Run ./dev as root, or have root apt-get install them"
  fi
  attempt "apt-get update" "Are the network and /etc/apt/sources.list in order?" \
    as_root apt-get -o DPkg::Lock::Timeout=300 update
  attempt "apt-get install ${missing[*]}" "Is the network up, and does apt know Debian 12 (main)?" \
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
    install -y --no-install-recommends "${missing[@]}"
}

# A virtual environment of Debian's Python, with the packages of tests/requirements.txt.
setup_python() {
  local wanted=tests/requirements.txt venv=$TOOLS/python
  install_packages "${PYTHON_PACKAGES[@]}"
  if cmp -s $wanted $venv/requirements.txt; then return; fi
  attempt "Python environment in $venv" "Is there space on the disk?" \
    /usr/bin/python3 -m venv --clear $venv
  attempt "pip install -r $wanted" "Can this machine reach the Python package index?" \
    $venv/bin/python -m pip install --disable-pip-version-check -r $wanted
  cp $wanted $venv/requirements.txt
}

# buf. A machine may have npm from elsewhere than Debian, which would conflict with Debian's.
setup_buf() {
  local wanted=tests/tools/package-lock.json prefix=$TOOLS/npm
  if cmp -s $wanted $prefix/installed-lock.json; then return; fi
  if ! command -v npm >/dev/null; then install_packages ca-certificates npm; fi
  mkdir -p $prefix
  cp tests/tools/package.json $wanted $prefix/
  # Not `npm ci`: the lock leaves out buf's packages for other systems than Linux.
  attempt "npm install (buf) in $prefix" "Can this machine reach the npm registry?" \
    npm install --prefix $prefix --ignore-scripts --no-audit --no-fund
  cp $wanted $prefix/installed-lock.json
}

# grpcurl. As with npm, a Go from elsewhere is taken as it is.
setup_grpcurl() {
  local stamp=$TOOLS/bin/grpcurl.version
  if [[ -e $stamp && $(<"$stamp") == "$GRPCURL" ]]; then return; fi
  if ! command -v go >/dev/null; then install_packages ca-certificates golang-go; fi
  attempt "go install $GRPCURL" "Can this machine reach the Go module proxy?" \
    env GOBIN="$PWD/$TOOLS/bin" go install $GRPCURL
  printf '%s\n' $GRPCURL >$stamp
}

# Whether containers can be built and run here: by root, where mounts and processes may be kept apart.
has_containers() { [[ $(id -u) == 0 ]] && unshare --mount --pid --fork true 2>/dev/null; }

# What the tests of deploy/ need of the network: the image's base with the server's libraries, and the
# program that checks the manifests for Kubernetes. Both are remade at once when nothing has changed.
setup_deploy() {
  if has_containers; then
    install_packages "${CONTAINER_PACKAGES[@]}"
    attempt "container image without the server" "Can this machine reach Debian's mirror?" \
      deploy/docker/build.sh --base localhost/debian:12-slim --target runtime \
      --tag localhost/varve-runtime --storage $TOOLS/containers
  else
    say "no containers here (not root, or no namespaces): their tests will be skipped"
  fi
  if ! command -v go >/dev/null; then install_packages ca-certificates golang-go; fi
  attempt "go test -c tests/deploy/manifests" "Can this machine reach the Go module proxy?" \
    env -C tests/deploy/manifests go test -c -o "$PWD/$TOOLS/bin/manifests.test" .
}
