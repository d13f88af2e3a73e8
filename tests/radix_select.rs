//! `radix_select`: RTL against golden and the cycle model, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "common/rows.rs"]
#[allow(dead_code)]
mod rows;

use block::{broken, caught, configurations, design, faults_at_the_port_are_caught, run_all, same_in_icarus, verilog};
use rows::{RARE, Row, Sent, Size, cover, every_row, streams};
use spatten_arch::format::Formats;
use spatten_golden::radix_select as golden;
use spatten_hw::emit::emit;
use spatten_hw::radix_select::RadixSelect as Rtl;
use spatten_sim::cosim::{Beat, BlockBench, Coverage, Field, Stalls, Verilog, bits_for, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::radix_select::{Answer, RadixSelect};
use spatten_testkit::{Checks, Rng};

#[derive(Debug, Clone)]
struct Out {
    answer: Answer,
    size: Size,
}

impl Beat for Out {
    fn fields(&self) -> Vec<Field> {
        vec![
            Field::value("score", self.answer.score, self.size.bits),
            Field::value("equal", self.answer.equal as u64, bits_for(self.size.keys)),
        ]
    }
}

#[derive(Debug, Clone)]
struct Model {
    model: RadixSelect,
    size: Size,
    front: Option<Out>,
}

impl CycleModel for Model {
    type Input = Sent;
    type Output = Out;
    fn ready(&self, port: usize) -> bool {
        CycleModel::ready(&self.model, port)
    }
    fn output(&self, _port: usize) -> Option<&Out> {
        self.front.as_ref()
    }
    fn clock(&mut self, accepted: &mut [Option<Sent>], taken: &[bool]) {
        let mut accepted: Vec<_> = accepted.iter_mut().map(|sent| sent.take().map(|s| s.input)).collect();
        CycleModel::clock(&mut self.model, &mut accepted, taken);
        self.front = self.model.front().map(|&answer| Out { answer, size: self.size });
    }
}

fn expected(row: &Row, size: Size) -> Out {
    let threshold = golden::fixed(&row.scores, row.k.min(row.scores.len()), size.bits, |_| ());
    // Where nothing is kept, the threshold that nothing passes.
    let answer = match threshold {
        Some(t) => Answer { score: t.score, equal: t.equal },
        None => Answer { score: u64::MAX >> (64 - size.bits), equal: 0 },
    };
    Out { answer, size }
}

fn bench(verilog: Verilog, config: &str, size: Size, rows: &[Row], k_from: u64) -> BlockBench<Model> {
    let (beats, ks) = streams(rows, size);
    let model = Model { model: RadixSelect::new(size.bits, size.lanes), size, front: None };
    BlockBench::new(verilog, "radix_select", config, seed(0x4ad), model)
        .input("in", beats)
        .input_from(k_from, "k", ks)
        .output("out", rows.iter().map(|row| expected(row, size)).collect())
        .again("cargo test --test radix_select")
}

fn rtl(size: Size) -> spatten_hw::emit::Design {
    emit(Rtl::new(size.bits as usize, size.lanes, size.keys)).unwrap()
}

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut coverage = Coverage::default();
    for config in configurations() {
        let bits = Formats::new(&config).probability.width();
        let size = Size { bits, lanes: config.topk_lanes, keys: config.keys_on_chip };
        let rows = rows::rows(size, 3_200, &mut Rng::new(seed(1)));
        cover(&rows, size, &mut coverage);
        let bench = bench(verilog(&design("radix_select", &config)), &config.name, size, &rows, 0);
        let reports = run_all(&bench, rows.len(), &mut coverage);
        assert!(reports.iter().all(|r| r.accepted[0].1 >= 10_000), "beats: {}", reports[0]);
    }
    coverage.require(&RARE);
}

#[test]
fn scores_of_forty_eight_bits_and_of_one_digit() {
    let mut coverage = Coverage::default();
    for (bits, lanes) in [(48, 8), (37, 2), (5, 1)] {
        let size = Size { bits, lanes, keys: 64 };
        let rows = rows::rows(size, 700, &mut Rng::new(2));
        cover(&rows, size, &mut coverage);
        run_all(&bench(verilog(&rtl(size)), &format!("{bits} bits"), size, &rows, 0), rows.len(), &mut coverage);
    }
    coverage.require(&RARE);
}

