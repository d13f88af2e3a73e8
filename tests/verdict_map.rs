//! `verdict_map`: RTL against bits that are put in place one by one here, and its cycle model, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::layout::Linear;
use spatten_sim::cosim::{BlockBench, Coverage, Verilog, seed};
use spatten_sim::verdict_map::{Input, Job, Output, VerdictMap, Widths};
use spatten_testkit::{Checks, Rng};
use std::collections::BTreeMap;

#[derive(Default)]
struct Work {
    jobs: Vec<Input>,
    verdicts: Vec<Input>,
    words: Vec<Output>,
    done: Vec<Output>,
}

fn work(config: &ArchConfig, least: usize, seed: u64, coverage: &mut Coverage) -> Work {
    let (widths, mut rng, mut work) = (Widths::of(config), Rng::new(seed), Work::default());
    let place = Linear::new(config);
    while work.words.len() + work.done.len() < least {
        let most = if rng.below(3) == 0 { config.keys_on_chip } else { 40 };
        let rows = 1 + rng.below(most as u64) as usize;
        let heads = 1 + rng.below(6) as usize;
        let write = rng.below(4) > 0;
        let (base, stride) = (rng.bits() as u32, 1000 + rng.below(9) as u32);
        work.jobs.push(Input::Job(Job { write, base, stride, rows }, widths));
        let mut computed: Vec<usize> = (0..heads).map(|_| rng.below(MAX_HEADS as u64) as usize).collect();
        computed.sort_unstable();
        computed.dedup();
        let one_in = [1, 2, 50][rng.below(3) as usize];
        for &head in &computed {
            // By word of the head's block: its bytes.
            let mut words: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
            for index in 0..rows {
                let flat = rng.below(one_in) == 0;
                let last = Some(&head) == computed.last() && index + 1 == rows;
                work.verdicts.push(Input::Verdict(index, head, flat, last, widths));
                let word = words.entry(index / 8 / config.channel_bytes);
                let word = word.or_insert_with(|| vec![0; config.channel_bytes]);
                word[index / 8 % config.channel_bytes] |= u8::from(flat) << (index % 8);
            }
            coverage.add("several words", u64::from(words.len() > 1));
            for (number, bytes) in words.into_iter().filter(|_| write) {
                let (channel, behind, _) = place.place(number * config.channel_bytes);
                let address = base.wrapping_add(stride * head as u32).wrapping_add(behind as u32);
                work.words.push(Output::Word(channel, address, bytes.into(), widths));
            }
        }
        coverage.add("nothing written", u64::from(!write));
        coverage.add("one row", u64::from(rows == 1));
        work.done.push(Output::Done);
    }
    work
}

fn bench(work: &Work, verilog: Verilog, config: &ArchConfig) -> BlockBench<VerdictMap> {
    BlockBench::new(verilog, "verdict_map", &config.name, seed(0x3d), VerdictMap::new(config))
        .input("job", work.jobs.clone())
        .input("verdict", work.verdicts.clone())
        .output("word", work.words.clone())
        .output("done", work.done.clone())
        .again("cargo test --test verdict_map")
        .patience(5_000)
}

#[test]
fn equals_bits_in_their_places_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("verdict_map");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("verdict_map", &config));
        let work = work(&config, 2_200, seed(1), &mut coverage);
        let total = work.words.len() + work.done.len();
        let reports = run_all(&bench(&work, verilog, &config), total, &mut coverage);
        let beats: u64 = reports.iter().flat_map(|r| &r.checked).map(|(_, n)| n).sum();
        checks.that(beats >= 10_000, || format!("{}: {beats} beats", config.name));
    }
    coverage.require(&["bubble", "back-pressure", "stall", "several words", "nothing written", "one row"]);
    checks.finish_any();
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("verdict_map", &config);
    let work = work(&config, 100, seed(2), &mut Coverage::default());
    same_in_icarus(&bench(&work, verilog(&design), &config), &design, "verdict_map");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("verdict_map", &config);
    let work = work(&config, 200, seed(3), &mut Coverage::default());
    faults_at_the_port_are_caught(&design, "word", "data", |verilog| bench(&work, verilog, &config));
    let check = |from: &str, to: &str, what: &str| {
        caught(&bench(&work, broken(&design, "verdict_map", from, to), &config), what);
    };
    // The map of a head at that of the one before.
    check("place_next = (place + stride);", "place_next = place;", "word_address differs");
}
