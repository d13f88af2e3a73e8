//! `operand_router`: RTL against its cycle model in every cycle, and both against the words and rows that were laid into its
//! beats.
//!
//! ```text
//!  words, rows --> laid into beats --> in, query_job --> operand_router --> keys ... query: the same words and rows?
//!     \------------------------------------------------------------------------------------^
//! ```

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "common/memory.rs"]
#[allow(dead_code)]
mod memory;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, played, replayed, run_all, same_in_icarus,
    verilog,
};
use memory::{Memory, Plane};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::content::Content;
use spatten_arch::descriptor::HeadFactors;
use spatten_arch::element::Element;
use spatten_arch::layout::GRANULE_BYTES;
use spatten_golden::bitwidth_converter::operand;
use spatten_golden::dot_product::ScaleFactor;
use spatten_hw::{emit::emit, operand_router as rtl};
use spatten_sim::attention_core::{Input as Output, Lsbs};
use spatten_sim::cosim::{Beat, Bits, BlockBench, Cache, Coverage, Init, Model, Stalls, Verilog, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::fetch_path::{FetchPath, Job};
use spatten_sim::matrix_fetcher::Tokens;
use spatten_sim::operand_router::{Input, OUTPUTS, OperandRouter, Operands, Pins, QueryJob, STREAMS as CONTENTS};
use spatten_sim::{dot_product, key_buffer, value_buffer};
use spatten_testkit::{Checks, Rng};
use std::collections::VecDeque;

/// Bits of a scale or norm, and of its granule.
const FIELD: u32 = 18;
const STREAMS: [&str; OUTPUTS] =
    ["keys", "key_scales", "values", "value_scales", "norms", "query", "key_lsbs", "value_lsbs"];

struct Stimulus<'a> {
    config: &'a ArchConfig,
    pins: Pins,
    rng: Rng,
    beats: Vec<Input>,
    jobs: Vec<Input>,
    out: [Vec<Output>; OUTPUTS],
    coverage: Coverage,
    with_lsbs: bool,
}

impl<'a> Stimulus<'a> {
    fn new(config: &'a ArchConfig, dim: u32, scaled_queries: bool, seed: u64) -> Self {
        let pins = Pins { dim, scaled_queries };
        let (beats, jobs, out) = (vec![], vec![], Default::default());
        Self { config, pins, rng: Rng::new(seed), beats, jobs, out, coverage: Coverage::default(), with_lsbs: false }
    }

    fn dimension(&self) -> usize {
        HEAD_DIMS[self.pins.dim as usize]
    }

    /// Operands of a beat.
    fn width(&self) -> usize {
        32 * self.config.channels
    }

    fn note(&mut self, name: &'static str, hit: bool) {
        self.coverage.add(name, hit.into());
    }

    fn operands(&mut self, count: usize) -> Vec<u16> {
        (0..count).map(|_| self.rng.below(1 << self.config.datapath_bits) as u16).collect()
    }

    fn push(&mut self, content: Content, operands: &[u16]) {
        let (width, bits) = (self.width(), self.config.datapath_bits);
        let count = operands.len() / width;
        for (i, data) in operands.chunks_exact(width).enumerate() {
            let beat = Operands { data: data.into(), bits, content, last: i + 1 == count };
            self.beats.push(Input::Operands(beat));
        }
    }

    /// Keys, values, or their LSBs.
    fn plain(&mut self, content: Content, rows: usize) {
        let operands = (rows * self.dimension()).next_multiple_of(self.width());
        let operands = self.operands(operands);
        self.push(content, &operands);
        let (width, bits) = (self.width(), self.config.datapath_bits);
        let count = operands.len() / width;
        for (i, lanes) in operands.chunks(width).enumerate() {
            let (lanes, last) = (lanes.into(), i + 1 == count);
            let stream = CONTENTS.iter().position(|of| *of == content).unwrap();
            self.out[stream].push(match content {
                Content::Keys => Output::Keys(key_buffer::Input::Write { lanes, bits, last }),
                Content::KeyLsbs | Content::ValueLsbs => Output::Lsbs(Lsbs { lanes, bits, last }),
                _ => Output::Values(value_buffer::Input::Write { lanes, bits, last }),
            });
        }
    }

