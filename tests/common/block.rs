//! What the tests of blocks share: RTL of a configuration, every stall pattern, deliberate faults.

use spatten_arch::ArchConfig;
use spatten_hw::emit::{Design, Module, Port};
use spatten_hw::registry;
use spatten_sim::cosim::{Beat, BenchError, BenchReport, Bits, BlockBench, Coverage, Stalls, Verilog};
use spatten_sim::cycle::CycleModel;

/// Configurations that a test runs: `paper` only in `make test-long` (`SPATTEN_LONG=1`).
pub fn configurations() -> Vec<ArchConfig> {
    let long = std::env::var("SPATTEN_LONG").is_ok_and(|v| v != "0");
    ArchConfig::NAMES
        .iter()
        .filter(|name| long || **name != "paper")
        .map(|name| ArchConfig::named(name).expect("a named configuration"))
        .collect()
}

/// The Verilog of a registered block.
pub fn design(block: &str, config: &ArchConfig) -> Design {
    registry::block(block, config).expect("a registered block").unwrap_or_else(|e| panic!("{e}"))
}

/// A design as the harness takes it.
pub fn verilog(design: &Design) -> Verilog {
    spatten::card::rtl::text_of(design)
}

/// The design with one place of one module's text changed.
///
/// # Panics
/// Where the module is not there, or `from` is not in it exactly once: a fault that is no fault would prove nothing.
#[track_caller]
pub fn broken(design: &Design, module: &str, from: &str, to: &str) -> Verilog {
    verilog(&broken_design(design, module, from, to))
}

/// The same as a design.
#[track_caller]
pub fn broken_design(design: &Design, module: &str, from: &str, to: &str) -> Design {
    let mut design = design.clone();
    let found = design.modules.iter_mut().find(|m| m.name.starts_with(module));
    let found = found.unwrap_or_else(|| panic!("no module {module} in {}", design.top));
    assert_eq!(found.text.matches(from).count(), 1, "{from:?} in\n{}", found.text);
    found.text = found.text.replace(from, to);
    design
}

/// Keeps what was checked for `make block-table`.
pub fn note(block: &str, config: &str, beats: u64, values: u64, cycles: u64) {
    use std::io::Write;
    let folder = spatten_testkit::workspace_root().join("target/beats");
    let line = format!("{block} {config} {beats} beats {values} values {cycles} cycles\n");
    std::fs::create_dir_all(&folder).expect("target/ can be written");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(folder.join(block));
    file.and_then(|mut f| f.write_all(line.as_bytes())).expect("target/ can be written");
}

fn note_report(report: &BenchReport) {
    let beats: u64 = report.checked.iter().map(|(_, n)| n).sum();
    let mut words = report.run.split_whitespace();
    let (block, config) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    note(block, config.trim_start_matches("config="), beats, report.values, report.cycles);
}

/// Runs a bench under every stall pattern; each run checks `expected` output beats.
#[track_caller]
pub fn run_all<M>(bench: &BlockBench<M>, expected: usize, coverage: &mut Coverage) -> Vec<BenchReport>
where
    M: CycleModel + Clone,
    M::Input: Beat + Clone,
    M::Output: Beat,
{
    let run = |stalls| {
        let report = bench.run(stalls).unwrap_or_else(|e| panic!("{e}"));
        report.finish(expected);
        report.cover(coverage);
        note_report(&report);
        report
    };
    Stalls::EVERY.into_iter().map(run).collect()
}

/// The configuration whose gates are played (`SPATTEN_GATES=eighth`, see `make gates`).
fn gates() -> Option<String> {
    std::env::var("SPATTEN_GATES").ok().filter(|name| !name.is_empty())
}

/// The configuration that another simulator is shown: `tiny`, or the one whose gates are played.
pub fn replayed() -> ArchConfig {
    ArchConfig::named(gates().as_deref().unwrap_or("tiny")).expect("SPATTEN_GATES names a configuration")
}

/// What of a long stimulus is played: gates take a second for a few dozen cycles.
pub fn played<T>(stimulus: Vec<T>) -> Vec<T> {
    let every = if gates().is_some() { 9 } else { 1 };
    // Not the first: it is often the longest.
    stimulus.into_iter().skip(every - 1).step_by(every).collect()
}

/// Writes a design as a folder below `target/`: a file per module, and `files.f`.
pub fn write(design: &Design, name: &str) -> std::path::PathBuf {
    let folder = spatten_testkit::workspace_root().join("target").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("target/ can be written");
    let mut files = String::new();
    for module in &design.modules {
        std::fs::write(folder.join(format!("{}.v", module.name)), &module.text).expect("target/ can be written");
        files += &format!("{}.v\n", module.name);
    }
    std::fs::write(folder.join("files.f"), files).expect("target/ can be written");
    folder
}

/// Plays a run of the Verilated block to Icarus Verilog, which must show the same on every port in every cycle; with
/// `SPATTEN_GATES` also of the block's ECP5 netlist.
#[track_caller]
pub fn same_in_icarus<M>(bench: &BlockBench<M>, design: &Design, name: &str)
where
    M: CycleModel + Clone,
    M::Input: Beat + Clone,
    M::Output: Beat,
{
    let folder = write(design, &format!("icarus/{name}"));
    let (report, vectors) = bench.record(Stalls::Random { input_permille: 300, output_permille: 300 }).unwrap();
    let file = folder.join("vectors.txt");
    std::fs::write(&file, vectors).expect("target/ can be written");
    let script = spatten_testkit::workspace_root().join("scripts/iverilog_replay.py");
    for kind in ["", "--gates"] {
        if kind == "--gates" && gates().is_none() {
            break;
        }
        let mut replay = std::process::Command::new(&script);
        replay.arg(&folder).arg(&design.top).arg(&file).args(["--timeout", "7200"]);
        let out = replay.args((!kind.is_empty()).then_some(kind)).output();
        let out = out.expect("scripts/iverilog_replay.py runs (python3)");
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{name}: {text}");
        // Two cycles of reset come before the run's own.
        assert!(text.contains(&format!("checked {} cycles", report.cycles + 2)), "{name}: {text}");
        println!("{name} in Icarus Verilog: {}", text.trim());
    }
}

