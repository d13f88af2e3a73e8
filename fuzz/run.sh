#!/bin/sh
# Runs every fuzz target for SECONDS (default 60), one after the other, on the stable compiler, and prints how many inputs
# each one ran and what it found. Exit status 1 when there was a finding.
#   fuzz/run.sh [SECONDS] [TARGET...]
# Needs `cargo install cargo-fuzz` and a C++ compiler.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- safetensors npz csv plan arch_config model tokenizer calibration
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz/run.sh: cargo-fuzz is missing, expected it from: cargo install cargo-fuzz" >&2
    exit 2
fi
cargo run --quiet --example fuzz_seeds
failed=0
for target; do
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target" fuzz/target
    log=fuzz/target/$target.log
    status=0
    # No sanitizer: it would need the nightly compiler. Coverage needs none.
    cargo fuzz run --sanitizer none -O "$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=20 -print_final_stats=1 \
        >"$log" 2>&1 || status=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ "$status" -eq 0 ] && [ -n "$executions" ]; then
        echo "fuzz $target: $executions executions in $seconds s, no finding"
    else
        failed=1
        echo "fuzz $target: ${executions:-0} executions, FAILED (status $status), log in $log"
        grep -E '^error|panicked|ERROR: libFuzzer|Test unit written|SUMMARY' "$log" | head -5 || true
    fi
done
exit $failed
