// The crossbar hands every word to the output that it names: once and in order.
//
//   scripts/formal.py DIR crossbar_2x2 formal/crossbar.sv -D INVARIANTS --induction 4 --depth 12      for all time
//   scripts/formal.py DIR crossbar_2x2 formal/crossbar.sv --pdr --only NAME                           which faults NAME sees
//
// Two inputs, two outputs, words of two bits. Bit 0 of a word is its input, so that an output's word tells where it comes
// from; bit 1 is free. The solver chooses an input and an output (`from`, `to`, constant) and one word between them: so the
// proof is about all of them.
//
// From the ports alone neither induction nor --pdr ends within minutes: nothing tells how what is counted here relates to the
// block's queues. INVARIANTS tells; they are assertions as well, proved with the rest, and induction ends in seconds.

// A word waits at most so long while every output is ready: 3 words are before it in its input, before each of the 4 goes one of
// the other input, and in the first cycle the output's queue is full: 4 + 4 + 1. Fewer are not enough (-D SOON=8 fails).
`ifndef SOON
`define SOON 9
`endif
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

    reg [3:0] calm = 0;               // cycles for which the watched word is inside and every output ready
    always @(posedge clock)
        if (reset || !watched || gone || (get && ahead == 0) || out_ready != 2'b11) calm <= 0;
        else if (calm != 15) calm <= calm + 1;

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
            words_leave_soon: assert (calm <= `SOON);
            valid_stays: assert (!waited || out_valid[to]);
            data_stays: assert (!waited || word_out == offered);
            // The proof is about something.
            was_full: cover (inside == 6);
            watched_left: cover (watched && gone && inside == 0);
            was_late: cover (calm == 4);
            both_want_one: cover (put && in_valid == 2'b11 && in_to == {2{to}} && in_ready == 2'b11);
        end