    /// Granules of rows, and what fills their last beat; bits other than the top ones are anything.
    fn granules(&mut self, content: Content, rows: usize) -> Vec<u32> {
        let channels = self.config.channels;
        self.note("granules fill no beat", !rows.is_multiple_of(channels));
        let words: Vec<u32> = (0..rows.next_multiple_of(channels)).map(|_| self.rng.bits() as u32).collect();
        let mut operands = self.operands(32 * words.len());
        let top = self.config.datapath_bits - 1;
        for (operand, bit) in operands.iter_mut().zip(words.iter().flat_map(|word| (0..32).map(move |j| word >> j & 1)))
        {
            *operand = *operand & ((1 << top) - 1) | (bit as u16) << top;
        }
        self.push(content, &operands);
        words
    }

    /// Scales or norms.
    fn scales(&mut self, content: Content, rows: usize) {
        let words = self.granules(content, rows);
        let lanes = self.config.multipliers / 16;
        let (size, lanes) = match content {
            Content::KeyScales => (lanes, lanes),
            Content::ValueScales => ((self.config.multipliers / self.dimension()).max(1), lanes),
            _ => (self.config.softmax_lanes, self.config.softmax_lanes),
        };
        self.note("N < C", size < self.config.channels);
        self.note("N = C", size == self.config.channels);
        self.note("N > C", size > self.config.channels);
        self.note("lanes that are not used", size < lanes);
        self.note("words fill no output beat", !words.len().is_multiple_of(size));
        let count = words.len().div_ceil(size);
        for (i, part) in words.chunks(size).enumerate() {
            let mut data: Vec<u32> = part.iter().map(|word| word % (1 << FIELD)).collect();
            data.resize(lanes, 0);
            let (lanes, last) = (data.into(), i + 1 == count);
            self.out[content.tag() as usize].push(match content {
                Content::KeyScales => Output::Keys(key_buffer::Input::Scale { lanes, last }),
                Content::ValueScales => Output::Values(value_buffer::Input::Scale { lanes, last }),
                _ => Output::Norms(lanes, last),
            });
        }
    }

    /// Query scales of a job, if there are any.
    fn query_scales(&mut self, rows: usize) -> Vec<u32> {
        if !self.pins.scaled_queries {
            return vec![];
        }
        self.note("scales of all rows", rows == self.config.keys_on_chip);
        self.note("scales that are dropped", !rows.is_multiple_of(self.config.channels));
        self.granules(Content::QueryScales, rows)
    }

    /// A job of queries; a score scale for each of its rows, or none. A single row may have LSBs.
    fn queries(&mut self, rows: usize, scales: &[u32]) {
        let (dim, width, bits) = (self.dimension(), self.width(), self.config.datapath_bits);
        let mut lsbs = vec![0; rows * dim];
        if self.with_lsbs && rows == 1 && self.rng.below(2) == 0 {
            self.note("a row with LSBs", true);
            let all = self.operands(dim.next_multiple_of(width));
            self.push(Content::QueryLsbs, &all);
            let factor = ScaleFactor { mantissa: 5, shift: 6 };
            self.jobs.push(Input::Job(QueryJob {
                rows,
                factor,
                lsbs: true,
                keep: false,
                again: false,
                drop: false,
                keys: self.config.keys_on_chip,
            }));
            lsbs.copy_from_slice(&all[..dim]);
        }
        let operands = self.operands((rows * dim).next_multiple_of(width));
        self.push(Content::Queries, &operands);
        self.note("several beats to a row", dim > width);
        self.note("several rows to a beat", dim < width);
        self.note("rows that are dropped", operands.len() > rows * dim);
        self.note("one row", rows == 1);
        let factor = ScaleFactor { mantissa: self.rng.below(1 << 18) as u32, shift: self.rng.below(64) as u32 };
        let keep = self.with_lsbs && rows == 1 && self.rng.below(2) == 0;
        let job =
            QueryJob { rows, factor, lsbs: false, keep, again: false, drop: false, keys: self.config.keys_on_chip };
        self.jobs.push(Input::Job(job));
        let mut factors = vec![factor];
        if keep {
            let drop = self.rng.below(2) == 0;
            self.note("a row that comes twice", !drop);
            self.note("a row that was kept for nothing", drop);
            let factor = ScaleFactor { mantissa: self.rng.below(1 << 18) as u32, shift: 7 };
            self.jobs.push(Input::Job(QueryJob { factor, keep: false, again: !drop, drop, ..job }));
            factors.extend(Some(factor).filter(|_| !drop));
        }
        for (i, row) in operands.chunks_exact(dim).take(rows).enumerate() {
            let own = scales.get(i).map(|&scale| {
                // Only 24 bits are a factor.
                let (mantissa, shift) = HeadFactors::unpack(scale & 0xff_ffff);
                ScaleFactor { mantissa, shift }
            });
            let sign = 1 << (bits - 1);
            let sums =
                row.iter().zip(&lsbs[i * dim..]).map(|(x, lsb)| x.wrapping_add(*lsb) & (u16::MAX >> (16 - bits)));
            let mut operands: Vec<i16> = sums.map(|x| (i32::from(x ^ sign) - i32::from(sign)) as i16).collect();
            operands.resize(128, 0);
            for &factor in &factors {
                let (factor, operands) = (own.unwrap_or(factor), operands.clone());
                self.out[5].push(Output::Query(dot_product::Query { operand_bits: bits, operands, factor }));
            }
        }
    }

