//! `dot_product`: RTL against golden logits and the cycle model, in every cycle.
//!
//! ```text
//! rows of (query, keys) -> beats of both streams -> RTL -> logits <- golden::dot_product::{integer, scale} of the rows
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
use spatten_golden::dot_product::{ScaleFactor, integer, scale};
use spatten_sim::cosim::{Bits, BlockBench, Coverage, Stalls, Verilog, seed};
use spatten_sim::dot_product::{DotProduct, Input, Key, Logits, Query, lanes, latency};
use spatten_testkit::{Checks, Rng};

/// A query row with its keys and their scales.
struct Row {
    query: Vec<i16>,
    factor: ScaleFactor,
    keys: Vec<(Vec<i16>, u32)>,
}

/// Beats of both streams and of the output.
#[derive(Default)]
struct Beats {
    queries: Vec<Input>,
    keys: Vec<Input>,
    logits: Vec<Logits>,
}

/// Turns rows into beats. `rng` fills what has no meaning: operands above D, lanes without a key.
fn beats(config: &ArchConfig, dim: usize, rows: &[Row], rng: &mut Rng, coverage: &mut Coverage) -> Beats {
    let (bits, multipliers, lanes) = (config.datapath_bits, config.multipliers, lanes(config));
    let formats = Formats::new(config);
    let mut out = Beats::default();
    let mut noise = |n: usize| (0..n).map(|_| operand(rng, bits)).collect::<Vec<i16>>();
    for row in rows {
        let operands = [row.query.clone(), noise(128 - dim)].concat();
        out.queries.push(Input::Query(Query { operand_bits: bits, operands, factor: row.factor }));
        let together = (multipliers / dim).max(1);
        let groups: Vec<&[(Vec<i16>, u32)]> =
            if row.keys.is_empty() { vec![&[]] } else { row.keys.chunks(together).collect() };
        coverage.add("empty row", row.keys.is_empty().into());
        coverage.add("row of one group", (!row.keys.is_empty() && groups.len() == 1).into());
        coverage.add("full group", groups.iter().filter(|g| g.len() == together).count() as u64);
        coverage.add("partial group", groups.iter().filter(|g| g.len() < together).count() as u64);
        for (g, group) in groups.iter().enumerate() {
            let last = g + 1 == groups.len();
            let mut operands: Vec<i16> = group.iter().flat_map(|(key, _)| key.clone()).collect();
            operands.extend(noise(multipliers.saturating_sub(operands.len())));
            let mut token_scale: Vec<u32> = group.iter().map(|(_, scale)| *scale).collect();
            token_scale.resize_with(lanes, || noise(1)[0] as u32 & 0x3ffff);
            let beat = |operands: &[i16], last| {
                let (operands, token_scale) = (operands.to_vec(), token_scale.clone());
                Input::Key(Key { operand_bits: bits, operands, token_scale, count: group.len(), last })
            };
            // An empty row is one beat, whatever the width of a key.
            let slices = operands.chunks(multipliers).count();
            for (s, slice) in operands.chunks(multipliers).enumerate() {
                out.keys.push(beat(slice, last && s + 1 == slices));
            }
            let mut logits = Logits { logits: vec![0; lanes], saturated: vec![false; lanes], count: group.len(), last };
            for (lane, (key, token_scale)) in group.iter().enumerate() {
                let dot = integer(&row.query, key);
                let (logit, saturated) = scale(dot, *token_scale, row.factor, &formats);
                (logits.logits[lane], logits.saturated[lane]) = (logit, saturated);
                cover(coverage, dot, *token_scale, row.factor, logit, saturated);
            }
            out.logits.push(logits);
        }
    }
    out
}

