//! `fifo`: RTL against a queue, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{
    broken, broken_design, caught, configurations, design, faults_at_the_port_are_caught, run_all, same_in_icarus,
    verilog,
};
use spatten_hw::{emit::emit, fifo};
use spatten_sim::cosim::{Beat, Bits, BlockBench, Coverage, Field, Stalls, Verilog, seed};
use spatten_sim::fifo::Fifo;
use spatten_testkit::{Checks, Rng};

#[derive(Debug, Clone)]
struct Word(Bits);

impl Beat for Word {
    fn fields(&self) -> Vec<Field> {
        vec![Field::bits("data", self.0.clone())]
    }
}

fn words(bits: u32, count: usize, rng: &mut Rng) -> Vec<Word> {
    let word = |_| Word(Bits::from_lanes(&(0..bits).map(|_| rng.bits() & 1).collect::<Vec<_>>(), 1));
    (0..count).map(word).collect()
}

fn bench(verilog: Verilog, config: &str, depth: usize, words: &[Word]) -> BlockBench<Fifo<Word>> {
    BlockBench::new(verilog, "fifo", config, seed(0xf1f0), Fifo::new(depth))
        .input("in", words.to_vec())
        .output("out", words.to_vec())
        .again("cargo test --test fifo")
}

#[test]
fn equals_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("fifo");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let words = words(8 * config.channel_bytes as u32, 10_000, &mut Rng::new(seed(1)));
        let bench = bench(verilog(&design("fifo", &config)), &config.name, 64, &words);
        let reports = run_all(&bench, words.len(), &mut coverage);
        checks.eq(reports[0].span(), 10_001, || "one word per cycle, one cycle of latency".into());
    }
    coverage.require(&["bubble", "back-pressure", "stall"]);
    checks.finish_any();
}

#[test]
fn the_smallest_queue_keeps_the_throughput() {
    let mut coverage = Coverage::default();
    let words = words(1, 2_000, &mut Rng::new(2));
    let design = emit(fifo::Fifo::new(1, 2)).unwrap();
    let reports = run_all(&bench(verilog(&design), "1x2", 2, &words), words.len(), &mut coverage);
    assert_eq!(reports[0].span(), 2_001);
}

#[test]
fn another_simulator_shows_the_same() {
    let config = spatten_arch::ArchConfig::eighth();
    let words = words(8 * config.channel_bytes as u32, 1_000, &mut Rng::new(4));
    let design = design("fifo", &config);
    same_in_icarus(&bench(verilog(&design), &config.name, 64, &words), &design, "fifo");
}

#[test]
#[should_panic(expected = "out_data")]
fn another_simulator_would_show_a_difference() {
    let design = emit(fifo::Fifo::new(8, 4)).unwrap();
    let words = words(8, 100, &mut Rng::new(5));
    let other = broken_design(&design, "fifo", "out_data = words_read_data;", "out_data = words_read_data ^ 8'd4;");
    same_in_icarus(&bench(verilog(&design), "8x4", 4, &words), &other, "fifo_broken");
}

#[test]
fn faults_are_caught() {
    let design = emit(fifo::Fifo::new(8, 4)).unwrap();
    let words = words(8, 500, &mut Rng::new(3));
    faults_at_the_port_are_caught(&design, "out", "data", |verilog| bench(verilog, "8x4", 4, &words));
    let check = |from: &str, to: &str, what: &str| {
        caught(&bench(broken(&design, "fifo", from, to), "8x4", 4, &words), what);
    };
    check("out_data = words_read_data;", "out_data = words_read_data ^ {7'd0, &head};", "out_data differs");
    check("assign in_ready = (count < 3'd4);", "assign in_ready = (count < 3'd3);", "ready too late");
    check("assign out_valid = (|count);", "assign out_valid = (count > 3'd1);", "timing: late");
    check(
        "head_next = (head + {1'd0, pop});",
        "head_next = (head + {1'd0, pop & (count != 3'd4)});",
        "out_data differs",
    );
}

#[test]
fn nothing_is_checked_without_beats() {
    let design = emit(fifo::Fifo::new(8, 4)).unwrap();
    assert!(bench(verilog(&design), "8x4", 4, &[]).run(Stalls::None).is_err());
}
