//! The host's side of a card: golden's results from a card that only knows `arch::descriptor`.
//!
//! ```text
//! random trace + plan --> golden::cascade -----------------------------------------+
//!                     \-> card::sequence -- jobs, planes --> functional card        +--> same outputs, survivors, importances,
//!                                       <-- outputs, map, state block --------------+    refetched rows, counts, layer by layer
//! ```

#[path = "../golden/tests/cascade/case.rs"]
#[allow(dead_code)] // a part of the cases' own checks
mod case;
mod common;
#[path = "common/functional.rs"]
mod functional;
#[path = "common/tiny_model.rs"]
mod tiny_model;
#[path = "common/walk.rs"]
#[allow(dead_code)] // what only chips need
mod walk;

use case::Params;
use functional::{Broken, Functional};
use ndarray::{Array4, Axis};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use spatten::card::{CardAttention, CardDevice, CardMemory, Counters, DeviceError, UnfitError, check};
use spatten::cli::Failure;
use spatten::device::{Device, Machine};
use spatten::infer::{Embedded, embed};
use spatten::model::Encoder;
use spatten::report::Report;
use spatten_arch::descriptor::{
    Completion, End, Entry, JOB_BYTES, Job, Nop, Opcode, ReadState, StateLayout, Status, TokenState,
};
use spatten_arch::plan::Scale;
use spatten_arch::{ArchConfig, Plan};
use spatten_golden::attention::Attention;
use spatten_golden::run;
use spatten_golden::trace::{Mode, Trace};
use spatten_sim::cosim::Coverage;
use spatten_testkit::{Checks, Rng, workspace_root};
use std::cell::RefCell;
use std::path::Path;
use walk::{MET, Walk, cases, for_cases, work};

/// Cases of each kind of test.
const CASES: u32 = 2400;

fn configs() -> [ArchConfig; 4] {
    let own = ArchConfig::from_toml("base = \"tiny\"\nchannels = 4\nchannel_bytes = 4", "own.toml").unwrap();
    [ArchConfig::tiny(), ArchConfig::eighth(), ArchConfig::paper(), own]
}

#[test]
fn a_card_gives_what_golden_gives() {
    let checks = RefCell::new(Checks::new("card_equals_golden"));
    let coverage = RefCell::new(Coverage::default());
    for_cases(CASES, cases(4), |(config, params)| {
        let (config, coverage) = (&configs()[*config], &mut *coverage.borrow_mut());
        let (trace, plan) = work(params, coverage);
        let mut device = Functional::new(config);
        let mut walk = Walk::new(&mut device, config, 3, trace, &plan).unwrap();
        walk.run(&mut device, &mut checks.borrow_mut(), coverage);
        // All memory comes back.
        walk.card.end(&mut device).unwrap();
        let words = device.memory().words();
        checks.borrow_mut().eq(device.memory().take(words), 0, || "memory given back".into());
    });
    println!("{:?}", coverage.borrow());
    coverage.into_inner().require(&MET);
    checks.into_inner().finish_any();
}

#[test]
fn contexts_that_take_turns_do_not_see_each_other() {
    let checks = RefCell::new(Checks::new("card_contexts"));
    let coverage = RefCell::new(Coverage::default());
    let strategy = (prop::collection::vec(cases(4), 2..=4), any::<u64>());
    for_cases(CASES / 16, strategy, |(cases, seed)| {
        let (config, coverage) = (&configs()[cases[0].0], &mut *coverage.borrow_mut());
        let (mut device, mut rng) = (Functional::new(config), Rng::new(*seed));
        let (mut waiting, mut walks, mut free): (Vec<&Params>, Vec<(u16, Walk)>, _) =
            (cases.iter().map(|(_, params)| params).collect(), vec![], vec![15, 7, 0]);
        let mut ended = false;
        while !waiting.is_empty() || !walks.is_empty() {
            let begins = !waiting.is_empty() && !free.is_empty() && rng.below(3) == 0;
            if begins || walks.is_empty() {
                let context = free.pop().unwrap();
                let (trace, plan) = work(waiting.pop().unwrap(), coverage);
                walks.push((context, Walk::new(&mut device, config, context, trace, &plan).unwrap()));
                coverage.add("contexts at a time", (walks.len() > 1).into());
                coverage.add("a context again", ended.into());
            }
            let which = rng.below(walks.len() as u64) as usize;
            if walks[which].1.advance(&mut device, &mut checks.borrow_mut(), coverage) {
                let (context, walk) = walks.swap_remove(which);
                walk.card.end(&mut device).unwrap();
                free.push(context);
                ended = true;
            }
        }
    });
    coverage.into_inner().require(&["contexts at a time", "a context again"]);
    checks.into_inner().finish_any();
}

