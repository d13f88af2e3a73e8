//! `fetch_path`: RTL against its cycle model in every cycle; packed planes in memory become the operands of the listed rows,
//! in the order of the list, as `golden` unpacks them.
//!
//! ```text
//!  jobs, tokens --> fetch_path --> request --> Memory: late, in any order --> response --+
//!                     |      ^-----------------------------------------------------------+
//!                     +--> out: equal to the rows, back to back, zeros behind them?
//! ```

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "common/fetch.rs"]
#[allow(dead_code)]
mod fetch;
#[path = "common/memory.rs"]
#[allow(dead_code)]
mod memory;
#[path = "common/streams.rs"]
#[allow(clippy::too_many_arguments)]
mod streams;

use block::{broken, configurations, design, note, verilog};
use fetch::{Listed, Widths, elements, jobs, planes};
use memory::{Answers, Memory, Plane, insert};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::element::Element;
use spatten_arch::layout::{ADDRESS_BITS, CHUNK_ELEMENTS, GRANULE_BYTES};
use spatten_arch::plan::Split;
use spatten_golden::bitwidth_converter::{Conversion, operand};
use spatten_hw::{emit::emit, fetch_path as rtl, matrix_fetcher::TAG_BITS};
use spatten_sim::cosim::{Beat, Bits, Coverage, Field, Stalls, Verilog, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::fetch_path::{FetchPath, Job};
use spatten_sim::matrix_fetcher::{Request, Tokens};
use spatten_testkit::{Checks, Rng};
use std::collections::{BTreeMap, VecDeque};
use streams::{Queues, Seen, Streams, run};

#[derive(Debug, Clone)]
enum In {
    Job(Job, Widths),
    Tokens(Tokens, Widths),
    Response { id: u32, data: Bits, widths: Widths },
}

impl Beat for In {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Job(job, w) => {
                let mut fields = vec![
                    Field::value("base", job.base.into(), ADDRESS_BITS as u32),
                    Field::value("dim", job.dim.into(), 2),
                    Field::value("tag", job.tag.into(), TAG_BITS as u32),
                ];
                fields.extend(w.element(&job.element));
                fields
            }
            Self::Tokens(tokens, w) => w.tokens(tokens),
            Self::Response { id, data, widths } => widths.response(*id, data),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Operands {
    data: Vec<u16>,
    bits: u32,
    tag: u8,
    last: bool,
}

#[derive(Debug, Clone)]
enum Out {
    Request(Request, Widths),
    Operands(Operands),
}

impl Beat for Out {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Request(request, w) => w.request(request),
            Self::Operands(beat) => {
                let lanes: Vec<u64> = beat.data.iter().map(|&lane| lane.into()).collect();
                vec![
                    Field::lanes("data", &lanes, beat.bits),
                    Field::value("tag", beat.tag.into(), TAG_BITS as u32),
                    Field::flag("last", beat.last),
                ]
            }
        }
    }
}

/// The model with beats that describe their ports: job, token, response of each channel; request of each channel, out.
struct Described {
    model: FetchPath<Bits>,
    out: Vec<Option<Out>>,
    widths: Widths,
    bits: u32,
}

impl Described {
    fn new(config: &ArchConfig) -> Self {
        let (model, out) = (FetchPath::new(config), vec![None; config.channels + 1]);
        Self { model, out, widths: Widths::of(config), bits: config.datapath_bits }
    }
}

impl CycleModel for Described {
    type Input = In;
    type Output = Out;

    fn ready(&self, port: usize) -> bool {
        match port {
            0 => self.model.job_ready(),
            1 => self.model.tokens_ready(),
            _ => self.model.response_ready(port - 2),
        }
    }

    fn output(&self, port: usize) -> Option<&Out> {
        self.out[port].as_ref()
    }

    fn clock(&mut self, accepted: &mut [Option<In>], taken: &[bool]) {
        let (head, responses) = accepted.split_at_mut(2);
        let job = head[0].take().map(|beat| if let In::Job(job, _) = beat { job } else { panic!("{beat:?}") });
        let tokens = head[1].take().map(|beat| if let In::Tokens(t, _) = beat { t } else { panic!("{beat:?}") });
        let response = |channel: usize| match responses[channel].take() {
            Some(In::Response { id, data, .. }) => Some((id, data)),
            None => None,
            Some(other) => panic!("{other:?}"),
        };
        let lanes = self.widths.lanes;
        self.model.clock(job, tokens, response, |i| taken[i], taken[lanes]);
        for i in 0..lanes {
            self.out[i] = self.model.request(i).map(|r| Out::Request(*r, self.widths));
        }
        self.out[lanes] = self.model.output().map(|(tag, last)| {
            let data = self.model.operands().concat();
            Out::Operands(Operands { data, bits: self.bits, tag, last })
        });
    }
}

