#!/usr/bin/env bash
# Renders anew what is made from the Helm chart here: after a change of deploy/helm/varve. Needs Go.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../tests/deploy/manifests"
exec go test . -count=1 -run '^TestRenderedFilesAreThoseOfTheChart$' -update