/// A run of the command line's own door, against golden's.
#[test]
fn a_machine_of_cards_runs_traces_as_golden_does() {
    let checks = RefCell::new(Checks::new("card_machine"));
    let coverage = RefCell::new(Coverage::default());
    for_cases(CASES / 12, cases(4), |(config, params)| {
        let (config, checks) = (&configs()[*config], &mut *checks.borrow_mut());
        let (trace, mut plan) = work(params, &mut coverage.borrow_mut());
        if let Some(quant) = &mut plan.quant
            && matches!(quant.scale, Scale::Static(_))
        {
            quant.scale = Scale::Head; // a machine reads the table of a static scale from its file
        }
        if let Some(pin) = &mut plan.tokens.pin {
            pin.positions.retain(|&p| p < trace.keys()); // a machine refuses others
        }
        let machine = |device| Machine::new(device, config.clone(), plan.clone(), "case".into()).unwrap();
        let card = machine(Device::Sim).with_cards(functional::make);
        let shape = (trace.layers(), trace.heads(), trace.kv_heads(), trace.keys(), trace.head_dim());
        card.check("case", shape.0, shape.1, shape.2, shape.3, shape.4).unwrap();
        let (got, golden) = (card.run(&trace).unwrap(), machine(Device::Golden).run(&trace).unwrap());
        let tensors = |run: &spatten::device::Run| spatten::run::tensors(&trace, &run.result);
        checks.that(tensors(&got) == tensors(&golden), || "output files differ".into());

        let steps = if trace.mode == Mode::Decode { trace.rows() } else { 1 };
        let timing = got.timing.clone().unwrap();
        let jobs = 2 + if trace.mode == Mode::Decode { steps } else { 0 } + steps * trace.layers();
        let report = |machine: &Machine, run| {
            serde_json::to_value(Report::of_trace(machine, 0, "case", &trace, &[], run)).unwrap()
        };
        let (json, golden_json) = (report(&card, &got), report(&machine(Device::Golden), &golden));
        checks.eq(timing.layers.len(), steps * trace.layers(), || "layers that were timed".into());
        checks.eq(json["cycles"].as_u64(), Some(900 * jobs as u64), || "cycles".into());
        checks.eq(json["clock_hz"].as_u64(), Some(config.clock_hz), || "clock_hz".into());
        checks.eq(json["latency_s"].as_f64(), Some(jobs as f64 * 900.0 / config.clock_hz as f64), || "latency".into());
        checks.eq(json["layers"][0]["cycles"].as_u64(), Some(900 * steps as u64), || "cycles of a layer".into());
        for key in ["ops_per_s", "multiplier_utilization", "stall_cycles"] {
            checks.that(!json[key].is_null() && golden_json[key].is_null(), || key.into());
        }
        for key in ["cycles", "max_cycles"] {
            checks.that(!json["topk"][key].is_null() && golden_json["topk"][key].is_null(), || key.into());
        }
        for key in ["bandwidth_utilization", "write_bytes"] {
            checks.that(!json["dram"][key].is_null(), || key.into());
        }
        for key in ["ops", "rows", "refetched_rows", "tokens_kept", "heads_kept", "clamped_counts", "saturations"] {
            checks.eq(&json[key], &golden_json[key], || key.into());
        }
        checks.eq(&json["topk"]["calls"], &golden_json["topk"]["calls"], || "selections".into());
        checks.eq(json["steps"].as_array().map(Vec::len), golden_json["steps"].as_array().map(Vec::len), || {
            "steps".into()
        });
    });
    checks.into_inner().finish_any();
}

