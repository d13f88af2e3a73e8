//! `multiply_value`: RTL against golden outputs and the cycle model, in every cycle.
//!
//! ```text
//! rows of (probability, scale, values) -> beats -> RTL -> outputs <- golden::multiply_value::{weight, fixed, round}
//! ```

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::{Formats, TOKEN_SCALE_FRACTION};
use spatten_golden::dot_product::ScaleFactor;
use spatten_golden::importance_accumulator::head_increment;
use spatten_golden::multiply_value::{fixed, round, weight};
use spatten_sim::cosim::{Bits, BlockBench, Coverage, Stalls, Verilog, seed};
use spatten_sim::multiply_value::{MultiplyValue, Outputs, Values, lanes, latency};
use spatten_testkit::{Checks, Rng};

/// The kept keys of one query row: probability, scale, values.
type Row = Vec<(u32, u32, Vec<i16>)>;

#[derive(Default)]
struct Beats {
    values: Vec<Values>,
    outputs: Vec<Outputs>,
}

/// Turns rows into beats. `rng` fills what has no meaning: lanes without a value row.
fn beats(config: &ArchConfig, dim: usize, rows: &[Row], rng: &mut Rng, coverage: &mut Coverage) -> Beats {
    let (bits, multipliers, lanes) = (config.datapath_bits, config.multipliers, lanes(config));
    let formats = Formats::new(config);
    let mut out = Beats::default();
    for row in rows {
        let together = (multipliers / dim).max(1);
        let groups: Vec<&[(u32, u32, Vec<i16>)]> =
            if row.is_empty() { vec![&[]] } else { row.chunks(together).collect() };
        coverage.add("empty row", row.is_empty().into());
        coverage.add("row of one beat", (groups.len() == 1 && dim <= multipliers).into());
        coverage.add("full beat", groups.iter().filter(|g| g.len() == together).count() as u64);
        coverage.add("partial beat", groups.iter().filter(|g| g.len() < together).count() as u64);
        for (g, group) in groups.iter().enumerate() {
            let mut values: Vec<i16> = group.iter().flat_map(|(.., v)| v.clone()).collect();
            values.resize_with(values.len().max(multipliers), || operand(rng, bits));
            let lane = |of: fn(&(u32, u32, Vec<i16>)) -> u32, rng: &mut Rng, bound| {
                let mut lane: Vec<u32> = group.iter().map(of).collect();
                lane.resize_with(lanes, || rng.below(bound) as u32);
                lane
            };
            let probability = lane(|(p, ..)| *p, rng, 1 << 13);
            let token_scale = lane(|(_, s, _)| *s, rng, 1 << 18);
            let slices = values.chunks(multipliers).count();
            for (s, slice) in values.chunks(multipliers).enumerate() {
                out.values.push(Values {
                    operand_bits: bits,
                    values: slice.to_vec(),
                    probability: probability.clone(),
                    token_scale: token_scale.clone(),
                    count: group.len(),
                    last: g + 1 == groups.len() && s + 1 == slices,
                });
            }
        }
        let mut sums = vec![0; dim];
        for (p, s, values) in row {
            fixed(weight(*p, *s), values, &mut sums);
            let product = u64::from(*p) * u64::from(*s);
            let tie = product & ((1 << TOKEN_SCALE_FRACTION) - 1) == 1 << (TOKEN_SCALE_FRACTION - 1);
            coverage.add("tie of a weight", tie.into());
            coverage.add("scale 1.0", (*s == 1 << TOKEN_SCALE_FRACTION).into());
            coverage.add("probability 1.0", (*p == 1 << 12).into());
        }
        assert!(sums.iter().all(|&s| formats.value_sum.holds(s.into())), "a row outside the contract");
        let (mut outputs, mut saturated) = (vec![], 0);
        for &sum in &sums {
            let (output, flag) = round(sum, &formats.output);
            let shift = 12 - formats.output.fraction_bits;
            coverage.add("tie of an output", (sum & ((1 << shift) - 1) == 1 << (shift - 1)).into());
            coverage.add("saturated", flag.into());
            coverage.add("largest without saturation", (output == 32767 && !flag).into());
            coverage.add("smallest", (output == -32768).into());
            coverage.add("negative", (output < 0).into());
            saturated += u64::from(flag);
            outputs.push(output);
        }
        let magnitude = head_increment(&outputs, ScaleFactor::new(1.0));
        coverage.add("every output saturated", (saturated == dim as u64).into());
        outputs.resize(128, 0);
        out.outputs.push(Outputs { outputs: outputs.into_iter().map(i64::from).collect(), saturated, magnitude });
    }
    out
}

const RARE: [&str; 13] = [
    "empty row",
    "row of one beat",
    "full beat",
    "partial beat",
    "tie of a weight",
    "scale 1.0",
    "probability 1.0",
    "tie of an output",
    "saturated",
    "largest without saturation",
    "smallest",
    "negative",
    "every output saturated",
];

