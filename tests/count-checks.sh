#!/bin/sh
# Sums the counted checks that the tests of this run left in target/checks; none at all is a failure.
set -eu
cd "$(dirname "$0")/.."
[ -d target/checks ] || { echo "no test left a count of its checks" >&2; exit 1; }
cat target/checks/* | awk '{ total += $1 } END { printf "%d checks in %d counted tests\n", total, NR; exit total == 0 }'
