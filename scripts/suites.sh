# The suites of ./dev test: sourced by ./dev. Each suite_* function prints what it does and fails when
# anything in it fails; run_suites goes through all of them whatever happens, and adds up.

RESULTS=$TOOLS/results
SUITES=(format shell proto unit asan tsan python pyclient conformance deploy)

# What the demo and the Python tests run.
BINARIES=(//server:varved //clients/cli:varve //demo:search_latency)

# Every C++ file of ours. By find, not by git: a machine may have no git.
sources() {
  find base clients demo index metadata server storage tests -name node_modules -prune -o \
    \( -name '*.cc' -o -name '*.h' \) -print | sort
}

suite_format() { sources | xargs clang-format --dry-run --Werror; }

suite_shell() {
  shellcheck -x dev .ci/run clients/go/build.sh deploy/docker/build.sh deploy/kubernetes/render.sh
}

suite_proto() { $TOOLS/npm/node_modules/.bin/buf lint proto; }

# Every test in every room. Builds everything else too, so that nothing rots unbuilt.
suite_unit() { bazel_test unit //...; }

# Memory errors and leaks, in the rooms that are ours; but for the verbs of the command line, which hold
# little memory and take long to compile.
suite_asan() {
  bazel_test asan --config=asan --build_tests_only -- //base/... //clients/... //index/... //metadata/... \
    //server/... //storage/... -//clients/cli:app_test
}

# Races, where threads meet in our own code; RocksDB and gRPC are not instrumented, so the rooms and
# tests that rest on them are left to asan.
suite_tsan() {
  bazel_test tsan --config=tsan --test_tag_filters=-rocksdb --build_tests_only \
    //base/... //index/... //metadata/... //server/engine/...
}

# What crosses rooms: a real server, every client, crashes, and the commands in the documents.
suite_python() {
  run_bazel build "${BINARIES[@]}" &&
    $TOOLS/python/bin/python -m pytest tests --ignore=tests/conformance --ignore=tests/deploy \
      --junit-xml=$RESULTS/python.xml
}

# The Python client's own tests, against its installed wheel.
suite_pyclient() {
  run_bazel build "${BINARIES[@]}" &&
    $CLIENTS/python/bin/python -m pytest clients/python/tests --junit-xml=$RESULTS/pyclient.xml
}

# Every client's package, installed as a user would, against a real server.
suite_conformance() {
  run_bazel build "${BINARIES[@]}" //clients/cpp/conformance:driver &&
    $TOOLS/python/bin/python -m pytest tests/conformance --junit-xml=$RESULTS/conformance.xml
}

# The container image, built from this server and run; the Helm chart and kustomizations.
suite_deploy() {
  run_bazel build "${BINARIES[@]}" &&
    $TOOLS/python/bin/python -m pytest tests/deploy --junit-xml=$RESULTS/deploy.xml
}

# Slow, and so not part of ./dev test: ./dev lint.
suite_tidy() {
  local generated=bazel-bin/proto/_virtual_includes
  local flags=(-std=c++20 -I. -isystem $generated/varve_v1 -isystem $generated/varve_v1_grpc)
  run_bazel build //proto:all
  sources | grep '\.cc$' |
    xargs -P "$(nproc)" -I{} clang-tidy --quiet {} -- "${flags[@]}" -DSPDLOG_FMT_EXTERNAL 2>$LOGS/tidy.log
}

# bazel_test NAME ARGS...: keeps going after failures and leaves $RESULTS/NAME.json, which names every
# target that ran.
bazel_test() {
  local name=$1
  shift
  run_bazel test --keep_going --build_event_json_file=$RESULTS/"$name".json "$@"
}

setup_suites() {
  install_packages "${BUILD_PACKAGES[@]}" "${PYTHON_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
  setup_python
  setup_buf
  setup_grpcurl
}

run_suites() {
  local name code began file summary=()
  rm -rf $RESULTS
  mkdir -p $RESULTS
  for name in "$@"; do
    say "suite $name"
    began=$EPOCHREALTIME
    code=0
    "suite_$name" || code=$?
    file=
    case $name in
      unit | asan | tsan) file=:$RESULTS/$name.json ;;
      python | pyclient | conformance | deploy) file=:$RESULTS/$name.xml ;;
    esac
    summary+=("$name:$code:$(seconds_since "$began")$file")
  done
  say "results"
  $TOOLS/python/bin/python tests/summary/summarize.py "${summary[@]}"
}

# Seconds, with a fraction, since $EPOCHREALTIME was $1.
seconds_since() {
  local micros=$((${EPOCHREALTIME/./} - ${1/./}))
  printf '%d.%06d' $((micros / 1000000)) $((micros % 1000000))
}
