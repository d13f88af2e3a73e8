//! `layer_engine`: layers from memory to memory; RTL against its cycle model in every cycle, what it writes against golden
//! attention on the same planes.
//!
//! ```text
//!  layers, lists, factors --> layer_engine --> request --> memory: late, in any order --> response --+
//!  commands ------------------> ^  | ^---------------------------------------------------------------+
//!                                  +--> write: equal to golden's outputs?   read: equal to golden's importance?
//! ```

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "common/heads.rs"]
#[allow(dead_code)]
mod heads;
#[path = "common/layers.rs"]
#[allow(dead_code)]
mod layers;
#[path = "common/memory.rs"]
#[allow(dead_code)]
mod memory;
#[path = "common/streams.rs"]
#[allow(dead_code, clippy::too_many_arguments)]
mod streams;
#[path = "common/tokens.rs"]
mod tokens;

use block::{broken, configurations, design, verilog, with_port_fault};
use layers::{Case, Layers, Like, Refetch};
use memory::{Answers, insert};
use spatten_arch::ArchConfig;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::format::Formats;
use spatten_arch::plan::Split;
use spatten_sim::attention_core::Name;
use spatten_sim::cosim::{Bits, Coverage, Stalls, Verilog, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::importance_accumulator::{self as importance, Command};
use spatten_sim::layer_engine::{Input, LayerEngine, Output};
use spatten_sim::layer_sequencer::{self as sequencer, Widths};
use spatten_sim::matrix_fetcher::{Tokens, id_bits};
use spatten_sim::write_back;
use spatten_testkit::{Checks, Rng};
use std::collections::VecDeque;
use streams::{Queues, Streams, run_beside};

/// Ports beside the streams; `fault` where the block is wrapped in one.
struct Beside {
    fault: Option<u64>,
}

impl streams::Beside<LayerEngine> for Beside {
    fn ports(&self) -> usize {
        3 + usize::from(self.fault.is_some())
    }

    /// Rows of all heads may follow each other without anything from outside.
    fn quiet_cycles(&self) -> u64 {
        4_000
    }

    fn drive(&mut self, rtl: &mut spatten_sim::cosim::Model, _: &mut LayerEngine, _: &mut Rng) {
        if let Some(fault) = self.fault {
            rtl.set_bits(rtl.pin("fault").unwrap(), &Bits::new(fault, 2));
        }
    }

    fn compare(&mut self, rtl: &spatten_sim::cosim::Model, model: &LayerEngine) -> Result<(), String> {
        for (name, should) in [
            ("busy", model.busy().into()),
            ("logit_saturations", model.logit_saturations()),
            ("flat_rows", model.flat_rows()),
        ] {
            let is = rtl.get_bits(rtl.pin(name).unwrap()).words()[0];
            if is != should {
                return Err(format!("{name} differs: rtl {is}, model {should}"));
            }
        }
        Ok(())
    }
}

/// What is done next; each ends with a `done`.
enum Step<'a> {
    Clear(bool),
    Layer(&'a Case),
    /// Tokens or heads of a case.
    Read(&'a Case, bool),
}

fn list(tokens: &[u16], lanes: usize, widths: Widths) -> Vec<Input> {
    let beats = Tokens::beats(tokens, lanes).into_iter();
    beats.map(|beat| Input::Sequencer(sequencer::Input::List(beat, widths))).collect()
}

/// Runs all layers; what was written and read is golden's. Beats that were checked, and cycles.
fn check(
    layers: &Layers,
    config: &ArchConfig,
    verilog: &Verilog,
    stalls: Stalls,
    answers: Answers,
    fault: Option<u64>,
    coverage: &mut Coverage,
) -> Result<(u64, u64), String> {
    let channels = config.channels;
    let model = LayerEngine::new(config);
    let id_bits = id_bits(config);
    let mut inputs: Vec<Streams> =
        ["key_list", "query_list", "layer", "factor", "command", "load", "head_load", "word", "flush"]
            .map(|name| Streams { name, lanes: 1 })
            .into();
    inputs.extend(["response", "acknowledge"].map(|name| Streams { name, lanes: channels }));
    let mut outputs: Vec<Streams> =
        ["read", "head_read", "done", "written", "refetched"].map(|name| Streams { name, lanes: 1 }).into();
    outputs.extend(["request", "write"].map(|name| Streams { name, lanes: channels }));

    let mut steps: VecDeque<Step> = [Step::Clear(false), Step::Clear(true)].into();
    for case in &layers.cases {
        steps.extend([Step::Layer(case), Step::Read(case, false), Step::Read(case, true)]);
    }
    let count_bits = importance::count_bits(config);
    let command = |command| Input::Importance(importance::Input::Command(command, count_bits));
    let start = |step: &Step, from: u64, queues: &mut Queues<Input>| match step {
        Step::Clear(heads) => {
            let count = if *heads { MAX_HEADS } else { config.keys_on_chip } as u32;
            queues[4].push_back((from, command(Command::Clear { heads: *heads, count })));
        }
        Step::Read(case, heads) => {
            let count = if *heads { case.layer.heads } else { case.keys.len() } as u32;
            queues[4].push_back((from, command(Command::Read { heads: *heads, mean: false, count })));
        }
        Step::Layer(case) => {
            for (queue, beats) in queues.iter_mut().zip(offered(case, config)) {
                queue.extend(beats.into_iter().map(|beat| (from, beat)));
            }
        }
    };
    let mut queues: Queues<Input> = vec![VecDeque::new(); 9 + 2 * channels];
    start(&steps[0], 0, &mut queues);

    let mut rng = Rng::new(7);
    let (mut left, mut problem, mut checked) = (layers.outputs.clone(), None, 0u64);
    let (mut tokens, mut heads) = (VecDeque::new(), VecDeque::new());
    let mut verdicts: VecDeque<(Name, bool, bool)> = VecDeque::new();
    for case in &layers.cases {
        let last = case.verdicts.len().wrapping_sub(1);
        verdicts.extend(case.verdicts.iter().enumerate().map(|(i, &(name, flat))| (name, flat, i == last)));
    }
    let mut acknowledged = vec![0; channels];
    let mut overtaken = 0u64;
    let mut wrong = |what: String| {
        problem.get_or_insert(what);
    };
    let seen = run_beside(
        verilog,
        model,
        &inputs,
        &outputs,
        &mut Beside { fault },
        queues,
        stalls,
        seed(0x1e),
        |cycle, port, beat, queues| match beat {
            Output::Request(request, _) => {
                let channel = port - 5;
                let (due, to) = answers.to(cycle, channel, channels, &mut rng);
                let Some(word) = layers.memory.get(&(channel, request.address)) else {
                    return wrong(format!("word {:#x} of channel {channel} holds nothing", request.address));
                };
                let data = Bits::from_bytes(word);
                let response = Input::Response { id: request.id, id_bits, data };
                overtaken += u64::from(insert(&mut queues[9 + to], due, response));
            }
            Output::WriteBack(write_back::Output::Write(write)) => {
                let channel = port - 5 - channels;
                let strobed = |bytes: &[u8], strobe: u128| {
                    bytes.iter().enumerate().filter(|(i, _)| strobe >> i & 1 == 1).map(|(_, &b)| b).collect::<Vec<u8>>()
                };
                match left.remove(&(channel, write.address)) {
                    Some((bytes, strobe)) if strobe == write.strobe && strobed(&write.data, strobe) == bytes => {
                        checked += 1;
                    }
                    other => {
                        wrong(format!("written {:#x} of channel {channel}: {write:?}, golden {other:?}", write.address))
                    }
                }
                acknowledged[channel] = (cycle + 1 + rng.below(20)).max(acknowledged[channel]);
                let acknowledge = Input::WriteBack(write_back::Input::Acknowledge { error: false });
                queues[9 + channels + channel].push_back((acknowledged[channel], acknowledge));
            }
            Output::Importance(importance::Output::Read { word, count, .. }) => {
                for lane in 0..*count {
                    let (is, golden) = ((word.importance[lane], word.rows[lane]), tokens.pop_front());
                    if golden != Some(is) {
                        wrong(format!("token: {is:?}, golden {golden:?}"));
                    }
                    checked += 1;
                }
            }
            Output::Importance(importance::Output::HeadRead(is, _)) => {
                let golden = heads.pop_front();
                if golden != Some(*is) {
                    wrong(format!("head: {is}, golden {golden:?}"));
                }
                checked += 1;
            }
            Output::Sequencer(verdict, _) => {
                let golden = verdicts.pop_front();
                if golden != Some((verdict.name, verdict.flat, verdict.last)) {
                    wrong(format!("verdict: {verdict:?}, golden {golden:?}"));
                }
                checked += 1;
            }
            Output::Importance(importance::Output::Done(saturations, _)) => {
                match steps.pop_front() {
                    Some(Step::Layer(case)) if case.saturations != *saturations => {
                        wrong(format!("saturations {saturations:?}, golden {:?}", case.saturations));
                    }
                    Some(_) => checked += 1,
                    None => return wrong("done too often".into()),
                }
                match steps.front() {
                    Some(step) => {
                        // A command may be done before all that it read was taken.
                        match step {
                            Step::Read(case, false) => tokens.extend(&case.tokens[..case.keys.len()]),
                            Step::Read(case, true) => heads.extend(&case.heads[..case.layer.heads]),
                            _ => {}
                        }
                        start(step, cycle, queues);
                    }
                    None => queues[8].push_back((cycle, Input::WriteBack(write_back::Input::Flush))),
                }
            }
            Output::WriteBack(write_back::Output::Done { errors, .. }) => {
                if *errors != 0 {
                    wrong(format!("errors {errors:#x}"));
                }
                checked += 1;
            }
        },
    )?;
    if let Some(problem) = problem {
        return Err(format!("{problem}   [{stalls:?} {answers:?}]"));
    }
    if !verdicts.is_empty() {
        return Err(format!("{} verdicts did not come   [{stalls:?} {answers:?}]", verdicts.len()));
    }
    if !left.is_empty() || !steps.is_empty() {
        let at = match steps.front() {
            Some(Step::Layer(case)) => {
                format!("at {:?}, {} keys, {} queries", case.layer, case.keys.len(), case.queries.len())
            }
            Some(Step::Read(_, heads)) => format!("at a read, heads {heads}"),
            _ => String::new(),
        };
        let (words, steps) = (left.len(), steps.len());
        return Err(format!("{words} words not written, {steps} steps left {at}   [{stalls:?} {answers:?}]"));
    }
    coverage.add("an answer that overtakes", overtaken);
    seen.cover(coverage);
    block::note("layer_engine", &config.name, seen.taken.iter().sum(), seen.values, seen.cycles);
    Ok((checked, seen.cycles))
}

/// Beats that are offered for a layer, by stream.
fn offered(case: &Case, config: &ArchConfig) -> [Vec<Input>; 4] {
    let widths = Widths::of(config);
    let layer = sequencer::Input::Layer(Box::new(case.layer.clone()), widths);
    let computes = case.layer.mask != 0 && !case.queries.is_empty();
    let factors = case.factors.iter().filter(|_| computes);
    [
        list(&case.keys, config.channels, widths),
        list(&case.queries, config.channels, widths),
        vec![Input::Sequencer(layer)],
        factors.map(|&f| Input::Sequencer(sequencer::Input::Factors(f))).collect(),
    ]
}

const RARE: [&str; 30] = [
    "no row flat",
    "all rows flat",
    "some rows flat",
    "floor",
    "mid",
    "balanced",
    "no LSBs of K",
    "LSBs of V",
    "LSBs of Q",
    "again with D = 128",
    "again, and heads that share keys",
    "again and causal",
    "again with scales",
    "again a single row",
    "again single rows of several heads",
    "again beside queries behind the next head's keys",
    "heads that share keys",
    "causal",
    "scales per token",
    "weighted",
    "no query",
    "no head",
    "no key",
    "all values kept",
    "some values kept",
    "tie at the cut",
    "an answer that overtakes",
    "bubble",
    "back-pressure",
    "stall",
];

#[test]
fn layers_from_memory_are_those_of_golden() {
    let mut checks = Checks::new("layer_engine");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("layer_engine", &config));
        let (mut checked, mut cycles, mut runs) = (0, 0, 0);
        for (number, stalls) in Stalls::EVERY.into_iter().enumerate() {
            let answers = [Answers::After(20), Answers::Within(60), Answers::Anywhere(40)][number % 3];
            let mut layers = Layers::new(&config, seed(number as u64));
            for _ in 0..24 {
                layers.add_random(48, &mut coverage);
            }
            layers.add_random(config.keys_on_chip.min(200), &mut coverage);
            let (n, c) = check(&layers, &config, &verilog, stalls, answers, None, &mut coverage)
                .unwrap_or_else(|e| panic!("layer_engine {}: {e}", config.name));
            (checked, cycles, runs) = (checked + n, cycles + c, runs + 1);
        }
        println!("layer_engine {}: {runs} runs, {checked} values of golden, {cycles} cycles", config.name);
        checks.that(checked >= 10_000, || format!("{}: {checked}", config.name));
    }
    println!("layer_engine: {coverage:?}");
    coverage.require(&RARE);
    checks.finish_any();
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("layer_engine", &config);
    let mut layers = Layers::new(&config, seed(9));
    (0..8).for_each(|_| layers.add_random(24, &mut Coverage::default()));
    let run = |verilog: &Verilog, fault| {
        check(&layers, &config, verilog, Stalls::None, Answers::After(20), fault, &mut Coverage::default())
    };
    // Importance without norms; a layer that does not wait for the one before.
    for (from, to, what) in [
        ("core_command_weighted = sequencer_weighted;", "core_command_weighted = 1'd0;", "differs"),
        ("layer_there_next = 1'd1;", "layer_there_next = 1'd0;", "layer_ready"),
    ] {
        let error = run(&broken(&design, "layer_engine", from, to), None).expect_err(from);
        assert!(error.contains(what), "{from}: expected {what:?} in {error}");
    }
    let wrapped = with_port_fault(&design, "write", "data");
    run(&wrapped, Some(0)).unwrap_or_else(|e| panic!("without a fault: {e}"));
    for (fault, what) in [(1, "write_data"), (2, "write_valid"), (3, "write_valid")] {
        let error = run(&wrapped, Some(fault)).expect_err(what);
        assert!(error.contains(what), "fault {fault}: expected {what:?} in {error}");
    }
}

