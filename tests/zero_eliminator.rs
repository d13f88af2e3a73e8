//! `zero_eliminator`: RTL against golden and the cycle model, in every cycle. Proofs of the network: `tests/formal.rs`.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{broken, caught, configurations, design, faults_at_the_port_are_caught, run_all, same_in_icarus, verilog};
use spatten_golden::zero_eliminator as golden;
use spatten_hw::emit::emit;
use spatten_hw::zero_eliminator::ZeroEliminator as Rtl;
use spatten_sim::cosim::{Beat, BlockBench, Coverage, Field, Stalls, Verilog, bits_for, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::zero_eliminator::{Gapped, ZeroEliminator};
use spatten_testkit::{Checks, Rng};

/// A beat of lanes with gaps.
#[derive(Debug, Clone)]
struct In {
    data: Vec<u64>,
    keep: Vec<bool>,
    last: bool,
    bits: u32,
}

#[derive(Debug, Clone)]
struct Out {
    lanes: Vec<u64>,
    last: bool,
    /// Lanes of the port, and their width.
    shape: (usize, u32),
}

impl Beat for In {
    fn fields(&self) -> Vec<Field> {
        vec![
            Field::lanes("data", &self.data, self.bits),
            Field::lanes("keep", &self.keep.iter().map(|&k| k.into()).collect::<Vec<_>>(), 1),
            Field::flag("last", self.last),
        ]
    }
}

impl Beat for Out {
    fn fields(&self) -> Vec<Field> {
        let (lanes, bits) = self.shape;
        let mut data = self.lanes.clone();
        data.resize(lanes, 0);
        vec![
            Field::lanes("data", &data, bits),
            Field::value("count", self.lanes.len() as u64, bits_for(lanes)),
            Field::flag("last", self.last),
        ]
    }
}

#[derive(Debug, Clone)]
struct Model {
    model: ZeroEliminator<u64>,
    shape: (usize, u32),
    front: Option<Out>,
}

impl CycleModel for Model {
    type Input = In;
    type Output = Out;
    fn ready(&self, port: usize) -> bool {
        self.model.ready(port)
    }
    fn output(&self, _port: usize) -> Option<&Out> {
        self.front.as_ref()
    }
    fn clock(&mut self, accepted: &mut [Option<In>], taken: &[bool]) {
        let beat = accepted[0].take().map(|beat| {
            let kept = beat.data.iter().zip(&beat.keep).filter_map(|(&x, &k)| k.then_some(x)).collect();
            Gapped { kept, last: beat.last }
        });
        self.model.clock(&mut [beat], taken);
        self.front = self.model.output(0).map(|b| Out { lanes: b.lanes.clone(), last: b.last, shape: self.shape });
    }
}

/// Golden beats of a stream of rows; of a row in which nothing is kept, one empty beat.
fn expected(beats: &[In], lanes: usize) -> Vec<Out> {
    let bits = beats[0].bits;
    let mut out = vec![];
    for row in beats.split_inclusive(|b| b.last) {
        let row: Vec<Vec<Option<u64>>> =
            row.iter().map(|b| b.data.iter().zip(&b.keep).map(|(&x, &k)| k.then_some(x)).collect()).collect();
        let mut packed = golden::pack(&row, lanes);
        assert_eq!(packed.concat(), row.iter().flat_map(|b| golden::reference(b)).collect::<Vec<_>>());
        if packed.is_empty() {
            packed.push(vec![]);
        }
        let beats = packed.len();
        out.extend(packed.into_iter().enumerate().map(|(i, b)| Out {
            lanes: b,
            last: i + 1 == beats,
            shape: (lanes, bits),
        }));
    }
    out
}

/// Cycles in which the packer must pause: rows whose last beat and what is left over before it (up to a full beat, which
/// might be the last one) are more than one beat.
fn pauses(beats: &[In], lanes: usize) -> u64 {
    let kept = |b: &In| b.keep.iter().filter(|&&k| k).count();
    let pause = |row: &[In]| {
        let (last, before) = row.split_last().expect("rows have beats");
        let before: usize = before.iter().map(kept).sum();
        let left_over = before - before.saturating_sub(1) / lanes * lanes;
        left_over + kept(last) > lanes
    };
    beats.split_inclusive(|b| b.last).filter(|row| pause(row)).count() as u64
}

fn bench(verilog: Verilog, config: &str, beats: &[In]) -> (BlockBench<Model>, usize) {
    let shape = (beats[0].data.len(), beats[0].bits);
    let out = expected(beats, shape.0);
    let model = Model { model: ZeroEliminator::new(shape.0), shape, front: None };
    let count = out.len();
    let bench = BlockBench::new(verilog, "zero_eliminator", config, seed(0x2e0), model)
        .input("in", beats.to_vec())
        .output("out", out)
        .again("cargo test --test zero_eliminator");
    (bench, count)
}

/// Rows of random length, each beat with a density of its own; some rows with one.
fn rows(lanes: usize, bits: u32, count: usize, rng: &mut Rng) -> Vec<In> {
    let mut beats = vec![];
    while beats.len() < count {
        let length = [1, 1, 2, 3, 1 + rng.below(40) as usize][rng.below(5) as usize];
        let density = (rng.below(4) == 0).then(|| rng.below(17));
        for i in 0..length {
            let density = density.unwrap_or_else(|| rng.below(17));
            let keep = (0..lanes).map(|_| rng.below(16) < density).collect();
            let data = (0..lanes).map(|_| rng.bits() >> (64 - bits)).collect();
            beats.push(In { data, keep, last: i + 1 == length, bits });
        }
    }
    beats
}

fn cover(beats: &[In], lanes: usize, coverage: &mut Coverage) {
    let kept = |b: &In| b.keep.iter().filter(|&&k| k).count();
    for row in beats.split_inclusive(|b| b.last) {
        let total: usize = row.iter().map(kept).sum();
        coverage.add("nothing kept", u64::from(total == 0));
        coverage.add("all kept", u64::from(total == row.len() * lanes));
        coverage.add("ends full", u64::from(total > 0 && total.is_multiple_of(lanes)));
        coverage.add("one beat", u64::from(row.len() == 1));
        let before = total - kept(&row[row.len() - 1]);
        coverage.add("full beat was the last", u64::from(total == before && total > 0 && total.is_multiple_of(lanes)));
        coverage.add("kept none in the last beat", u64::from(total > 0 && kept(&row[row.len() - 1]) == 0));
    }
    coverage.add("pause", pauses(beats, lanes));
}

const RARE: [&str; 10] = [
    "bubble",
    "back-pressure",
    "stall",
    "nothing kept",
    "all kept",
    "ends full",
    "one beat",
    "kept none in the last beat",
    "pause",
    "full beat was the last",
];

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("zero_eliminator_rtl");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let lanes = config.topk_lanes;
        let bits = 13 + bits_for(config.keys_on_chip - 1);
        // Beats out are fewer than beats in: as many in as give 10,000.
        let beats = rows(lanes, bits, 25_000, &mut Rng::new(seed(1)));
        cover(&beats, lanes, &mut coverage);
        let (bench, count) = bench(verilog(&design("zero_eliminator", &config)), &config.name, &beats);
        checks.that(count >= 10_000, || format!("{count} beats"));
        run_all(&bench, count, &mut coverage);
    }
    coverage.require(&RARE);
    checks.finish_any();
}