`ifdef INVARIANTS
    // Wires of the block and of what lies in it; `hierconn` joins them.
    (* hierconn *) wire [1:0] \dut.behind_0 , \dut.behind_1 ;
    (* hierconn *) wire [1:0] \dut.u_inputs_0.head , \dut.u_inputs_0.tail , \dut.u_inputs_1.head , \dut.u_inputs_1.tail ;
    (* hierconn *) wire [2:0] \dut.u_inputs_0.count , \dut.u_inputs_1.count ;
    (* hierconn *) wire \dut.u_outputs_0.head , \dut.u_outputs_0.tail , \dut.u_outputs_1.head , \dut.u_outputs_1.tail ;
    (* hierconn *) wire [1:0] \dut.u_outputs_0.count , \dut.u_outputs_1.count ;
    (* hierconn *) wire [2:0] \dut.u_inputs_0.u_words.words[0] , \dut.u_inputs_0.u_words.words[1] ;
    (* hierconn *) wire [2:0] \dut.u_inputs_0.u_words.words[2] , \dut.u_inputs_0.u_words.words[3] ;
    (* hierconn *) wire [2:0] \dut.u_inputs_1.u_words.words[0] , \dut.u_inputs_1.u_words.words[1] ;
    (* hierconn *) wire [2:0] \dut.u_inputs_1.u_words.words[2] , \dut.u_inputs_1.u_words.words[3] ;
    (* hierconn *) wire [1:0] \dut.u_outputs_0.u_words.words[0] , \dut.u_outputs_0.u_words.words[1] ;
    (* hierconn *) wire [1:0] \dut.u_outputs_1.u_words.words[0] , \dut.u_outputs_1.u_words.words[1] ;

    wire ins_sound_0, ins_sound_1, outs_sound_0, outs_sound_1;
    wire [3:0] ins_held_0, ins_held_1;
    wire [11:0] ins_words_0, ins_words_1;
    wire [1:0] outs_held_0, outs_held_1;
    wire [3:0] outs_words_0, outs_words_1;
    queue #(.BITS(3), .ADDRESS(2)) ins_0(
        \dut.u_inputs_0.head , \dut.u_inputs_0.tail , \dut.u_inputs_0.count ,
        {\dut.u_inputs_0.u_words.words[3] , \dut.u_inputs_0.u_words.words[2] ,
         \dut.u_inputs_0.u_words.words[1] , \dut.u_inputs_0.u_words.words[0] }, ins_sound_0, ins_held_0, ins_words_0);
    queue #(.BITS(3), .ADDRESS(2)) ins_1(
        \dut.u_inputs_1.head , \dut.u_inputs_1.tail , \dut.u_inputs_1.count ,
        {\dut.u_inputs_1.u_words.words[3] , \dut.u_inputs_1.u_words.words[2] ,
         \dut.u_inputs_1.u_words.words[1] , \dut.u_inputs_1.u_words.words[0] }, ins_sound_1, ins_held_1, ins_words_1);
    queue #(.BITS(2), .ADDRESS(1)) outs_0(
        \dut.u_outputs_0.head , \dut.u_outputs_0.tail , \dut.u_outputs_0.count ,
        {\dut.u_outputs_0.u_words.words[1] , \dut.u_outputs_0.u_words.words[0] }, outs_sound_0, outs_held_0, outs_words_0);
    queue #(.BITS(2), .ADDRESS(1)) outs_1(
        \dut.u_outputs_1.head , \dut.u_outputs_1.tail , \dut.u_outputs_1.count ,
        {\dut.u_outputs_1.u_words.words[1] , \dut.u_outputs_1.u_words.words[0] }, outs_sound_1, outs_held_1, outs_words_1);

    // The output of the oldest word of `from`: whether its queue is full, and whether the other input would go first.
    wire next_to = from ? ins_words_1[2] : ins_words_0[2];
    wire held_up = next_to ? \dut.u_outputs_1.count [1] : \dut.u_outputs_0.count [1];
    wire others_turn = (next_to ? \dut.behind_1 [1] : \dut.behind_0 [1]) != from;

    // The places on the way from `from` to `to`, that nearest to the end first: 2 of the output, 4 of the input. Which hold
    // words of the pair, how many of those are before each, and whether the watched word is where `ahead` says.
    wire [3:0] ins_held = from ? ins_held_1 : ins_held_0;
    wire [11:0] ins_words = from ? ins_words_1 : ins_words_0;
    wire [1:0] outs_held = to ? outs_held_1 : outs_held_0;
    wire [3:0] outs_words = to ? outs_words_1 : outs_words_0;
    reg [3:0] total;
    reg watched_there;
    reg [3:0] left;  // cycles until the watched word leaves if every output stays ready, at most
    integer i;
    always @* begin
        total = 0;
        watched_there = 0;
        left = 0;
        for (i = 0; i < 2; i = i + 1)
            if (outs_held[i] && outs_words[2*i] == from) begin
                if (total == ahead && outs_words[2*i +: 2] == word) begin
                    watched_there = 1;
                    left = i;
                end
                total = total + 1;
            end
        for (i = 0; i < 4; i = i + 1)
            if (ins_held[i] && ins_words[3*i + 2] == to) begin
                if (total == ahead && ins_words[3*i +: 2] == word) begin
                    watched_there = 1;
                    left = 2*i + 1 + held_up + others_turn;
                end
                total = total + 1;
            end
    end
    // Bit 0 of what waits at an input is that input.
    reg origins_right;
    always @* begin
        origins_right = 1;
        for (i = 0; i < 4; i = i + 1)
            if (ins_held_0[i] && ins_words_0[3*i] || ins_held_1[i] && !ins_words_1[3*i]) origins_right = 0;
    end

    always @(posedge clock)
        if (!reset) begin
            queues_are_sound: assert (ins_sound_0 && ins_sound_1 && outs_sound_0 && outs_sound_1);
            origins_are_right: assert (origins_right);
            turns_are_sound: assert (!\dut.behind_0 [0] && !\dut.behind_1 [0]);
            inside_is_what_is_there: assert (inside == total);
            soon_is_kept: assert (!watched || gone || calm + left <= `SOON);
            watched_is_there: assert (!watched || gone || watched_there);
        end
`endif
endmodule

// What a queue of the block holds, the oldest first.
module queue #(parameter BITS = 1, ADDRESS = 1) (
    input [ADDRESS-1:0] head, input [ADDRESS-1:0] tail, input [ADDRESS:0] count, input [(BITS<<ADDRESS)-1:0] memory,
    output sound, output reg [(1<<ADDRESS)-1:0] held, output reg [(BITS<<ADDRESS)-1:0] words
);
    wire [ADDRESS-1:0] sum = head + count;
    assign sound = count <= (1 << ADDRESS) && tail == sum;
    reg [ADDRESS-1:0] place;
    integer i;
    always @* begin
        place = 0;
        for (i = 0; i < (1 << ADDRESS); i = i + 1) begin
            place = head + i;
            held[i] = i < count;
            words[BITS*i +: BITS] = memory[BITS*place +: BITS];
        end
    end
endmodule