fn operand(rng: &mut Rng, bits: u32) -> i16 {
    let half = 1i64 << (bits - 1);
    (rng.below(2 * half as u64) as i64 - half) as i16
}

fn values(rng: &mut Rng, bits: u32, dim: usize) -> Vec<i16> {
    let largest = ((1i32 << (bits - 1)) - 1) as i16;
    let kind = rng.below(10);
    let one = |_| match kind {
        0 => -largest - 1,
        1 => largest,
        2 if rng.below(8) > 0 => 0,
        _ => operand(rng, bits),
    };
    (0..dim).map(one).collect()
}

/// A row of `keys` probabilities that add up to at most 1.0, as `softmax` gives them.
fn random_row(config: &ArchConfig, dim: usize, keys: u64, rng: &mut Rng) -> Row {
    let mut left = 1u64 << 12;
    let peaked = rng.below(4) == 0;
    (0..keys)
        .map(|_| {
            let most = if peaked { left } else { (2 * (1 << 12) / keys).min(left) };
            let p = if keys == 1 && peaked { left } else { rng.below(most + 1) };
            left -= p;
            let token_scale = match rng.below(3) {
                0 => 1 << 17,
                1 => 1 << rng.below(18),
                _ => rng.below((1 << 17) + 1),
            };
            (p as u32, token_scale as u32, values(rng, config.datapath_bits, dim))
        })
        .collect()
}

fn random_rows(config: &ArchConfig, dim: usize, count: usize, rng: &mut Rng) -> Vec<Row> {
    let together = (config.multipliers / dim).max(1) as u64;
    let row = |_| {
        let keys = match rng.below(8) {
            0 => 0,
            1 => 1,
            2 | 3 => rng.below(2 * together + 1),
            4 => rng.below(12 * together),
            _ => rng.below(4 * together),
        };
        random_row(config, dim, keys, rng)
    };
    (0..count).map(row).collect()
}

/// Rows whose sums stand at the ends of the output and around ties: one probability with its value for each part.
fn edge_rows(config: &ArchConfig, dim: usize) -> Vec<Row> {
    let bits = config.datapath_bits;
    let largest = (1i32 << (bits - 1)) - 1;
    let one = 1 << TOKEN_SCALE_FRACTION;
    let mut rows = vec![];
    let smallest_row = |p| -> Row { vec![(p, one, vec![(-largest - 1) as i16; dim])] };
    // 2.0 times the smallest value is the smallest output.
    rows.push([smallest_row(4096), smallest_row(4096)].concat());
    rows.push([smallest_row(4096), smallest_row(4095)].concat());
    // Sums just around the largest output: 2.0 times the largest value, and what is missing in units.
    let top = 1i32 << (bits + 12);
    let unit = 1i32 << (bits - 3);
    for sum in [top - 1, top - unit / 2, top - unit / 2 - 1, top - unit, top - unit - 1, top - 2 * unit] {
        let mut row: Row = vec![(4096, one, vec![largest as i16; dim]); 2];
        let mut left = sum - 8192 * largest;
        while left > 0 {
            // As much as one more row can add, the rest of which is one more.
            let p = (left / largest).clamp(1, 4096);
            let value = (left / p).min(largest);
            row.push((p as u32, one, vec![value as i16; dim]));
            left -= p * value;
        }
        // Less than twice the largest value: take away.
        while left < 0 {
            let value = left.max(-largest - 1);
            row.push((1, one, vec![value as i16; dim]));
            left -= value;
        }
        // Only some outputs saturate.
        let mut some = row.clone();
        some.last_mut().unwrap().2[..dim / 2].fill(-1);
        rows.extend([row, some]);
    }
    // Every small sum on both sides of 0, in one row each.
    for sum in -3 * unit..=3 * unit {
        let (p, value) = if sum.abs() <= largest { (1, sum) } else { (2, sum / 2) };
        rows.push(vec![(p, one, vec![value as i16; dim])]);
    }
    // A weight at a tie, and scales above 1.0 with the largest probability that the port holds.
    for (p, token_scale) in
        [(1, one / 2), (3, one / 2), (1, one / 2 - 1), (5460, 3 * one / 2), (4096, 2 * one - 33), (8191, one)]
    {
        rows.push(vec![(p, token_scale, vec![7; dim]), (0, token_scale, vec![-7; dim])]);
    }
    rows
}

