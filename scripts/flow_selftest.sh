#!/bin/sh
# synth.py and iverilog_replay.py accept what is right and refuse what is wrong, by name. Seconds. Run by: make tools-test
set -eu
cd "$(dirname "$0")/.."
fixtures=tests/fixtures/flow
work=target/flow-selftest
mkdir -p "$work"
checked=0

expect() { # STATUS TEXT COMMAND...
    wanted=$1 text=$2
    shift 2
    status=0
    said=$("$@" 2>&1) || status=$?
    case "$status $said" in
    "$wanted "*"$text"*) checked=$((checked + 1)) ;;
    *)
        echo "flow_selftest: $*: expected status $wanted and '$text', found status $status: $said" >&2
        exit 1
        ;;
    esac
}

synth() { # STATUS TEXT BLOCK [OPTION...]
    wanted=$1 text=$2 block=$3
    shift 3
    expect "$wanted" "$text" scripts/synth.py "$fixtures/$block" "$block" "$@"
}

synth 0 '8 MULT18X18D, 1 DP16KD, 2 TRELLIS_DPR16X4, 16 CCU2C' mac
synth 0 'unchanged' mac # from the cache
synth 0 '8 multipliers, 2 memories of 18560 bits' mac --target generic
synth 0 '3 LUT4, 0 FF' ripple
synth 1 'latches: latch.q' latch
synth 1 'found logic loop in module loop' loop
synth 1 'multiple conflicting drivers for two_drivers.q [1]' two_drivers
synth 1 'Wire undriven.w [0] is used but has no driver' undriven

replay() { # STATUS TEXT SED_EXPRESSION [OPTION...]
    wanted=$1 text=$2 edit=$3
    sed "$edit" "$fixtures/fifo.vectors" >"$work/fifo.vectors"
    shift 3
    expect "$wanted" "$text" scripts/iverilog_replay.py tests/fixtures/formal/fifo fifo "$work/fifo.vectors" "$@"
}

replay 0 'checked 6 cycles, 13 values' ''
replay 1 'out_data differs in cycle 4' 's/^0 0 0 1 1 1 3/0 0 0 1 1 1 1/'
replay 0 '(gates): checked 6 cycles, 13 values' '' --gates
replay 1 'out_data differs in cycle 4' 's/^0 0 0 1 1 1 3/0 0 0 1 1 1 1/' --gates
replay 1 'iverilog  x' 's/^0 1 2 0 1 0 x/0 1 2 0 1 0 0/'   # a word never written is x, not 0
replay 2 'expects 2 bits, got 3' 's/in:in_data:2/in:in_data:3/'
replay 2 'more than 2 bits' 's/^0 1 2 /0 1 4 /'
replay 2 'no output is compared' 's/^\([01] [01] . [01]\) .*/\1 x x x/'

play() { # STATUS TEXT SED_EXPRESSION [OPTION...]
    wanted=$1 text=$2 edit=$3
    sed "$edit" "$fixtures/mac.vectors" >"$work/mac.vectors"
    shift 3
    expect "$wanted" "$text" scripts/iverilog_replay.py "$fixtures/mac" mac "$work/mac.vectors" "$@"
}

play 0 'checked 200 cycles, 964 values' ''
play 0 '(gates): checked 200 cycles, 964 values' '' --gates # multiplier, block RAM, table RAM
play 1 'sum differs in cycle 56' '60s/[0-9a-f]* \([0-9a-f]* [0-9a-f]* [0-9a-f]* [0-9a-fx]* [0-9a-f]* [0-9a-fx]*\)$/0 \1/' --gates
# Read while it is written: the RTL says the old word, a block RAM nothing.
cat >"$work/collision.vectors" <<'VECTORS'
in:reset:1 in:in_valid:1 in:a:128 in:b:128 in:write:10 in:read:10 in:in_word:18 out:out_word:18 in:at:4
0 1 0 0 5 6 11111 xxxxx 0
0 1 0 0 5 5 22222 xxxxx 0
0 0 0 0 5 5 22222 11111 0
VECTORS
expect 0 'checked 3 cycles, 1 values' scripts/iverilog_replay.py "$fixtures/mac" mac "$work/collision.vectors"
expect 1 'iverilog  xxxxx' scripts/iverilog_replay.py "$fixtures/mac" mac "$work/collision.vectors" --gates
echo "flow_selftest: $checked runs as expected"
