// The fifo block keeps every word, in order, and is ready and valid exactly when it should be.
//
//   scripts/formal.py DIR fifo formal/fifo.sv -D DEPTH=4 -D WIDTH=2 --pdr
//
// Block: ports as below, reset synchronous and active high, first word falls through (out_valid the cycle after its write).
// Content is checked on one word chosen by the solver, so for all of them: its place in the queue is counted down, and when
// it is at the head it must be there unchanged. WIDTH=2 stands for any width: no property looks into the data.
//
// Induction alone cannot see how the block's pointers relate to `count` here; --pdr finds that out by itself.
`ifndef DEPTH
`define DEPTH 4
`endif
`ifndef WIDTH
`define WIDTH 2
`endif

module properties(
    input clock, input reset,
    input in_valid, input [`WIDTH-1:0] in_data,
    input out_ready,
    input choose // when the solver likes: watch the next word
);
    wire in_ready, out_valid;
    wire [`WIDTH-1:0] out_data;
    `DUT dut(.clock(clock), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
        .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data));

    reg started = 0; // reset in the first cycle, and whenever the solver likes
    always @(posedge clock) started <= 1;
    always @* if (!started) assume (reset);

    wire put = in_valid && in_ready;
    wire get = out_valid && out_ready;
    reg [$clog2(`DEPTH+1)-1:0] count = 0; // one more word than DEPTH is never counted: full_is_not_ready fails before
    reg watched = 0, gone = 0;
    reg [$clog2(`DEPTH+1)-1:0] ahead = 0; // words before the watched one
    reg [`WIDTH-1:0] word = 0;
    always @(posedge clock)
        if (reset) begin
            count <= 0;
            watched <= 0;
            gone <= 0;
        end else begin
            count <= count + put - get;
            if (put && choose && !watched) begin
                watched <= 1;
                word <= in_data;
                ahead <= count - get;
            end else if (watched && get) begin
                ahead <= ahead - 1;
                if (ahead == 0) gone <= 1;
            end
        end

    // What was offered and not taken in the cycle before.
    reg waited = 0;
    reg [`WIDTH-1:0] offered = 0;
    always @(posedge clock) begin
        waited <= !reset && out_valid && !out_ready;
        offered <= out_data;
    end

    always @(posedge clock)
        if (!reset) begin
            full_is_not_ready: assert (count != `DEPTH || !in_ready);
            empty_is_not_valid: assert (count != 0 || !out_valid);
            room_is_ready: assert (count == `DEPTH || in_ready);
            words_are_valid: assert (count == 0 || out_valid);
            order_and_content_kept: assert (!(watched && !gone && ahead == 0) || (out_valid && out_data == word));
            valid_stays: assert (!waited || out_valid);
            data_stays: assert (!waited || out_data == offered);
            // The proof is about something: full, drained again, and the watched word left from the last place.
            was_full: cover (count == `DEPTH);
            watched_left: cover (watched && gone && count == 0);
            through_at_once: cover (put && get);
        end
endmodule
