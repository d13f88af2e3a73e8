//! What the tests of blocks share: RTL of a configuration, every stall pattern, deliberate faults.

use spatten_arch::ArchConfig;
use spatten_hw::emit::Design;
use spatten_hw::registry;
use spatten_sim::cosim::{Beat, BenchError, BenchReport, BlockBench, Coverage, Stalls, Verilog};
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
    let start = Verilog::new(&design.top);
    design.modules.iter().fold(start, |v, m| v.file(format!("{}.v", m.name), &m.text))
}

/// The design with one place of one module's text changed.
///
/// # Panics
/// Where the module is not there, or `from` is not in it exactly once: a fault that is no fault would prove nothing.
#[track_caller]
pub fn broken(design: &Design, module: &str, from: &str, to: &str) -> Verilog {
    let mut design = design.clone();
    let found = design.modules.iter_mut().find(|m| m.name.starts_with(module));
    let found = found.unwrap_or_else(|| panic!("no module {module} in {}", design.top));
    assert_eq!(found.text.matches(from).count(), 1, "{from:?} in\n{}", found.text);
    found.text = found.text.replace(from, to);
    verilog(&design)
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
        report
    };
    Stalls::EVERY.into_iter().map(run).collect()
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
