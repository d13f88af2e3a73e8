//! `attention_core`: RTL against golden attention and the cycle model, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "common/heads.rs"]
#[allow(dead_code)]
mod heads;

use block::{broken, caught, configurations, design, faults_at_the_port_are_caught, run_all, verilog};
use heads::{Job, Kind, Shape};
use spatten_arch::ArchConfig;
use spatten_hw::{attention_core as rtl, emit::emit};
use spatten_sim::attention_core::AttentionCore;
use spatten_sim::cosim::{Bits, BlockBench, Coverage, Stalls, Verilog, seed};
use spatten_sim::cycle::CycleModel;
use spatten_testkit::Checks;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is seen of the models on their way: in how many cycles a beat waited on each stream between the parts, and how many
/// logits did not fit.
#[derive(Default, Clone)]
struct Watched {
    waits: Rc<RefCell<BTreeMap<&'static str, u64>>>,
    saturations: Rc<Cell<u32>>,
}

fn bench(job: &Job, verilog: Verilog, config: &ArchConfig, watched: &Watched) -> BlockBench<AttentionCore> {
    let pins = job.pins;
    let watched = watched.clone();
    let mut bench =
        BlockBench::new(verilog, "attention_core", &config.name, seed(0xa7), AttentionCore::new(config, pins));
    for (name, beats) in Job::INPUTS.into_iter().zip(&job.inputs) {
        bench = bench.input(name, beats.clone());
    }
    for (name, beats) in Job::OUTPUTS.into_iter().zip(&job.outputs) {
        bench = bench.output(name, beats.clone());
    }
    let inverse_bits = spatten_arch::format::Formats::new(config).threshold_inverse.width();
    bench
        .pin("dim", Bits::new(pins.dim.into(), 2))
        .pin("scaled_keys", Bits::new(pins.scaled_keys.into(), 1))
        .pin("scaled_values", Bits::new(pins.scaled_values.into(), 1))
        .pin("weighted", Bits::new(pins.weighted.into(), 1))
        .pin("threshold_inverse", Bits::new(pins.threshold_inverse, inverse_bits))
        .status(move |model| {
            let mut waits = watched.waits.borrow_mut();
            for (name, now) in model.waits() {
                *waits.entry(name).or_default() += u64::from(now);
            }
            watched.saturations.set(model.logit_saturations());
            model.status()
        })
        .again("cargo test --test attention_core")
}

/// Every head dimension with and without each of: scales, weights, a second pass.
fn kinds() -> Vec<Kind> {
    let kind = |i: u32| Kind {
        dim: i % 4,
        scaled_keys: (i ^ i >> 2) & 1 == 1,
        scaled_values: (i >> 1 ^ i >> 2) & 1 == 1,
        weighted: (i ^ i >> 1) & 1 == 0,
        progressive: (i >> 2) & 1 == 0,
        split_values: i & 1 == 1,
    };
    (0..8).map(kind).collect()
}

/// An output never saturates here: probabilities of a row add up to less than 2, which its format leaves room for.
const RARE: [&str; 15] = [
    "some rows again, some not",
    "some keys added to",
    "values added to",
    "refetch",
    "kept in the first pass",
    "empty row",
    "head without keys",
    "all values kept",
    "no value kept",
    "some values kept",
    "tie at the cut",
    "logit saturation",
    "logit saturation in a dropped pass",
    "token saturation",
    "heads that share keys",
];

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("attention_core");
    let mut coverage = Coverage::default();
    let watched = Watched::default();
    for config in configurations() {
        let verilog = verilog(&design("attention_core", &config));
        let mut beats = 0;
        for (i, kind) in kinds().into_iter().enumerate() {
            for shape in [Shape::Short, Shape::Long] {
                let job = Job::random(&config, kind, shape, seed(i as u64), &mut coverage);
                let reports = run_all(&bench(&job, verilog.clone(), &config, &watched), job.beats(), &mut coverage);
                beats += reports.iter().flat_map(|r| &r.checked).map(|(_, n)| n).sum::<u64>();
                // The RTL's count is the model's in every cycle; at the end it is golden's.
                checks.eq(u64::from(watched.saturations.get()), job.saturations, || {
                    format!("{} {kind:?} {shape:?}", config.name)
                });
            }
        }
        println!("attention_core {}: {beats} beats", config.name);
        checks.that(beats >= 10_000, || format!("{}: {beats} beats", config.name));
    }
    println!("attention_core: {coverage:?} {:?}", watched.waits.borrow());
    coverage.require(&["bubble", "back-pressure", "stall"]);
    coverage.require(&RARE);
    let never: Vec<_> = watched.waits.borrow().iter().filter(|(_, n)| **n == 0).map(|(name, _)| *name).collect();
    checks.that(never.is_empty(), || format!("no beat ever waited: {never:?}"));
    checks.finish_any();
}

