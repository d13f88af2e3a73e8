//! `bitwidth_converter`: RTL against `golden::bitwidth_converter`, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_arch::plan::Split;
use spatten_golden::bitwidth_converter::{Conversion, pack};
use spatten_hw::{bitwidth_converter as rtl, emit::emit};
use spatten_sim::bitwidth_converter::{BitwidthConverter, Input, Job, Operands};
use spatten_sim::cosim::{Bits, BlockBench, Coverage, Stalls, Verilog, seed};
use spatten_testkit::{Checks, Rng};

const ELEMENTS: u32 = 32;
const SPLITS: [Split; 3] = [Split::Floor, Split::Mid, Split::Balanced];

/// Jobs, their planes' words, and the golden beats.
#[derive(Default)]
struct Stimulus {
    jobs: Vec<Input>,
    words: [Vec<Input>; 2],
    out: Vec<Operands>,
}

impl Stimulus {
    /// A job of the fields that `value` gives; bits of its last words that no element has are random.
    fn job(&mut self, word_bits: u32, job: Job, rng: &mut Rng, value: impl Fn(&mut Rng, u32, bool) -> i32) {
        let c = job.conversion;
        let elements: Vec<(i32, i32)> = (0..job.elements)
            .map(|_| {
                let low = if job.bits()[1] > 0 { value(rng, c.lsb_bits, c.split == Split::Balanced) } else { 0 };
                (value(rng, c.msb_bits, true), low)
            })
            .collect();
        let planes = [elements.iter().map(|e| e.0).collect::<Vec<_>>(), elements.iter().map(|e| e.1).collect()];
        for ((plane, bits), words) in planes.into_iter().zip(job.bits()).zip(&mut self.words) {
            if bits == 0 {
                continue;
            }
            let used = bits * job.elements;
            let packed = pack(plane, bits);
            let bit = |i: u32, rng: &mut Rng| {
                if i < used { u64::from(packed[(i / 8) as usize] >> (i % 8)) & 1 } else { rng.bits() & 1 }
            };
            for word in 0..used.div_ceil(word_bits) {
                let bits: Vec<u64> = (0..word_bits).map(|i| bit(word * word_bits + i, rng)).collect();
                words.push(Input::Word(Bits::from_lanes(&bits, 1)));
            }
        }
        let golden = |&(msb, lsb): &(i32, i32)| if job.first { c.first(msb) } else { c.full(msb, lsb) };
        let mask = (1 << c.datapath_bits) - 1;
        let beats = elements.chunks(ELEMENTS as usize);
        let last = beats.len().wrapping_sub(1);
        for (i, beat) in beats.enumerate() {
            let mut lanes = vec![0; ELEMENTS as usize].into_boxed_slice();
            lanes.iter_mut().zip(beat).for_each(|(lane, e)| *lane = (golden(e) & mask) as u16);
            self.out.push(Operands { lanes, bits: c.datapath_bits, count: beat.len() as u32, last: i == last });
        }
        self.jobs.push(Input::Job(job));
    }

    fn bench(&self, verilog: Verilog, config: &str, word_bits: u32, bits: u32) -> BlockBench<BitwidthConverter> {
        let model = BitwidthConverter::new(word_bits, ELEMENTS, bits);
        let [msb, lsb] = self.words.clone();
        BlockBench::new(verilog, "bitwidth_converter", config, seed(0xb17), model)
            .input("job", self.jobs.clone())
            .input("msb", msb)
            .input("lsb", lsb)
            .output("out", self.out.clone())
            .again("cargo test --test bitwidth_converter")
    }
}

fn any(rng: &mut Rng, bits: u32, signed: bool) -> i32 {
    let raw = rng.below(1 << bits) as i32;
    // The ends of the range are where a sign or a carry goes wrong.
    let raw = if rng.below(8) == 0 { (rng.below(2) as i32 - i32::from(signed)) & ((1 << bits) - 1) } else { raw };
    if signed && raw >> (bits - 1) > 0 { raw - (1 << bits) } else { raw }
}

