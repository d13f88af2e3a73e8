//! What follows `dot_product` keeps up with it: the RTL of four blocks, wired and clocked together, full rows of keys.
//!
//! ```text
//! query, keys --> dot_product --> softmax --> (values of the row) --> multiply_value --> outputs, compared with golden
//!                                 sum v ^ keep
//!                              requant_decision
//! ```
//! As many keys per cycle as `softmax` has lanes: 8 at `paper` (D = 64), 2 at `eighth` (D = 32). Nothing is pruned, so
//! `multiply_value` gets every key. `top_k` takes up to a quarter more (its own bound, `tests/top_k.rs`).

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{configurations, design, verilog};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::{Formats, TOKEN_SCALE_FRACTION};
use spatten_golden::dot_product::{ScaleFactor, integer, scale};
use spatten_golden::{multiply_value, softmax};
use spatten_sim::cosim::{Bits, Cache, Init, Model};
use spatten_testkit::{Checks, Rng};

const ONE: u64 = 1 << TOKEN_SCALE_FRACTION;

struct Row {
    query: Vec<i16>,
    keys: Vec<Vec<i16>>,
    values: Vec<Vec<i16>>,
}

fn load(block: &str, config: &ArchConfig) -> Model {
    let built = Cache::default().build(&verilog(&design(block, config))).unwrap_or_else(|e| panic!("{e}"));
    let mut rtl = Model::load(&built, Init::Random(3)).unwrap();
    rtl.reset(2).unwrap();
    rtl
}

fn get(rtl: &Model, name: &str) -> u64 {
    rtl.get(rtl.pin(name).unwrap())
}

fn wide(rtl: &Model, name: &str) -> Bits {
    rtl.get_bits(rtl.pin(name).unwrap())
}

fn set(rtl: &mut Model, name: &str, value: u64) {
    let pin = rtl.pin(name).unwrap();
    rtl.set(pin, value);
}

/// Lanes of a port, signed or not; those that are not given are 0.
fn set_lanes(rtl: &mut Model, name: &str, lanes: impl Iterator<Item = i64>, lane_width: u32) {
    let pin = rtl.pin(name).unwrap();
    let mut all: Vec<u64> = lanes.map(|lane| lane as u64 & ((1 << lane_width) - 1)).collect();
    all.resize((rtl.port(pin).width / lane_width) as usize, 0);
    rtl.set_bits(pin, &Bits::from_lanes(&all, lane_width));
}

fn expected(row: &Row, factor: ScaleFactor, dim: usize, formats: &Formats) -> Vec<i64> {
    let logit = |key: &Vec<i16>| scale(integer(&row.query, key), ONE as u32, factor, formats).0 as i32;
    let probabilities = softmax::fixed(&row.keys.iter().map(logit).collect::<Vec<_>>());
    let mut sums = vec![0; dim];
    for (p, value) in probabilities.iter().zip(&row.values) {
        multiply_value::fixed(multiply_value::weight(*p, ONE as u32), value, &mut sums);
    }
    sums.into_iter().map(|sum| multiply_value::round(sum, &formats.output).0.into()).collect()
}

