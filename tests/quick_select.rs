//! `quick_select`: RTL against `golden::quick_select` (answers and passes) and its cycle model, in every cycle.
//!
//! ```text
//! rows --> golden, one generator over all rows --> score, equal, passes --> compare <-- RTL
//!   \---> beats of `in`, k --> RTL, cycle model
//! ```

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "common/selection.rs"]
mod rows;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, played, replayed, run_all, same_in_icarus,
    verilog,
};
use rows::{Row, adversary};
use spatten_arch::lfsr::Lfsr;
use spatten_golden::quick_select::{self as golden, Selection};
use spatten_hw::{emit::emit, quick_select as hw};
use spatten_sim::cosim::{Beat, BlockBench, Coverage, Field, Stalls, Verilog, beats, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::quick_select::{End, Input, Output, QuickSelect, cycles, pass_cycles};
use spatten_testkit::{Checks, Rng};

/// Sizes of the engine under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    bits: u32,
    lanes: usize,
    keys: usize,
}

impl Shape {
    fn count_bits(self) -> u32 {
        self.keys.ilog2() + 1
    }
}

/// A beat with the widths of its ports.
#[derive(Debug, Clone)]
struct Ported<T>(T, Shape);

impl Beat for Ported<(Input, Vec<u64>)> {
    fn fields(&self) -> Vec<Field> {
        let Self((beat, rest), shape) = self;
        match beat {
            Input::Scores(scores, end) => {
                let lanes: Vec<u64> = scores.iter().chain(rest).copied().collect();
                vec![
                    Field::lanes("scores", &lanes, shape.bits),
                    Field::value("count", scores.len() as u64, shape.lanes.ilog2() + 1),
                    Field::flag("last", *end == End::Last),
                ]
            }
            Input::K(k) => vec![Field::value("count", *k as u64, shape.count_bits())],
        }
    }
}

impl Beat for Ported<Output> {
    fn fields(&self) -> Vec<Field> {
        let Self(answer, shape) = self;
        vec![
            Field::value("score", answer.score, shape.bits),
            Field::value("equal", answer.equal as u64, shape.count_bits()),
            Field::value("passes", answer.passes as u64, shape.count_bits()),
        ]
    }
}

/// The cycle model with beats that know their ports.
#[derive(Debug, Clone)]
struct Model {
    model: QuickSelect,
    shape: Shape,
    output: Option<Ported<Output>>,
}

impl CycleModel for Model {
    type Input = Ported<(Input, Vec<u64>)>;
    type Output = Ported<Output>;

    fn ready(&self, port: usize) -> bool {
        self.model.ready(port)
    }

    fn output(&self, _port: usize) -> Option<&Self::Output> {
        self.output.as_ref()
    }

    fn clock(&mut self, accepted: &mut [Option<Self::Input>], taken: &[bool]) {
        let mut accepted: Vec<_> =
            accepted.iter_mut().map(|beat| beat.take().map(|Ported((beat, _), _)| beat)).collect();
        self.model.clock(&mut accepted, taken);
        self.output = self.model.output(0).map(|answer| Ported(*answer, self.shape));
    }
}

/// Golden selections of all rows in turn: the generator's state goes on.
fn selections(rows: &[Row]) -> Vec<Selection> {
    let mut generator = Lfsr::default();
    rows.iter().map(|r| golden::fixed(&r.scores, r.k.min(r.scores.len()), &mut generator)).collect()
}

fn bench(verilog: Verilog, name: &str, shape: Shape, rows: &[Row]) -> BlockBench<Model> {
    let mut rng = Rng::new(seed(0x0ddba11));
    let nothing = u64::MAX >> (64 - shape.bits);
    let input = rows.iter().flat_map(|row| beats(&row.scores, shape.lanes)).map(|(scores, last)| {
        // What lies in unused lanes must not matter.
        let rest = (scores.len()..shape.lanes).map(|_| rng.bits() & nothing).collect();
        Ported((Input::Scores(scores, if last { End::Last } else { End::More }), rest), shape)
    });
    let answer = |s: &Selection| {
        let (score, equal) = s.threshold.map_or((nothing, 0), |t| (t.score, t.equal));
        Ported(Output { score, equal, passes: s.passes.len() }, shape)
    };
    let model = Model { model: QuickSelect::new(shape.bits, shape.lanes), shape, output: None };
    BlockBench::new(verilog, "quick_select", name, seed(0x9001), model)
        .input("in", input.collect())
        .input("k", rows.iter().map(|row| Ported((Input::K(row.k), vec![]), shape)).collect())
        .output("out", selections(rows).iter().map(answer).collect())
        // The adversary's row takes keys * keys / lanes / 2 cycles in which no beat moves.
        .patience((shape.keys * shape.keys) as u64 + 10_000)
        .again("cargo test --test quick_select")
}

