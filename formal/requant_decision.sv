// Every row is decided once, in order and rightly, for every sum and every threshold; a row that is not kept is asked for once.
//
//   scripts/formal.py DIR TOP formal/requant_decision.sv [-D SUM=31] [-D INVERSE=31] [-D ROW=6] --pdr
//
// The widths are those of `tiny`. One row chosen by the solver is followed through both outputs: `ahead_d` and `ahead_r` count
// the beats before its own there.
`ifndef SUM
`define SUM 31
`endif
`ifndef INVERSE
`define INVERSE 31
`endif
`ifndef ROW
`define ROW 6
`endif

module properties(
    input clock, input reset,
    input sum_valid, input [`SUM-1:0] sum_sum, input sum_final, input [`ROW-1:0] sum_row,
    input decision_ready, input refetch_ready,
    input choose // when the solver likes: watch the row that enters
);
    wire sum_ready, decision_valid, decision_keep, refetch_valid;
    wire [`ROW-1:0] refetch_row;
    (* anyconst *) reg [`INVERSE-1:0] threshold_inverse;
    `DUT dut(.clock(clock), .reset(reset), .threshold_inverse(threshold_inverse),
        .sum_valid(sum_valid), .sum_ready(sum_ready), .sum_sum(sum_sum), .sum_final(sum_final), .sum_row(sum_row),
        .decision_valid(decision_valid), .decision_ready(decision_ready), .decision_keep(decision_keep),
        .refetch_valid(refetch_valid), .refetch_ready(refetch_ready), .refetch_row(refetch_row));

    reg started = 0;
    always @(posedge clock) started <= 1;
    always @* if (!started) assume (reset);

    wire put = sum_valid && sum_ready;
    wire flat = sum_sum > threshold_inverse && !sum_final;
    wire get_d = decision_valid && decision_ready;
    wire get_r = refetch_valid && refetch_ready;
    reg [2:0] inside_d = 0, inside_r = 0, ahead_d = 0, ahead_r = 0;
    reg [1:0] late_d = 0, late_r = 0; // cycles without a beat although one is inside
    reg watched = 0, gone_d = 0, gone_r = 0, was_flat = 0;
    reg [`ROW-1:0] row = 0;
    always @(posedge clock)
        if (reset) begin
            inside_d <= 0;
            inside_r <= 0;
            late_d <= 0;
            late_r <= 0;
            watched <= 0;
            gone_d <= 0;
            gone_r <= 0;
        end else begin
            inside_d <= inside_d + put - get_d;
            inside_r <= inside_r + (put && flat) - get_r;
            late_d <= inside_d == 0 || decision_valid ? 0 : late_d + 1;
            late_r <= inside_r == 0 || refetch_valid ? 0 : late_r + 1;
            if (put && choose && !watched) begin
                watched <= 1;
                was_flat <= flat;
                row <= sum_row;
                ahead_d <= inside_d - get_d;
                ahead_r <= inside_r - get_r;
                gone_r <= !flat;
            end else if (watched) begin
                ahead_d <= ahead_d - get_d;
                ahead_r <= ahead_r - get_r;
                if (get_d && ahead_d == 0) gone_d <= 1;
                if (get_r && ahead_r == 0) gone_r <= 1;
            end
        end

    // What was offered and not taken in the cycle before.
    reg waited_d = 0, waited_r = 0, offered_keep = 0;
    reg [`ROW-1:0] offered_row = 0;
    always @(posedge clock) begin
        waited_d <= !reset && decision_valid && !decision_ready;
        waited_r <= !reset && refetch_valid && !refetch_ready;
        offered_keep <= decision_keep;
        offered_row <= refetch_row;
    end

    wire now_d = watched && !gone_d && ahead_d == 0 && decision_valid;
    wire now_r = watched && !gone_r && ahead_r == 0 && refetch_valid;
    always @(posedge clock)
        if (!reset) begin
            decisions_are_not_invented: assert (!decision_valid || inside_d != 0);
            refetches_are_not_invented: assert (!refetch_valid || inside_r != 0);
            decisions_arrive: assert (late_d < 2);
            refetches_arrive: assert (late_r < 2);
            rows_fit: assert (inside_d <= 4 && inside_r <= 4);
            decision_is_right: assert (!now_d || decision_keep == !was_flat);
            refetch_is_right: assert (!now_r || refetch_row == row);
            decision_stays: assert (!waited_d || (decision_valid && decision_keep == offered_keep));
            refetch_stays: assert (!waited_r || (refetch_valid && refetch_row == offered_row));
            // The proof is about something.
            full: cover (inside_d == 4 && inside_r == 4 && waited_d && waited_r);
            flat_left: cover (watched && was_flat && gone_d && gone_r);
            kept_left: cover (watched && !was_flat && gone_d);
            row_per_cycle: cover (put && get_d && get_r);
        end
endmodule
