//! The co-simulation harness on small blocks that are right, and on the same blocks broken in every way that it is there
//! to catch.

use spatten_sim::cosim::{
    Beat, BenchError, Bits, BlockBench, Cache, CosimError, Coverage, Direction, Field, Init, Mismatch, Model, Optimise,
    Stalls, Verilog,
};
use spatten_sim::cycle::{CreditPipe, CycleModel, Fifo};
use spatten_testkit::{Checks, Rng};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Instant, SystemTime};

/// Adds two 12-bit numbers in three cycles; four credits.
const ADDER: &str = "
module adder (
  input wire clock, input wire reset,
  input wire in_valid, output wire in_ready, input wire [11:0] in_a, input wire [11:0] in_b,
  output wire out_valid, input wire out_ready, output wire [12:0] out_sum,
  input wire [11:0] in_offset, output wire [2:0] used
);
  reg [2:0] credits, level;
  reg [1:0] head, tail;
  reg [12:0] queue [0:3];
  reg [12:0] sum_1, sum_2;
  reg valid_1, valid_2;
  wire push = in_valid & in_ready;
  wire pop = out_valid & out_ready;
  assign in_ready = credits < 3'd4;
  assign out_valid = level != 3'd0;
  assign out_sum = queue[head];
  assign used = credits;
  always @(posedge clock) begin
    valid_1 <= push;
    sum_1 <= {1'b0, in_a} + {1'b0, in_b} + {1'b0, in_offset};
    valid_2 <= valid_1;
    sum_2 <= sum_1;
    if (valid_2) begin queue[tail] <= sum_2; tail <= tail + 2'd1; end
    if (pop) head <= head + 2'd1;
    level <= level + {2'd0, valid_2} - {2'd0, pop};
    credits <= credits + {2'd0, push} - {2'd0, pop};
    if (reset) begin
      valid_1 <= 1'b0; valid_2 <= 1'b0; level <= 3'd0; credits <= 3'd0; head <= 2'd0; tail <= 2'd0;
    end
  end
endmodule
";

/// A FIFO of three words of 64 lanes of 12 bits.
const FIFO: &str = "
module fifo (
  input wire clock, input wire reset,
  input wire in_valid, output wire in_ready, input wire [767:0] in_lanes,
  output wire out_valid, input wire out_ready, output wire [767:0] out_lanes
);
  reg [1:0] level, head, tail;
  reg [767:0] words [0:2];
  wire push = in_valid & in_ready;
  wire pop = out_valid & out_ready;
  assign in_ready = level != 2'd3;
  assign out_valid = level != 2'd0;
  assign out_lanes = words[head];
  always @(posedge clock) begin
    if (push) begin words[tail] <= in_lanes; tail <= tail == 2'd2 ? 2'd0 : tail + 2'd1; end
    if (pop) head <= head == 2'd2 ? 2'd0 : head + 2'd1;
    level <= level + {1'b0, push} - {1'b0, pop};
    if (reset) begin level <= 2'd0; head <= 2'd0; tail <= 2'd0; end
  end
endmodule
";

#[derive(Debug, Clone)]
struct Operands(u64, u64);

impl Beat for Operands {
    fn fields(&self) -> Vec<Field> {
        // Not in the order of the ports: names decide.
        vec![Field::value("b", self.1, 12), Field::value("a", self.0, 12)]
    }
}

#[derive(Debug, Clone)]
struct Sum(u64);

impl Beat for Sum {
    fn fields(&self) -> Vec<Field> {
        vec![Field::value("sum", self.0, 13).decode(|bits| format!("{}", bits as f64 / 16.0))]
    }
}

#[derive(Debug, Clone)]
struct Lanes(Vec<i64>);

impl Beat for Lanes {
    fn fields(&self) -> Vec<Field> {
        vec![Field::signed_lanes("lanes", &self.0, 12)]
    }
}

#[derive(Debug, Clone)]
struct Adder(CreditPipe<Sum>);

impl CycleModel for Adder {
    type Input = Operands;
    type Output = Sum;

    fn ready(&self, _port: usize) -> bool {
        self.0.ready()
    }

    fn output(&self, _port: usize) -> Option<&Sum> {
        self.0.front()
    }

    fn clock(&mut self, accepted: &mut [Option<Operands>], taken: &[bool]) {
        self.0.clock(accepted[0].take().map(|Operands(a, b)| Sum(a + b)), taken[0]);
    }
}

const BEATS: usize = 200;

fn adder_bench(text: &str, seed: u64) -> BlockBench<Adder> {
    let mut rng = Rng::new(seed);
    let inputs: Vec<_> = (0..BEATS).map(|_| Operands(rng.bits() & 0xfff, rng.bits() & 0xfff)).collect();
    let golden = inputs.iter().map(|Operands(a, b)| Sum(a + b)).collect();
    BlockBench::new(Verilog::new("adder").file("adder.v", text), "adder", "tiny", seed, Adder(CreditPipe::new(3, 4)))
        .input("in", inputs)
        .output("out", golden)
        .pin("in_offset", Bits::zero(12))
        .status(|model| vec![Field::value("used", model.0.used() as u64, 3)])
        .again(format!("SPATTEN_SEED={seed:#x} cargo test -p spatten-sim --test cosim"))
}

fn fifo_bench(text: &str, seed: u64) -> BlockBench<Fifo<Lanes>> {
    let mut rng = Rng::new(seed);
    let beats: Vec<_> = (0..BEATS).map(|_| Lanes((0..64).map(|_| rng.below(4096) as i64 - 2048).collect())).collect();
    BlockBench::new(Verilog::new("fifo").file("fifo.v", text), "fifo", "wide", seed, Fifo::new(3))
        .input("in", beats.clone())
        .output("out", beats)
}

/// The text with one thing changed; that it is there is part of the test.
fn broken(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

#[track_caller]
fn mismatch(result: Result<impl Sized, BenchError>) -> Mismatch {
    match result.err() {
        Some(BenchError::Mismatch(mismatch)) => *mismatch,
        Some(other) => panic!("another error: {other}"),
        None => panic!("the broken block passes"),
    }
}

#[test]
fn good_blocks_pass_with_every_stall_pattern() {
    let (mut checks, mut coverage) = (Checks::new("good_blocks_pass_with_every_stall_pattern"), Coverage::default());
    for seed in 1..4 {
        for stalls in Stalls::EVERY {
            let report = adder_bench(ADDER, seed).run(stalls).unwrap();
            report.finish(BEATS);
            report.cover(&mut coverage);
            checks.eq(report.values, BEATS as u64, || format!("{report}"));
            let report = fifo_bench(FIFO, seed).run(stalls).unwrap();
            report.finish(BEATS);
            report.cover(&mut coverage);
            checks.eq(report.values, 64 * BEATS as u64, || format!("{report}"));
        }
    }
    coverage.require(&["bubble", "back-pressure", "stall"]);
    checks.finish(2 * 3 * 5);
}

#[test]
fn without_stalls_the_span_is_beats_and_latency() {
    let report = adder_bench(ADDER, 7).run(Stalls::None).unwrap();
    assert_eq!((report.span(), report.bubbles, report.stalls), (BEATS as u64 + 3, 0, 0));
    assert_eq!(fifo_bench(FIFO, 7).run(Stalls::None).unwrap().span(), BEATS as u64 + 1);
}

#[test]
fn a_stream_may_start_late() {
    let bench = |cycle| {
        BlockBench::new(Verilog::new("fifo").file("fifo.v", FIFO), "fifo", "late", 1, Fifo::new(3))
            .input_from(cycle, "in", vec![Lanes(vec![5; 64])])
            .output("out", vec![Lanes(vec![5; 64])])
    };
    assert_eq!(bench(20).run(Stalls::None).unwrap().first_accepted, Some(20));
}

#[test]
fn every_broken_block_is_caught_with_the_right_message() {
    let adder =
        |from, to| mismatch(adder_bench(&broken(ADDER, from, to), 5).run_without_waves(Stalls::EVERY[1])).to_string();
    let fifo =
        |from, to| mismatch(fifo_bench(&broken(FIFO, from, to), 5).run_without_waves(Stalls::EVERY[1])).to_string();
    let toggled = "reg flip; always @(posedge clock) flip <= reset ? 1'b0 : ~flip;\n  ";
    let cases = [
        ("wrong bit", adder("{1'b0, in_a} +", "{1'b0, in_a ^ 12'h800} +"), "adder: out_sum differs "),
        (
            "wrong bit",
            adder("assign out_sum = queue[head];", "assign out_sum = queue[head] ^ 13'd1;"),
            "LSB; value; timing agrees]",
        ),
        ("wrong lane", fifo("= words[head];", "= words[head] ^ (768'd1 << 36);"), "fifo: out_lanes differs"),
        ("wrong lane", fifo("= words[head];", "= words[head] ^ (768'd1 << 36);"), "  lane 3\n  rtl    0x"),
        ("lost beat", adder("valid_1 <= push;", "valid_1 <= push & (in_a[3:0] != 4'd9);"), "out_valid differs"),
        ("late beat", fifo("out_valid = level != 2'd0", "out_valid = level > 2'd1"), "[timing: late, or a beat lost]"),
        (
            "early beat",
            adder("out_valid = level != 3'd0", "out_valid = (level != 3'd0) | valid_2"),
            "[timing: early, or a beat too many]",
        ),
        (
            "valid dropped",
            adder(
                "assign out_valid = level != 3'd0;",
                &format!("{toggled}assign out_valid = (level != 3'd0) & ~flip;"),
            ),
            "out_valid d",
        ),
        (
            "data changed under stall",
            fifo(
                "assign out_lanes = words[head];",
                "reg s; always @(posedge clock) s <= out_valid & ~out_ready;
             assign out_lanes = words[head] ^ {767'd0, s & ~reset & out_valid};",
            ),
            "out_lanes changed without ready   cycle 7  beat 4  lane 0",
        ),
        (
            "ready too early",
            fifo("in_ready = level != 2'd3", "in_ready = (level != 2'd3) | out_ready"),
            "[timing: ready too early]",
        ),
        ("ready too late", adder("in_ready = credits < 3'd4", "in_ready = credits < 3'd3"), "[timing: ready too late]"),
        ("status", adder("assign used = credits;", "assign used = level;"), "adder: used differs"),
        ("no reset", adder("level <= 3'd0; credits <= 3'd0;", ""), "differs"),
        (
            "looks at data without valid",
            adder("valid_1 <= push;", "valid_1 <= push | (in_a[4:0] == 5'd0 & credits == 3'd0);"),
            "differs",
        ),
        (
            "assertion",
            adder("if (pop) head <=", "if (pop & queue[head] > 13'd6000) $error(\"too big\");\n    if (pop) head <="),
            "too big",
        ),
    ];
    let mut checks = Checks::new("every_broken_block_is_caught");
    for (what, report, expected) in &cases {
        checks.that(report.contains(expected), || format!("{what}: expected {expected:?} in\n{report}"));
        checks.that(report.contains("config=") && report.contains("seed=0x5"), || report.clone());
        println!("{what}\n{report}");
    }
    checks.finish(2 * 15);
}

#[test]
fn a_valid_that_drops_is_told_from_a_late_one() {
    // Held for one cycle, then dropped for one: the model only agrees with the first.
    let text = broken(
        FIFO,
        "assign out_valid = level != 2'd0;",
        "reg held; always @(posedge clock) held <= out_valid & ~out_ready;
       assign out_valid = level != 2'd0 & ~(held & ~reset);",
    );
    let report = mismatch(fifo_bench(&text, 2).run_without_waves(Stalls::EVERY[2]));
    assert_eq!((&*report.signal, &*report.what), ("out_valid", "dropped without ready"));
}

#[test]
fn a_report_reads_as_documented_and_names_a_waveform_that_exists() {
    let text = broken(
        ADDER,
        "assign out_sum = queue[head];",
        "assign out_sum = queue[head] + (queue[head] > 13'd4000 ? 13'd1 : 13'd0);",
    );
    let report = mismatch(adder_bench(&text, 11).run(Stalls::Bursts));
    let shown = report.to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with(&format!("adder: out_sum differs   cycle {}  beat ", report.cycle)), "{shown}");
    assert!(lines[1].starts_with("  rtl    0x") && lines[1].contains(" = "), "{shown}");
    assert!(
        lines[2].starts_with("  golden 0x") && lines[2].ends_with("    [diff 1 LSB; value; timing agrees]"),
        "{shown}"
    );
    assert_eq!(lines[3], "  config=tiny seed=0xb stalls=Bursts");
    assert_eq!(lines[4], "  again: SPATTEN_SEED=0xb cargo test -p spatten-sim --test cosim");
    let (path, range) = lines[5].strip_prefix("  waves: ").unwrap().split_once(" @").unwrap();
    let to: u64 = range.split_once("..").unwrap().1.parse().unwrap();
    // Two per period, two periods of reset.
    assert_eq!(to, 2 * (report.cycle + 2), "{shown}");
    assert!(path.contains("adder-tiny-b-") && fs::metadata(path).unwrap().len() > 0, "{shown}");
    fs::remove_file(path).unwrap();
}

#[test]
fn a_wrong_cycle_model_or_golden_beat_is_told_apart() {
    let bench = |model: usize, last: i64, expected: usize| {
        let beats: Vec<_> = (0..4).map(|i| Lanes(vec![i; 64])).collect();
        let mut golden = beats.clone();
        golden[3].0[63] = last;
        golden.truncate(expected);
        let verilog = Verilog::new("fifo").file("fifo.v", FIFO);
        BlockBench::new(verilog, "fifo", "told", 1, Fifo::new(model)).input("in", beats).output("out", golden)
    };
    bench(3, 3, 4).run(Stalls::None).unwrap().finish(4);
    assert_eq!(mismatch(bench(3, -3, 4).run(Stalls::None)).lane, Some(63));
    assert_eq!(mismatch(bench(3, 3, 3).run(Stalls::None)).what, "offers a beat too many");
    assert_eq!(
        mismatch(bench(2, 3, 4).run(Stalls::Random { input_permille: 0, output_permille: 900 })).signal,
        "in_ready"
    );
    let mut beats = vec![Lanes(vec![0; 64]); 5];
    let stuck = BlockBench::new(Verilog::new("fifo").file("fifo.v", FIFO), "fifo", "stuck", 1, Fifo::new(3))
        .input("in", beats.split_off(1))
        .output("out", vec![Lanes(vec![0; 64]); 5])
        .patience(100);
    let report = mismatch(stuck.run_without_waves(Stalls::None));
    assert_eq!((&*report.values[0].1, &*report.signal), ("in 4 of 4, out 4 of 5", "block"));
}

#[test]
fn ports_and_streams_that_do_not_fit_are_named() {
    let message = |bench: BlockBench<Adder>| bench.run(Stalls::None).unwrap_err().to_string();
    let unused = broken(ADDER, "output wire [2:0] used", "output wire [2:0] used, output wire spare");
    let unused = broken(&unused, "assign used", "assign spare = 1'b0; assign used");
    assert_eq!(message(adder_bench(&unused, 1)), "adder: nothing drives or checks port spare (Output)");
    adder_bench(&unused, 1).unchecked("spare").run(Stalls::None).unwrap().finish(BEATS);
    let taken = adder_bench(ADDER, 1).pin("in_a", Bits::zero(12));
    assert!(message(taken).starts_with("adder: beats of in have in_a[12] in_b[12], the module has in_b[12]"));
    let missing = message(adder_bench(ADDER, 1).input("other", vec![]));
    let ports = "clock, in_a, in_b, in_offset, in_ready, in_valid, out_ready, out_sum, out_valid, reset, used";
    assert_eq!(missing, format!("adder has no port \"other_valid\", it has: {ports}"));
    let wider = ADDER.replace("[11:0] in_b", "[12:0] in_b").replace("{1'b0, in_b}", "in_b");
    let expected = "adder: beats of in have in_a[12] in_b[12], the module has in_a[12] in_b[13]";
    assert_eq!(message(adder_bench(&wider, 1)), expected);
    let nothing = BlockBench::new(Verilog::new("fifo").file("fifo.v", FIFO), "fifo", "none", 1, Fifo::<Lanes>::new(3));
    let nothing = nothing.input("in", vec![]).output("out", vec![]).run(Stalls::None);
    assert_eq!(nothing.unwrap_err().to_string(), "fifo: no beats are expected, so nothing is checked");
}

const PORTS: &str = "
module ports (
  input wire clock, input wire reset, input wire [2:0] mode, input wire [36:0] mid, input wire [766:0] wide,
  output wire [36:0] mid_out, output wire [766:0] wide_out, output reg [31:0] start, output wire [7:0] picked
);
  reg [7:0] table_8 [0:7];
  integer i;
  initial for (i = 0; i < 8; i = i + 1) table_8[i] = i[7:0] * 8'd3;
  assign mid_out = ~mid;
  assign wide_out = ~wide;
  assign picked = table_8[mode];
  always @(posedge clock) begin
    if (reset) start <= 32'd0;
    if (mode == 3'd5) begin $display(\"mode %0d\", mode); $stop; end
    if (mode == 3'd6) $fatal(1, \"bad mode\");
    if (mode == 3'd7) $finish;
  end
endmodule
";

fn ports_model(init: Init) -> Model {
    let built = Cache::default().build(&Verilog::new("ports").file("ports.v", PORTS)).unwrap();
    Model::load(&built, init).unwrap()
}

#[test]
fn inputs_are_masked_and_wide_ports_come_back() {
    let mut model = ports_model(Init::Random(1));
    let [mode, mid, wide] = ["mode", "mid", "wide"].map(|name| model.pin(name).unwrap());
    let [mid_out, wide_out, picked] = ["mid_out", "wide_out", "picked"].map(|name| model.pin(name).unwrap());
    assert_eq!((model.get(mode), model.get(mid)), (0, 0), "inputs start as zeros");
    assert!(model.get_words(wide).iter().all(|&word| word == 0));
    let mut rng = Rng::new(4);
    let words: Vec<u32> = (0..24).map(|_| rng.bits() as u32).collect();
    model.set(mode, u64::MAX - 4);
    model.set(mid, 5 | 1 << 40);
    model.set_words(wide, &words);
    model.eval().unwrap();
    assert_eq!((model.get(picked), model.get(mid_out)), (9, !5 & ((1 << 37) - 1)));
    let expected = Bits::from_words(
        words.iter().enumerate().map(|(i, w)| if i == 23 { !w & 0x7fff_ffff } else { !w }).collect(),
        767,
    );
    assert_eq!(model.get_bits(wide_out), expected);
    assert!(model.shows(wide_out, &expected) && !model.shows(wide, &expected));
    assert_eq!(model.port(wide).direction, Direction::Input);
}

#[test]
fn a_step_samples_what_was_set_before_it() {
    let text = "module register (input wire clock, input wire reset, input wire [7:0] d, output reg [7:0] q, output wire [7:0] next);
      assign next = d + 8'd1;
      always @(posedge clock) q <= reset ? 8'd0 : d;
    endmodule";
    let built = Cache::default().build(&Verilog::new("register").file("register.v", text)).unwrap();
    let mut model = Model::load(&built, Init::Random(9)).unwrap();
    model.reset(1).unwrap();
    let [d, q, next] = ["d", "q", "next"].map(|name| model.pin(name).unwrap());
    model.set(d, 7);
    model.eval().unwrap();
    assert_eq!((model.get(q), model.get(next)), (0, 8), "before the edge");
    model.step().unwrap();
    assert_eq!(model.get(q), 7, "after the edge");
    model.set(d, 8);
    assert_eq!(model.get(next), 8, "not settled yet");
    model.step().unwrap();
    assert_eq!((model.get(q), model.get(next), model.cycle()), (8, 9, 3), "a step settles by itself");
}

#[test]
fn stop_fatal_and_finish_are_errors_and_stay_errors() {
    for (mode, expected) in [(5, "$stop or a failed assertion\nmode 5"), (6, "$stop"), (7, "$finish")] {
        let mut model = ports_model(Init::Zeros);
        let pin = model.pin("mode").unwrap();
        model.step().unwrap();
        model.set(pin, mode);
        let message = model.step().unwrap_err().to_string();
        assert!(message.starts_with("ports stopped in cycle 1: ports.v:") && message.contains(expected), "{message}");
        assert!(matches!(model.eval(), Err(CosimError::Stopped { .. })));
    }
}

#[test]
fn registers_start_at_random_by_seed() {
    let start = |init| {
        let mut model = ports_model(init);
        model.eval().unwrap();
        model.get(model.pin("start").unwrap())
    };
    assert_eq!(start(Init::Zeros), 0);
    assert_eq!(start(Init::Random(1)), start(Init::Random(1)));
    assert_ne!(start(Init::Random(1)), start(Init::Random(2)));
}

#[test]
fn a_missing_port_lists_the_ports() {
    let message = ports_model(Init::Zeros).pin("modes").unwrap_err().to_string();
    let ports = "clock, mid, mid_out, mode, picked, reset, start, wide, wide_out";
    assert_eq!(message, format!("ports has no port \"modes\", it has: {ports}"));
}

#[test]
fn waveforms_and_coverage_need_a_model_that_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let [waves, coverage] = ["a.fst", "a.dat"].map(|name| folder.path().join(name));
    let mut model = ports_model(Init::Zeros);
    let message = model.open_waves(&waves).unwrap_err().to_string();
    assert!(message.starts_with("the model of ports was built without waveforms"), "{message}");
    assert!(model.write_coverage(&coverage).is_err());
    let verilog = Verilog::new("ports").file("ports.v", PORTS).waves(true).coverage(true);
    let mut model = Model::load(&Cache::default().build(&verilog).unwrap(), Init::Zeros).unwrap();
    model.open_waves(&waves).unwrap();
    model.reset(3).unwrap();
    model.close_waves();
    model.write_coverage(&coverage).unwrap();
    assert!(fs::metadata(&waves).unwrap().len() > 0 && fs::read_to_string(&coverage).unwrap().contains("ports.v"));
    assert!(model.open_waves(&folder.path().join("none/a.fst")).is_err(), "a folder that is not there");
}

#[test]
fn a_model_in_many_files_runs_the_same() {
    // Verilator splits large models; here a small one, so that this path is tested at all.
    let verilog = Verilog::new("fifo").file("fifo.v", FIFO).optimise(Optimise::O2);
    let verilog = verilog.argument("--output-split").argument("60");
    let beats = vec![Lanes(vec![-7; 64]); 10];
    let bench =
        BlockBench::new(verilog, "fifo", "split", 1, Fifo::new(3)).input("in", beats.clone()).output("out", beats);
    bench.run(Stalls::Bursts).unwrap().finish(10);
}

#[test]
fn text_that_verilator_refuses_is_shown_with_its_line() {
    let text = "module top (input wire clock);\n  wire [3:0] a = 5'd0;\n  assign b = ;\nendmodule";
    let message = Cache::default().build(&Verilog::new("top").file("top.v", text)).unwrap_err().to_string();
    assert!(message.starts_with("verilator refuses top:\n%") && message.contains("top.v:3"), "{message}");
}

#[test]
fn a_block_is_built_once_by_any_number_of_threads_and_then_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let calls = folder.path().join("calls");
    // Counts how often Verilator runs at all, `--version` included.
    let wrapper = folder.path().join("verilator");
    fs::write(&wrapper, format!("#!/bin/sh\necho \"$1\" >>{}\nexec verilator \"$@\"\n", calls.display())).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let cache = Cache::default().with_verilator(&wrapper);
    // Never seen before: this test is about a first build.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let verilog = Verilog::new("adder").file("adder.v", format!("// {now} {}\n{ADDER}", std::process::id()));

    let built: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| cache.build(&verilog).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(built.iter().filter(|built| built.fresh).count(), 1);
    let first = fs::read_to_string(&calls).unwrap();
    assert_eq!(first.lines().filter(|line| *line == "--cc").count(), 1, "{first}");
    let again = cache.build(&verilog).unwrap();
    assert!(!again.fresh);
    assert_eq!(fs::read_to_string(&calls).unwrap(), first, "a hit runs nothing");
    assert_ne!(cache.build(&verilog.clone().argument("-Wno-WIDTH")).unwrap().library, again.library);
    let models: Vec<_> = built.iter().map(|built| Model::load(built, Init::Zeros).unwrap()).collect();
    assert!(models.iter().all(|model| model.ports().len() == 11));
    let remove = |built: &spatten_sim::cosim::Built| fs::remove_dir_all(built.library.parent().unwrap()).unwrap();
    remove(&cache.build(&verilog.clone().argument("-Wno-WIDTH")).unwrap());
    remove(&again);
}

/// Not a check: what the harness costs. `cargo test -p spatten-sim --test cosim -- --ignored --nocapture costs`
#[test]
#[ignore = "prints times"]
fn costs() {
    let mut rng = Rng::new(1);
    let beats: Vec<_> = (0..100_000).map(|_| Lanes((0..64).map(|_| rng.below(4096) as i64 - 2048).collect())).collect();
    let verilog = Verilog::new("fifo").file("fifo.v", FIFO);
    let bench = BlockBench::new(verilog.clone(), "fifo", "wide", 1, Fifo::new(3))
        .input("in", beats.clone())
        .output("out", beats);
    let started = Instant::now();
    let report = bench.run(Stalls::None).unwrap();
    println!("bench, 768 bits: {:?} a cycle", started.elapsed() / report.cycles as u32);
    let inputs = vec![Operands(1, 2); 300_000];
    let golden = vec![Sum(3); 300_000];
    let bench =
        BlockBench::new(Verilog::new("adder").file("adder.v", ADDER), "adder", "tiny", 1, Adder(CreditPipe::new(3, 4)))
            .input("in", inputs)
            .output("out", golden)
            .pin("in_offset", Bits::zero(12))
            .unchecked("used");
    let started = Instant::now();
    let report = bench.run(Stalls::None).unwrap();
    println!("bench, narrow: {:?} a cycle", started.elapsed() / report.cycles as u32);
    let mut model = Model::load(&Cache::default().build(&verilog).unwrap(), Init::Zeros).unwrap();
    let started = Instant::now();
    (0..1_000_000).for_each(|_| model.step().unwrap());
    println!("bare step, 768 bits: {:?}", started.elapsed() / 1_000_000);
    let mut text = String::from(FIFO);
    for what in ["cold", "warm runtime"] {
        text.push('\n');
        let folder = tempfile::tempdir().unwrap();
        let cache = if what == "cold" { Cache::at(folder.path()) } else { Cache::default() };
        let nonce = format!("// {:?}", SystemTime::now());
        let started = Instant::now();
        let built = cache.build(&Verilog::new("fifo").file("fifo.v", text.clone() + &nonce)).unwrap();
        println!("build, {what}: {:?}", started.elapsed());
        let started = Instant::now();
        cache.build(&Verilog::new("fifo").file("fifo.v", text.clone() + &nonce)).unwrap();
        Model::load(&built, Init::Zeros).unwrap();
        println!("hit and load: {:?}", started.elapsed());
    }
}