fn bench(verilog: Verilog, config: &ArchConfig, dim: usize, beats: &Beats) -> BlockBench<MultiplyValue> {
    let head_dim = HEAD_DIMS.iter().position(|d| *d == dim).unwrap() as u64;
    BlockBench::new(verilog, "multiply_value", &config.name, seed(0x3a1), MultiplyValue::new(config, dim))
        .input("in", beats.values.clone())
        .output("out", beats.outputs.clone())
        .pin("head_dim", Bits::new(head_dim, 2))
        .again("cargo test --test multiply_value")
}

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("multiply_value");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("multiply_value", &config));
        let (mut accepted, mut rows_checked) = (0, 0);
        for dim in HEAD_DIMS {
            let mut rng = Rng::new(seed(dim as u64));
            let mut rows = random_rows(&config, dim, 1_200, &mut rng);
            rows.extend(edge_rows(&config, dim));
            let beats = beats(&config, dim, &rows, &mut rng, &mut coverage);
            let reports = run_all(&bench(verilog.clone(), &config, dim, &beats), rows.len(), &mut coverage);
            accepted += beats.values.len();
            rows_checked += rows.len();
            let expected = beats.values.len() + latency(&config);
            checks.eq(reports[0].span(), expected as u64, || format!("{} D={dim}: one beat per cycle", config.name));
        }
        checks.that(accepted >= 10_000, || format!("{}: {accepted} beats, {rows_checked} rows", config.name));
    }
    coverage.require(&RARE);
    coverage.require(&["bubble", "back-pressure", "stall"]);
    checks.finish_any();
}

/// The shortest rows: one value row each, or one beat without any.
#[test]
fn rows_of_one_beat_follow_each_other_without_a_gap() {
    let mut checks = Checks::new("multiply_value_short_rows");
    for config in configurations() {
        let verilog = verilog(&design("multiply_value", &config));
        for dim in HEAD_DIMS {
            let mut rng = Rng::new(5);
            let rows: Vec<Row> = (0..500).map(|i| random_row(&config, dim, u64::from(i % 5 != 0), &mut rng)).collect();
            let beats = beats(&config, dim, &rows, &mut rng, &mut Coverage::default());
            let report = bench(verilog.clone(), &config, dim, &beats).run(Stalls::None).unwrap();
            let expected = beats.values.len() + latency(&config);
            checks.eq(report.span(), expected as u64, || format!("{} D={dim}", config.name));
        }
    }
    checks.finish_any();
}

#[test]
fn other_widths_and_sizes_are_right_too() {
    let mut checks = Checks::new("multiply_value_sizes");
    for text in [
        "base = \"tiny\"\ndatapath_bits = 4\nmultipliers = 256",
        "base = \"tiny\"\ndatapath_bits = 16\nmultipliers = 32",
    ] {
        let config = ArchConfig::from_toml(text, "own.toml").unwrap();
        let verilog = verilog(&design("multiply_value", &config));
        for dim in HEAD_DIMS {
            let mut rng = Rng::new(7);
            let mut rows = random_rows(&config, dim, 300, &mut rng);
            // At 16 bits the exhaustive part of the edges is long.
            rows.extend(edge_rows(&config, dim).into_iter().take(200));
            let beats = beats(&config, dim, &rows, &mut rng, &mut Coverage::default());
            let report = bench(verilog.clone(), &config, dim, &beats).run(Stalls::Bursts).unwrap();
            report.finish(rows.len());
            checks.that(report.stalls > 0, || format!("{text}: {report}"));
        }
    }
    checks.finish_any();
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("multiply_value", &config);
    let mut rng = Rng::new(9);
    let rows = random_rows(&config, 32, 100, &mut rng);
    let beats = beats(&config, 32, &rows, &mut rng, &mut Coverage::default());
    same_in_icarus(&bench(verilog(&design), &config, 32, &beats), &design, "multiply_value");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("multiply_value", &config);
    let mut rng = Rng::new(8);
    let mut rows = random_rows(&config, 32, 200, &mut rng);
    rows.extend(edge_rows(&config, 32));
    let beats = beats(&config, 32, &rows, &mut rng, &mut Coverage::default());
    faults_at_the_port_are_caught(&design, "out", "outputs", |verilog| bench(verilog, &config, 32, &beats));
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&bench(broken(&design, module, from, to), &config, 32, &beats), what);
    };
    check("weight", "multiplier_product[16]", "multiplier_product[15]", "out_outputs differs");
    check("multiply_value", "flags_3_next = 1'd1;", "flags_3_next = 1'd0;", "out_saturated differs");
    check("multiply_value", "bases_20 = 26'd0;", "bases_20 = sums_20;", "out_outputs differs");
    check(
        "magnitudes",
        "magnitudes_5_next = (-outputs[95:80]);",
        "magnitudes_5_next = (~outputs[95:80]);",
        "out_magnitude differs",
    );
    check(
        "multiply_value",
        "tags_in_valid = flight[10];",
        "tags_in_valid = (flight[10] & ~(&flight[3:0]));",
        "timing: late",
    );
}