    fn rows(&mut self) -> usize {
        let most = self.config.keys_on_chip;
        let beat = self.width() / 16;
        match self.rng.below(4) {
            0 => 1,
            1 => 1 + self.rng.below(beat as u64) as usize,
            _ => (1 + self.rng.below(2 * beat as u64 + 20) as usize).min(most),
        }
    }

    fn other(&mut self) {
        let rows = self.rows();
        match self.rng.below(7) {
            5 => self.plain(Content::KeyLsbs, rows),
            6 => self.plain(Content::ValueLsbs, rows),
            0 => self.plain(Content::Keys, rows),
            1 => self.plain(Content::Values, rows),
            2 => self.scales(Content::KeyScales, rows),
            3 => self.scales(Content::ValueScales, rows),
            _ => self.scales(Content::Norms, rows),
        }
    }

    /// Jobs of all contents, until so many beats come out, and queries of all rows.
    fn random(mut self, beats: usize) -> Self {
        let most = self.config.keys_on_chip;
        self.with_lsbs = true;
        while self.out.iter().map(Vec::len).sum::<usize>() < beats {
            if self.rng.below(3) > 0 {
                self.other();
                continue;
            }
            // Scales come first, and may be ahead by more than a job.
            let mut ahead = vec![];
            let mut places = most / self.config.channels;
            for _ in 0..=self.rng.below(3) {
                let rows = self.rows();
                let Some(left) = places.checked_sub(rows.div_ceil(self.config.channels)) else { break };
                places = left;
                ahead.push((rows, self.query_scales(rows)));
            }
            self.note("jobs of scales ahead", ahead.len() > 1 && self.pins.scaled_queries);
            for (rows, scales) in ahead {
                if self.rng.below(2) == 0 {
                    self.other();
                }
                self.queries(rows, &scales);
            }
        }
        let scales = self.query_scales(most);
        self.queries(most, &scales);
        self
    }

    fn count(&self) -> usize {
        self.out.iter().map(Vec::len).sum()
    }

    fn model(&self) -> OperandRouter {
        OperandRouter::new(self.config, self.pins)
    }

    fn bench_from(&self, verilog: Verilog, jobs_from: u64) -> BlockBench<OperandRouter> {
        let Pins { dim, scaled_queries } = self.pins;
        let name = format!("{} D={} scaled={scaled_queries}", self.config.name, 16 << dim);
        let bench = BlockBench::new(verilog, "operand_router", &name, seed(0x0b), self.model())
            .input("in", self.beats.clone())
            .input_from(jobs_from, "query_job", self.jobs.clone())
            .pin("dim", Bits::new(dim.into(), 2))
            .pin("scaled_queries", Bits::new(scaled_queries.into(), 1))
            .again("cargo test --test operand_router");
        STREAMS.iter().zip(&self.out).fold(bench, |bench, (stream, beats)| bench.output(stream, beats.clone()))
    }