/// Cycles of a layer on the model alone.
struct Alone {
    /// From the first word that is asked for to the last one that is written, both included.
    cycles: u64,
    /// In which a word of keys entered the multipliers.
    busy: u64,
    /// Words that were read, of all channels.
    words: u64,
}

/// Runs one layer with memory that answers after `latency` cycles; what is written is golden's.
fn alone(layers: &Layers, config: &ArchConfig, latency: u64) -> Alone {
    let channels = config.channels;
    let mut model = LayerEngine::new(config);
    let id_bits = id_bits(config);
    let mut queues: Queues<Input> = vec![VecDeque::new(); 9 + 2 * channels];
    for (queue, beats) in queues.iter_mut().zip(offered(&layers.cases[0], config)) {
        queue.extend(beats.into_iter().map(|beat| (0, beat)));
    }
    let (mut first, mut last, mut busy, mut words, mut idle) = (None, 0, 0, 0, 0);
    let mut left = layers.outputs.clone();
    for cycle in 0u64.. {
        busy += u64::from(model.busy());
        let mut accepted: Vec<Option<Input>> = (0..queues.len())
            .map(|port| {
                let due = queues[port].front().is_some_and(|(due, _)| *due <= cycle) && model.ready(port);
                if due { queues[port].pop_front().map(|(_, beat)| beat) } else { None }
            })
            .collect();
        let taken: Vec<bool> = (0..5 + 2 * channels).map(|port| model.output(port).is_some()).collect();
        for port in (5..taken.len()).filter(|&port| taken[port]) {
            match model.output(port) {
                Some(Output::Request(request, _)) => {
                    first.get_or_insert(cycle);
                    words += 1;
                    let word = &layers.memory[&(port - 5, request.address)];
                    let data = Bits::from_bytes(word);
                    queues[port + 4].push_back((cycle + latency, Input::Response { id: request.id, id_bits, data }));
                }
                Some(Output::WriteBack(write_back::Output::Write(write))) => {
                    last = cycle;
                    let golden = left.remove(&(port - 5 - channels, write.address)).map(|(bytes, _)| bytes);
                    assert_eq!(golden.as_deref(), Some(&write.data[..]), "written in cycle {cycle}");
                    let acknowledge = Input::WriteBack(write_back::Input::Acknowledge { error: false });
                    queues[port + 4].push_back((cycle + latency, acknowledge));
                }
                other => panic!("{other:?} on port {port}"),
            }
        }
        idle = if accepted.iter().any(Option::is_some) || taken.contains(&true) { 0 } else { idle + 1 };
        let done = taken[2];
        model.clock(&mut accepted, &taken);
        if done && left.is_empty() {
            break;
        }
        assert!(idle < 50_000, "stuck, {} words not written", left.len());
    }
    Alone { cycles: last - first.expect("something was read") + 1, busy, words }
}

