//! `matrix_fetcher`: RTL against its cycle model in every cycle; every chunk of every listed token comes, and is what
//! `arch::layout` and the packed planes say.
//!
//! ```text
//!  jobs, tokens --> fetcher --> request --> Memory: late, in any order --> response --+
//!                   |     ^-----------------------------------------------------------+
//!                   +--> chunk, word of every lane --> Lane: the granules of each chunk == pack(elements of the token)?
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
#[allow(clippy::too_many_arguments, dead_code)]
mod streams;

use block::{broken, configurations, design, note, port_faults, verilog};
use fetch::{Listed, Widths, jobs, planes};
use memory::{Answers, Memory, Plane, insert};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::element::Element;
use spatten_arch::layout::{ADDRESS_BITS, GRANULE_BYTES};
use spatten_hw::{emit::emit, matrix_fetcher as rtl};
use spatten_sim::cosim::{Beat, Bits, Coverage, Field, Stalls, Verilog, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::matrix_fetcher::{Chunk, Job, MatrixFetcher, Request, Tokens};
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
            Self::Job(job, w) => vec![
                Field::value("base", job.base.into(), ADDRESS_BITS as u32),
                Field::value("bits", job.bits.into(), w.bits),
                Field::value("split", job.split.into(), 2),
                Field::value("tag", job.tag.into(), rtl::TAG_BITS as u32),
            ],
            Self::Tokens(tokens, w) => w.tokens(tokens),
            Self::Response { id, data, widths } => widths.response(*id, data),
        }
    }
}

#[derive(Debug, Clone)]
enum Out {
    Request(Request, Widths),
    Chunk(Chunk, Widths),
    Word(Bits),
}

impl Beat for Out {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Request(request, w) => w.request(request),
            Self::Chunk(chunk, w) => w.chunk(chunk),
            Self::Word(word) => vec![Field::bits("data", word.clone())],
        }
    }
}

/// The model with beats that describe their ports: job, token, response of each channel; request, chunk, word of each lane.
struct Described {
    model: MatrixFetcher<Bits>,
    lanes: usize,
    out: Vec<Option<Out>>,
    widths: Widths,
}

impl Described {
    fn new(config: &ArchConfig) -> Self {
        let (model, lanes) = (MatrixFetcher::new(config), config.channels);
        Self { model, lanes, out: vec![None; 3 * lanes], widths: Widths::of(config) }
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
        let lanes = self.lanes;
        self.model.clock(job, tokens, response, |i| taken[i], |i| taken[lanes + i], |i| taken[2 * lanes + i]);
        for i in 0..lanes {
            self.out[i] = self.model.request(i).map(|r| Out::Request(*r, self.widths));
            self.out[lanes + i] = self.model.chunk(i).map(|c| Out::Chunk(*c, self.widths));
            self.out[2 * lanes + i] = self.model.word(i).map(|w| Out::Word(w.clone()));
        }
    }
}

/// What a lane has given, and what it is to give: per step the chunk's bytes, if it has one, its tag, and `last`.
#[derive(Default)]
struct Lane {
    chunks: VecDeque<Chunk>,
    words: VecDeque<Bits>,
    /// The word in use, and the next granule of it.
    open: Option<(Bits, usize)>,
    expected: VecDeque<(Option<Vec<u8>>, u8, bool)>,
}