/// Cycles of all rows without stalls, by the documented formula.
fn documented(rows: &[Row], lanes: usize) -> u64 {
    let row = |(row, s): (&Row, Selection)| beats(&row.scores, lanes).len() as u64 + cycles(&s.passes, lanes);
    rows.iter().zip(selections(rows)).map(row).sum()
}

fn cover(rows: &[Row], shape: Shape, coverage: &mut Coverage) {
    for (row, s) in rows.iter().zip(selections(rows)) {
        let (n, k) = (row.scores.len(), row.k);
        let (low, high) = (row.scores.iter().min(), row.scores.iter().max());
        let mut distinct = row.scores.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let ties = s.threshold.map_or(0, |t| row.scores.iter().filter(|&&x| x == t.score).count() - t.equal);
        for (name, happened) in [
            ("empty row", n == 0),
            ("one score", n == 1),
            ("full row", n == shape.keys),
            ("last beat full", n > 0 && n.is_multiple_of(shape.lanes)),
            ("last beat partial", !n.is_multiple_of(shape.lanes)),
            ("k = 0", k == 0),
            ("k = 1", k == 1 && n > 1),
            ("k = n - 1", k + 1 == n && n > 1),
            ("k = n", k == n && n > 0),
            ("k > n", k > n),
            ("all equal", n > 1 && low == high),
            ("two values", n > 2 && distinct.len() == 2),
            ("sorted", n > 2 && row.scores.is_sorted()),
            ("a choice among equals", ties > 0),
            ("largest possible score", high == Some(&(u64::MAX >> (64 - shape.bits)))),
            ("one pass", s.passes.len() == 1),
            ("a pass per score", n > 2 && s.passes.len() == n),
            ("a pass over one candidate", s.passes.last() == Some(&1)),
            ("a pass over less than a beat", s.passes.last().is_some_and(|&c| c < shape.lanes)),
        ] {
            coverage.add(name, u64::from(happened));
        }
    }
}

const RARE: [&str; 19] = [
    "empty row",
    "one score",
    "full row",
    "last beat full",
    "last beat partial",
    "k = 0",
    "k = 1",
    "k = n - 1",
    "k = n",
    "k > n",
    "all equal",
    "two values",
    "sorted",
    "a choice among equals",
    "largest possible score",
    "one pass",
    "a pass per score",
    "a pass over one candidate",
    "a pass over less than a beat",
];

/// Rows of every kind with every interesting k, the adversary's first, because they are made for the state of the generator;
/// then rows of any length, kind and k, of at least `random` beats. Of how many, comes along.
fn all_rows(shape: Shape, random: usize, rng: &mut Rng) -> (Vec<Row>, usize) {
    let mut generator = Lfsr::default();
    let mut all: Vec<Row> =
        [1, shape.keys / 2, shape.keys].map(|k| adversary(shape.keys, k, &mut generator)).into_iter().collect();
    let keys = shape.keys as u64;
    for n in [0, 1, 2, shape.lanes as u64, keys - 1, keys] {
        for scores in rows::every_kind(n as usize, shape.bits, rng) {
            for k in [0, 1, n / 2, n.saturating_sub(1), n, n + 1, 2 * keys - 1] {
                all.push(Row { scores: scores.clone(), k: k.min(2 * keys - 1) as usize });
            }
        }
    }
    let mut count = 0;
    while count < random {
        let n = rng.below(keys + 1) as usize;
        let kinds = rows::every_kind(n, shape.bits, rng);
        let scores = kinds[rng.below(kinds.len() as u64) as usize].clone();
        count += beats(&scores, shape.lanes).len();
        all.push(Row { scores, k: rng.below(n as u64 + 2) as usize });
    }
    (all, count)
}

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("quick_select");
    for config in configurations() {
        let mut coverage = Coverage::default();
        let bits = spatten_arch::format::Formats::new(&config).probability.width();
        let shape = Shape { bits, lanes: config.topk_lanes, keys: config.keys_on_chip };
        let (rows, random) = all_rows(shape, 10_000, &mut Rng::new(seed(1)));
        cover(&rows, shape, &mut coverage);
        let bench = bench(verilog(&design("quick_select", &config)), &config.name, shape, &rows);
        let reports = run_all(&bench, rows.len(), &mut coverage);
        checks.eq(reports[0].span(), documented(&rows, shape.lanes), || config.name.clone());
        let all: usize = rows.iter().map(|r| beats(&r.scores, shape.lanes).len()).sum();
        for report in &reports {
            checks.eq(&report.accepted[0], &("in".to_string(), all as u64), || report.run.clone());
        }
        println!("quick_select {}: {} rows of {all} beats, {random} of them random", config.name, rows.len());
        checks.that(random >= 10_000, || format!("{}: {random} random beats", config.name));
        coverage.require(&RARE);
        coverage.require(&["bubble", "back-pressure", "stall"]);
    }
    checks.finish_any();
}