fn cover(coverage: &mut Coverage, dot: i64, token_scale: u32, factor: ScaleFactor, logit: i64, saturated: bool) {
    let product = i128::from(dot) * i128::from(token_scale);
    let half = 1i128 << (TOKEN_SCALE_FRACTION - 1);
    let relative = (product + half) >> TOKEN_SCALE_FRACTION;
    let scaled = relative * i128::from(factor.mantissa);
    let tie = |value: i128, shift: u32| shift > 0 && value & ((1 << shift) - 1) == 1 << (shift - 1);
    coverage.add("tie of the token scale", (token_scale > 0 && tie(product, TOKEN_SCALE_FRACTION)).into());
    coverage.add("tie of the score scale", tie(scaled, factor.shift).into());
    coverage.add("negative tie", (scaled < 0 && tie(scaled, factor.shift)).into());
    coverage.add("saturated high", (saturated && logit > 0).into());
    coverage.add("saturated low", (saturated && logit < 0).into());
    coverage.add("saturated by rounding", (saturated && scaled >> factor.shift == (1 << 23) - 1).into());
    coverage.add("in range and not 0", (!saturated && logit != 0).into());
    coverage.add("shift 0", (factor.shift == 0).into());
    coverage.add("shift 63", (factor.shift == 63).into());
    coverage.add("negative and shift 63", (factor.shift == 63 && scaled < 0).into());
    coverage.add("token scale 1.0", (token_scale == 1 << TOKEN_SCALE_FRACTION).into());
    coverage.add("token scale above 1.0", (token_scale > 1 << TOKEN_SCALE_FRACTION).into());
}

const RARE: [&str; 16] = [
    "empty row",
    "row of one group",
    "full group",
    "partial group",
    "tie of the token scale",
    "tie of the score scale",
    "negative tie",
    "saturated high",
    "saturated low",
    "saturated by rounding",
    "in range and not 0",
    "shift 0",
    "shift 63",
    "negative and shift 63",
    "token scale 1.0",
    "token scale above 1.0",
];

fn operand(rng: &mut Rng, bits: u32) -> i16 {
    let half = 1i64 << (bits - 1);
    (rng.below(2 * half as u64) as i64 - half) as i16
}

/// Operands of one of several kinds: all the smallest (the largest products), all the largest, few, any.
fn operands(rng: &mut Rng, bits: u32, dim: usize) -> Vec<i16> {
    let largest = ((1i32 << (bits - 1)) - 1) as i16;
    let kind = rng.below(12);
    let one = |_| match kind {
        0 => -largest - 1,
        1 => largest,
        2 if rng.below(8) > 0 => 0,
        _ => operand(rng, bits),
    };
    (0..dim).map(one).collect()
}

fn token_scale(rng: &mut Rng) -> u32 {
    match rng.below(5) {
        0 => 1 << 17,
        1 => rng.below(1 << 18) as u32,
        2 => 1 << rng.below(18),
        _ => rng.below(1 << 17) as u32,
    }
}

/// Mostly a factor that brings dot products of this width near the range of a logit.
fn factor(rng: &mut Rng, formats: &Formats) -> ScaleFactor {
    let mantissa = ((1 << 17) + rng.below(1 << 17)) as u32;
    let near = 17 + u64::from(formats.dot.width().saturating_sub(24));
    match rng.below(8) {
        0 => ScaleFactor { mantissa: rng.below(1 << 18) as u32, shift: rng.below(64) as u32 },
        1 => ScaleFactor { mantissa: 1 << 17, shift: (near + rng.below(4)) as u32 },
        _ => ScaleFactor { mantissa, shift: (near.saturating_sub(6) + rng.below(10)) as u32 },
    }
}

/// Random rows that make at least `groups` output beats.
fn random_rows(config: &ArchConfig, dim: usize, groups: usize, rng: &mut Rng) -> Vec<Row> {
    let (bits, formats) = (config.datapath_bits, Formats::new(config));
    let together = (config.multipliers / dim).max(1) as u64;
    let (mut rows, mut done) = (vec![], 0);
    while done < groups as u64 {
        let keys = match rng.below(8) {
            0 => 0,
            1 => 1,
            2 | 3 => rng.below(2 * together + 1),
            _ => rng.below(12 * together),
        };
        done += keys.div_ceil(together).max(1);
        let keys = (0..keys).map(|_| (operands(rng, bits, dim), token_scale(rng))).collect();
        rows.push(Row { query: operands(rng, bits, dim), factor: factor(rng, &formats), keys });
    }
    rows
}

