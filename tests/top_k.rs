//! `top_k`: RTL against golden and the cycle model, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "common/rows.rs"]
#[allow(dead_code)]
mod rows;
#[path = "common/selection.rs"]
mod selection;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, played, replayed, run_all, same_in_icarus,
    verilog,
};
use rows::{RARE, Row, Sent, Size, cover, every_row, streams};
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;
use spatten_arch::lfsr::Lfsr;
use spatten_golden::top_k as golden;
use spatten_hw::emit::{Design, emit};
use spatten_hw::top_k::TopK as Rtl;
use spatten_sim::cosim::{Beat, BlockBench, Coverage, Field, Stalls, Verilog, bits_for, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::top_k::{Kept, TopK};
use spatten_testkit::{Checks, Rng};

#[derive(Debug, Clone)]
struct Out {
    kept: Vec<Kept>,
    last: bool,
    size: Size,
}

impl Beat for Out {
    fn fields(&self) -> Vec<Field> {
        let Size { bits, lanes, keys } = self.size;
        let lanes_of = |value: fn(&Kept) -> u64| {
            let mut all: Vec<u64> = self.kept.iter().map(value).collect();
            all.resize(lanes, 0);
            all
        };
        vec![
            Field::lanes("index", &lanes_of(|k| k.0.into()), bits_for(keys - 1)),
            Field::lanes("score", &lanes_of(|k| k.1), bits),
            Field::value("count", self.kept.len() as u64, bits_for(lanes)),
            Field::flag("last", self.last),
        ]
    }
}

#[derive(Debug, Clone)]
struct Model {
    model: TopK,
    size: Size,
    front: Option<Out>,
}

impl CycleModel for Model {
    type Input = Sent;
    type Output = Out;
    fn ready(&self, port: usize) -> bool {
        self.model.ready(port)
    }
    fn output(&self, _port: usize) -> Option<&Out> {
        self.front.as_ref()
    }
    fn clock(&mut self, accepted: &mut [Option<Sent>], taken: &[bool]) {
        let mut accepted: Vec<_> = accepted.iter_mut().map(|sent| sent.take().map(|s| s.input)).collect();
        self.model.clock(&mut accepted, taken);
        self.front = self.model.output(0).map(|b| Out { kept: b.lanes.clone(), last: b.last, size: self.size });
    }
}

/// Golden beats: full, but for the last of each row; of nothing, one of 0.
fn expected(rows: &[Row], size: Size) -> Vec<Out> {
    let mut out = vec![];
    for row in rows {
        let kept = golden::fixed(&row.scores, row.k, size.bits);
        let reference = golden::reference(&row.scores, row.k);
        assert_eq!(kept, reference);
        let kept: Vec<Kept> = kept.into_iter().map(|i| (i as u32, row.scores[i])).collect();
        if kept.is_empty() {
            out.push(Out { kept: vec![], last: true, size });
        }
        let beats = kept.len().div_ceil(size.lanes);
        out.extend(kept.chunks(size.lanes).enumerate().map(|(i, k)| Out {
            kept: k.to_vec(),
            last: i + 1 == beats,
            size,
        }));
    }
    out
}

fn bench(verilog: Verilog, config: &str, size: Size, rows: &[Row]) -> (BlockBench<Model>, usize) {
    let (beats, ks) = streams(rows, size);
    let out = expected(rows, size);
    let count = out.len();
    let model = Model { model: TopK::new(size.bits, size.lanes), size, front: None };
    let bench = BlockBench::new(verilog, "top_k", config, seed(0x70b), model)
        .input("in", beats)
        .input("k", ks)
        .output("out", out)
        .again("cargo test --test top_k");
    (bench, count)
}

fn size_of(config: &ArchConfig) -> Size {
    let bits = Formats::new(config).probability.width();
    Size { bits, lanes: config.topk_lanes, keys: config.keys_on_chip }
}

fn rtl(size: Size) -> Design {
    emit(Rtl::new(size.bits as usize, size.lanes, size.keys)).unwrap()
}

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut coverage = Coverage::default();
    for config in configurations() {
        let size = size_of(&config);
        let rows = rows::rows(size, 7_000, &mut Rng::new(seed(1)));
        cover(&rows, size, &mut coverage);
        let (bench, count) = bench(verilog(&design("top_k", &config)), &config.name, size, &rows);
        assert!(count >= 10_000, "{count} beats");
        run_all(&bench, count, &mut coverage);
    }
    coverage.require(&RARE);
}

