//! `requant_decision`: RTL against golden and cycle model, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;
use spatten_golden::requant_decision;
use spatten_sim::cosim::{Bits, BlockBench, Coverage, Verilog, seed};
use spatten_sim::requant_decision::{Input, Output, RequantDecision};
use spatten_testkit::{Checks, Rng};

/// The bench, and the beats that it checks.
fn bench(
    verilog: Verilog,
    config: &ArchConfig,
    threshold: f64,
    count: usize,
    coverage: &mut Coverage,
) -> (BlockBench<RequantDecision>, usize) {
    let formats = Formats::new(config);
    let bits = [formats.exp_sum.width(), config.keys_on_chip.ilog2()];
    let inverse = requant_decision::threshold_inverse(threshold, &formats.threshold_inverse);
    let mut rng = Rng::new(seed(count as u64));
    let most = (config.keys_on_chip as u64) << 24;
    let (mut rows, mut decisions, mut refetches) = (vec![], vec![], vec![]);
    for i in 0..count {
        let sum = match rng.below(8) {
            0 => 0,
            1 => inverse.min(most),
            2 => (inverse + 1).min(most),
            3 => inverse.saturating_sub(1).min(most),
            4 => most,
            5 => 1 << 24,
            _ => (1 << 24) + rng.below(most - (1 << 24) + 1),
        };
        let row = Input { sum, last_pass: rng.below(3) == 0, row: i as u64 % (1 << bits[1]), bits };
        let flat = requant_decision::fixed(sum, inverse);
        let keep = row.last_pass || !flat;
        let mut when = |condition, name| coverage.add(name, u64::from(condition));
        when(sum == 0, "empty row");
        when(sum == inverse, "equal to the threshold");
        when(sum == inverse + 1, "one above the threshold");
        when(flat && row.last_pass, "flat in its last pass");
        when(!keep, "refetch");
        when(keep && !row.last_pass, "kept at once");
        rows.push(row);
        decisions.push(Output::Decision(keep));
        refetches.extend((!keep).then_some(Output::Refetch(row.row, bits[1])));
    }
    let total = decisions.len() + refetches.len();
    let bench = BlockBench::new(verilog, "requant_decision", &config.name, seed(0x5e9), RequantDecision::new(inverse))
        .pin("threshold_inverse", Bits::new(inverse, formats.threshold_inverse.width()))
        .input("sum", rows)
        .output("decision", decisions)
        .output("refetch", refetches)
        .again("cargo test --test requant_decision");
    (bench, total)
}

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("requant_decision");
    let mut coverage = Coverage::default();
    for config in configurations() {
        for threshold in [0.1, 0.05, 1.0, 0.0] {
            let verilog = verilog(&design("requant_decision", &config));
            let (bench, total) = bench(verilog, &config, threshold, 10_000, &mut coverage);
            let reports = run_all(&bench, total, &mut coverage);
            checks.eq(reports[0].span(), 10_002, || "a row per cycle, two cycles of latency".into());
        }
    }
    coverage.require(&[
        "empty row",
        "equal to the threshold",
        "one above the threshold",
        "flat in its last pass",
        "refetch",
        "kept at once",
        "bubble",
        "back-pressure",
        "stall",
    ]);
    checks.finish_any();
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("requant_decision", &config);
    let (bench, _) = bench(verilog(&design), &config, 0.05, 1_000, &mut Coverage::default());
    same_in_icarus(&bench, &design, "requant_decision");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("requant_decision", &config);
    for (stream, field) in [("decision", "keep"), ("refetch", "row")] {
        faults_at_the_port_are_caught(&design, stream, field, |verilog| {
            bench(verilog, &config, 0.1, 500, &mut Coverage::default()).0
        });
    }
    let check = |from: &str, to: &str, what: &str| {
        let verilog = broken(&design, "requant_decision", from, to);
        caught(&bench(verilog, &config, 0.1, 500, &mut Coverage::default()).0, what);
    };
    check("(sum_sum > threshold_inverse)", "(sum_sum >= threshold_inverse)", "decision_keep differs");
    check("assign push_refetch = (held & flat);", "assign push_refetch = (held & flat & (|row));", "a beat lost");
    check("(held & (~flat))", "(held & (~flat) & (|row))", "ready too late");
}
