//! `bitwidth_converter`: RTL against `golden::bitwidth_converter`, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "common/fetch.rs"]
#[allow(dead_code)]
mod fetch;
#[path = "common/memory.rs"]
#[allow(dead_code)]
mod memory;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use fetch::{Widths, elements};
use spatten_arch::ArchConfig;
use spatten_arch::element::Element;
use spatten_arch::layout::{CHUNK_ELEMENTS, GRANULE_BYTES};
use spatten_golden::bitwidth_converter::{operand, pack};
use spatten_hw::{bitwidth_converter as rtl, emit::emit, matrix_fetcher::TAG_BITS};
use spatten_sim::bitwidth_converter::{BitwidthConverter, Operands};
use spatten_sim::cosim::{Beat, Bits, BlockBench, Coverage, Field, Stalls, Verilog, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::matrix_fetcher::Chunk;
use spatten_testkit::{Checks, Rng};

#[derive(Debug, Clone)]
enum In {
    Element(Element, Widths),
    Chunk(Chunk, Widths),
    Word(Bits),
}

impl Beat for In {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Element(element, w) => w.element(element),
            Self::Chunk(chunk, w) => w.chunk(chunk),
            Self::Word(word) => vec![Field::bits("data", word.clone())],
        }
    }
}

#[derive(Debug, Clone)]
struct Out(Operands<Box<[u16]>>, u32);

impl Beat for Out {
    fn fields(&self) -> Vec<Field> {
        let lanes: Vec<u64> = self.0.data.iter().map(|&lane| lane.into()).collect();
        vec![
            Field::lanes("data", &lanes, self.1),
            Field::flag("live", self.0.live),
            Field::value("tag", self.0.tag.into(), TAG_BITS as u32),
            Field::flag("last", self.0.last),
        ]
    }
}

/// The model with beats that describe their ports.
#[derive(Clone)]
struct Described {
    model: BitwidthConverter<Bits>,
    out: Option<Out>,
    bits: u32,
}

impl CycleModel for Described {
    type Input = In;
    type Output = Out;

    fn ready(&self, port: usize) -> bool {
        [self.model.element_ready(), self.model.chunk_ready(), self.model.word_ready()][port]
    }

    fn output(&self, _port: usize) -> Option<&Out> {
        self.out.as_ref()
    }

    fn clock(&mut self, accepted: &mut [Option<In>], taken: &[bool]) {
        let (mut element, mut chunk, mut word) = (None, None, None);
        for beat in accepted.iter_mut().filter_map(Option::take) {
            match beat {
                In::Element(beat, _) => element = Some(beat),
                In::Chunk(beat, _) => chunk = Some(beat),
                In::Word(beat) => word = Some(beat),
            }
        }
        self.model.clock(element, chunk, word, taken[0]);
        self.out = self.model.output().map(|beat| Out(beat.clone(), self.bits));
    }
}

/// Jobs of one lane: their elements, chunks and words, and the golden beats.
struct Stimulus<'a> {
    config: &'a ArchConfig,
    rng: Rng,
    elements: Vec<Element>,
    chunks: Vec<Chunk>,
    /// Granules of all words.
    granules: Vec<u32>,
    out: Vec<Out>,
    coverage: Coverage,
}

impl<'a> Stimulus<'a> {
    fn new(config: &'a ArchConfig, seed: u64) -> Self {
        let (rng, coverage) = (Rng::new(seed), Coverage::default());
        Self { config, rng, elements: vec![], chunks: vec![], granules: vec![], out: vec![], coverage }
    }

    fn beat(&mut self, data: Box<[u16]>, live: bool, tag: u8, last: bool) {
        self.out.push(Out(Operands { data, live, tag, last }, self.config.datapath_bits));
    }

    /// A job of `count` chunks, of which each goes on behind the one before with probability `dense` (of 100), and `dead`
    /// steps without chunks. Granules between chunks are random.
    fn job(&mut self, element: Element, count: usize, dead: usize, dense: u64) {
        self.job_of(element, count, dead, dense, |rng, _| any(rng, element.bits, element.signed()));
    }