    fn bench(&self, verilog: Verilog) -> BlockBench<OperandRouter> {
        self.bench_from(verilog, 0)
    }
}

/// What every run of random jobs has met.
const RARE: [&str; 19] = [
    "a row that comes twice",
    "a row that was kept for nothing",
    "a row with LSBs",
    "bubble",
    "back-pressure",
    "stall",
    "granules fill no beat",
    "N < C",
    "N = C",
    "N > C",
    "lanes that are not used",
    "words fill no output beat",
    "scales of all rows",
    "scales that are dropped",
    "jobs of scales ahead",
    "several beats to a row",
    "several rows to a beat",
    "rows that are dropped",
    "one row",
];

fn merge(into: &mut Coverage, from: &Coverage) {
    RARE.iter().for_each(|name| into.add(name, from.count(name)));
}

#[test]
fn every_beat_goes_where_its_tag_says_under_every_stall() {
    let mut checks = Checks::new("operand_router");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("operand_router", &config));
        let (mut beats, mut values) = (0, 0);
        for (dim, scaled) in (0..4).flat_map(|dim| [(dim, false), (dim, true)]) {
            let seed = seed(u64::from(dim) * 2 + u64::from(scaled));
            let stimulus = Stimulus::new(&config, dim, scaled, seed).random(1_500);
            merge(&mut coverage, &stimulus.coverage);
            let reports = run_all(&stimulus.bench(verilog.clone()), stimulus.count(), &mut coverage);
            checks.that(reports.iter().all(|r| r.checked.iter().all(|(_, n)| *n > 0)), || format!("{reports:?}"));
            beats += stimulus.count();
            values += reports.iter().map(|r| r.values).sum::<u64>();
        }
        println!(
            "{}: {beats} beats under each of {} stall patterns, {values} values",
            config.name,
            Stalls::EVERY.len()
        );
        checks.that(beats >= 10_000, || format!("{}: {beats} beats", config.name));
    }
    coverage.require(&RARE);
    checks.finish_any();
}

/// Cycles of one job that nothing stalls.
fn span(stimulus: &Stimulus, verilog: &Verilog) -> u64 {
    let report = stimulus.bench(verilog.clone()).run(Stalls::None).unwrap();
    report.finish(stimulus.count());
    report.span()
}

#[test]
fn cycles_are_those_of_the_slower_side() {
    let mut checks = Checks::new("operand_router_cycles");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("operand_router", &config));
        for dim in 0..4 {
            let job = |scaled: bool| Stimulus::new(&config, dim, scaled, 7);
            let rows = config.keys_on_chip.min(200);
            let what = |content: Content| format!("{} D={} {content:?}", config.name, 16 << dim);
            for content in [Content::Keys, Content::Values, Content::KeyLsbs, Content::ValueLsbs] {
                let mut stimulus = job(false);
                stimulus.plain(content, rows);
                checks.eq(span(&stimulus, &verilog), stimulus.beats.len() as u64 + 1, || what(content));
            }
            for content in [Content::KeyScales, Content::ValueScales, Content::Norms] {
                let mut stimulus = job(false);
                stimulus.scales(content, rows);
                let slower = stimulus.beats.len().max(stimulus.count());
                checks.eq(span(&stimulus, &verilog), slower as u64 + 2, || what(content));
            }
            // Rows of one job, and of two whose last beats are not full.
            for jobs in [vec![rows], vec![rows - 3, 5]] {
                let mut stimulus = job(false);
                jobs.iter().for_each(|&rows| stimulus.queries(rows, &[]));
                let slower = stimulus.beats.len().max(stimulus.count());
                checks.eq(span(&stimulus, &verilog), slower as u64 + 2, || what(Content::Queries));
            }
            // The first scale is there 5 cycles after its beat, and then no row waits for one.
            for rows in [1, rows] {
                let mut stimulus = job(true);
                let scales = stimulus.query_scales(rows);
                let ahead = stimulus.beats.len();
                stimulus.queries(rows, &scales);
                let slower = (stimulus.beats.len() - ahead).max(stimulus.count());
                let to_a_row = (HEAD_DIMS[dim as usize] / (32 * config.channels)).max(1);
                let first = (ahead + to_a_row + 1).max(5);
                let expected = first + slower - to_a_row + 1;
                checks.eq(span(&stimulus, &verilog), expected as u64, || what(Content::QueryScales));
            }
            // Nothing is lost between jobs of different contents: each costs its beats, or what its packer is behind.
            let mut stimulus = job(false);
            for _ in 0..20 {
                stimulus.plain(Content::Keys, 8);
                stimulus.plain(Content::Values, 8);
                stimulus.scales(Content::Norms, 1);
            }
            let parts = (config.channels / config.softmax_lanes).max(1);
            checks.eq(span(&stimulus, &verilog), (stimulus.beats.len() + 1 + parts) as u64, || what(Content::Norms));
            merge(&mut coverage, &stimulus.coverage);
        }
    }
    checks.finish(configurations().len() as u64 * 4 * (4 + 3 + 2 + 2 + 1));
}

