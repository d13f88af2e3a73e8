// Multiplier and block RAM of ECP5 as `synth_ecp5` uses them, for scripts/iverilog_replay.py --gates: yosys ships their ports
// alone. From Lattice's "ECP5 and ECP5-5G Memory Usage Guide" and "sysDSP Usage Guide". What is not modelled stops the replay.

// 18 x 18 bits, no register inside: yosys leaves those outside.
module ecp5_multiplier #(
    parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE", REG_INPUTC_CLK = "NONE",
    parameter REG_PIPELINE_CLK = "NONE", REG_OUTPUT_CLK = "NONE"
) (
    input [17:0] A, B, C,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    output [35:0] P
);
    initial
        if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_INPUTC_CLK != "NONE"
            || REG_PIPELINE_CLK != "NONE" || REG_OUTPUT_CLK != "NONE") begin
            $display("NOT MODELLED: registers in MULT18X18D");
            $finish;
        end
    wire signed [35:0] left = $signed({SIGNEDA & A[17], A});
    wire signed [35:0] right = $signed({SIGNEDB & B[17], B});
    assign P = left * right;
endmodule

// 2048 bytes of 9 bits behind two ports of 1, 2, 4, 9 or 18 bits; or 36 bits that A writes and B reads over both ports' pins.
// What one port reads while the other writes it is undefined: x.
module ecp5_memory #(
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG",
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", CSDECODE_A = "0b000", CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL",
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "ENABLED",
    // 1024 words of 18 bits, each in 20.
    parameter [64*320-1:0] INITVAL = 0
) (
    input CLKA, CEA, OCEA, WEA, RSTA, CLKB, CEB, OCEB, WEB, RSTB,
    input [2:0] CSA, CSB,
    input [13:0] ADA, ADB,
    input [17:0] DIA, DIB,
    output [17:0] DOA, DOB
);
    reg [8:0] bytes [0:2047];
    integer i;
    initial begin
        for (i = 0; i < 1024; i = i + 1) begin
            bytes[2*i] = INITVAL[20*i+:9];
            bytes[2*i+1] = INITVAL[20*i+9+:9];
        end
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB" || CSDECODE_A != "0b000"
            || CSDECODE_B != "0b000") begin
            $display("NOT MODELLED: a mode of DP16KD");
            $finish;
        end
    end

    // Bytes that an access of `width` at `address` touches, and those that it writes.
    function [10:0] first(input [13:0] address, input integer width);
        first = width == 36 ? {address[13:5], 2'b00} : width == 18 ? {address[13:4], 1'b0} : address[13:3];
    endfunction
    function integer size(input integer width);
        size = width == 36 ? 4 : width == 18 ? 2 : 1;
    endfunction
    function [3:0] enabled(input [13:0] address, input integer width);
        enabled = width == 36 ? address[3:0] : width == 18 ? {2'b00, address[1:0]} : 4'b0001;
    endfunction

    wire write_a = CEA && WEA && CSA == 0;
    wire write_b = CEB && WEB && CSB == 0;
    wire [35:0] data_a = {DIB, DIA};
    wire [35:0] data_b = {18'b0, DIB};
    reg [35:0] read_a, read_b;

    task write(input [13:0] address, input integer width, input [35:0] data);
        integer n;
        if (width >= 9) begin
            for (n = 0; n < size(width); n = n + 1)
                if (enabled(address, width) >> n & 1) bytes[first(address, width) + n] <= data[9*n+:9];
        end else begin
            for (n = 0; n < width; n = n + 1) bytes[address[13:3]][(address[2:0] & -width) + n] <= data[n];
        end
    endtask
    function [35:0] read(input [13:0] address, input integer width);
        integer n;
        begin
            read = 0;
            if (width >= 9)
                for (n = 0; n < size(width); n = n + 1) read[9*n+:9] = bytes[first(address, width) + n];
            else
                for (n = 0; n < width; n = n + 1) read[n] = bytes[address[13:3]][(address[2:0] & -width) + n];
        end
    endfunction
    function overlap(input dummy);
        overlap = first(ADA, DATA_WIDTH_A) < first(ADB, DATA_WIDTH_B) + size(DATA_WIDTH_B)
            && first(ADB, DATA_WIDTH_B) < first(ADA, DATA_WIDTH_A) + size(DATA_WIDTH_A);
    endfunction

    // Reads see what was there before the edge. Two clocks would have to be told apart here: this project has one.
    always @(posedge CLKA) begin
        if (CEA && CSA == 0 && !(WEA && WRITEMODE_A == "NORMAL")) read_a <= read(ADA, DATA_WIDTH_A);
        if (write_b && CEA && overlap(0)) read_a <= 36'bx;
        if (write_a) write(ADA, DATA_WIDTH_A, data_a);
        check;
    end
    always @(posedge CLKB) begin
        if (CEB && CSB == 0 && !(WEB && WRITEMODE_B == "NORMAL")) read_b <= read(ADB, DATA_WIDTH_B);
        if (write_a && CEB && overlap(0)) read_b <= 36'bx;
        if (write_b) write(ADB, DATA_WIDTH_B, data_b);
        check;
    end
    task check;
        if (WRITEMODE_A == "WRITETHROUGH" || WRITEMODE_B == "WRITETHROUGH" || RSTA !== 0 || RSTB !== 0) begin
            $display("NOT MODELLED: a use of DP16KD");
            $finish;
        end
    endtask
    assign DOA = DATA_WIDTH_B == 36 ? read_b[17:0] : read_a[17:0];
    assign DOB = DATA_WIDTH_B == 36 ? read_b[35:18] : read_b[17:0];
endmodule