/// Asserts that a broken design is found out under some stall pattern, and that the report says `what`.
#[track_caller]
pub fn caught<M>(bench: &BlockBench<M>, what: &str)
where
    M: CycleModel + Clone,
    M::Input: Beat + Clone,
    M::Output: Beat,
{
    let found = Stalls::EVERY.into_iter().find_map(|stalls| bench.run_without_waves(stalls).err());
    match found {
        Some(BenchError::Mismatch(m)) => assert!(m.to_string().contains(what), "expected {what:?} in\n{m}"),
        Some(other) => panic!("not a mismatch: {other}"),
        None => panic!("the fault was not found (expected {what:?})"),
    }
}

/// A wrapper around the top that lets the sixth beat of an output stream (of an array of streams, of its lane 0) go wrong:
/// 0 not at all, 1 a bit of `field`, 2 it is lost, 3 it is a cycle late. Which is the number given, or input `fault`.
fn with_fault(design: &Design, stream: &str, field: &str, fault: Option<u8>) -> Verilog {
    let mut design = design.clone();
    let (top, inside) = (design.top.clone(), format!("{}_inside", design.top));
    let module = design.modules.iter_mut().find(|m| m.name == top).expect("the top is among its modules");
    module.text = module.text.replace(&format!("module {top}("), &format!("module {inside}("));
    module.name = inside.clone();
    let [valid, ready, field] = ["valid", "ready", field].map(|part| format!("{stream}_{part}"));
    let (mut ports, mut connections, mut lanes, mut bits) = (vec![], vec![], 0, 0);
    for Port { name, bits: width, input, .. } in &design.ports {
        let wire = match name {
            _ if *name == valid => {
                lanes = *width;
                "v"
            }
            _ if *name == ready => "r",
            _ if *name == field => {
                bits = *width;
                "d"
            }
            other => other,
        };
        ports.push(format!("{} wire [{}:0] {name}", if *input { "input" } else { "output" }, width - 1));
        connections.push(format!(".{name}({wire})"));
    }
    assert!(lanes > 0 && bits > 0, "no ports {valid}, {field} among {ports:?}");
    let fault = match fault {
        Some(fault) => format!("wire [1:0] fault = 2'd{fault};"),
        None => {
            ports.push("input wire [1:0] fault".into());
            String::new()
        }
    };
    let text = format!(
        "module {top}({ports});
    {fault}
    wire [{lane}:0] v, r;
    wire [{bit}:0] d;
    reg [2:0] n;
    reg waited;
    wire now = v[0] & (n == 3'd5);
    wire hold = (fault == 2'd3) & now & ~waited;
    wire lose = (fault == 2'd2) & now;
    wire flip = (fault == 2'd1) & now;
    always @(posedge clock) begin
        n <= reset ? 3'd0 : n + {{2'd0, v[0] & r[0] & (n != 3'd7)}};
        waited <= ~reset & now & ~r[0];
    end
    assign {valid} = v & ~({{{lanes}{{1'b0}}}} | (hold | lose));
    assign r = ({ready} & ~({{{lanes}{{1'b0}}}} | hold)) | lose;
    assign {field} = d ^ ({{{bits}{{1'b0}}}} | flip);
    {inside} block({connections});
endmodule
",
        ports = ports.join(", "),
        lane = lanes - 1,
        bit = bits - 1,
        connections = connections.join(", ")
    );
    design.modules.push(Module { name: top, text, native: false });
    // The wrapper is no block: one bit extends to the width of a field.
    verilog(&design).argument("-Wno-WIDTH")
}

/// One wrapper for all faults of a stream, chosen by its input `fault`: 1 a bit of `field`, 2 a lost beat, 3 a late one.
pub fn with_port_fault(design: &Design, stream: &str, field: &str) -> Verilog {
    with_fault(design, stream, field, None)
}

/// The three faults for harnesses that know their own ports only, each with what a report says of it.
pub fn port_faults(design: &Design, stream: &str, field: &str) -> [(Verilog, String); 3] {
    let [value, time] = [format!("{stream}_{field}"), format!("{stream}_valid")];
    [(1, value), (2, time.clone()), (3, time)]
        .map(|(fault, what)| (with_fault(design, stream, field, Some(fault)), what))
}

/// A wrong bit, a lost beat and a late beat at an output are each found, and without a fault none is.
#[track_caller]
pub fn faults_at_the_port_are_caught<M>(
    design: &Design,
    stream: &str,
    field: &str,
    bench: impl Fn(Verilog) -> BlockBench<M>,
) where
    M: CycleModel + Clone,
    M::Input: Beat + Clone,
    M::Output: Beat,
{
    let verilog = with_port_fault(design, stream, field);
    let with = |fault: u64| bench(verilog.clone()).pin("fault", Bits::new(fault, 2));
    with(0).run_without_waves(Stalls::None).unwrap_or_else(|e| panic!("without a fault: {e}"));
    caught(&with(1), &format!("{stream}_{field} differs"));
    caught(&with(2), "late, or a beat lost");
    caught(&with(3), "late, or a beat lost");
}