    /// The same of the fields that `field` gives.
    fn job_of(
        &mut self,
        element: Element,
        count: usize,
        dead: usize,
        dense: u64,
        field: impl Fn(&mut Rng, usize) -> i32,
    ) {
        let word = self.config.channel_bytes / GRANULE_BYTES;
        let tag = self.rng.below(1 << TAG_BITS) as u8;
        let mut end = self.granules.len();
        for i in 0..count {
            let before = self.granules.len();
            let follows = if i > 0 { self.rng.below(100) < dense } else { dense == 100 };
            // Where a chunk ended with its word, what follows is in a new word all the same.
            let resumes = i > 0 && follows && !end.is_multiple_of(word);
            let skip = if follows { 0 } else { self.rng.below(word as u64) as usize };
            let begin = if resumes { end } else { before + skip };
            end = begin + element.bits as usize;
            while self.granules.len() < end {
                let more: Vec<u32> = (0..word).map(|_| self.rng.bits() as u32).collect();
                self.granules.extend(more);
            }
            let bits = element.bits;
            let number = i * CHUNK_ELEMENTS;
            let fields: Vec<i32> = (number..number + CHUNK_ELEMENTS).map(|n| field(&mut self.rng, n)).collect();
            let bytes = pack(fields.iter().copied(), bits);
            for (to, bytes) in self.granules[begin..end].iter_mut().zip(bytes.chunks(GRANULE_BYTES)) {
                *to = u32::from_le_bytes(bytes.try_into().unwrap());
            }
            let (datapath, last) = (self.config.datapath_bits, dead == 0 && i + 1 == count);
            let mask = (1 << datapath) - 1;
            let data = fields.iter().map(|&f| (operand(element, f, datapath) & mask) as u16).collect();
            let words = ((self.granules.len() - before) / word) as u8;
            self.chunks.push(Chunk { live: true, fresh: !resumes, skip: skip as u8, words, tag, last });
            self.beat(data, true, tag, last);
            for (name, hit) in [
                ("goes on", resumes),
                ("skips", skip > 0),
                ("no new word", words == 0),
                ("several words", words > 1),
                ("window over more words than the chunk is long", begin % word + bits as usize > word),
                ("last of several", last && count > 1),
            ] {
                self.coverage.add(name, hit.into());
            }
        }
        for i in 0..dead {
            let last = i + 1 == dead;
            self.chunks.push(Chunk { live: false, fresh: false, skip: 0, words: 0, tag, last });
            self.beat([0; CHUNK_ELEMENTS].into(), false, tag, last);
        }
        self.coverage.add("no chunk", dead as u64);
        self.coverage.add("job without chunks", u64::from(count == 0));
        self.coverage.add("narrow", u64::from(element.above + element.bits < self.config.datapath_bits));
        self.coverage.add("widest", u64::from(element.bits == self.config.datapath_bits));
        self.elements.push(element);
    }

    fn words(&self) -> usize {
        self.granules.len() * GRANULE_BYTES / self.config.channel_bytes
    }

    fn bench(&self, verilog: Verilog) -> BlockBench<Described> {
        let (config, widths) = (self.config, Widths::of(self.config));
        let model = Described { model: BitwidthConverter::new(config), out: None, bits: config.datapath_bits };
        let words = self.granules.chunks(config.channel_bytes / GRANULE_BYTES);
        let word = |word: &[u32]| In::Word(Bits::from_words(word.to_vec(), 8 * config.channel_bytes as u32));
        BlockBench::new(verilog, "bitwidth_converter", &config.name, seed(0xb17), model)
            .input("element", self.elements.iter().map(|&e| In::Element(e, widths)).collect())
            .input("chunk", self.chunks.iter().map(|&c| In::Chunk(c, widths)).collect())
            .input("word", words.map(word).collect())
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

fn random<'a>(config: &'a ArchConfig, beats: usize, seed: u64) -> Stimulus<'a> {
    let mut stimulus = Stimulus::new(config, seed);
    let all = elements(config.datapath_bits);
    while stimulus.out.len() < beats {
        let mut below = |n: u64| stimulus.rng.below(n);
        let element = all[below(all.len() as u64) as usize];
        let count = match below(4) {
            0 => below(3),
            _ => 1 + below(40),
        };
        let dead = if count == 0 || below(3) == 0 { 1 + below(3) } else { 0 };
        let dense = [0, 50, 100][below(3) as usize];
        stimulus.job(element, count as usize, dead as usize, dense);
    }
    stimulus
}

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("bitwidth_converter");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let stimulus = random(&config, 10_000, seed(2));
        let bench = stimulus.bench(verilog(&design("bitwidth_converter", &config)));
        let reports = run_all(&bench, stimulus.out.len(), &mut coverage);
        let values: u64 = reports.iter().map(|r| r.values).sum();
        checks.that(values >= 5 * 10_000 * 34, || format!("{} values", values));
        stimulus.coverage.require(&["goes on", "skips", "no new word", "several words", "last of several", "no chunk"]);
        stimulus.coverage.require(&["window over more words than the chunk is long", "job without chunks"]);
        stimulus.coverage.require(&["narrow", "widest"]);
    }
    coverage.require(&["bubble", "back-pressure", "stall"]);
    checks.finish_any();
}