/// Values that grow by a million from the first layer on, and scores beyond their format.
#[test]
fn what_saturates_is_counted_as_golden_counts_it() {
    let (mut checks, mut coverage, mut rng) = (Checks::new("card_saturations"), Coverage::default(), Rng::new(9));
    let config = ArchConfig::tiny();
    let plan = "[tokens]\nimportance = \"value_weighted\"\n[quant]\nprogressive = true\nthreshold = 0.9";
    let plan = Plan::from_toml(plan, "grows").unwrap();
    let mut run = |mode, (layers, heads, tokens, dim), constant: bool| {
        let shape = (layers, heads, tokens, dim);
        let mut tensor = || Array4::from_shape_fn(shape, |_| rng.normal() as f32);
        let (q, k, mut v) = (tensor(), tensor(), if constant { Array4::ones(shape) } else { tensor() });
        v.index_axis_mut(Axis(0), 0).mapv_inplace(|x| x * 1e-6);
        let trace = Trace::new(q, k, v, None, mode, Some(1000.0)).unwrap();
        let mut device = Functional::new(&config);
        Walk::new(&mut device, &config, 0, trace, &plan).unwrap().run(&mut device, &mut checks, &mut coverage);
    };
    run(Mode::Encoder, (3, 2, 12, 32), false);
    run(Mode::Decode, (3, 2, 12, 32), false);
    // A head's importance takes 2^9 rows of the largest outputs at the largest factor.
    run(Mode::Encoder, (10, 1, 64, 128), true);
    coverage.require(&["a logit that saturates", "a norm that saturates", "an importance that saturates"]);
    checks.finish(12 * (3 + 12 * 3 + 10));
}

/// The comparison of this file sees what it is there to see.
#[test]
fn a_card_that_does_anything_wrong_is_caught() {
    let mut checks = Checks::new("card_broken");
    let configs = configs();
    for broken in Broken::ALL {
        let mut runner = TestRunner::deterministic();
        let caught = (1..=CASES).find(|_| {
            let (config, params) = cases(4).new_tree(&mut runner).unwrap().current();
            let run = || {
                let (config, mut coverage) = (&configs[config], Coverage::default());
                let (trace, plan) = work(&params, &mut coverage);
                let mut device = Functional::broken(config, broken);
                let mut walk = Walk::new(&mut device, config, 0, trace, &plan).unwrap();
                walk.run(&mut device, &mut Checks::new("broken"), &mut coverage);
            };
            std::panic::catch_unwind(run).is_err()
        });
        checks.that(caught.is_some(), || format!("{broken:?} is not seen in {CASES} cases"));
        println!("{broken:?}: caught by case {}", caught.unwrap());
    }
    checks.finish(21);
}

/// Every recorded sentence with its settings and with the plans of this project.
#[test]
fn recorded_sentences_are_what_golden_says() {
    let Some((settings, traces)) = common::recorded() else { return };
    let (mut checks, mut coverage, config) = (Checks::new("card_sentences"), Coverage::default(), ArchConfig::eighth());
    let mut expected = 0;
    for r in &traces {
        let recorded = settings.as_object().unwrap().values().map(|s| common::plan_of(s, r.trace.keys()));
        let named = ["minilm-safe", "minilm-fast", "paper"]
            .map(|name| Plan::load(&workspace_root().join(format!("plans/{name}.toml"))).unwrap());
        for plan in recorded.chain(named) {
            let mut device = Functional::new(&config);
            let mut walk = Walk::new(&mut device, &config, 0, r.trace.clone(), &plan).unwrap();
            walk.run(&mut device, &mut checks, &mut coverage);
            expected += 12 * r.trace.layers() as u64;
        }
    }
    coverage.require(&["tokens pruned", "rows computed again and others"]);
    checks.finish(expected);
}

/// What a card does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Answers another job.
    Id,
    /// Ends with an error.
    Refuses,
    /// Never answers.
    Silent,
    /// Says another number of tokens.
    Tokens,
    /// Says another number of heads.
    Heads,
    /// Says another number of rows that were computed again.
    Again,
    /// Lets a token go on that is none of those before.
    Stranger,
    /// Lets a token go on that the plan prunes, and counts it.
    Guest,
    /// Keeps a head too many.
    Head,
    /// The state block's count is not that of its tokens.
    Header,
    /// None: the next job is as good as the last.
    None,
}

/// A functional card that lies about its layers.
struct Liar {
    card: Functional,
    config: ArchConfig,
    lie: Lie,
}