impl Lane {
    /// Checks the chunks whose words are all there.
    fn check(&mut self, granules: usize, seen: &mut BTreeMap<&'static str, u64>) -> Result<(), String> {
        while let Some(chunk) = self.chunks.front().filter(|c| usize::from(c.words) <= self.words.len()).copied() {
            self.chunks.pop_front();
            let (bytes, tag, last) = self.expected.pop_front().ok_or("a chunk too many")?;
            if (chunk.tag, chunk.last, chunk.live) != (tag, last, bytes.is_some()) {
                return Err(format!("{chunk:?}, expected tag {tag}, last {last}, live {}", bytes.is_some()));
            }
            let mut note = |name, hit: bool| *seen.entry(name).or_default() += u64::from(hit);
            note("lane without chunk", !chunk.live);
            note("shared word", chunk.live && !chunk.fresh);
            note("no new word", chunk.live && chunk.words == 0);
            note("word left early", chunk.fresh && self.open.as_ref().is_some_and(|open| open.1 < granules));
            note("begins within a word", chunk.skip > 0);
            note("several new words", chunk.words > 1);
            let Some(bytes) = bytes else {
                if chunk.words > 0 || chunk.fresh {
                    return Err(format!("{chunk:?} of nothing"));
                }
                continue;
            };
            let mut used = 0;
            let mut found = vec![];
            for i in 0..bytes.len() / GRANULE_BYTES {
                if (i == 0 && chunk.fresh) || self.open.as_ref().is_none_or(|open| open.1 == granules) {
                    let word = self.words.pop_front().filter(|_| used < chunk.words);
                    self.open = Some((word.ok_or("a word too few")?, if i == 0 { chunk.skip.into() } else { 0 }));
                    used += 1;
                }
                let (word, at) = self.open.as_mut().expect("opened above");
                found.extend(word.words()[*at].to_le_bytes());
                *at += 1;
            }
            if used != chunk.words || found != bytes {
                return Err(format!("{chunk:?} used {used} words for {found:02x?}, expected {bytes:02x?}"));
            }
        }
        Ok(())
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
    words: u64,
    /// Cycles of the first request, chunk and word.
    first: [u64; 3],
    rare: BTreeMap<&'static str, u64>,
}

impl Run<'_> {
    fn check(&self, verilog: &Verilog, stalls: Stalls) -> Result<Found, String> {
        let (config, lanes, widths) = (self.config, self.config.channels, Widths::of(self.config));
        let granules = config.channel_bytes / GRANULE_BYTES;
        let mut queues: Queues<In> = vec![VecDeque::new(); 2 + lanes];
        let mut checked: Vec<Lane> = (0..lanes).map(|_| Lane::default()).collect();
        // No request goes out before the places are cleared.
        let start = config.words_in_flight as u64;
        for listed in &self.listed {
            let (base, bits) = (listed.plane.base, listed.plane.element.bits);
            let job = Job { base, bits, split: listed.plane.split(), tag: listed.tag };
            queues[0].push_back((start, In::Job(job, widths)));
            queues[1].extend(listed.beats(lanes).into_iter().map(|tokens| (0, In::Tokens(tokens, widths))));
            let chunk = |x: usize| listed.chunk(x).map(|(row, part)| listed.plane.chunk(row, part));
            let steps = listed.steps(lanes);
            for x in 0..steps * lanes {
                checked[x % lanes].expected.push_back((chunk(x), listed.tag, x / lanes + 1 == steps));
            }
        }

        let mut rng = Rng::new(seed(0xfe7c));
        let mut rare = BTreeMap::new();
        let (mut words, mut first, mut wrong) = (0, [u64::MAX; 3], None);
        // Per lane: cycles in which its answers are due.
        let mut due: Vec<Vec<u64>> = vec![vec![]; lanes];
        let seen = |cycle: u64, port: usize, beat: &Out, queues: &mut Queues<In>| {
            let lane = port % lanes;
            first[port / lanes] = first[port / lanes].min(cycle);
            match beat {
                Out::Request(request, _) => {
                    let (at, channel) = self.answers.to(cycle, port, lanes, &mut rng);
                    let data = Bits::from_bytes(self.memory.read(port, request.address));
                    let answer = In::Response { id: request.id, data, widths };
                    let overtakes = insert(&mut queues[2 + channel], at, answer);
                    let due = &mut due[(request.id >> widths.slot) as usize];
                    due.retain(|&at| at > cycle);
                    due.push(at);
                    for (name, hit) in [
                        ("answer overtakes", overtakes),
                        ("answer on another channel", channel != port),
                        ("all places taken", due.len() == config.words_in_flight),
                        ("address wraps", request.address < 0x1_0000),
                        ("second round of a place", request.id >> (widths.slot - 1) & 1 == 0),
                    ] {
                        *rare.entry(name).or_default() += u64::from(hit);
                    }
                    assert!(due.len() <= config.words_in_flight, "words in flight");
                }
                Out::Chunk(chunk, _) => checked[lane].chunks.push_back(*chunk),
                Out::Word(word) => {
                    words += 1;
                    checked[lane].words.push_back(word.clone());
                }
            }
            if let Err(error) = checked[lane].check(granules, &mut rare) {
                wrong.get_or_insert(format!("lane {lane}, cycle {cycle}: {error}"));
            }
        };
        let outputs = ["request", "chunk", "word"].map(|name| Streams { name, lanes });
        let [job, token] = ["job", "token"].map(|name| Streams { name, lanes: 1 });
        let inputs = [job, token, Streams { name: "response", lanes }];
        let seen = run(verilog, Described::new(config), &inputs, &outputs, queues, stalls, seed(0xf), seen)?;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        for (i, lane) in checked.iter().enumerate() {
            let left = (lane.expected.len(), lane.chunks.len(), lane.words.len());
            if left != (0, 0, 0) {
                return Err(format!("lane {i}: {left:?} chunks to come, chunks and words without their rest"));
            }
        }
        Ok(Found { seen, words, first, rare })
    }
}