struct Run<'a> {
    config: &'a ArchConfig,
    memory: Memory,
    answers: Answers,
    listed: Vec<Listed>,
}

/// What a run has counted.
struct Found {
    seen: Seen,
    beats: Vec<(u64, Operands)>,
    words: u64,
    rare: BTreeMap<&'static str, u64>,
}

impl Run<'_> {
    /// The rows of a job, back to back.
    fn golden(&self, listed: &Listed) -> Vec<Operands> {
        let (plane, bits) = (&listed.plane, self.config.datapath_bits);
        let worth = |row: u16, at: usize| operand(plane.element, plane.field(row.into(), at), bits);
        let all = listed.tokens.iter().flat_map(|&row| (0..plane.dim).map(move |at| (row, at)));
        let mask = (1 << bits) - 1;
        let mut all: Vec<u16> = all.map(|(row, at)| (worth(row, at) & mask) as u16).collect();
        let beat = self.config.channels * CHUNK_ELEMENTS;
        all.resize(all.len().next_multiple_of(beat).max(beat), 0);
        let count = all.len() / beat;
        let beats = all.chunks(beat).enumerate();
        beats.map(|(i, data)| Operands { data: data.to_vec(), bits, tag: listed.tag, last: i + 1 == count }).collect()
    }

    fn check(&self, verilog: &Verilog, stalls: Stalls) -> Result<Found, String> {
        let (config, lanes, widths) = (self.config, self.config.channels, Widths::of(self.config));
        let mut queues: Queues<In> = vec![VecDeque::new(); 2 + lanes];
        let mut expected = VecDeque::new();
        let mut rare = BTreeMap::new();
        let mut note = |name, hit: bool| *rare.entry(name).or_default() += u64::from(hit);
        // No request goes out before the places are cleared.
        let start = config.words_in_flight as u64;
        for listed in &self.listed {
            let Plane { base, element, dim, .. } = listed.plane;
            let job = Job { base, dim: dim.ilog2() - 4, element, tag: listed.tag };
            queues[0].push_back((start, In::Job(job, widths)));
            queues[1].extend(listed.beats(lanes).into_iter().map(|tokens| (start, In::Tokens(tokens, widths))));
            let (rows, steps) = (listed.tokens.len(), listed.steps(lanes));
            note("no rows", rows == 0);
            note("lanes without a chunk", rows > 0 && (rows << listed.plane.split()) % lanes > 0);
            note("half rows, a step alone", dim == HEAD_DIMS[0] && steps % 2 == 1);
            note("half rows, pairs", dim == HEAD_DIMS[0] && steps > 1);
            note("below other bits", element.above > 0);
            note("narrow", element.above + element.bits < config.datapath_bits);
            expected.extend(self.golden(listed));
        }

        let mut rng = Rng::new(seed(0xfe7d));
        let (mut beats, mut words, mut wrong) = (vec![], 0, None);
        let seen = |cycle: u64, port: usize, beat: &Out, queues: &mut Queues<In>| match beat {
            Out::Request(request, _) => {
                let (at, channel) = self.answers.to(cycle, port, lanes, &mut rng);
                let data = Bits::from_bytes(self.memory.read(port, request.address));
                let overtakes = insert(&mut queues[2 + channel], at, In::Response { id: request.id, data, widths });
                note("answer overtakes", overtakes);
                words += 1;
            }
            Out::Operands(beat) => {
                let golden: Option<Operands> = expected.pop_front();
                if golden.as_ref() != Some(beat) {
                    wrong.get_or_insert(format!("cycle {cycle}: {beat:?}, golden {golden:?}"));
                }
                beats.push((cycle, beat.clone()));
            }
        };
        let [job, token, out] = ["job", "token", "out"].map(|name| Streams { name, lanes: 1 });
        let [request, response] = ["request", "response"].map(|name| Streams { name, lanes });
        let (inputs, outputs) = ([job, token, response], [request, out]);
        let seen = run(verilog, Described::new(config), &inputs, &outputs, queues, stalls, seed(0xf), seen)?;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        if !expected.is_empty() {
            return Err(format!("{} beats are missing", expected.len()));
        }
        Ok(Found { seen, beats, words, rare })
    }
}