impl Liar {
    fn token(&mut self, state: u32, token: usize, change: impl Fn(&mut TokenState)) {
        let at = StateLayout::new(&self.config).token(token);
        let memory = self.card.memory();
        let mut block = memory.read_block(state, 0, at + 8);
        let mut token = TokenState::decode(block[at..].try_into().unwrap());
        change(&mut token);
        block[at..].copy_from_slice(&token.encode());
        memory.write_block(state, &block);
    }

    fn lies(&mut self, layer: &spatten_arch::descriptor::Layer, answer: &mut Completion) -> Result<(), DeviceError> {
        let count = |at: usize, memory: &mut CardMemory| {
            let mut header = memory.read_block(layer.state, 0, 8);
            header[at] += 1;
            memory.write_block(layer.state, &header);
        };
        match self.lie {
            Lie::None => {}
            Lie::Id => answer.id ^= 1,
            Lie::Refuses => (answer.status, answer.detail) = (Status::MemoryError, 1),
            Lie::Silent => return Err(DeviceError::Deadline { opcode: Opcode::Layer, cycles: 1000 }),
            Lie::Tokens => answer.result ^= 1,
            Lie::Heads => answer.result ^= 1 << 16,
            Lie::Again => answer.detail += 1,
            // Token 0 is padding; tokens 1 and 2 are the least important ones.
            Lie::Stranger => {
                self.token(layer.state, 0, |t| t.alive = true);
                self.token(layer.state, 7, |t| t.alive = false);
            }
            Lie::Guest => {
                self.token(layer.state, 1, |t| t.alive = true);
                count(0, self.card.memory());
                answer.result += 1;
            }
            Lie::Head => {
                let at = StateLayout::new(&self.config).head(0);
                let mut block = self.card.memory().read_block(layer.state, 0, at + 16);
                (block[at + 7], block[at + 15]) = (0x80, 0x80);
                self.card.memory().write_block(layer.state, &block);
            }
            Lie::Header => count(0, self.card.memory()),
        }
        Ok(())
    }
}

impl CardDevice for Liar {
    fn memory(&mut self) -> &mut CardMemory {
        self.card.memory()
    }

    fn run(&mut self, entry: &Entry) -> Result<Completion, DeviceError> {
        let mut answer = self.card.run(entry)?;
        if let Job::Layer(layer) = entry.job {
            self.lies(&layer, &mut answer)?;
        }
        Ok(answer)
    }

    fn counters(&self) -> Counters {
        self.card.counters()
    }
}

/// Eight tokens of which the first is padding and later ones matter more, two heads, three layers.
fn small() -> (Trace, Plan) {
    let value = |t: usize, d: usize| if d == 0 { t as f32 } else { 0.25 };
    let x = Array4::from_shape_fn((3, 2, 8, 16), |(_, _, t, d)| value(t, d));
    let mask = (0..8).map(|t| t > 0).collect();
    let plan = Plan::from_toml("[tokens]\nkeep = [5, 5]\n[heads]\nkeep = [1, 1]", "small").unwrap();
    (Trace::new(x.clone(), x.clone(), x, Some(mask), Mode::Encoder, None).unwrap(), plan)
}

#[test]
fn a_card_that_lies_fails_the_job_and_says_how() {
    let mut checks = Checks::new("card_lies");
    let (trace, plan) = small();
    let config = ArchConfig::tiny();
    let cases = [
        (Lie::Id, "device: the completion's id is 0, expected 1"),
        (Lie::Refuses, "device: job layer ended with memory_error, detail 1"),
        (Lie::Silent, "device: job layer is not complete after 1000 cycles"),
        (Lie::Tokens, "device: the number of tokens left is 4, expected 5"),
        (Lie::Heads, "device: the number of heads left is 0, expected 1"),
        (Lie::Again, "device: the number of rows that were computed again is 1, expected 0"),
        (Lie::Stranger, "device: the list of tokens left is [0, 3, 4, 5, 6], expected 5 of [1, 2, 3, 4, 5, 6, 7]"),
        (Lie::Guest, "device: the list of tokens left is [1, 3, 4, 5, 6, 7], expected 5 of [1, 2, 3, 4, 5, 6, 7]"),
        (Lie::Head, "device: the list of heads left is [0, 1], expected 1 of [0, 1]"),
        (Lie::Header, "device: the state block's number of tokens is 6, expected 5"),
        (Lie::None, ""),
    ];
    for (lie, expected) in cases {
        let card = Box::new(Liar { card: Functional::new(&config), config: config.clone(), lie });
        let sequence = run::sequence_of(&trace);
        let mut attention = CardAttention::new(card, &config, sequence, &plan, None).unwrap();
        let result = run::run_on(&trace, &mut attention, &mut || ());
        let alive = attention.survivors().len();
        match attention.finish() {
            Ok(_) => checks.eq((lie, alive), (Lie::None, 5), || "an honest card".into()),
            Err(e) => {
                checks.eq(e.to_string(), expected.to_string(), || format!("{lie:?}"));
                // Nothing was believed.
                checks.that(alive == 7 && result.out.iter().all(|&x| x == 0.0), || format!("{lie:?}"));
            }
        }
    }
    checks.finish(10 * 2 + 1);
}