/// A query and a key whose dot product is `dot`.
fn pair_for(mut dot: i64, dim: usize, bits: u32) -> (Vec<i16>, Vec<i16>) {
    let largest = (1i64 << (bits - 1)) - 1;
    let (mut query, mut key) = (vec![0; dim], vec![0; dim]);
    for i in 0..dim {
        // Query operands alternate, so that one query serves nothing but its own key.
        let q = if dot.abs() >= largest { largest } else { 1 };
        let k = (dot / q).clamp(-largest, largest);
        (query[i], key[i]) = (q as i16, k as i16);
        dot -= q * k;
    }
    assert_eq!(dot, 0, "reachable with {dim} operands of {bits} bits");
    (query, key)
}

/// One row per case at the edge: ties, the largest values, shifts at both ends.
fn edge_rows(config: &ArchConfig, dim: usize) -> Vec<Row> {
    let bits = config.datapath_bits;
    let largest = ((1i32 << (bits - 1)) - 1) as i16;
    let mut rows = vec![];
    let mut case = |dot: i64, token_scale: u32, mantissa: u32, shift: u32| {
        let (query, key) = pair_for(dot, dim, bits);
        rows.push(Row { query, factor: ScaleFactor { mantissa, shift }, keys: vec![(key, token_scale)] });
    };
    let one = 1 << 17;
    for dot in [-3, -2, -1, 0, 1, 2, 3] {
        for token_scale in [0, 1, one / 2, one, one + one / 2, 2 * one - 1] {
            for shift in [0, 1, 15, 16, 17, 18, 19, 31, 32, 47, 48, 62, 63] {
                case(dot, token_scale, one, shift);
                case(dot, token_scale, 2 * one - 1, shift);
            }
        }
    }
    // Around the largest and the smallest logit, in halves of its unit.
    let most = i64::from(largest) * i64::from(largest) * dim as i64;
    for dot in [(1 << 24) - 3, (1 << 24) - 2, (1 << 24) - 1, 1 << 24, (1 << 24) + 1, (1 << 24) + 2] {
        if dot <= most {
            case(dot, one, one, 18);
            case(-dot, one, one, 18);
            case(dot, one, 2 * one - 1, 18);
        }
    }
    let extreme = |q: i16, k: i16, shift| Row {
        query: vec![q; dim],
        factor: ScaleFactor { mantissa: 2 * one - 1, shift },
        keys: vec![(vec![k; dim], 2 * one - 1)],
    };
    for shift in 0..64 {
        rows.push(extreme(-largest - 1, -largest - 1, shift));
        rows.push(extreme(-largest - 1, largest, shift));
    }
    rows
}

fn bench(verilog: Verilog, config: &ArchConfig, dim: usize, beats: &Beats) -> BlockBench<DotProduct> {
    let head_dim = HEAD_DIMS.iter().position(|d| *d == dim).unwrap() as u64;
    BlockBench::new(verilog, "dot_product", &config.name, seed(0xd07), DotProduct::new(config, dim))
        .input("query", beats.queries.clone())
        .input("key", beats.keys.clone())
        .output("out", beats.logits.clone())
        .pin("head_dim", Bits::new(head_dim, 2))
        .again("cargo test --test dot_product")
}

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("dot_product");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("dot_product", &config));
        let mut checked = 0;
        for dim in HEAD_DIMS {
            let mut rng = Rng::new(seed(dim as u64));
            let mut rows = random_rows(&config, dim, 2_500, &mut rng);
            rows.extend(edge_rows(&config, dim));
            let beats = beats(&config, dim, &rows, &mut rng, &mut coverage);
            let reports = run_all(&bench(verilog.clone(), &config, dim, &beats), beats.logits.len(), &mut coverage);
            checked += beats.logits.len();
            // The first query takes a cycle of its own; from then on there is a key beat in every cycle.
            let expected = 1 + beats.keys.len() + latency(&config);
            let found = reports[0].span();
            checks.eq(found, expected as u64, || format!("{} D={dim}: one group of keys per cycle", config.name));
        }
        checks.that(checked >= 10_000, || format!("{}: {checked} beats", config.name));
    }
    coverage.require(&RARE);
    coverage.require(&["bubble", "back-pressure", "stall"]);
    checks.finish_any();
}

