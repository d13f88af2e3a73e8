// The crossbar hands every word to the output that it names: once and in order.
//
//   scripts/formal.py DIR crossbar_2x2 formal/crossbar.sv --depth 12
//
// Two inputs, two outputs, words of two bits. Bit 0 of a word is its input, so that an output's word tells where it comes
// from; bit 1 is free. The solver chooses an input and an output (`from`, `to`, constant) and one word between them: so the
// proof is about all of them.
module properties(
    input clock, input reset,
    input [1:0] in_valid, input [1:0] in_to, input [3:0] in_data,
    input [1:0] out_ready,
    input choose // when the solver likes: watch the word that enters
);
    wire [1:0] in_ready, out_valid;
    wire [3:0] out_data;
    `DUT dut(.clock(clock), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_to(in_to), .in_data(in_data),
        .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data));

    (* anyconst *) reg from;
    (* anyconst *) reg to;
    always @* assume (in_data[0] == 0 && in_data[2] == 1);

    reg started = 0;
    always @(posedge clock) started <= 1;
    always @* if (!started) assume (reset);

    wire [1:0] word_in = from ? in_data[3:2] : in_data[1:0];
    wire [1:0] word_out = to ? out_data[3:2] : out_data[1:0];
    wire put = in_valid[from] && in_ready[from] && in_to[from] == to;
    wire get = out_valid[to] && out_ready[to] && word_out[0] == from;

    reg [3:0] inside = 0, ahead = 0;  // words between the two; those before the watched one
    reg watched = 0, gone = 0;
    reg [1:0] word = 0;
    reg [1:0] quiet = 0;              // cycles without a word at any output: 3 are more than a word inside allows
    always @(posedge clock)
        if (reset) begin
            inside <= 0;
            watched <= 0;
            gone <= 0;
            quiet <= 0;
        end else begin
            inside <= inside + put - get;
            quiet <= out_valid != 0 ? 0 : quiet == 3 ? 3 : quiet + 1;
            if (put && choose && !watched) begin
                watched <= 1;
                word <= word_in;
                ahead <= inside - get;
            end else if (watched && get) begin
                ahead <= ahead - 1;
                if (ahead == 0) gone <= 1;
            end
        end

    // What was offered and not taken in the cycle before.
    reg waited = 0;
    reg [1:0] offered = 0;
    always @(posedge clock) begin
        waited <= !reset && out_valid[to] && !out_ready[to];
        offered <= word_out;
    end

    always @(posedge clock)
        if (!reset) begin
            words_are_not_invented: assert (!get || inside != 0);
            words_fit: assert (inside <= 6);
            order_and_content_kept: assert (!(get && watched && !gone && ahead == 0) || word_out == word);
            words_are_not_lost: assert (out_valid != 0 || quiet < 3 || inside == 0 || $past(put));
            valid_stays: assert (!waited || out_valid[to]);
            data_stays: assert (!waited || word_out == offered);
            // The proof is about something.
            was_full: cover (inside == 6);
            watched_left: cover (watched && gone && inside == 0);
            both_want_one: cover (put && in_valid == 2'b11 && in_to == {2{to}} && in_ready == 2'b11);
        end
endmodule