#[test]
fn one_beat_per_cycle_and_one_more_where_a_row_leaves_more_over() {
    let mut checks = Checks::new("zero_eliminator_throughput");
    for config in configurations() {
        let lanes = config.topk_lanes;
        let mut beats = rows(lanes, 13 + bits_for(config.keys_on_chip - 1), 3_000, &mut Rng::new(7));
        // The last row ends in a beat of its own, so that the end is that of the last beat in.
        beats.extend([true, false].map(|keep| In { keep: vec![keep; lanes], last: !keep, ..beats[0].clone() }));
        let (bench, _) = bench(verilog(&design("zero_eliminator", &config)), &config.name, &beats);
        let report = bench.run(Stalls::None).unwrap();
        let levels = u64::from(lanes.ilog2().div_ceil(2));
        let latency = (2 * levels + 1) + (levels + 1);
        checks.eq(latency, Rtl::latency(lanes) as u64, || "documented latency".into());
        let pauses = pauses(&beats, lanes);
        checks.that(pauses > 10, || format!("{pauses} pauses"));
        checks.eq(report.span(), beats.len() as u64 + pauses + latency, || format!("{pauses} pauses"));
    }
    checks.finish_any();
}

#[test]
fn every_pattern_of_two_beats_of_small_sizes() {
    let mut coverage = Coverage::default();
    for lanes in [1usize, 2, 4] {
        // Every pair of patterns as a row of two beats, then each pattern as a row of one.
        let patterns = 1u64 << lanes;
        let beat = |p: u64, last| {
            let data = (0..lanes as u64).map(|i| (p * 5 + i) % 8).collect();
            In { data, keep: (0..lanes).map(|i| p >> i & 1 == 1).collect(), last, bits: 3 }
        };
        let mut beats = vec![];
        for a in 0..patterns {
            for b in 0..patterns {
                beats.extend([beat(a, false), beat(b, true)]);
            }
            beats.push(beat(a, true));
        }
        let rtl = emit(Rtl::new(lanes, 3)).unwrap();
        let (bench, count) = bench(verilog(&rtl), &format!("{lanes} lanes"), &beats);
        run_all(&bench, count, &mut coverage);
    }
}

#[test]
fn another_simulator_shows_the_same() {
    let design = emit(Rtl::new(4, 3)).unwrap();
    let beats = rows(4, 3, 1_000, &mut Rng::new(4));
    same_in_icarus(&bench(verilog(&design), "4x3", &beats).0, &design, "zero_eliminator");
}

#[test]
fn faults_are_caught() {
    let design = emit(Rtl::new(4, 3)).unwrap();
    let beats = rows(4, 3, 600, &mut Rng::new(3));
    faults_at_the_port_are_caught(&design, "out", "data", |verilog| bench(verilog, "4x3", &beats).0);
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&bench(broken(&design, module, from, to), "4x3", &beats).0, what);
    };
    // A wrong bit: a lane that does not move.
    check("shift_level_4x3_1", "if (gaps[0]) begin", "if (1'b0) begin", "out_data differs");
    // A lost beat: what is left over is forgotten at the end of a row.
    check("packer", "flushing_next = 1'd1;", "flushing_next = 1'd0;", "differs");
    check("packer", ".push(held_emits_0)", ".push(held_emits_0 & ~held_ends_0)", "timing: late, or a beat lost");
    // A late beat.
    check(
        "packer",
        "assign in_ready = (credits_available & (~flushing));",
        "assign in_ready = (credits_available & (~flushing) & (left != 3'd3));",
        "differs",
    );
    // Lanes left over are not kept.
    check("packer", "assign fresh_0 = (held_left_0 <= 3'd0);", "assign fresh_0 = 1'd1;", "out_data differs");
}