#[test]
fn a_store_of_scales_that_is_full_stops_its_stream() {
    let mut checks = Checks::new("operand_router_store");
    for config in [ArchConfig::tiny(), ArchConfig::eighth()] {
        let stimulus = ahead(&config);
        // One row is inside; as many beats of scales wait for it as there are places, and one more.
        let verilog = verilog(&design("operand_router", &config));
        let report = stimulus.bench_from(verilog, 2_000).run(Stalls::None).unwrap();
        report.finish(stimulus.count());
        checks.that(report.span() > 2_000, || format!("{report:?}"));
    }
    checks.finish(2);
}

/// A row without a job, and behind it more scales than there are places for.
fn ahead(config: &ArchConfig) -> Stimulus<'_> {
    let mut stimulus = Stimulus::new(config, 1, true, 9);
    let first = stimulus.query_scales(1);
    stimulus.queries(1, &first);
    let jobs = [config.keys_on_chip, 5 * config.channels].map(|rows| (rows, stimulus.query_scales(rows)));
    jobs.iter().for_each(|(rows, scales)| stimulus.queries(*rows, scales));
    stimulus
}

#[test]
fn other_sizes_work() {
    let mut coverage = Coverage::default();
    for (multipliers, softmax, channels, bits) in [(16, 1, 8, 4), (128, 8, 4, 16), (256, 4, 16, 9)] {
        let text = format!(
            "base = \"tiny\"\nmultipliers = {multipliers}\nsoftmax_lanes = {softmax}\nchannels = {channels}\n\
             datapath_bits = {bits}"
        );
        let config = ArchConfig::from_toml(&text, "own.toml").unwrap();
        let verilog = verilog(&emit(rtl::OperandRouter::new(&config)).unwrap());
        for dim in 0..4 {
            let stimulus = Stimulus::new(&config, dim, true, seed(3)).random(400);
            for stalls in [Stalls::None, Stalls::Bursts] {
                let report = stimulus.bench(verilog.clone()).run(stalls).unwrap_or_else(|e| panic!("{text}: {e}"));
                report.finish(stimulus.count());
                report.cover(&mut coverage);
            }
            merge(&mut coverage, &stimulus.coverage);
        }
    }
    coverage.require(&["N < C", "N > C", "lanes that are not used", "rows that are dropped"]);
}

