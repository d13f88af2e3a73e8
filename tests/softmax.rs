//! `softmax`: RTL against golden and cycle model, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
mod common;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_arch::format::{Formats, LOGIT_FRACTION, TOKEN_SCALE_FRACTION};
use spatten_golden::dot_product::{self, ScaleFactor};
use spatten_golden::quantiser::quantise;
use spatten_golden::softmax::{self as golden, Row};
use spatten_hw::emit::emit;
use spatten_hw::hdl::Block;
use spatten_hw::softmax as hw;
use spatten_sim::cosim::{BlockBench, Cache, Coverage, Init, Model, Stalls, Verilog, seed};
use spatten_sim::softmax::{Input, LogitBeat, Output, ScoreBeat, Scores, Softmax, words};
use spatten_testkit::{Checks, Rng};
use std::sync::Arc;

const ONE: i32 = 1 << LOGIT_FRACTION;

/// Rows and what becomes of them.
type Rows = Vec<(Vec<i32>, bool)>;

/// Golden beats of `sum` and `out`.
fn expected(rows: &Rows, config: &ArchConfig, coverage: &mut Coverage) -> (Vec<Output>, Vec<Output>) {
    let bits = Formats::new(config).exp_sum.width();
    let (mut sums, mut out, mut row) = (vec![], vec![], Row::default());
    for (logits, keep) in rows {
        row.load(logits);
        sums.push(Output::Sum(row.sum, bits));
        cover(logits, *keep, &row, config, coverage);
        if !keep {
            continue;
        }
        let mut scores = Scores::default();
        if let Some(divisor) = row.divisor() {
            scores.probability = row.exponentials.iter().map(|&e| divisor.probability(e)).collect();
            scores.increment = row.exponentials.iter().map(|&e| divisor.increment(e)).collect();
        }
        out.extend(ScoreBeat::of_row(&Arc::new(scores), config.softmax_lanes).map(Output::Scores));
    }
    (sums, out)
}

fn cover(logits: &[i32], keep: bool, row: &Row, config: &ArchConfig, coverage: &mut Coverage) {
    let Some(max) = logits.iter().max() else { return coverage.hit("empty row") };
    let n = logits.len();
    let largest = logits.iter().filter(|x| *x == max).count();
    let mut when = |condition, name| coverage.add(name, u64::from(condition));
    when(!keep, "dropped row");
    when(!keep && n > config.softmax_lanes, "dropped row of several beats");
    when(largest > 1 && largest < n, "tie of the maximum");
    when(largest == n && n > 1, "all equal");
    when(n == 1, "one key");
    when(n == config.keys_on_chip, "all keys");
    when(!n.is_multiple_of(config.softmax_lanes), "last beat in part");
    when(logits.iter().any(|x| i64::from(*max) - i64::from(*x) >= 26 << LOGIT_FRACTION), "exponential of 0");
    when(logits.iter().any(|x| i64::from(*max) - i64::from(*x) >= 32 << LOGIT_FRACTION), "argument beyond 32");
    when(logits.contains(&-(1 << 23)) && logits.contains(&((1 << 23) - 1)), "largest difference");
    when(n > 1 && row.sum < 2 << 24 && row.sum > 1 << 24, "exponent 0");
    when(row.sum == 1 << 24, "sum of 1");
    when(row.sum == (config.keys_on_chip as u64) << 24, "largest exponent");
}

fn random_row(n: usize, rng: &mut Rng) -> Vec<i32> {
    let spread = [0.001, 0.1, 1.0, 4.0, 12.0, 100.0][rng.below(6) as usize] * f64::from(ONE);
    (0..n).map(|_| (rng.normal() * spread).clamp(-8388608.0, 8388607.0) as i32).collect()
}

fn directed(config: &ArchConfig) -> Vec<Vec<i32>> {
    let (n, lanes) = (config.keys_on_chip, config.softmax_lanes);
    let (low, high) = (-(1 << 23), (1 << 23) - 1);
    let mut rows = vec![
        vec![],
        vec![0],
        vec![low],
        vec![high],
        vec![low; n],
        vec![high; n],
        vec![low, high],
        vec![high, low],
        vec![5, 5, 5],
        vec![7, 7, 3],
        vec![],
        vec![],
        vec![-26 * ONE; n],
    ];
    rows[12][n - 1] = 0;
    // A maximum in every lane, and in the first and last beat.
    for lane in 0..2 * lanes {
        let mut row = vec![-ONE; 2 * lanes];
        row[lane] = 3;
        rows.push(row);
    }
    // Every integer part of an argument, with a fraction that rounds.
    rows.push((0..n as i32).map(|i| -(i % 34) * ONE - i * 37).collect());
    // Sums around powers of two.
    for count in [2, 3, 4, n / 2, n - 1, n] {
        rows.push(vec![12345; count]);
        let mut row = vec![12345; count];
        row[0] -= 20 * ONE;
        rows.push(row);
    }
    rows.extend((1..3 * lanes).map(|count| (0..count as i32).map(|i| i * 1000).collect()));
    rows
}