/// Jobs of all shapes, of all that a datapath admits.
fn random<'a>(config: &'a ArchConfig, granules: usize, answers: Answers, seed: u64) -> Run<'a> {
    let mut rng = Rng::new(seed);
    let mut memory = Memory::new(config, rng.bits());
    let listed = jobs(&planes(&elements(config.datapath_bits), &mut rng), granules, &mut memory, &mut rng);
    Run { config, memory, answers, listed }
}

const RARE: [&str; 7] = [
    "no rows",
    "lanes without a chunk",
    "half rows, a step alone",
    "half rows, pairs",
    "below other bits",
    "narrow",
    "answer overtakes",
];

#[test]
fn planes_in_memory_become_operands_in_order_under_every_stall() {
    let mut checks = Checks::new("fetch_path");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("fetch_path", &config));
        let (mut beats, mut words) = (0, 0);
        for answers in [Answers::After(4), Answers::Within(60), Answers::Anywhere(20)] {
            // A beat holds the chunks of all lanes.
            let run = random(&config, 30_000.max(5_000 * config.channels), answers, seed(1));
            for stalls in Stalls::EVERY {
                let found = run.check(&verilog, stalls).unwrap_or_else(|e| panic!("{} {answers:?}: {e}", config.name));
                found.seen.cover(&mut coverage);
                found.rare.iter().for_each(|(name, hits)| coverage.add(name, *hits));
                beats += found.beats.len();
                let seen = &found.seen;
                note("fetch_path", &config.name, seen.taken.iter().sum(), seen.values, seen.cycles);
                words += found.words;
            }
        }
        println!("{}: {words} words, {beats} beats", config.name);
        checks.that(words >= 10_000 && beats >= 10_000, || format!("{}: {words} words, {beats}", config.name));
    }
    coverage.require(&["bubble", "back-pressure", "stall"]);
    coverage.require(&RARE);
    checks.finish_any();
}

/// Jobs of dense rows, one of each plane.
fn dense<'a>(config: &'a ArchConfig, planes: &[Plane], first: u16, rows: u16, answers: Answers) -> Run<'a> {
    let mut memory = Memory::new(config, 5);
    let tokens: Vec<u16> = (first..first + rows).collect();
    for plane in planes {
        tokens.iter().for_each(|&token| memory.write(plane, token.into()));
    }
    let listed = planes.iter().map(|&plane| Listed { plane, tag: 3, tokens: tokens.clone() }).collect();
    Run { config, memory, answers, listed }
}

#[test]
fn dense_rows_take_the_documented_cycles() {
    let mut checks = Checks::new("fetch_path_cycles");
    for config in configurations() {
        let verilog = verilog(&design("fetch_path", &config));
        let (granules, start) = (config.channel_bytes / GRANULE_BYTES, config.words_in_flight as u64);
        for (bits, dim) in (1..=config.datapath_bits).flat_map(|bits| HEAD_DIMS.map(|dim| (bits, dim))) {
            let plane = Plane { base: 70, element: Element::whole(bits), dim, salt: 9 };
            let latency = [1, 4, start - 8][bits as usize % 3];
            // Not the first rows, but rows that begin with a word.
            let first = (config.channels * granules) as u16;
            let run = dense(&config, &[plane], first, 256, Answers::After(latency));
            let found = run.check(&verilog, Stalls::None).unwrap();
            let steps = (256 << plane.split()) / config.channels;
            let words = steps * bits as usize / granules;
            let what = || format!("{} {bits} bits, dim {dim}: {steps} steps, {words} words", config.name);
            checks.eq(found.seen.span(), words.max(steps) as u64 + latency + 24, what);
            let first = (bits as usize).div_ceil(granules) as u64 + u64::from(dim == HEAD_DIMS[0]);
            checks.eq(found.beats[0].0, start + latency + 23 + first, what);
        }
        // So many cycles of the memory are hidden, and not one more: narrow chunks are described long before they come. Of
        // them there are more than places.
        let plane = Plane { base: 70, element: Element::whole(4), dim: 64, salt: 9 };
        let rows = 512.max(128 * config.channels as u16);
        let spans = [start - 8, start - 7].map(|latency| {
            let run = dense(&config, &[plane], 0, rows, Answers::After(latency));
            run.check(&verilog, Stalls::None).unwrap().seen.span() - latency
        });
        let steps = 2 * u64::from(rows) / config.channels as u64;
        checks.eq(spans[0], steps + 24, || format!("{}: memory that answers after {}", config.name, start - 8));
        checks.that(spans[1] > spans[0], || format!("{}: {spans:?}", config.name));
    }
    checks.finish(configurations().len() as u64 * (12 * 4 * 2 + 2));
}