#[test]
fn pins_may_change_while_nothing_is_inside() {
    let config = ArchConfig::eighth();
    let mut checks = Checks::new("operand_router_pins");
    let built = Cache::default().build(&verilog(&design("operand_router", &config))).unwrap();
    let mut rtl = Model::load(&built, Init::Random(5)).unwrap();
    let pin = |rtl: &Model, name: &str| rtl.pin(name).unwrap();
    let [dim, scaled] = ["dim", "scaled_queries"].map(|name| pin(&rtl, name));
    let ready = STREAMS.map(|stream| pin(&rtl, &format!("{stream}_ready")));
    let valid = STREAMS.map(|stream| pin(&rtl, &format!("{stream}_valid")));
    let inputs =
        ["in", "query_job"].map(|stream| ["valid", "ready"].map(|part| pin(&rtl, &format!("{stream}_{part}"))));
    inputs.iter().for_each(|[valid, _]| rtl.set(*valid, 0));
    rtl.reset(2).unwrap();
    ready.iter().for_each(|ready| rtl.set(*ready, 1));
    let mut model: Option<OperandRouter> = None;
    let mut expected = 0;
    for turn in 0..12u32 {
        let (size, own) = ((turn * 3 + turn / 4) % 4, turn % 3 == 1);
        let stimulus = Stimulus::new(&config, size, own, turn.into()).random(60);
        expected += stimulus.count() as u64;
        let model = model.get_or_insert_with(|| stimulus.model());
        model.set(stimulus.pins);
        rtl.set(dim, size.into());
        rtl.set(scaled, own.into());
        let mut left = [stimulus.beats.iter().peekable(), stimulus.jobs.iter().peekable()];
        let mut out = stimulus.out.each_ref().map(|beats| beats.iter());
        let mut idle = 0;
        while idle < 20 {
            for (stream, (name, beats)) in ["in", "query_job"].iter().zip(&mut left).enumerate() {
                rtl.set(inputs[stream][0], beats.peek().is_some().into());
                for field in beats.peek().iter().flat_map(|beat| beat.fields()) {
                    let port = pin(&rtl, &format!("{name}_{}", field.name()));
                    rtl.set_bits(port, field.value_bits());
                }
            }
            rtl.eval().unwrap();
            idle += 1;
            let mut accepted = [None, None];
            for (stream, beats) in left.iter_mut().enumerate() {
                assert_eq!(rtl.get(inputs[stream][1]) == 1, model.ready(stream), "turn {turn}, input {stream}");
                accepted[stream] = if model.ready(stream) { beats.next().cloned() } else { None };
                if accepted[stream].is_some() {
                    idle = 0;
                }
            }
            let mut taken = [false; OUTPUTS];
            for (stream, name) in STREAMS.iter().enumerate() {
                taken[stream] = rtl.get(valid[stream]) == 1;
                assert_eq!(taken[stream], model.output(stream).is_some(), "turn {turn}, {name}");
                if !taken[stream] {
                    continue;
                }
                idle = 0;
                let golden = out[stream].next().unwrap_or_else(|| panic!("turn {turn}: too many of {name}"));
                let same = golden.fields().iter().all(|field| {
                    let port = pin(&rtl, &format!("{name}_{}", field.name()));
                    rtl.shows(port, field.value_bits())
                });
                checks.that(same, || format!("turn {turn}, {name}: {golden:?}"));
            }
            model.clock(&mut accepted, &taken);
            rtl.step().unwrap();
        }
    }
    checks.finish(expected);
}

#[test]
fn streams_are_those_of_the_neighbours() {
    let mut checks = Checks::new("operand_router_ports");
    for config in configurations() {
        let [router, core, path] =
            ["operand_router", "attention_core", "fetch_path"].map(|block| design(block, &config).ports);
        for port in router.iter().filter(|port| !port.name.starts_with("query_job_")) {
            let (other, name) = match port.name.strip_prefix("in_") {
                Some(part) => (&path, format!("out_{part}")),
                None if STREAMS.iter().any(|stream| port.name.starts_with(stream)) => (&core, port.name.clone()),
                None => continue,
            };
            let fits = other
                .iter()
                .any(|p| (&p.name, p.bits, p.lanes, p.input) == (&name, port.bits, port.lanes, !port.input));
            checks.that(fits, || format!("{}: {port:?}", config.name));
        }
    }
    // in 5; keys, values, their scales and LSBs, and norms 4 each; query 5.
    checks.finish(configurations().len() as u64 * (5 + 7 * 4 + 5));
}

/// A plane's rows and what they are fetched as.
struct Fetched {
    content: Content,
    plane: Plane,
    tokens: Vec<u16>,
}

impl Fetched {
    fn granules(content: Content, salt: u64, tokens: &[u16]) -> Self {
        let plane = Plane { base: 1000 * content.tag() as u32, element: Element::whole(1), dim: 32, salt };
        Self { content, plane, tokens: tokens.into() }
    }

    /// Granule of a row, as it lies in memory.
    fn granule(&self, i: usize) -> u32 {
        let bytes = self.plane.chunk(self.tokens[i].into(), 0);
        u32::from_le_bytes(bytes.try_into().unwrap())
    }
}

