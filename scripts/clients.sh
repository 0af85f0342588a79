# The clients' packages, built and installed as a user would: sourced by ./dev, run from the repository's
# root. Everything goes to $CLIENTS, where the conformance suite finds its drivers.

CLIENTS=$TOOLS/clients
GO_PACKAGES=(ca-certificates golang-go protobuf-compiler)
JAVA_PACKAGES=(ca-certificates default-jdk-headless maven)

setup_clients() {
  mkdir -p $CLIENTS
  if ! command -v npm >/dev/null; then install_packages ca-certificates npm; fi
  if ! command -v go >/dev/null; then install_packages "${GO_PACKAGES[@]}"; fi
  if ! command -v mvn >/dev/null; then install_packages "${JAVA_PACKAGES[@]}"; fi
  build_python_client
  build_node_client
  build_go_client
  build_java_client
}

# A wheel, in a virtual environment with what its tests need.
build_python_client() {
  local wanted=clients/python/tests/requirements.txt venv=$CLIENTS/python
  install_packages "${PYTHON_PACKAGES[@]}"
  if ! cmp -s $wanted $venv/requirements.txt; then
    attempt "Python environment in $venv" "Is there space on the disk?" \
      /usr/bin/python3 -m venv --clear $venv
    attempt "pip install -r $wanted" "Can this machine reach the Python package index?" \
      $venv/bin/python -m pip install --disable-pip-version-check -r $wanted
    cp $wanted $venv/requirements.txt
  fi
  rm -rf $CLIENTS/wheel clients/python/build
  attempt "pip wheel clients/python" "Can this machine reach the Python package index?" \
    $venv/bin/python -m pip wheel --disable-pip-version-check --no-deps -w $CLIENTS/wheel clients/python
  attempt "pip install the wheel" "The output says what is wrong." \
    $venv/bin/python -m pip install --disable-pip-version-check --no-deps --force-reinstall \
    $CLIENTS/wheel/varve-*.whl
}

# The Go module, and programs built against it.
build_go_client() {
  attempt "Go module in $CLIENTS/go" "Can this machine reach the Go module proxy?" \
    clients/go/build.sh $CLIENTS/go
}

# A jar, and programs that have it on their class path.
build_java_client() {
  attempt "Java jar in $CLIENTS/java" "Can this machine reach Maven Central?" \
    mvn -q -B -f clients/java/pom.xml package
  mkdir -p $CLIENTS/java
  cp -r clients/java/driver/target/{driver.jar,lib} clients/java/example/target/example.jar $CLIENTS/java/
}

# An npm tarball, installed into a folder of its own.
build_node_client() {
  local prefix=$CLIENTS/node
  if ! cmp -s clients/node/package-lock.json clients/node/node_modules/installed-lock.json; then
    attempt "npm ci in clients/node" "Can this machine reach the npm registry?" \
      npm ci --prefix clients/node --no-audit --no-fund
    cp clients/node/package-lock.json clients/node/node_modules/installed-lock.json
  fi
  attempt "npm pack and install in $prefix" "Can this machine reach the npm registry?" \
    node clients/node/test/install.mjs $prefix
}