/// Cycles from the first beat of keys to the last, and to the last output; beats of keys.
fn run(config: &ArchConfig, dim: usize, lengths: &[usize], checks: &mut Checks) -> (u64, u64, u64) {
    let (bits, together) = (config.datapath_bits, config.multipliers / dim);
    assert_eq!(together, config.softmax_lanes, "keys per cycle, and lanes of softmax");
    let formats = Formats::new(config);
    let mut rng = Rng::new(5);
    let half = 1i64 << (bits - 1);
    let mut operands = || (0..dim).map(|_| (rng.below(2 * half as u64) as i64 - half) as i16).collect::<Vec<i16>>();
    let rows: Vec<Row> = lengths
        .iter()
        .map(|&n| Row {
            query: operands(),
            keys: (0..n).map(|_| operands()).collect(),
            values: (0..n).map(|_| operands()).collect(),
        })
        .collect();
    // Logits of a few units either way.
    let factor = ScaleFactor::for_logits(4.0 / ((half * half) as f64 * (dim as f64).sqrt()));
    let beats: Vec<(usize, &[Vec<i16>], bool)> = rows
        .iter()
        .enumerate()
        .flat_map(|(r, row)| {
            let count = row.keys.len().div_ceil(together).max(1);
            (0..count).map(move |b| {
                let range = b * together..((b + 1) * together).min(row.keys.len());
                (r, &row.keys[range], b + 1 == count)
            })
        })
        .collect();

    let [mut dot, mut soft, mut decide, mut values] =
        ["dot_product", "softmax", "requant_decision", "multiply_value"].map(|name| load(name, config));
    let head_dim = HEAD_DIMS.iter().position(|d| *d == dim).unwrap() as u64;
    set(&mut dot, "head_dim", head_dim);
    set(&mut values, "head_dim", head_dim);
    set(&mut decide, "refetch_ready", 1);
    set(&mut values, "out_ready", 1);
    set(&mut dot, "query_valid", 0);
    set(&mut dot, "key_valid", 0);
    let [logit, operand] = [24, bits];
    let (mut query, mut key, mut scored, mut done) = (0, 0, (0, 0), 0);
    let (mut first, mut last) = (None, 0);
    for cycle in 0u64.. {
        assert!(cycle < 10 * (beats.len() as u64 + 1000), "stuck: {key} beats of keys in, {done} rows out");
        for rtl in [&mut dot, &mut soft, &mut decide, &mut values] {
            rtl.eval().unwrap();
        }
        // Outputs are functions of registers alone, so all of them can be read before any input is driven.
        let row = rows.get(query);
        set(&mut dot, "query_valid", row.is_some().into());
        if let Some(row) = row {
            set_lanes(&mut dot, "query_operands", row.query.iter().map(|&x| x.into()), operand);
            set(&mut dot, "query_mantissa", factor.mantissa.into());
            set(&mut dot, "query_shift", factor.shift.into());
        }
        query += usize::from(row.is_some() && get(&dot, "query_ready") == 1);
        let beat = beats.get(key);
        set(&mut dot, "key_valid", beat.is_some().into());
        if let Some((_, keys, ends)) = beat {
            set_lanes(&mut dot, "key_operands", keys.iter().flatten().map(|&x| x.into()), operand);
            set_lanes(&mut dot, "key_token_scale", keys.iter().map(|_| ONE as i64), 18);
            set(&mut dot, "key_count", keys.len() as u64);
            set(&mut dot, "key_last", (*ends).into());
        }
        if beat.is_some() && get(&dot, "key_ready") == 1 {
            first.get_or_insert(cycle);
            last = cycle;
            key += 1;
        }

        let logits = wide(&dot, "out_logits").signed_lanes(logit);
        set(&mut soft, "in_valid", get(&dot, "out_valid"));
        set_lanes(&mut soft, "in_logits", logits[..together].iter().copied(), logit);
        set(&mut soft, "in_count", get(&dot, "out_count"));
        set(&mut soft, "in_last", get(&dot, "out_last"));
        set(&mut dot, "out_ready", get(&soft, "in_ready"));

        set(&mut decide, "sum_valid", get(&soft, "sum_valid"));
        set(&mut decide, "sum_sum", get(&soft, "sum_sum"));
        set(&mut decide, "sum_final", 1);
        set(&mut soft, "sum_ready", get(&decide, "sum_ready"));
        set(&mut soft, "decision_valid", get(&decide, "decision_valid"));
        set(&mut soft, "decision_keep", get(&decide, "decision_keep"));
        set(&mut decide, "decision_ready", get(&soft, "decision_ready"));

        let (valid, ends) = (get(&soft, "out_valid") == 1, get(&soft, "out_last") == 1);
        let (row, at) = scored;
        set(&mut values, "in_valid", valid.into());
        if valid {
            let count = get(&soft, "out_count");
            let of_row = &rows[row].values[at..at + count as usize];
            set_lanes(&mut values, "in_values", of_row.iter().flatten().map(|&x| x.into()), operand);
            let probabilities = wide(&soft, "out_probability");
            let lanes = probabilities.lanes(probabilities.width() / together as u32);
            set_lanes(&mut values, "in_probability", lanes.iter().map(|&p| p as i64), 13);
            set_lanes(&mut values, "in_token_scale", of_row.iter().map(|_| ONE as i64), 18);
            set(&mut values, "in_count", count);
            set(&mut values, "in_last", ends.into());
        }
        set(&mut soft, "out_ready", get(&values, "in_ready"));
        if valid && get(&values, "in_ready") == 1 {
            scored = if ends { (row + 1, 0) } else { (row, at + together) };
        }

        if get(&values, "out_valid") == 1 {
            let outputs = wide(&values, "out_outputs").signed_lanes(16);
            let context = || format!("{} row {done} of {} keys", config.name, rows[done].keys.len());
            checks.eq(&outputs[..dim], &expected(&rows[done], factor, dim, &formats)[..], context);
            done += 1;
            if done == rows.len() {
                return (last - first.expect("keys went in") + 1, cycle - first.unwrap() + 1, beats.len() as u64);
            }
        }
        for rtl in [&mut dot, &mut soft, &mut decide, &mut values] {
            rtl.step().unwrap();
        }
    }
    unreachable!("cycles are counted without end")
}

#[test]
fn keys_enter_in_every_cycle_and_nothing_behind_holds_them_up() {
    let mut checks = Checks::new("throughput");
    for config in configurations() {
        let dim = config.multipliers / config.softmax_lanes;
        if !HEAD_DIMS.contains(&dim) {
            println!("{}: no D gives {} keys per cycle", config.name, config.softmax_lanes);
            continue;
        }
        let keys = config.keys_on_chip;
        let lanes = config.softmax_lanes;
        let mixed: Vec<usize> = (0..60).map(|i| [keys, 1, keys / 2, 0, lanes, 3 * lanes + 1, 100][i % 7]).collect();
        for lengths in [vec![keys; 6], vec![lanes; 300], vec![1; 300], mixed] {
            let (fed, span, beats) = run(&config, dim, &lengths, &mut checks);
            checks.eq(fed, beats, || format!("{} D={dim} {lengths:?}: a group of keys per cycle", config.name));
            println!(
                "{} D={dim}: {} rows, {beats} groups of {lanes} keys in {fed} cycles, {span} until the last output",
                config.name,
                lengths.len()
            );
        }
    }
    checks.finish_any();
}