#[test]
fn what_lies_in_memory_reaches_the_core() {
    let mut checks = Checks::new("operand_router_memory");
    for config in [ArchConfig::tiny(), ArchConfig::eighth(), ArchConfig::paper()] {
        let tokens: Vec<u16> = (0..45).map(|i| i * 7 % 64).collect();
        let granules = |content, salt| Fetched::granules(content, salt, &tokens);
        let rows = Plane { base: 9000, element: Element::whole(8), dim: 64, salt: 5 };
        let jobs = [
            granules(Content::KeyScales, 1),
            granules(Content::ValueScales, 2),
            granules(Content::QueryScales, 3),
            granules(Content::Norms, 4),
            Fetched { content: Content::Queries, plane: rows, tokens: tokens.clone() },
        ];
        let mut memory = Memory::new(&config, 3);
        jobs.iter().for_each(|job| job.tokens.iter().for_each(|&token| memory.write(&job.plane, token.into())));
        let out = fetched(&config, &memory, &jobs);

        let (mut keys, mut values, mut norms, mut queries) = (vec![], vec![], vec![], vec![]);
        let places = (config.multipliers / 64).max(1);
        for beat in out {
            match beat {
                Output::Keys(key_buffer::Input::Scale { lanes, .. }) => keys.extend_from_slice(&lanes),
                Output::Values(value_buffer::Input::Scale { lanes, .. }) => values.extend_from_slice(&lanes[..places]),
                Output::Norms(lanes, _) => norms.extend_from_slice(&lanes),
                Output::Query(query) => queries.push(query),
                other => panic!("{other:?}"),
            }
        }
        for i in 0..tokens.len() {
            for (words, job) in [(&keys, &jobs[0]), (&values, &jobs[1]), (&norms, &jobs[3])] {
                let what = || format!("{} {:?} {i}", config.name, job.content);
                checks.eq(words[i], job.granule(i) % (1 << FIELD), what);
            }
            let (mantissa, shift) = HeadFactors::unpack(jobs[2].granule(i) & 0xff_ffff);
            checks.eq(queries[i].factor, ScaleFactor { mantissa, shift }, || format!("{} query {i}", config.name));
            let field = |at| operand(rows.element, rows.field(tokens[i].into(), at), config.datapath_bits);
            let expected: Vec<i32> = (0..64).map(field).collect();
            let found: Vec<i32> = queries[i].operands[..64].iter().map(|&x| x.into()).collect();
            checks.eq(found, expected, || format!("{} query {i}", config.name));
        }
        checks.eq(queries.len(), tokens.len(), || config.name.clone());
    }
    checks.finish(3 * (45 * 5 + 1));
}

/// What comes out where `fetch_path` fetches jobs and the router takes them.
fn fetched(config: &ArchConfig, memory: &Memory, jobs: &[Fetched]) -> Vec<Output> {
    let mut path: FetchPath<Bits> = FetchPath::new(config);
    let mut router = OperandRouter::new(config, Pins { dim: 2, scaled_queries: true });
    let mut waiting: VecDeque<Job> = jobs.iter().map(job).collect();
    let mut tokens: VecDeque<Tokens> =
        jobs.iter().flat_map(|job| Tokens::beats(&job.tokens, config.channels)).collect();
    let factor = ScaleFactor { mantissa: 0, shift: 0 };
    let mut announced = Some(QueryJob {
        rows: jobs[4].tokens.len(),
        factor,
        lsbs: false,
        keep: false,
        again: false,
        drop: false,
        keys: config.keys_on_chip,
    });
    let mut answers: Vec<VecDeque<(u32, Bits)>> = vec![VecDeque::new(); config.channels];
    let mut out = vec![];
    for _ in 0..5_000 {
        let taken = std::array::from_fn(|stream| router.offer(CONTENTS[stream]).is_some());
        let beat = path.output().filter(|_| router.operands_ready()).map(|(tag, last)| Operands {
            data: path.operands().concat().into(),
            bits: config.datapath_bits,
            content: Content::of(tag).expect("a tag of a content"),
            last,
        });
        let moves = beat.is_some();
        let query_job = if router.job_ready() { announced.take() } else { None };
        out.extend(router.exchange(beat, query_job, taken).into_iter().flatten());

        let asked: Vec<_> = (0..config.channels).map(|channel| path.request(channel).copied()).collect();
        let ready: Vec<bool> = (0..config.channels).map(|channel| path.response_ready(channel)).collect();
        let job = if path.job_ready() { waiting.pop_front() } else { None };
        let list = if path.tokens_ready() { tokens.pop_front() } else { None };
        let answer = |channel: usize| if ready[channel] { answers[channel].pop_front() } else { None };
        path.clock(job, list, answer, |channel| asked[channel].is_some(), moves);
        for (channel, request) in asked.into_iter().enumerate() {
            let Some(request) = request else { continue };
            let words = memory.read(channel, request.address).chunks(GRANULE_BYTES);
            let words = words.map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
            answers[channel].push_back((request.id, Bits::from_words(words, 8 * config.channel_bytes as u32)));
        }
    }
    assert!(waiting.is_empty() && tokens.is_empty(), "jobs and tokens are fetched");
    out
}