fn conversion(msb_bits: u32, lsb_bits: u32, split: Split, datapath_bits: u32) -> Conversion {
    Conversion { msb_bits, lsb_bits, split, datapath_bits }
}

/// Every pair of widths that a datapath admits.
fn widths(datapath: u32) -> impl Iterator<Item = (u32, u32)> {
    (1..=datapath).flat_map(move |msb| (0..=(datapath - msb).min(8).min(datapath - 1)).map(move |lsb| (msb, lsb)))
}

fn random(config: &ArchConfig, beats: usize, coverage: &mut Coverage) -> Stimulus {
    let (word_bits, datapath) = (8 * config.channel_bytes as u32, config.datapath_bits);
    let mut rng = Rng::new(seed(2));
    let mut stimulus = Stimulus::default();
    let all: Vec<_> = widths(datapath).collect();
    while stimulus.out.len() < beats {
        let (msb, lsb) = all[rng.below(all.len() as u64) as usize];
        let conversion = conversion(msb, lsb, SPLITS[rng.below(3) as usize], datapath);
        // Rows of one head dimension, planes of many, and lengths that no row has.
        let elements = match rng.below(4) {
            0 => [16, 32, 64, 128][rng.below(4) as usize],
            1 => 64 * (1 + rng.below(20) as u32),
            2 => rng.below(40) as u32,
            _ => 1 + rng.below(700) as u32,
        };
        let job = Job { elements, conversion, first: rng.below(3) == 0 };
        for (name, hit) in [
            ("no element", elements == 0),
            ("one element", elements == 1),
            ("half a beat", elements == 16),
            ("first of mid", job.first && lsb > 0 && conversion.split == Split::Mid),
            ("first without lsb", job.first && lsb == 0),
            ("widest msb", msb == datapath),
            ("widest lsb", lsb == 8),
            ("word left over", (elements * msb) % word_bits > 0),
            ("word used up", elements > 0 && (elements * msb) % word_bits == 0),
            ("narrow operand", msb + lsb < datapath),
        ] {
            coverage.add(name, hit.into());
        }
        stimulus.job(word_bits, job, &mut rng, any);
    }
    stimulus
}

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("bitwidth_converter");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let stimulus = random(&config, 10_000, &mut coverage);
        let verilog = verilog(&design("bitwidth_converter", &config));
        let bench = stimulus.bench(verilog, &config.name, 8 * config.channel_bytes as u32, config.datapath_bits);
        let reports = run_all(&bench, stimulus.out.len(), &mut coverage);
        let values: u64 = reports.iter().map(|r| r.values).sum();
        checks.that(values >= 5 * 10_000 * 34, || format!("{} values", values));
    }
    coverage.require(&["bubble", "back-pressure", "stall", "no element", "one element", "half a beat", "first of mid"]);
    coverage.require(&["first without lsb", "widest msb", "widest lsb", "word left over", "word used up"]);
    coverage.require(&["narrow operand"]);
    checks.finish_any();
}

#[test]
fn every_width_and_split_takes_the_documented_cycles() {
    let config = ArchConfig::tiny();
    let (word_bits, datapath) = (8 * config.channel_bytes as u32, config.datapath_bits);
    let mut checks = Checks::new("bitwidth_converter_cycles");
    let verilog = verilog(&design("bitwidth_converter", &config));
    let mut rng = Rng::new(7);
    for (msb, lsb) in widths(datapath) {
        for (split, first) in SPLITS.into_iter().flat_map(|s| [(s, false), (s, true)]) {
            let mut stimulus = Stimulus::default();
            let job = Job { elements: 1600, conversion: conversion(msb, lsb, split, datapath), first };
            stimulus.job(word_bits, job, &mut rng, any);
            let bench = stimulus.bench(verilog.clone(), "tiny", word_bits, datapath);
            let report = bench.run(Stalls::None).unwrap();
            report.finish(50);
            let words = (1600 * msb).div_ceil(word_bits).max((1600 * job.bits()[1]).div_ceil(word_bits));
            // Words wait until the job is known: up to four of them.
            let [least, most] = if words > 50 { [words + 6, words + 9] } else { [50 + 9, 50 + 9] };
            let span = report.span();
            let fits = u64::from(least) <= span && span <= u64::from(most);
            checks.that(fits, || format!("{job:?}: {span} cycles, expected {least}..={most}"));
        }
    }
    checks.finish(6 * widths(datapath).count() as u64);
}