#[test]
fn msbs_and_lsbs_that_come_one_after_the_other_add_up() {
    let config = ArchConfig::tiny();
    let verilog = verilog(&design("fetch_path", &config));
    let mut checks = Checks::new("fetch_path_adds_up");
    let datapath_bits = config.datapath_bits;
    for split in [Split::Floor, Split::Mid, Split::Balanced] {
        for (msb_bits, lsb_bits) in [(4, 4), (6, 4), (8, 4), (11, 1), (1, 11)] {
            let msb = Plane { base: 9, element: Element::msb(msb_bits, lsb_bits, split), dim: 64, salt: 5 };
            let lsb = Plane { base: 70_000, element: Element::lsb(msb_bits, lsb_bits, split), dim: 64, salt: 6 };
            let run = dense(&config, &[msb, lsb], 0, 64, Answers::Within(20));
            let beats = run.check(&verilog, Stalls::None).unwrap().beats;
            let data = |beats: &[(u64, Operands)]| beats.iter().flat_map(|(_, b)| b.data.clone()).collect::<Vec<_>>();
            let (first, delta) = beats.split_at(beats.len() / 2);
            let conversion = Conversion { msb_bits, lsb_bits, split, datapath_bits };
            let mask = (1 << datapath_bits) - 1;
            for (i, (first, delta)) in data(first).into_iter().zip(data(delta)).enumerate() {
                let (row, at) = (i / 64, i % 64);
                let full = conversion.full(msb.field(row, at), lsb.field(row, at));
                checks.eq(i32::from(first + delta) & mask, full & mask, || format!("{conversion:?} row {row}, {at}"));
            }
        }
    }
    checks.finish(3 * 5 * 64 * 64);
}

#[test]
fn channels_of_other_sizes_work() {
    for (channels, channel_bytes, datapath, places) in [(4, 4, 16, 4), (8, 16, 9, 8), (2, 128, 12, 16), (4, 64, 5, 4)] {
        let text = format!(
            "base = \"tiny\"\nchannels = {channels}\nchannel_bytes = {channel_bytes}\n\
             datapath_bits = {datapath}\nwords_in_flight = {places}"
        );
        let config = ArchConfig::from_toml(&text, "own.toml").unwrap();
        let verilog = verilog(&emit(rtl::FetchPath::new(&config)).unwrap());
        let run = random(&config, 10_000, Answers::Anywhere(20), seed(2));
        for stalls in [Stalls::None, Stalls::Bursts] {
            run.check(&verilog, stalls).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
    }
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::eighth();
    let design = design("fetch_path", &config);
    let mixed = random(&config, 8_000, Answers::Anywhere(30), 3);
    // More jobs than places for what is known of them.
    let plane = Plane { base: 70, element: Element::msb(4, 4, Split::Mid), dim: 16, salt: 9 };
    let many = dense(&config, &[plane; 40], 0, 1, Answers::After(100));
    let fault = |run: &Run<'_>, module: &str, from: &str, to: &str, what: &str| {
        let verilog = broken(&design, module, from, to);
        let stalls = Stalls::Random { input_permille: 0, output_permille: 300 };
        let found = run.check(&verilog, stalls).err().unwrap_or_else(|| panic!("{to:?} is not found out"));
        assert!(found.contains(what), "expected {what:?} in {found}");
    };
    let path = |run, from, to, what| fault(run, "fetch_path", from, to, what);
    path(&many, "open = (known_1 & fetcher_job_ready);", "open = fetcher_job_ready;", "job_ready of port");
    fault(&mixed, "lane_joiner", "alone_next = in_last;", "alone_next = 1'd0;", "out_valid of port");
    fault(&mixed, "lane_joiner", "join_lane_0 = kept_0;", "join_lane_0 = in_data[11:0];", "out_data of port");
    fault(&mixed, "lane_joiner", "ends = (gives & (alone | in_last));", "ends = (gives & in_last);", "differs");
    fault(&mixed, "lane_joiner", "all_1 = (all_0 & in_valid[1]);", "all_1 = all_0;", "differs");
    fault(&mixed, "crossbar_2x40", "select_1 = chosen_0[1];", "select_1 = chosen_0[1] & ~chosen_1[0];", "differs");
}