#[test]
fn a_device_that_fails_is_the_jobs_failure_in_one_line() {
    fn silent(config: &ArchConfig) -> Result<Box<dyn CardDevice>, DeviceError> {
        let card = Functional::new(config);
        Ok(Box::new(Liar { card, config: config.clone(), lie: Lie::Silent }))
    }
    fn absent(_: &ArchConfig) -> Result<Box<dyn CardDevice>, DeviceError> {
        Err(DeviceError::Machine("no such board".into()))
    }
    let (trace, plan) = small();
    let machine = || Machine::new(Device::Rtl, ArchConfig::tiny(), plan.clone(), "small".into()).unwrap();
    let message = |failure: Failure| match failure {
        Failure::Job(e) => format!("job: {e}"),
        Failure::Input(e) => format!("input: {e}"),
    };
    let failed = |machine: Machine| message(machine.run(&trace).map(|_| ()).unwrap_err());
    assert_eq!(failed(machine().with_cards(silent)), "job: device: job layer is not complete after 1000 cycles");
    assert_eq!(failed(machine().with_cards(absent)), "job: device: no such board");
}

#[test]
fn what_a_card_has_no_form_for_is_refused_before_any_work() {
    let plan = |text: &str| Plan::from_toml(text, "p").unwrap();
    let mid = |first: &str| plan(&format!("[quant]\nprogressive = true\nsplit = \"mid\"\nmsb_first = [{first}]\n"));
    assert_eq!(check(&plan("[values]\nkeep = 0.3"), 1024, 20), Ok(()));
    let share = check(&plan("[values]\nkeep = 0.500000000001"), 1024, 32).unwrap_err();
    assert_eq!(share, UnfitError::Share { keep: 0.500000000001, keys: 1024 });
    assert_eq!((check(&mid("\"k\""), 64, 20), check(&mid("\"q\", \"v\""), 64, 64)), (Ok(()), Ok(())));
    for tensor in ["\"q\"", "\"v\""] {
        assert_eq!(check(&mid(tensor), 64, 20), Err(UnfitError::Padding { dim: 20 }));
    }
    let machine = |device| Machine::new(device, ArchConfig::tiny(), mid("\"v\""), "p.toml".into()).unwrap();
    assert!(machine(Device::Golden).check("w", 2, 2, 2, 9, 20).is_ok());
    let Err(Failure::Input(e)) = machine(Device::Sim).check("w", 2, 2, 2, 9, 20) else { panic!("not refused") };
    assert!(format!("{e:#}").starts_with("p.toml for w: head dimension 20"), "{e:#}");
}