#[test]
fn every_pair_of_fields_of_a_narrow_plan_is_exhausted() {
    let config = ArchConfig::tiny();
    let (word_bits, datapath) = (8 * config.channel_bytes as u32, config.datapath_bits);
    let mut stimulus = Stimulus::default();
    let mut rng = Rng::new(9);
    for split in SPLITS {
        for (msb, lsb) in [(4, 4), (1, 1), (2, 8), (6, 4), (8, 4)] {
            for first in [false, true] {
                let job = Job { elements: 1 << (msb + lsb), conversion: conversion(msb, lsb, split, datapath), first };
                let next = std::cell::Cell::new(0u32);
                // Called for the LSB field and then for the MSB field of an element, or for the latter alone.
                let value = |_: &mut Rng, bits: u32, signed: bool| {
                    let n = next.get();
                    next.set(n + 1);
                    let n = if first { n } else { n / 2 };
                    let is_lsb = !first && next.get() % 2 == 1;
                    let raw = (if is_lsb { n } else { n >> lsb }) & ((1 << bits) - 1);
                    if signed { ((raw << (32 - bits)) as i32) >> (32 - bits) } else { raw as i32 }
                };
                stimulus.job(word_bits, job, &mut rng, value);
            }
        }
    }
    let bench = stimulus.bench(verilog(&design("bitwidth_converter", &config)), "tiny", word_bits, datapath);
    bench.run(Stalls::None).unwrap().finish(stimulus.out.len());
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("bitwidth_converter", &config);
    let stimulus = random(&config, 300, &mut Coverage::default());
    let bench = stimulus.bench(verilog(&design), &config.name, 8 * config.channel_bytes as u32, config.datapath_bits);
    same_in_icarus(&bench, &design, "bitwidth_converter");
}

#[test]
fn channels_of_other_widths_and_other_datapaths_work() {
    let mut coverage = Coverage::default();
    for (channel_bytes, datapath) in [(4, 12), (8, 16), (64, 4), (128, 9)] {
        let text = format!("base = \"tiny\"\nchannel_bytes = {channel_bytes}\ndatapath_bits = {datapath}");
        let config = ArchConfig::from_toml(&text, "own.toml").unwrap();
        let stimulus = random(&config, 1_000, &mut coverage);
        let verilog = verilog(&emit(rtl::BitwidthConverter::of(&config)).unwrap());
        let bench = stimulus.bench(verilog, &text.replace('\n', " "), 8 * channel_bytes, datapath);
        for stalls in [Stalls::None, Stalls::Bursts] {
            bench.run(stalls).unwrap().finish(stimulus.out.len());
        }
    }
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("bitwidth_converter", &config);
    let stimulus = random(&config, 300, &mut Coverage::default());
    faults_at_the_port_are_caught(&design, "out", "data", |verilog| stimulus.bench(verilog, "tiny", 256, 12));
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&stimulus.bench(broken(&design, module, from, to), "tiny", 256, 12), what);
    };
    check(
        "bitwidth_converter",
        "balanced_next = (job_split == 2'd2);",
        "balanced_next = job_split[0];",
        "out_data differs",
    );
    check(
        "plane_256_to_32x12",
        "assign in_ready = (available <= 6'd24);",
        "assign in_ready = 1'd1;",
        "msb_ready differs",
    );
    check(
        "bitwidth_converter",
        "valid_d_next = valid_c;",
        "valid_d_next = valid_c & (shift_c != 4'd11);",
        "a beat lost",
    );
    check(
        "plane_256_to_32x12",
        "assign enough = (available >= {2'd0, need});",
        "assign enough = (available > {2'd0, need});",
        "timing: ready too late",
    );
    check(
        "bitwidth_converter",
        "assign final_beat = (left <= 20'd32);",
        "assign final_beat = (left < 20'd32);",
        "differs",
    );
}