fn job(job: &Fetched) -> Job {
    let Plane { base, element, dim, .. } = job.plane;
    Job { base, dim: dim.ilog2() - 4, element, tag: job.content.tag() }
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("operand_router", &config);
    let beats = 20 * played(vec![(); 18]).len();
    let stimulus = Stimulus::new(&config, 3, false, seed(4)).random(beats);
    same_in_icarus(&stimulus.bench(verilog(&design)), &design, "operand_router");
    let stimulus = Stimulus::new(&config, 0, true, seed(4)).random(beats);
    same_in_icarus(&stimulus.bench(verilog(&design)), &design, "operand_router");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::eighth();
    let design = design("operand_router", &config);
    // D = 16: four rows to a beat, scales of their own; D = 128: two beats to a row, two beats of value scales to a beat.
    let narrow = Stimulus::new(&config, 0, true, 56).random(1_000);
    let wide = Stimulus::new(&config, 3, false, 16).random(1_000);
    for (stream, field) in [("query", "operands"), ("value_scales", "data")] {
        faults_at_the_port_are_caught(&design, stream, field, |verilog| wide.bench(verilog));
    }
    let check = |stimulus: &Stimulus, module: &str, from: &str, to: &str, what: &str| {
        caught(&stimulus.bench(broken(&design, module, from, to)), what);
    };
    check(&wide, "operand_router", "(tag == 4'd5)", "(tag == 4'd6)", "in_ready");
    // LSBs that are not added.
    // A row that was kept comes again with another's scale.
    check(&narrow, "query_rows", "scale = held_scale;", "scale = scales_out_data[23:0];", "differs");
    check(&narrow, "query_rows", "held_0_next = sums_0_sum;", "held_0_next = held_0;", "query_operands");
    check(
        &wide,
        "operand_router",
        "granules_lane_1 = queue_out_data[23];",
        "granules_lane_1 = queue_out_data[22];",
        "_data",
    );
    check(&wide, "packer_18_2to4_4", "word_2_next = 18'd0;", "word_2_next = word_2;", "key_scales_data");
    check(&wide, "packer_18_2to4_2", "out_last = (word_last & ends);", "out_last = word_last;", "value_scales_last");
    check(&narrow, "packer_192_4to", "ends = ((left == 2'd0) | cut);", "ends = (left == 2'd0);", "differs");
    check(&narrow, "packer_24_2to", "ends = ((left == 1'd0) | cut);", "ends = (left == 1'd0);", "differs");
    check(&narrow, "query_rows", "scale_there = ((~scaled) | scales_out_valid);", "scale_there = 1'd1;", "query_valid");
    check(&narrow, "query_rows", "jobs_out_ready = (moves & ends);", "jobs_out_ready = moves;", "query_job_ready");
    check(&narrow, "scale_store", "read = ((|count) & room_available);", "read = (|count);", "differs");
    let full = broken(&design, "scale_store", "in_ready = (count < 10'd512);", "in_ready = 1'd1;");
    caught(&ahead(&config).bench_from(full, 2_000), "in_ready");
}