/// Jobs of all shapes and widths.
fn random<'a>(config: &'a ArchConfig, granules: usize, answers: Answers, seed: u64) -> Run<'a> {
    let mut rng = Rng::new(seed);
    let mut memory = Memory::new(config, rng.bits());
    let elements: Vec<Element> = (1..=config.datapath_bits).map(Element::whole).collect();
    let listed = jobs(&planes(&elements, &mut rng), granules, &mut memory, &mut rng);
    Run { config, memory, answers, listed }
}

const RARE: [&str; 11] = [
    "address wraps",
    "lane without chunk",
    "shared word",
    "no new word",
    "word left early",
    "begins within a word",
    "several new words",
    "answer overtakes",
    "answer on another channel",
    "all places taken",
    "second round of a place",
];

#[test]
fn every_chunk_of_every_token_comes_in_order_under_every_stall() {
    let mut checks = Checks::new("matrix_fetcher");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("matrix_fetcher", &config));
        let slots = config.words_in_flight as u64;
        let mut total = 0;
        for answers in [Answers::After(4), Answers::Within(60), Answers::Anywhere(20), Answers::After(3 * slots)] {
            let run = random(&config, 30_000, answers, seed(1));
            for stalls in Stalls::EVERY {
                let found = run.check(&verilog, stalls).unwrap_or_else(|e| panic!("{} {answers:?}: {e}", config.name));
                found.seen.cover(&mut coverage);
                found.rare.iter().for_each(|(name, hits)| coverage.add(name, *hits));
                total += found.words;
                let seen = &found.seen;
                note("matrix_fetcher", &config.name, seen.taken.iter().sum(), seen.values, seen.cycles);
                checks.that(found.words > 3_000, || format!("{} {answers:?} {stalls:?}: {}", config.name, found.words));
            }
        }
        println!("{}: {total} words", config.name);
        checks.that(total >= 10_000, || format!("{}: {total} words", config.name));
    }
    coverage.require(&["bubble", "back-pressure", "stall"]);
    coverage.require(&RARE);
    checks.finish_any();
}

/// One job of dense rows from `first` on.
fn dense<'a>(config: &'a ArchConfig, plane: Plane, first: u16, rows: u16, answers: Answers) -> Run<'a> {
    let mut memory = Memory::new(config, 5);
    let tokens: Vec<u16> = (first..first + rows).collect();
    tokens.iter().for_each(|&token| memory.write(&plane, token.into()));
    Run { config, memory, answers, listed: vec![Listed { plane, tag: 3, tokens }] }
}

/// Cycles of a job of dense rows, from the job's acceptance to its last word, by the documented formula; and those to the
/// first chunk's description.
fn documented(config: &ArchConfig, plane: &Plane, first: u16, rows: u16, latency: u64) -> (u64, u64) {
    let (lanes, granules) = (config.channels, config.channel_bytes / GRANULE_BYTES);
    let (bits, split) = (plane.element.bits as usize, plane.split());
    let (number, chunks) = (usize::from(first) << split, usize::from(rows) << split);
    let steps = chunks.div_ceil(lanes);
    let (mut last, mut described) = (0, usize::MAX);
    for lane in 0..lanes {
        let own = chunks.saturating_sub(lane).div_ceil(lanes);
        if own == 0 {
            (last, described) = (last.max(steps + 11), described.min(1));
            continue;
        }
        let skip = (number + lane) / lanes * bits % granules;
        let (words, opening) = ((skip + own * bits).div_ceil(granules), (skip + bits).div_ceil(granules));
        // Chunks up to the one in which the last word begins: those behind it ask for nothing.
        let asking = if words == opening { 1 } else { ((words - 1) * granules - skip) / bits + 1 };
        let word = words.max(asking + opening - 1) + latency as usize + 17;
        let chunk = (words + steps - own).max(steps + opening - 1) + 11;
        (last, described) = (last.max(word).max(chunk), described.min(opening));
    }
    (last as u64, described as u64 + 10)
}