#[test]
fn a_model_on_a_card_embeds_as_on_golden() {
    let mut checks = Checks::new("card_infer");
    let model = tiny_model::Model::new(safetensors::tensor::Dtype::F32, "");
    let (settings, tokenizer) = (model.config.to_string(), model.tokenizer.to_string());
    let parts = (settings.as_bytes(), &model.weights(), tokenizer.as_bytes());
    let encoder = Encoder::from_parts(parts.0, parts.1, parts.2, Path::new("mine")).unwrap();
    for text in ["", "[tokens]\nkeep = [4]\n", "[tokens]\nkeep = [4]\nmode = \"kv_only\"\n[heads]\nkeep = [1]\n"] {
        let plan = Plan::from_toml(text, "p").unwrap();
        let machine = |device| Machine::new(device, ArchConfig::tiny(), plan.clone(), "p".into()).unwrap();
        let ids = [2, 4, 5, 4, 6, 3];
        let card = embed(&machine(Device::Sim).with_cards(functional::make), &encoder, &ids).unwrap();
        let golden = embed(&machine(Device::Golden), &encoder, &ids).unwrap();
        let bits = |e: &Embedded| e.embedding.vector.iter().map(|x| x.to_bits()).collect::<Vec<u64>>();
        checks.eq(bits(&card), bits(&golden), || text.into());
        checks.eq(card.embedding.tokens_kept(), golden.embedding.tokens_kept(), || text.into());
        checks.that(card.timing.is_some() && golden.timing.is_none(), || text.into());
    }
    checks.finish(9);
}

/// Jobs as bytes: faults are those of `Entry::decode`, they change nothing, and the next good job is right.
#[test]
fn malformed_jobs_end_with_their_fault_and_change_nothing() {
    let checks = RefCell::new(Checks::new("card_malformed_jobs"));
    let coverage = RefCell::new(Coverage::default());
    for_cases(CASES / 12, (cases(4), any::<u64>()), |((config, params), seed)| {
        let (config, checks) = (&configs()[*config], &mut *checks.borrow_mut());
        let (coverage, mut rng) = (&mut *coverage.borrow_mut(), Rng::new(*seed));
        let (trace, plan) = work(params, coverage);
        let mut device =
            Spoiled { card: Functional::new(config), config: config.clone(), refused: vec![], rng: rng.bits() };
        let mut walk = Walk::new(&mut device, config, 2, trace, &plan).unwrap();
        walk.run(&mut device, checks, coverage);
        for (got, expected) in &device.refused {
            checks.eq(*got, *expected, || "status and detail".into());
            coverage.add("a field", (expected.0 == Status::Malformed).into());
            coverage.add("an opcode", (expected.0 == Status::BadOpcode).into());
            coverage.add("a context", (expected.0 == Status::BadContext).into());
            coverage.add("a size", (expected.0 == Status::ExceedsConfiguration).into());
        }
        // Jobs that are well formed and out of turn.
        let mut ends = |job: Job| device.card.run(&Entry { id: 7, job }).unwrap();
        let no_context = ends(Job::End(End { context: 1 }));
        checks.eq((no_context.status, no_context.detail), (Status::BadContext, 4), || "no such context".into());
        let no_state = ends(Job::ReadState(ReadState { context: 1, state: 0 }));
        checks.eq((no_state.status, no_state.detail), (Status::BadContext, 4), || "no such context".into());
        checks.eq(ends(Job::Nop(Nop {})).status, Status::Success, || "nothing".into());
        walk.card.end(&mut device).unwrap();
    });
    coverage.into_inner().require(&["a field", "an opcode", "a context", "a size"]);
    checks.into_inner().finish_any();
}

/// A card that gets a damaged copy of every job before the job itself.
struct Spoiled {
    card: Functional,
    config: ArchConfig,
    /// How copies ended, and how they should have.
    refused: Vec<((Status, u32), (Status, u32))>,
    rng: u64,
}

impl CardDevice for Spoiled {
    fn memory(&mut self) -> &mut CardMemory {
        self.card.memory()
    }

    fn run(&mut self, entry: &Entry) -> Result<Completion, DeviceError> {
        let mut rng = Rng::new(self.rng);
        for _ in 0..8 {
            let mut bytes = entry.encode();
            let bytes_of = [24, JOB_BYTES as u64][rng.below(2) as usize];
            let at = rng.below(bytes_of) as usize;
            bytes[at] = match rng.below(4) {
                0 => 0,
                1 => 0xff,
                _ => bytes[at] ^ 1 << rng.below(8),
            };
            // Some changes are good jobs, which are not for this test.
            if let Err(fault) = Entry::decode(&bytes, &self.config) {
                let answer = self.card.run_bytes(&bytes);
                self.refused.push(((answer.status, answer.detail), (fault.status, fault.detail())));
            }
        }
        self.rng = rng.bits();
        self.card.run(entry)
    }

    fn counters(&self) -> Counters {
        self.card.counters()
    }
}
