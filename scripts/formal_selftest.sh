#!/bin/sh
# The proofs find what they are for: right blocks pass, and each mutant fails on the property that names its fault.
# Under a minute. Run by: make tools-test
set -eu
cd "$(dirname "$0")/.."
fixtures=tests/fixtures/formal
checked=0

proves() { # BLOCK [OPTION...]
    block=$1
    shift
    scripts/formal.py "$fixtures/$block" "$block" "formal/$block.sv" "$@" || {
        echo "formal_selftest: the right $block does not pass" >&2
        exit 1
    }
    checked=$((checked + 1))
}

refuses() { # BLOCK MUTANT EXPECTED [OPTION...]
    block=$1 mutant=$2 expected=$3
    shift 3
    status=0
    said=$(scripts/formal.py "$fixtures/$block" "$block" "formal/$block.sv" -D "MUTANT_$mutant" "$@" 2>&1) || status=$?
    case "$status $said" in
    "1 "*FAIL*"$expected"*) echo "$said" ;;
    *)
        echo "formal_selftest: $block with MUTANT_$mutant: expected status 1 and $expected, found status $status: $said" >&2
        exit 1
        ;;
    esac
    checked=$((checked + 1))
}

proves fifo --pdr
proves fifo --depth 8
refuses fifo OVERFLOW full_is_not_ready --pdr
refuses fifo DROP valid_stays --pdr
refuses fifo ORDER order_and_content_kept --pdr
refuses fifo RESET order_and_content_kept --pdr
refuses fifo OVERFLOW full_is_not_ready --depth 12 # the bounded search finds it too,
refuses fifo OVERFLOW 'never reached' --depth 4    # and says when it is too short to mean anything
proves zero_eliminator --pdr
refuses zero_eliminator STALL valid_stays --pdr
refuses zero_eliminator CARRY count_is_right --pdr
echo "formal_selftest: $checked proofs and refusals as expected"