fn whole(heads: usize, rows: usize, keys: usize, share: u32) -> Like {
    Like {
        dim: 2,
        heads,
        group: 1,
        mask: u128::MAX >> (128 - heads),
        causal: false,
        scaled: false,
        weighted: false,
        tokens: keys,
        first_row: keys - rows,
        keys,
        rows,
        share,
        refetch: None,
    }
}

#[test]
fn memory_and_multipliers_are_busy() {
    let mut checks = Checks::new("layer_engine_busy");
    let config = ArchConfig::paper();
    // A layer of BERT-base at L 384, of which the first heads are enough.
    let mut layers = Layers::new(&config, 1);
    layers.add(whole(4, 384, 384, 1 << 31), &mut Coverage::default());
    let found = alone(&layers, &config, 40);
    println!("layer_engine: paper, 4 heads of 384 rows and keys: {} of {} cycles busy", found.busy, found.cycles);
    checks.that(found.busy * 100 >= found.cycles * 95, || format!("{} of {}", found.busy, found.cycles));
    // A decoding step of GPT-2 at L 1024.
    let mut layers = Layers::new(&config, 2);
    layers.add(whole(12, 1, 1024, 1 << 31), &mut Coverage::default());
    let found = alone(&layers, &config, 40);
    let peak = found.cycles * config.channels as u64;
    println!("layer_engine: paper, 12 heads of 1 row and 1024 keys: {} of {peak} words read", found.words);
    checks.that(found.words * 100 >= peak * 90, || format!("{} of {peak}", found.words));
    checks.finish(2);
}