/// The shortest rows: nothing but a query and one group each.
#[test]
fn rows_of_one_group_follow_each_other_without_a_gap() {
    let mut checks = Checks::new("dot_product_short_rows");
    for config in configurations() {
        let verilog = verilog(&design("dot_product", &config));
        for dim in HEAD_DIMS.into_iter().filter(|dim| *dim <= config.multipliers) {
            let mut rng = Rng::new(5);
            let together = (config.multipliers / dim).max(1) as u64;
            let mut rows = random_rows(&config, dim, 500, &mut rng);
            for (i, row) in rows.iter_mut().enumerate() {
                row.keys.truncate(if i % 7 == 0 { 0 } else { 1 + rng.below(together) as usize });
            }
            let beats = beats(&config, dim, &rows, &mut rng, &mut Coverage::default());
            assert_eq!(beats.keys.len(), rows.len());
            let report = bench(verilog.clone(), &config, dim, &beats).run(Stalls::None).unwrap();
            let expected = 1 + rows.len() + latency(&config);
            checks.eq(report.span(), expected as u64, || format!("{} D={dim}", config.name));
        }
    }
    checks.finish_any();
}

#[test]
fn other_widths_and_sizes_are_right_too() {
    let mut checks = Checks::new("dot_product_sizes");
    for text in [
        "base = \"tiny\"\ndatapath_bits = 4\nmultipliers = 128",
        "base = \"tiny\"\ndatapath_bits = 16\nmultipliers = 32",
    ] {
        let config = ArchConfig::from_toml(text, "own.toml").unwrap();
        let verilog = verilog(&design("dot_product", &config));
        for dim in HEAD_DIMS {
            let (mut rng, mut coverage) = (Rng::new(7), Coverage::default());
            let mut rows = random_rows(&config, dim, 500, &mut rng);
            rows.extend(edge_rows(&config, dim));
            let beats = beats(&config, dim, &rows, &mut rng, &mut coverage);
            let report = bench(verilog.clone(), &config, dim, &beats).run(Stalls::Bursts).unwrap();
            report.finish(beats.logits.len());
            checks.that(report.stalls > 0, || format!("{text}: {report}"));
        }
    }
    checks.finish_any();
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("dot_product", &config);
    let mut rng = Rng::new(9);
    let rows = random_rows(&config, 32, 150, &mut rng);
    let beats = beats(&config, 32, &rows, &mut rng, &mut Coverage::default());
    same_in_icarus(&bench(verilog(&design), &config, 32, &beats), &design, "dot_product");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("dot_product", &config);
    let mut rng = Rng::new(8);
    let mut rows = random_rows(&config, 32, 300, &mut rng);
    rows.extend(edge_rows(&config, 32));
    let beats = beats(&config, 32, &rows, &mut rng, &mut Coverage::default());
    faults_at_the_port_are_caught(&design, "out", "logits", |verilog| bench(verilog, &config, 32, &beats));
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&bench(broken(&design, module, from, to), &config, 32, &beats), what);
    };
    let rounding = "assign rounded_next = ({{1{whole[24]}}, whole} + {25'd0, fine[0]});";
    check("score_scale", rounding, "assign rounded_next = {{1{whole[24]}}, whole};", "out_logits differs");
    check("score_scale", "result_next = 24'd8388607;", "result_next = 24'd8388606;", "out_logits differs");
    check("factor_product_31", "same = values_late;", "same = 31'd0;", "out_logits differs");
    check(
        "dot_product",
        "assign accept = ((key_valid & places_available) & queries_available);",
        "assign accept = (((key_valid & places_available) & queries_available) & ~(&flight[5:0]));",
        "timing: late",
    );
    check("dot_product", "assign logits_push = flight[20];", "assign logits_push = flight[19];", "timing: early");
    check("query_store", "assign in_ready = (count < 2'd2);", "assign in_ready = (count < 2'd1);", "ready too late");
}