fn bench(verilog: Verilog, config: &ArchConfig, rows: &Rows, coverage: &mut Coverage) -> (BlockBench<Softmax>, usize) {
    let (sums, out) = expected(rows, config, coverage);
    let beats = rows.iter().flat_map(|(row, _)| {
        let row: Arc<[i32]> = row.as_slice().into();
        LogitBeat::of_row(&row, config.softmax_lanes).collect::<Vec<_>>()
    });
    let total = sums.len() + out.len();
    let bench = BlockBench::new(verilog, "softmax", &config.name, seed(0x50f7), Softmax::new(config))
        .input("in", beats.map(Input::Logits).collect())
        .input("decision", rows.iter().map(|(_, keep)| Input::Decision(*keep)).collect())
        .output("sum", sums)
        .output("out", out)
        .again("cargo test --test softmax");
    (bench, total)
}

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("softmax");
    for config in configurations() {
        let mut coverage = Coverage::default();
        let mut rng = Rng::new(seed(1));
        let (n, lanes) = (config.keys_on_chip, config.softmax_lanes);
        let mut rows: Rows = directed(&config).into_iter().map(|row| (row, true)).collect();
        // Beats, and rows of every length.
        let mut beats = 0;
        while beats < 14_000 {
            let count = match rng.below(4) {
                0 => rng.below(2 * lanes as u64 + 1),
                1 => rng.below(n as u64 / 8 + 1),
                2 => rng.below(n as u64 + 1),
                _ => rng.below(n as u64 / 2 + 1),
            };
            let row = random_row(count as usize, &mut rng);
            beats += words(row.len(), lanes);
            rows.push((row, rng.below(5) > 0));
        }
        let (bench, total) = bench(verilog(&design("softmax", &config)), &config, &rows, &mut coverage);
        run_all(&bench, total, &mut coverage);
        coverage.require(&[
            "empty row",
            "dropped row",
            "dropped row of several beats",
            "tie of the maximum",
            "all equal",
            "one key",
            "all keys",
            "last beat in part",
            "exponential of 0",
            "argument beyond 32",
            "largest difference",
            "exponent 0",
            "sum of 1",
            "largest exponent",
            "bubble",
            "back-pressure",
            "stall",
        ]);
        checks.that(total > 10_000, || format!("{total} beats"));
    }
    checks.finish_any();
}

/// A sub-block alone, as loaded Verilog.
fn alone(part: impl Block) -> Model {
    let design = emit(part).unwrap_or_else(|e| panic!("{e}"));
    let built = Cache::default().build(&verilog(&design)).unwrap_or_else(|e| panic!("{e}"));
    Model::load(&built, Init::Random(1)).unwrap()
}

#[test]
fn every_exponential_that_is_not_zero_equals_golden() {
    let mut checks = Checks::new("softmax_every_exponential");
    let mut rtl = alone(hw::exp::Exp::new(24));
    let [maximum, logit, live, exponential, stored] =
        ["maximum", "logit", "live", "exponential", "stored"].map(|name| rtl.pin(name).unwrap());
    rtl.set(live, 1);
    let end = 27u64 << LOGIT_FRACTION;
    let latency = hw::exp::Exp::LATENCY as u64;
    for cycle in 0..end + latency + 1 {
        // The same difference at another place of the range each time.
        let most = (cycle * 7919) % (1 << 22);
        rtl.set(maximum, most);
        rtl.set(logit, most.wrapping_sub(cycle) & 0xff_ffff);
        rtl.eval().unwrap();
        let golden = |argument: u64| golden::exp::fixed(argument as u32);
        if let Some(argument) = cycle.checked_sub(latency).filter(|&a| a < end) {
            checks.eq(rtl.get(exponential), golden(argument).into(), || format!("argument {argument}"));
        }
        if let Some(argument) = cycle.checked_sub(latency + 1) {
            checks.eq(rtl.get(stored), golden::exp::stored(golden(argument)).into(), || format!("argument {argument}"));
        }
        rtl.step().unwrap();
    }
    checks.finish(2 * end);
}