#[test]
fn other_widths_and_lanes_than_the_named_ones() {
    let mut checks = Checks::new("quick_select_other_sizes");
    let mut coverage = Coverage::default();
    // The cascade's importance; one lane; as many lanes as keys.
    for (bits, lanes, keys) in [(36, 4, 64), (5, 1, 16), (6, 16, 16), (5, 2, 32)] {
        let shape = Shape { bits, lanes, keys };
        let (rows, _) = all_rows(shape, 500, &mut Rng::new(seed(2)));
        let design = emit(hw::QuickSelect::new(bits as usize, lanes, keys)).unwrap();
        let name = format!("{lanes}x{bits}-{keys}");
        let reports = run_all(&bench(verilog(&design), &name, shape, &rows), rows.len(), &mut coverage);
        checks.eq(reports[0].span(), documented(&rows, lanes), || name);
    }
    checks.finish(4);
}

#[test]
fn hardware_and_simulator_document_the_same_cycles_per_pass() {
    for lanes in (0..=12).map(|l| 1 << l) {
        assert_eq!(pass_cycles(lanes), hw::QuickSelect::pass_cycles(lanes) as u64, "{lanes} lanes");
    }
}

#[test]
fn every_row_of_up_to_five_scores_of_two_bits_with_every_k() {
    let shape = Shape { bits: 2, lanes: 2, keys: 8 };
    let mut rows = vec![];
    for n in 0..=5usize {
        for code in 0..4u64.pow(n as u32) {
            let scores: Vec<u64> = (0..n).map(|i| code >> (2 * i) & 3).collect();
            rows.extend((0..=n + 1).map(|k| Row { scores: scores.clone(), k }));
        }
    }
    assert_eq!(rows.len(), (0..=5).map(|n| 4usize.pow(n) * (n as usize + 2)).sum::<usize>());
    let design = emit(hw::QuickSelect::new(2, 2, 8)).unwrap();
    let bench = bench(verilog(&design), "2x2-8", shape, &rows);
    for stalls in [Stalls::None, Stalls::EVERY[1]] {
        bench.run(stalls).unwrap().finish(rows.len());
    }
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let shape = Shape { bits: 13, lanes: config.topk_lanes, keys: config.keys_on_chip };
    let rows = played(all_rows(shape, 300, &mut Rng::new(seed(4))).0);
    let design = design("quick_select", &config);
    same_in_icarus(&bench(verilog(&design), &config.name, shape, &rows), &design, "quick_select");
}

#[test]
fn faults_are_caught() {
    let shape = Shape { bits: 5, lanes: 4, keys: 16 };
    let design = emit(hw::QuickSelect::new(5, 4, 16)).unwrap();
    let (rows, _) = all_rows(shape, 300, &mut Rng::new(seed(3)));
    faults_at_the_port_are_caught(&design, "out", "score", |verilog| bench(verilog, "4x5-16", shape, &rows));
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&bench(broken(&design, module, from, to), "4x5-16", shape, &rows), what);
    };
    let engine = "quick_select_4x5_16";
    // A wrong bit: an equal counts as larger; another random sequence; an off by one in what is kept.
    check(engine, "(held_2 > pivot)", "(held_2 >= pivot)", "differs");
    check(engine, "32'd2734686208", "32'd2734686209", "differs");
    check(engine, "too_few = (left_total > spare)", "too_few = (left_total >= spare)", "differs");
    // A lost beat: the last word of a pass is not read.
    check(engine, "last_word = (left_over <= 5'd4)", "last_word = (left_over <= 5'd5)", "differs");
    // A late beat: a row begins a cycle after its last beat was stored.
    check(engine, "(loaded | (take_beat & in_last))", "(loaded)", "timing: late");
    // A queue's bank writes to the word of its neighbours.
    check("quick_select_side", "banks_1_write_address = next_word", "banks_1_write_address = word", "differs");
}