#[test]
fn dense_rows_take_a_word_per_lane_and_cycle() {
    let mut checks = Checks::new("matrix_fetcher_cycles");
    let mut coverage = Coverage::default();
    let mut rng = Rng::new(seed(0xde));
    const EACH: usize = 6;
    for config in configurations() {
        let verilog = verilog(&design("matrix_fetcher", &config));
        let (granules, start) = (config.channel_bytes / GRANULE_BYTES, config.words_in_flight as u64);
        for (bits, dim) in (1..=config.datapath_bits).flat_map(|bits| HEAD_DIMS.map(|dim| (bits, dim))) {
            let plane = Plane { base: 70, element: Element::whole(bits), dim, salt: 9 };
            for number in 0..EACH {
                let latency = 1 + (u64::from(bits) + number as u64) % 3 * 4;
                // Rows that begin with a word on every channel, as many as fill every lane; and any.
                let aligned = (config.channels * granules) as u16;
                let (first, rows) = match number {
                    0 => (aligned, 256),
                    1 => (rng.below(1 << 12) as u16, 256),
                    2 => (aligned, 1 + rng.below(300) as u16),
                    3 => (rng.below(1 << 12) as u16, 1 + rng.below(config.channels as u64 + 2) as u16),
                    _ => (rng.below(1 << 12) as u16, 1 + rng.below(300) as u16),
                };
                let run = dense(&config, plane, first, rows, Answers::After(latency));
                let found = run.check(&verilog, Stalls::None).unwrap();
                let (expected, described) = documented(&config, &plane, first, rows, latency);
                let what = || format!("{} {bits} bits, dim {dim}: {rows} rows from {first}", config.name);
                checks.eq(found.seen.span(), expected, what);
                checks.eq(found.first, [start + 12, start + described, start + 12 + latency + 5], what);
                let (chunk, chunks) = (usize::from(first) << plane.split(), usize::from(rows) << plane.split());
                let (bits, lanes) = (bits as usize, config.channels);
                let skip = chunk / lanes * bits % granules;
                for (name, hit) in [
                    ("begins within a word", skip > 0),
                    ("opens two words", bits < granules && skip + bits > granules),
                    ("begins between channels", chunk % lanes > 0),
                    ("lane without chunk", chunks < lanes),
                    ("last step not full", chunks > lanes && chunks % lanes > 0),
                    ("chunks share words", chunks > lanes && bits < granules),
                ] {
                    coverage.add(name, u64::from(hit));
                }
            }
        }
        // So many cycles of the memory are hidden, and not one more, by a job of more words than there are places.
        let plane = Plane { base: 70, element: Element::whole(12), dim: 64, salt: 9 };
        let rows = 256.max(64 * config.channels as u16);
        let words = u64::from(rows) * 3 / config.channels as u64;
        assert!(words > config.words_in_flight as u64, "{words} words fill no place twice");
        let hidden = config.words_in_flight as u64 - 6;
        let mut spans = [hidden, hidden + 1].map(|latency| {
            dense(&config, plane, 0, rows, Answers::After(latency)).check(&verilog, Stalls::None).unwrap().seen.span()
        });
        spans[1] -= 1;
        checks.eq(spans[0], words + hidden + 17, || format!("{}: memory that answers after {hidden}", config.name));
        checks.that(spans[1] > spans[0], || format!("{}: {spans:?}", config.name));
    }
    coverage.require(&[
        "begins within a word",
        "opens two words",
        "begins between channels",
        "lane without chunk",
        "last step not full",
        "chunks share words",
    ]);
    checks.finish(configurations().len() as u64 * (12 * 4 * 2 * EACH as u64 + 2));
}