#[test]
fn scores_of_forty_eight_bits_for_cascade_selection() {
    let mut coverage = Coverage::default();
    let long = std::env::var("SPATTEN_LONG").is_ok_and(|v| v != "0");
    let keys = if long { 1024 } else { 128 };
    let size = Size { bits: 48, lanes: 8, keys };
    let rows = rows::rows(size, 700, &mut Rng::new(2));
    cover(&rows, size, &mut coverage);
    let (bench, count) = bench(verilog(&rtl(size)), "48 bits", size, &rows);
    run_all(&bench, count, &mut coverage);
    coverage.require(&RARE);
}

#[test]
fn every_row_of_up_to_five_scores_with_every_k() {
    let mut coverage = Coverage::default();
    // Two bits in two lanes; scores that differ in the first digit, in the second, or in both, in four; one lane.
    for (bits, lanes, values, longest) in [(2, 2, [0, 1, 2, 3], 5), (6, 4, [0, 1, 16, 17], 5), (3, 1, [0, 3, 4, 7], 4)]
    {
        let size = Size { bits, lanes, keys: 8 };
        let rows = every_row(&values, longest, 8);
        cover(&rows, size, &mut coverage);
        let (bench, count) = bench(verilog(&rtl(size)), &format!("{bits} bits, {lanes} lanes"), size, &rows);
        for stalls in [Stalls::None, Stalls::Bursts] {
            bench.run(stalls).unwrap_or_else(|e| panic!("{e}")).finish(count);
        }
    }
    assert!(coverage.count("tie at the threshold") > 1_000);
}

#[test]
fn rows_follow_each_other_in_the_documented_time_whatever_their_scores() {
    let mut checks = Checks::new("top_k_time");
    for config in configurations() {
        let size = size_of(&config);
        let verilog = verilog(&design("top_k", &config));
        let lengths = [1, size.lanes, size.lanes + 1, 100.min(size.keys), size.keys, size.keys - 1, 2 * size.lanes, 0];
        for (kind, n) in (0..rows::KINDS).zip(lengths) {
            let count = 12;
            let mut rng = Rng::new(kind);
            // The last row keeps one score at its end, so that its last word ends its only beat.
            let mut rows: Vec<Row> = (0..count - 1)
                .map(|i| Row { scores: rows::scores(kind, n, size.bits, &mut rng), k: i * n / count })
                .collect();
            rows.push(Row { scores: (0..n as u64).collect(), k: 1.min(n) });
            let (bench, _) = bench(verilog.clone(), &config.name, size, &rows);
            let report = bench.run(Stalls::None).unwrap_or_else(|e| panic!("{e}"));
            let m = n.div_ceil(size.lanes).max(1) as u64;
            let period = 2 * (m + 4) + 4;
            checks.eq(Rtl::period(size.bits as usize, size.lanes, n) as u64, period, || "documented period".into());
            let latency = Rtl::latency(size.bits as usize, size.lanes, n) as u64;
            let context = || format!("{}: {count} rows of {n}, kind {kind}", config.name);
            // From the first beat to the last one out, both included.
            checks.eq(report.span(), (count as u64 - 1) * period + latency + 1, context);
        }
    }
    checks.finish_any();
}