#[test]
fn a_refetch_costs_its_own_work() {
    let mut checks = Checks::new("layer_engine_refetch");
    let config = ArchConfig::paper();
    let never = Formats::new(&config).threshold_inverse.max_raw() as u64;
    let refetch = |threshold_inverse| {
        let widths = Some([[8, 4], [12, 0], [12, 0]]);
        Some(Refetch { threshold_inverse, split: Split::Balanced, of: [true, false, false], widths })
    };
    let run = |like: Like, threshold_inverse: u64| {
        let mut layers = Layers::new(&config, 1);
        layers.add(Like { refetch: refetch(threshold_inverse), ..like }, &mut Coverage::default());
        let flat = layers.cases[0].verdicts.iter().filter(|(_, flat)| *flat).count();
        (alone(&layers, &config, 40), flat)
    };
    for (inverse, least) in [(never, 95), (60 << 24, 95), (0, 95)] {
        let (found, flat) = run(whole(4, 384, 384, 1 << 31), inverse);
        println!(
            "layer_engine: paper, 4 heads of 384 rows and keys, {flat} rows again: {} of {} cycles busy",
            found.busy, found.cycles
        );
        checks.that(found.busy * 100 >= found.cycles * least, || format!("{flat}: {} of {}", found.busy, found.cycles));
    }
    // Heads follow each other as memory can give them, unless a row waits for its LSBs: then memory waits for the row.
    for (inverse, least) in [(never, 90), (60 << 24, 45), (0, 45)] {
        let (found, flat) = run(whole(12, 1, 1024, 1 << 31), inverse);
        let peak = found.cycles * config.channels as u64;
        println!(
            "layer_engine: paper, 12 heads of 1 row and 1024 keys, {flat} again: {} of {peak} words read",
            found.words
        );
        checks.that(found.words * 100 >= peak * least, || format!("{flat}: {} of {peak}", found.words));
    }
    checks.finish(6);
}