#[test]
fn every_reciprocal_equals_golden() {
    let mut checks = Checks::new("softmax_every_reciprocal");
    let mut rtl = alone(hw::divide::Reciprocal::new(35, 24));
    let [number, reciprocal, exponent] = ["number", "reciprocal", "exponent"].map(|name| rtl.pin(name).unwrap());
    let latency = hw::divide::Reciprocal::LATENCY as u64;
    // Every normalised number, at every place of the leading one in turn, with random bits below what is looked at.
    let mut rng = Rng::new(6);
    let mut inside = std::collections::VecDeque::new();
    for cycle in 0..(1 << 17) + latency {
        let place = cycle % 11;
        let sum = (((1 << 17) + cycle % (1 << 17)) << (7 + place)) + rng.below(1 << (7 + place));
        rtl.set(number, sum);
        inside.push_back(golden::divide::Divisor::new(sum));
        rtl.eval().unwrap();
        if cycle >= latency {
            let golden = inside.pop_front().unwrap();
            let got = (rtl.get(reciprocal), rtl.get(exponent));
            checks.eq(got, (golden.reciprocal.into(), golden.exponent.into()), || format!("cycle {cycle}"));
        }
        rtl.step().unwrap();
    }
    checks.finish(1 << 17);
}

#[test]
fn other_sizes_are_right_too() {
    let mut coverage = Coverage::default();
    for text in ["keys_on_chip = 16\nsoftmax_lanes = 1", "keys_on_chip = 16\nsoftmax_lanes = 16\nmultipliers = 256"] {
        let config = ArchConfig::from_toml(text, "own.toml").unwrap();
        let mut rng = Rng::new(9);
        let mut rows: Rows = directed(&config).into_iter().map(|row| (row, true)).collect();
        rows.retain(|(row, _)| row.len() <= 16);
        rows.extend((0..1500).map(|i| (random_row(i % 17, &mut rng), i % 7 > 0)));
        let (bench, total) = bench(verilog(&design("softmax", &config)), &config, &rows, &mut coverage);
        run_all(&bench, total, &mut coverage);
    }
    coverage.require(&["largest exponent", "all keys", "dropped row", "back-pressure"]);
}

/// Rows of one length, decided in time: cycles from the first beat to the last.
fn span(config: &ArchConfig, n: usize, count: usize) -> u64 {
    let mut rng = Rng::new(3);
    let rows: Rows = (0..count).map(|_| (random_row(n, &mut rng), true)).collect();
    let (bench, total) = bench(verilog(&design("softmax", config)), config, &rows, &mut Coverage::default());
    let report = bench.run(Stalls::None).unwrap_or_else(|e| panic!("{e}"));
    report.finish(total);
    report.span()
}

#[test]
fn a_row_takes_as_many_cycles_as_it_has_beats() {
    let mut checks = Checks::new("softmax_throughput");
    for config in configurations() {
        let (n, lanes, levels) = (config.keys_on_chip, config.softmax_lanes, config.softmax_lanes.ilog2() as usize);
        for (keys, rows) in [(n, 20), (n / 2, 40), (n - 1, 20), (1, 2000), (lanes, 500), (3 * lanes + 1, 300), (0, 300)]
        {
            let w = words(keys, lanes);
            // The last row's own latency follows the beats of all rows.
            let expected = (rows * w) + (w + 2 * levels + 24) + (w - 1);
            checks.eq(span(&config, keys, rows), expected as u64, || format!("{} n {keys}", config.name));
        }
    }
    checks.finish_any();
}

#[test]
fn decisions_may_come_late() {
    let config = ArchConfig::tiny();
    let mut coverage = Coverage::default();
    let mut rng = Rng::new(4);
    let rows: Rows = (0..200).map(|i| (random_row(1 + i % 64, &mut rng), i % 3 > 0)).collect();
    let (sums, out) = expected(&rows, &config, &mut coverage);
    let beats: Vec<Input> = rows
        .iter()
        .flat_map(|(row, _)| LogitBeat::of_row(&row.as_slice().into(), config.softmax_lanes).collect::<Vec<_>>())
        .map(Input::Logits)
        .collect();
    let total = sums.len() + out.len();
    for cycle in [30, 100, 1000] {
        let bench = BlockBench::new(verilog(&design("softmax", &config)), "softmax", "tiny", 5, Softmax::new(&config))
            .input("in", beats.clone())
            .input_from(cycle, "decision", rows.iter().map(|(_, keep)| Input::Decision(*keep)).collect())
            .output("sum", sums.clone())
            .output("out", out.clone());
        run_all(&bench, total, &mut coverage);
    }
    coverage.require(&["dropped row", "back-pressure"]);
}