#[test]
fn every_row_of_up_to_five_scores_with_every_k() {
    let mut coverage = Coverage::default();
    // Two bits, and scores that differ in the first digit, in the second, or in both.
    for (bits, lanes, values, longest) in [(2, 2, [0, 1, 2, 3], 5), (6, 4, [0, 1, 16, 17], 5)] {
        let size = Size { bits, lanes, keys: 8 };
        let rows = every_row(&values, longest, 8);
        cover(&rows, size, &mut coverage);
        let bench = bench(verilog(&rtl(size)), &format!("{bits} bits"), size, &rows, 0);
        for stalls in [Stalls::None, Stalls::Bursts] {
            bench.run(stalls).unwrap_or_else(|e| panic!("{e}")).finish(rows.len());
        }
    }
    assert!(coverage.count("tie at the threshold") > 1_000);
}

#[test]
fn time_is_the_documented_formula_for_every_input() {
    let mut checks = Checks::new("radix_select_time");
    for config in configurations() {
        let bits = Formats::new(&config).probability.width();
        let size = Size { bits, lanes: config.topk_lanes, keys: config.keys_on_chip };
        let verilog = verilog(&design("radix_select", &config));
        for (kind, n) in
            (0..rows::KINDS).zip([1, size.lanes, size.lanes + 1, 100.min(size.keys), size.keys].into_iter().cycle())
        {
            let count = 12;
            let mut rng = Rng::new(kind);
            let rows: Vec<Row> =
                (0..count).map(|i| Row { scores: rows::scores(kind, n, bits, &mut rng), k: i * n / count }).collect();
            let report = bench(verilog.clone(), &config.name, size, &rows, 0).run(Stalls::None).unwrap();
            let m = n.div_ceil(size.lanes) as u64;
            // Two later passes for 13 bits.
            let (period, latency) = (2 * (m + 4) + 4, m + 6 + 2 * (m + 4) + 3);
            checks.eq(Rtl::period(bits as usize, size.lanes, n) as u64, period, || "documented period".into());
            checks.eq(Rtl::latency(bits as usize, size.lanes, n) as u64, latency, || "documented latency".into());
            // From the first beat to the last answer, both included.
            let context = || format!("{}: {count} rows of {n}, kind {kind}", config.name);
            checks.eq(report.span(), (count as u64 - 1) * period + latency + 1, context);
            // k comes late: the answer follows it by four cycles and the later passes.
            let late = 1_000;
            let report = bench(verilog.clone(), &config.name, size, &rows[..1], late).run(Stalls::None).unwrap();
            checks.eq(report.last_taken, Some(late + 4 + 1 + 2 * (m + 4) + 3), context);
        }
    }
    checks.finish_any();
}

#[test]
fn another_simulator_shows_the_same() {
    let size = Size { bits: 13, lanes: 4, keys: 64 };
    let design = rtl(size);
    let rows = rows::rows(size, 600, &mut Rng::new(5));
    same_in_icarus(&bench(verilog(&design), "13 bits, 4 lanes", size, &rows, 0), &design, "radix_select");
}

#[test]
fn faults_are_caught() {
    let size = Size { bits: 6, lanes: 4, keys: 16 };
    let design = rtl(size);
    let rows = rows::rows(size, 600, &mut Rng::new(3));
    faults_at_the_port_are_caught(&design, "out", "score", |verilog| bench(verilog, "6 bits", size, &rows, 0));
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&bench(broken(&design, module, from, to), "6 bits", size, &rows, 0), what);
    };
    // A wrong bit: a bin that does not reach k by one.
    check("digit_choice_4", "(counts[9:5] >= k)", "(counts[9:5] > k)", "differs");
    // Counts of a row that go on into the next.
    check(
        "digit_counts_2",
        "if (summed_starts) begin\n            from_0 = base;",
        "if (1'b0) begin\n            from_0 = base;",
        "differs",
    );
    // A late answer.
    check("later_passes", "waits_next = 3'd6;", "waits_next = 3'd7;", "timing: late");
    // A lost k.
    check("first_pass", "k_settled_next = k_known;", "k_settled_next = 1'b0;", "timing: ready too late");
}