#[test]
fn every_field_of_every_element_is_worth_what_golden_says() {
    let config = ArchConfig::tiny();
    let mut stimulus = Stimulus::new(&config, 5);
    for element in elements(config.datapath_bits) {
        let all = 1usize << element.bits;
        let field = |_: &mut Rng, n: usize| {
            let raw = (n % all) as i32;
            if element.signed() { raw << (32 - element.bits) >> (32 - element.bits) } else { raw }
        };
        stimulus.job_of(element, all.div_ceil(CHUNK_ELEMENTS), 0, 100, field);
    }
    let bench = stimulus.bench(verilog(&design("bitwidth_converter", &config)));
    bench.run(Stalls::None).unwrap().finish(stimulus.out.len());
}

#[test]
fn every_element_takes_the_documented_cycles() {
    let config = ArchConfig::tiny();
    let mut checks = Checks::new("bitwidth_converter_cycles");
    let verilog = verilog(&design("bitwidth_converter", &config));
    let all = elements(config.datapath_bits);
    for &element in &all {
        // Chunks that follow each other, chunks that each begin somewhere in a word of their own, and one alone.
        for (count, dense) in [(200, 100), (200, 0), (1, 0)] {
            let mut stimulus = Stimulus::new(&config, 7);
            stimulus.job(element, count, 0, dense);
            let report = stimulus.bench(verilog.clone()).run(Stalls::None).unwrap();
            report.finish(count);
            let expected = stimulus.words().max(count) as u64 + 7;
            checks.eq(report.span(), expected, || format!("{element:?} {count} chunks, {dense} % dense"));
        }
    }
    checks.finish(3 * all.len() as u64);
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("bitwidth_converter", &config);
    let stimulus = random(&config, 300, 3);
    same_in_icarus(&stimulus.bench(verilog(&design)), &design, "bitwidth_converter");
}

#[test]
fn channels_of_other_widths_and_other_datapaths_work() {
    for (channel_bytes, datapath) in [(4, 12), (8, 16), (64, 4), (128, 9)] {
        let text = format!("base = \"tiny\"\nchannel_bytes = {channel_bytes}\ndatapath_bits = {datapath}");
        let config = ArchConfig::from_toml(&text, "own.toml").unwrap();
        let stimulus = random(&config, 1_000, 4);
        let verilog = verilog(&emit(rtl::BitwidthConverter::of(&config)).unwrap());
        for stalls in [Stalls::None, Stalls::Bursts] {
            stimulus.bench(verilog.clone()).run(stalls).unwrap().finish(stimulus.out.len());
        }
    }
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("bitwidth_converter", &config);
    let stimulus = random(&config, 1_000, 6);
    faults_at_the_port_are_caught(&design, "out", "data", |verilog| stimulus.bench(verilog));
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&stimulus.bench(broken(&design, module, from, to)), what);
    };
    check(
        "bitwidth_converter",
        "fill_next = (reading_s_2 == 2'd2);",
        "fill_next = reading_s_2[1];",
        "out_data differs",
    );
    check("bitwidth_converter", "value_2[11:0] | half", "value_2[11:0]", "out_data differs");
    check(
        "bitwidth_converter",
        "element_out_ready = (issue & (|last));",
        "element_out_ready = issue;",
        "out_data differs",
    );
    check("bitwidth_converter", ".push(valid_s_4)", ".push(valid_s_4 & (tag_s_4 != 6'd5))", "a beat lost");
    check("chunk_window", "in_ready = (held < 3'd7);", "in_ready = 1'd1;", "word_ready differs");
    check("chunk_window", "enough = (held >= {1'd0, words});", "enough = (held > {1'd0, words});", "too late");
    check("chunk_window", "fine_a_next = from;", "fine_a_next = ended;", "out_data differs");
    check("chunk_window", "address_8 = ((row_a + 3'd1) + 3'd1);", "address_8 = (row_a + 3'd1);", "out_data differs");
}
