#!/usr/bin/env bash
# same_lines.sh FILE LINE...: fails unless FILE has just these lines, in any order.
set -euo pipefail
file=$1
shift
if ! difference=$(diff <(printf '%s\n' "$@" | grep . | sort) <(sort "$file")); then
  echo "What the query gives differs from what the rule allows ('>' should not be there):"
  echo "$difference"
  exit 1
fi