#[test]
fn a_job_costs_a_cycle_more_than_its_steps() {
    let config = ArchConfig::eighth();
    let verilog = verilog(&design("matrix_fetcher", &config));
    let plane = Plane { base: 0, element: Element::whole(8), dim: 32, salt: 9 };
    let mut checks = Checks::new("matrix_fetcher_jobs");
    for rows in [1, 2, 3, 4, 8] {
        let mut run = dense(&config, plane, 0, rows, Answers::After(4));
        run.listed = vec![run.listed[0].clone(); 50];
        let steps = u64::from(rows).div_ceil(2);
        let found = run.check(&verilog, Stalls::None).unwrap();
        checks.eq(found.seen.span(), 50 * (steps + 1) - 1 + 4 + 17, || format!("50 jobs of {steps} steps"));
    }
    checks.finish(5);
}

#[test]
fn channels_of_other_sizes_work() {
    let mut coverage = Coverage::default();
    for (channels, channel_bytes, datapath, places) in [(4, 4, 16, 4), (8, 16, 9, 8), (2, 128, 12, 16), (4, 64, 5, 4)] {
        let text = format!(
            "base = \"tiny\"\nchannels = {channels}\nchannel_bytes = {channel_bytes}\n\
             datapath_bits = {datapath}\nwords_in_flight = {places}"
        );
        let config = ArchConfig::from_toml(&text, "own.toml").unwrap();
        let verilog = verilog(&emit(rtl::MatrixFetcher::new(&config)).unwrap());
        for answers in [Answers::Within(30), Answers::Anywhere(10)] {
            let run = random(&config, 20_000, answers, seed(2));
            for stalls in [Stalls::None, Stalls::Bursts] {
                let found = run.check(&verilog, stalls).unwrap_or_else(|e| panic!("{text}: {e}"));
                found.rare.iter().for_each(|(name, hits)| coverage.add(name, *hits));
            }
        }
    }
    coverage.require(&RARE);
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::eighth();
    let design = design("matrix_fetcher", &config);
    let mixed = random(&config, 8_000, Answers::Anywhere(30), 3);
    // Many chunks per word: descriptions are what fills up.
    let narrow = Plane { base: 70, element: Element::whole(1), dim: 128, salt: 9 };
    let narrow = dense(&config, narrow, 0, 256, Answers::After(4));
    let fault_of = |run: &Run<'_>, module: &str, from: &str, to: &str, what: &str| {
        let verilog = broken(&design, &format!("matrix_fetcher{module}"), from, to);
        let stalls = Stalls::Random { input_permille: 0, output_permille: 600 };
        let found = run.check(&verilog, stalls).err().unwrap_or_else(|| panic!("{to:?} is not found out"));
        assert!(found.contains(what), "expected {what:?} in {found}");
    };
    for (verilog, what) in port_faults(&design, "word", "data") {
        let stalls = Stalls::Random { input_permille: 100, output_permille: 300 };
        let found = mixed.check(&verilog, stalls).err().expect("a fault at the port is found out");
        assert!(found.contains(&what), "expected {what:?} in {found}");
    }
    let fault = |module: &str, from: &str, to: &str, what: &str| fault_of(&mixed, module, from, to, what);
    let resume = "resume_6_1_next = (((((~first_s_4)";
    fault("_addresses", "{10'd0, word_6_1}) + {31'd0, resume_6_1}", "{10'd0, word_6_1})", "request_address of port");
    fault("_addresses", resume, "resume_6_1_next = (((((1'd1)", "differs");
    fault("_addresses", "seen_end_1_next = (after_1 & 3'd7);", "seen_end_1_next = 3'd0;", "of port");
    fault("_lane", "reading_next = take;", "reading_next = take & (head != 7'd70);", "word_");
    fault("_lane", "(arrived_read_data == head[6])", "(arrived_read_data == head[6]) & ~reading", "word_");
    fault("_lane", "(arrived_read_data == head[6])", "arrived_read_data", "word_");
    fault(
        "_lane",
        "assign request_slot = next_slot;",
        "assign request_slot = next_slot ^ 7'd64;",
        "request_id of port",
    );
    fault(
        "_lane",
        ".write_enable(answer_valid),",
        ".write_enable(answer_valid & ~(answer_slot[0] & answer_slot[3] & answer_slot[5])),",
        "word_",
    );
    fault_of(
        &narrow,
        "_lane",
        "assign describes = ((~final_word) | described_in_ready);",
        "assign describes = 1'd1;",
        "of port",
    );
}
