//! `prefix_sum`: RTL against golden and the cycle model, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{broken, caught, configurations, design, faults_at_the_port_are_caught, run_all, same_in_icarus, verilog};
use spatten_golden::prefix_sum as golden;
use spatten_hw::emit::emit;
use spatten_hw::prefix_sum::PrefixSum as Rtl;
use spatten_sim::cosim::{Beat, BlockBench, Coverage, Field, Stalls, Verilog, bits_for, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::prefix_sum::{Counts, PrefixSum};
use spatten_testkit::{Checks, Rng};

#[derive(Debug, Clone)]
struct Marks(Vec<bool>);

#[derive(Debug, Clone)]
struct Out(Counts);

impl Beat for Marks {
    fn fields(&self) -> Vec<Field> {
        vec![Field::lanes("marked", &self.0.iter().map(|&m| m.into()).collect::<Vec<_>>(), 1)]
    }
}

impl Beat for Out {
    fn fields(&self) -> Vec<Field> {
        let lanes: Vec<u64> = self.0.below.iter().map(|&c| c.into()).collect();
        vec![
            Field::lanes("counts", &lanes, bits_for(lanes.len() - 1)),
            Field::value("total", self.0.total.into(), bits_for(lanes.len())),
        ]
    }
}

/// The model with beats that the bench can drive and compare.
#[derive(Debug, Clone)]
struct Model(PrefixSum, Option<Out>);

impl CycleModel for Model {
    type Input = Marks;
    type Output = Out;
    fn ready(&self, port: usize) -> bool {
        self.0.ready(port)
    }
    fn output(&self, _port: usize) -> Option<&Out> {
        self.1.as_ref()
    }
    fn clock(&mut self, accepted: &mut [Option<Marks>], taken: &[bool]) {
        self.0.clock(&mut [accepted[0].take().map(|m| m.0)], taken);
        self.1 = self.0.output(0).cloned().map(Out);
    }
}

fn expected(marks: &Marks) -> Out {
    let below = golden::reference(&marks.0);
    assert_eq!(below, golden::fixed(&marks.0));
    let total = marks.0.iter().filter(|&&m| m).count() as u32;
    Out(Counts { below, total })
}

fn bench(verilog: Verilog, config: &str, beats: &[Marks]) -> BlockBench<Model> {
    let model = Model(PrefixSum::new(beats[0].0.len()), None);
    BlockBench::new(verilog, "prefix_sum", config, seed(0x9f5), model)
        .input("in", beats.to_vec())
        .output("out", beats.iter().map(expected).collect())
        .again("cargo test --test prefix_sum")
}

fn all(lanes: usize) -> Vec<Marks> {
    (0..1u32 << lanes).map(|p| Marks((0..lanes).map(|i| p >> i & 1 == 1).collect())).collect()
}

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("prefix_sum_rtl");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let lanes = config.topk_lanes;
        let mut rng = Rng::new(seed(1));
        let mut beats = vec![Marks(vec![false; lanes]), Marks(vec![true; lanes])];
        // From hardly any to nearly all lanes marked.
        beats.extend((0..10_000).map(|i| Marks((0..lanes).map(|_| rng.below(16) < i % 17).collect())));
        coverage.add("nothing marked", beats.iter().filter(|m| m.0.iter().all(|m| !m)).count() as u64);
        coverage.add("all marked", beats.iter().filter(|m| m.0.iter().all(|&m| m)).count() as u64);
        let reports =
            run_all(&bench(verilog(&design("prefix_sum", &config)), &config.name, &beats), beats.len(), &mut coverage);
        let latency = 1 + lanes.ilog2().div_ceil(2).max(1) as u64;
        checks.eq(reports[0].span(), beats.len() as u64 + latency, || "one beat per cycle, and the latency".into());
        checks.eq(latency, Rtl::latency(lanes) as u64, || "documented latency".into());
    }
    coverage.require(&["bubble", "back-pressure", "stall", "nothing marked", "all marked"]);
    checks.finish_any();
}

#[test]
fn every_pattern_of_one_to_sixteen_lanes() {
    let mut coverage = Coverage::default();
    for lanes in [1, 2, 4, 8] {
        let beats = all(lanes);
        let rtl = emit(Rtl::new(lanes)).unwrap();
        run_all(&bench(verilog(&rtl), &format!("{lanes} lanes"), &beats), beats.len(), &mut coverage);
    }
    let beats = all(16);
    let bench = bench(verilog(&emit(Rtl::new(16)).unwrap()), "16 lanes", &beats);
    bench.run(Stalls::None).unwrap_or_else(|e| panic!("{e}")).finish(1 << 16);
}

#[test]
fn another_simulator_shows_the_same() {
    let design = emit(Rtl::new(8)).unwrap();
    same_in_icarus(&bench(verilog(&design), "8 lanes", &all(8)), &design, "prefix_sum");
}

#[test]
fn faults_are_caught() {
    let design = emit(Rtl::new(4)).unwrap();
    let mut beats = all(4);
    beats.extend(all(4));
    faults_at_the_port_are_caught(&design, "out", "counts", |verilog| bench(verilog, "4 lanes", &beats));
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&bench(broken(&design, module, from, to), "4 lanes", &beats), what);
    };
    check(
        "prefix_stage",
        "assign node_7 = (node_3 + node_2);",
        "assign node_7 = (node_3 | node_2);",
        "out_counts differs",
    );
    check("prefix_sum", ".give(queue_popped)", ".give(queue_popped & ~in_marked[0])", "ready too late");
    check(
        "prefix_sum",
        "valid_0_next = (take & (~reset))",
        "valid_0_next = (take & (~reset) & ~&in_marked)",
        "timing: late",
    );
}