#[test]
fn other_sizes_have_other_engines_and_other_lanes() {
    let mut coverage = Coverage::default();
    let watched = Watched::default();
    // Two engines; eight, with beats of scores that are cut.
    for (multipliers, softmax_lanes, topk_lanes, engines) in [(32, 2, 4, 2), (64, 4, 2, 8)] {
        let text = format!(
            "base = \"tiny\"\nmultipliers = {multipliers}\nsoftmax_lanes = {softmax_lanes}\n\
             topk_lanes = {topk_lanes}\nchannels = 2"
        );
        let config = ArchConfig::from_toml(&text, "own.toml").unwrap();
        let counts = [rtl::engines(&config), spatten_sim::attention_core::engines(&config)];
        assert_eq!(counts, [engines; 2]);
        let verilog = verilog(&emit(rtl::AttentionCore::new(&config)).unwrap());
        for (i, kind) in kinds().into_iter().enumerate() {
            let shape = if i % 2 == 0 { Shape::Long } else { Shape::Short };
            let job = Job::random(&config, kind, shape, seed(i as u64 + 50), &mut coverage);
            let bench = bench(&job, verilog.clone(), &config, &watched);
            for stalls in [Stalls::None, Stalls::Bursts] {
                bench.run(stalls).unwrap_or_else(|e| panic!("{e}")).finish(job.beats());
            }
        }
    }
    coverage.require(&["some values kept", "all values kept", "no value kept", "tie at the cut", "refetch"]);
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("attention_core", &config);
    let kind =
        Kind { dim: 1, scaled_keys: false, scaled_values: true, weighted: true, progressive: true, split_values: true };
    let job = Job::random(&config, kind, Shape::Short, seed(3), &mut Coverage::default());
    let watched = Watched::default();
    let check = |module: &str, from: &str, to: &str, what: &str| {
        println!("fault: {from} -> {to}");
        caught(&bench(&job, broken(&design, module, from, to), &config, &watched).patience(2_000), what);
    };
    faults_at_the_port_are_caught(&design, "out", "outputs", |verilog| {
        bench(&job, verilog, &config, &watched).patience(2_000)
    });
    let core = "attention_core";
    // A dropped row's tag stays.
    check(core, "assign tags_out_ready = (decides | marks);", "assign tags_out_ready = (keeps | marks);", "differs");
    // Values that are added to before rows that do not need that have read them; norms released twice.
    check(core, "assign tag_again = (tag_marker & tag_upper[1]);", "assign tag_again = 1'd0;", "differs");
    check("value_requests", "assign read_again = (marker & again);", "assign read_again = 1'd0;", "differs");
    // Two rows of different words in one request; norms of the head before; the name of an output that waits.
    check("value_requests", "joined_1_next = ((", "joined_1_next = (1'd1 | (", "differs");
    check("norms", "halves_freed = (marks & weighted);", "halves_freed = 1'd0;", "differs");
    check(
        core,
        "names_out_ready = ((multiply_value_out_valid & out_ready) & head_rows_in_ready);",
        "names_out_ready = (multiply_value_out_valid & out_ready);",
        "differs",
    );
    // A part of a row is lost where `softmax` waits for the other side of the fork.
    check(
        core,
        "norms_in_valid = (softmax_out_valid & scores_in_ready);",
        "norms_in_valid = softmax_out_valid;",
        "differs",
    );
    check("saturation_count", "count_next = (count", "count_next = (32'd0", "logit_saturations differs");
}

/// Runs the model alone, nothing pausing; cycles from the first to the last word of keys, and how many there were.
fn busy(job: &Job, config: &ArchConfig) -> (u64, u64) {
    let mut model = AttentionCore::new(config, job.pins);
    let mut next = vec![0; job.inputs.len()];
    let mut taken = vec![0; job.outputs.len()];
    let (mut first, mut last, mut words, mut idle) = (None, 0, 0, 0);
    for cycle in 0u64.. {
        if model.busy() {
            first.get_or_insert(cycle);
            last = cycle;
            words += 1;
        }
        let mut accepted: Vec<_> = (0..next.len())
            .map(|port| {
                let beat = job.inputs[port].get(next[port]).filter(|_| model.ready(port)).cloned();
                next[port] += usize::from(beat.is_some());
                beat
            })
            .collect();
        let takes: Vec<bool> = (0..taken.len())
            .map(|port| {
                let Some(beat) = model.output(port) else { return false };
                assert_eq!(Some(beat), job.outputs[port].get(taken[port]), "output {port}, beat {}", taken[port]);
                taken[port] += 1;
                true
            })
            .collect();
        idle = if accepted.iter().any(Option::is_some) || takes.contains(&true) { 0 } else { idle + 1 };
        model.clock(&mut accepted, &takes);
        if taken.iter().zip(&job.outputs).all(|(n, beats)| *n == beats.len()) {
            break;
        }
        assert!(idle < 20_000, "stuck: {next:?} {taken:?}");
    }
    (last - first.expect("a word entered") + 1, words)
}

#[test]
fn multipliers_are_busy_on_whole_heads() {
    let mut checks = Checks::new("attention_core_busy");
    let config = ArchConfig::paper();
    for (keys, keep) in [(384, 384), (384, 192), (384, 100), (128, 64)] {
        let job = Job::regular(&config, 2, 3, 384.min(keys), keys, keep);
        let (cycles, words) = busy(&job, &config);
        println!(
            "attention_core: paper, 3 heads of {keys} rows and keys, D 64, {keep} values kept: {words} of {cycles} cycles busy"
        );
        checks.that(words * 100 >= cycles * 95, || format!("{keys} keys, {keep} kept: {words} of {cycles}"));
    }
    checks.finish(4);
}

#[test]
fn single_rows_are_limited_by_what_fills_the_buffers() {
    let mut checks = Checks::new("attention_core_decode");
    let config = ArchConfig::paper();
    for keep in [1024, 512] {
        let heads = 24;
        let job = Job::regular(&config, 2, heads, 1, 1024, keep);
        let (cycles, words) = busy(&job, &config);
        // A head is 128 beats of keys, as many of values, and 128 words.
        println!(
            "attention_core: paper, {heads} heads of one row and 1024 keys, {keep} kept: {words} of {cycles} cycles busy"
        );
        checks.that(words * 100 >= cycles * 90, || format!("{keep} kept: {words} of {cycles}"));
    }
    checks.finish(2);
}