/// Logits of one layer as the chip computes them at 12 bits, all heads and queries.
fn real_rows(recorded: &common::Recorded, layer: usize, formats: &Formats) -> Vec<Vec<i32>> {
    let trace = &recorded.trace;
    let mut rows = vec![];
    for head in 0..trace.q.shape()[1] {
        let integers = |x: &ndarray::Array4<f32>| {
            let x = x.slice(ndarray::s![layer, head, .., ..]);
            let step = x.iter().fold(0f64, |m, &v| m.max(f64::from(v).abs())) / 2047.0;
            let rows: Vec<Vec<i16>> = x
                .rows()
                .into_iter()
                .map(|r| r.iter().map(|&v| quantise(v.into(), step, 2047) as i16).collect())
                .collect();
            (rows, step)
        };
        let ((q, q_step), (k, k_step)) = (integers(&trace.q), integers(&trace.k));
        let factor = ScaleFactor::for_logits(q_step * k_step * trace.scale);
        for query in &q {
            let logit = |key: &Vec<i16>| {
                dot_product::scale(dot_product::integer(query, key), 1 << TOKEN_SCALE_FRACTION, factor, formats).0
                    as i32
            };
            rows.push(k.iter().map(logit).collect());
        }
    }
    rows
}

#[test]
fn real_rows_of_a_transformer_are_equal() {
    let Some((_, traces)) = common::recorded() else { return };
    let mut checks = Checks::new("softmax_real_rows");
    for config in configurations().iter().filter(|c| c.keys_on_chip >= 128) {
        let formats = Formats::new(config);
        let mut rows: Rows = vec![];
        for recorded in &traces {
            for layer in 0..recorded.trace.q.shape()[0] {
                rows.extend(real_rows(recorded, layer, &formats).into_iter().map(|row| (row, true)));
            }
        }
        // Evenly from all sentences, layers and heads.
        let beats: usize = rows.iter().map(|(row, _)| words(row.len(), config.softmax_lanes)).sum();
        let rows: Rows = rows.into_iter().step_by((beats / 10_000).max(1)).collect();
        let mut coverage = Coverage::default();
        let (bench, total) = bench(verilog(&design("softmax", config)), config, &rows, &mut coverage);
        for stalls in [Stalls::None, Stalls::Bursts] {
            bench.run(stalls).unwrap_or_else(|e| panic!("{e}")).finish(total);
        }
        coverage.require(&["exponential of 0", "last beat in part"]);
        checks.that(total > 10_000, || format!("{total} beats"));
    }
    checks.finish_any();
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("softmax", &config);
    let mut rng = Rng::new(seed(0x1ca));
    // At `eighth` a row of all keys takes 512 beats.
    let sizes: Vec<usize> = (0..40).map(|_| rng.below(70) as usize).chain([config.keys_on_chip, 0, 1, 2]).collect();
    let rows: Rows =
        sizes.iter().map(|&n| (random_row(n.min(config.keys_on_chip), &mut rng), rng.below(4) > 0)).collect();
    let (bench, _) = bench(verilog(&design), &config, &rows, &mut Coverage::default());
    same_in_icarus(&bench, &design, "softmax");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("softmax", &config);
    let mut rng = Rng::new(8);
    let mut rows: Rows = directed(&config).into_iter().map(|row| (row, true)).collect();
    rows.extend((0..300).map(|i| (random_row(i % 20, &mut rng), i % 4 > 0)));
    for (stream, field) in [("sum", "sum"), ("out", "probability")] {
        faults_at_the_port_are_caught(&design, stream, field, |verilog| {
            bench(verilog, &config, &rows, &mut Coverage::default()).0
        });
    }
    let check = |module: &str, from: &str, to: &str, what: &str| {
        let (bench, _) = bench(broken(&design, module, from, to), &config, &rows, &mut Coverage::default());
        caught(&bench, what);
    };
    let bit = "6'd5: value = 43'h5397af28177";
    check("rom_exp", bit, &bit.replace("177", "176"), "sum_sum differs");
    check("maximum", "(~begun)", "(1'd0 & begun)", "sum_sum differs");
    check("divide", "exact_later_1)", "exact_later_1 & 1'd0)", "out_probability differs");
    check("softmax", "assign score_last = (score_at == pending_end);", "assign score_last = 1'd1;", "differs");
    check(
        "softmax",
        "assign in_ready = (ring_places_available & row_places_available);",
        "assign in_ready = ring_places_available;",
        "in_ready differs",
    );
    check("softmax", "(|stored_places)", "(|stored_places) & (~beats[0])", "timing: late");
    check("softmax", "({1'd0, dropped} + 7'd1)", "{1'd0, dropped}", "late");
}
