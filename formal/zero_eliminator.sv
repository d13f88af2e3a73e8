// The zero eliminator gives, for each accepted beat and in the same order, its kept lanes moved together.
//
//   scripts/formal.py DIR TOP formal/zero_eliminator.sv [-D P=4] [-D W=2] [-D STAGES=8] [-D REST=1] [-D LAST=1]
//
// One beat out per beat in, also where nothing is kept. Lanes from out_count on are free, unless REST=1 wants them zero.
// One beat chosen by the solver is followed, so the wrapper needs no queue: `ahead` counts the beats before it.
// LAST=1 for a block that carries `last` beside its beats (`hw::zero_eliminator::CompactOnly`, in tests/formal.rs).
// STAGES bounds the beats inside the block, and the cycles that a beat may take while the output is ready.
`ifndef P
`define P 4
`endif
`ifndef W
`define W 2
`endif
`ifndef STAGES
`define STAGES 8
`endif

module properties(
    input clock, input reset,
    input in_valid, input [`P-1:0] in_keep, input [`P*`W-1:0] in_data, input in_last,
    input out_ready,
    input choose
);
    wire in_ready, out_valid;
    wire [$clog2(`P+1)-1:0] out_count;
    wire [`P*`W-1:0] out_data;
    wire out_last;
    `DUT dut(
`ifdef LAST
        .in_last(in_last), .out_last(out_last),
`endif
        .clock(clock), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_keep(in_keep), .in_data(in_data),
        .out_valid(out_valid), .out_ready(out_ready), .out_count(out_count), .out_data(out_data));

    reg started = 0;
    always @(posedge clock) started <= 1;
    always @* if (!started) assume (reset);

    // The reference: lane by lane, as one would do it by hand.
    reg [$clog2(`P+1)-1:0] kept;
    reg [`P*`W-1:0] packed_lanes;
    integer lane;
    always @* begin
        kept = 0;
        packed_lanes = 0;
        for (lane = 0; lane < `P; lane = lane + 1)
            if (in_keep[lane]) begin
                packed_lanes = packed_lanes | ({{(`P*`W-`W){1'b0}}, in_data[lane*`W +: `W]} << (kept * `W));
                kept = kept + 1;
            end
    end

    wire put = in_valid && in_ready;
    wire get = out_valid && out_ready;
    reg [$clog2(`STAGES+2)-1:0] inside = 0, ahead = 0, patience = 0;
    reg watched = 0, gone = 0;
    reg [$clog2(`P+1)-1:0] count = 0;
    reg [`P*`W-1:0] data = 0;
    reg last = 0;
    always @(posedge clock)
        if (reset) begin
            inside <= 0;
            watched <= 0;
            gone <= 0;
            patience <= 0;
        end else begin
            inside <= inside + put - get;
            patience <= inside == 0 || out_valid || !out_ready ? 0 : patience + 1;
            if (put && choose && !watched) begin
                watched <= 1;
                count <= kept;
                data <= packed_lanes;
                last <= in_last;
                ahead <= inside - get;
            end else if (watched && get) begin
                ahead <= ahead - 1;
                if (ahead == 0) gone <= 1;
            end
        end

    reg waited = 0;
    reg [$clog2(`P+1)-1:0] offered_count = 0;
    reg [`P*`W-1:0] offered_data = 0;
    always @(posedge clock) begin
        waited <= !reset && out_valid && !out_ready;
        offered_count <= out_count;
        offered_data <= out_data;
    end

    // Lanes that count: all ones below out_count.
`ifdef REST
    wire [`P*`W-1:0] counted = ~0;
`else
    wire [`P*`W-1:0] counted = ~({`P*`W{1'b1}} << (count * `W));
`endif
    wire now = watched && !gone && ahead == 0 && out_valid;

    always @(posedge clock)
        if (!reset) begin
            beats_are_not_invented: assert (!out_valid || inside != 0);
            beats_fit: assert (inside <= `STAGES);
            beats_arrive: assert (patience <= `STAGES);
            count_is_right: assert (!now || out_count == count);
            lanes_are_right: assert (!now || ((out_data ^ data) & counted) == 0);
`ifdef LAST
            last_is_right: assert (!now || out_last == last);
`endif
            valid_stays: assert (!waited || out_valid);
            beat_stays: assert (!waited || (out_count == offered_count && out_data == offered_data));
            kept_all: cover (now && count == `P);
            kept_none: cover (now && count == 0);
            kept_some_late: cover (now && count == 2 && data == {`P*`W{1'b1}} >> ((`P-2)*`W) && waited);
        end
endmodule