/// Rows of every length, kind and k at the paper's size, all offered as early as they can be: from first beat to first beat.
#[test]
fn at_paper_size_a_row_is_accepted_within_five_quarters_of_its_dot_products_and_sixteen_cycles() {
    let mut checks = Checks::new("top_k_bound");
    let config = ArchConfig::paper();
    let size = size_of(&config);
    let mut rng = Rng::new(seed(0xb0));
    let mut generator = Lfsr::default();
    let mut rows = vec![];
    for n in 0..=size.keys {
        for kind in 0..=rows::KINDS {
            let k = [0, 1, n / 8, n / 2, n.saturating_sub(1), n][(n + kind as usize) % 6];
            // The last kind is what the paper's engine likes least.
            let scores = match kind {
                rows::KINDS if n > 0 => selection::adversary(n, k.max(1), &mut generator).scores,
                kind => rows::scores(kind % rows::KINDS, n, size.bits, &mut rng),
            };
            rows.push(Row { scores, k });
        }
    }
    let (bench, count) = bench(verilog(&design("top_k", &config)), "paper", size, &rows);
    let report = bench.run(Stalls::None).unwrap_or_else(|e| panic!("{e}"));
    report.finish(count);
    let mut beat = 0;
    let first: Vec<u64> = rows
        .iter()
        .map(|row| {
            let at = report.accepted_at[0][beat];
            beat += row.scores.len().div_ceil(size.lanes).max(1);
            at
        })
        .collect();
    let mut closest = (i64::MAX, 0);
    for (i, pair) in first.windows(2).enumerate() {
        let cycles = (pair[1] - pair[0]) as usize;
        // A row may wait for the one before, which is in the later passes meanwhile.
        let n = rows[i.saturating_sub(1)..=i + 1].iter().map(|row| row.scores.len()).max().unwrap_or(0);
        let context = || format!("row {i} of {} scores, k = {}: {cycles} cycles", rows[i].scores.len(), rows[i].k);
        // cycles <= 1.25 * n / 8 + 16
        let spare = (5 * n + 32 * 16) as i64 - 32 * cycles as i64;
        checks.that(spare >= 0, context);
        closest = closest.min((spare, n));
        // Rows of one length, in the pipeline's rhythm: the documented period, whatever they hold.
        let same = i >= 3 && rows[i - 3..=i + 1].iter().all(|row| row.scores.len() == rows[i].scores.len());
        if same {
            let period = Rtl::period(size.bits as usize, size.lanes, rows[i].scores.len());
            checks.eq(cycles, period, context);
        }
    }
    println!(
        "{} rows, {} cycles; closest at n = {}: {} cycles to spare",
        rows.len(),
        report.cycles,
        closest.1,
        closest.0 / 32
    );
    checks.finish_any();
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let size = size_of(&config);
    let rows = played(rows::rows(size, 600, &mut Rng::new(5)));
    let design = rtl(size);
    let (bench, _) = bench(verilog(&design), &config.name, size, &rows);
    same_in_icarus(&bench, &design, "top_k");
}

#[test]
fn faults_are_caught() {
    let size = Size { bits: 6, lanes: 4, keys: 16 };
    let design = rtl(size);
    let rows = rows::rows(size, 600, &mut Rng::new(3));
    faults_at_the_port_are_caught(&design, "out", "index", |verilog| bench(verilog, "6 bits", size, &rows).0);
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&bench(broken(&design, module, from, to), "6 bits", size, &rows).0, what);
    };
    // One equal too many.
    check("top_k_filter", "equals_below[1:0]} < allowed", "equals_below[1:0]} <= allowed", "differs");
    // Equals that passed are forgotten.
    check("top_k_filter", "left_next = (allowed - {2'd0, equals_total});", "left_next = allowed;", "differs");
    // A late beat.
    check(
        "top_k_filter",
        "assign threshold_ready = (~busy);",
        "assign threshold_ready = (~busy) & ~out_valid;",
        "timing: ready too late",
    );
}
