//! Fetched operands to the streams of `attention_core`, in time. Siblings: `hw`, `tests/operand_router.rs`.

mod packer;

use crate::attention_core;
use crate::cosim::{Beat, Field, bits_for};
use crate::cycle::{CreditPipe, CycleModel, Fifo};
use crate::{dot_product, key_buffer, value_buffer};
use packer::Packer;
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::content::{Content, TAG_BITS};
use spatten_arch::descriptor::HeadFactors;
use spatten_arch::format::{QUERY_SCALE_BITS, SCALE_MANTISSA_BITS, TOKEN_SCALE_BITS, VALUE_NORM_BITS};
use spatten_arch::layout::CHUNK_ELEMENTS;
use spatten_golden::dot_product::ScaleFactor;

/// Sizes of the RTL's queues.
const BEATS: usize = 2;
const JOBS: usize = 4;
/// Cycles and places behind the memory of query scales.
const SCALES: [usize; 2] = [2, 4];
/// Operands that are moved together.
const UNIT: usize = HEAD_DIMS[0];
/// Output streams.
pub const OUTPUTS: usize = 8;
/// What is on each.
pub const STREAMS: [Content; OUTPUTS] = [
    Content::Keys,
    Content::KeyScales,
    Content::Values,
    Content::ValueScales,
    Content::Norms,
    Content::Queries,
    Content::KeyLsbs,
    Content::ValueLsbs,
];

/// The stream of a content that has one.
fn stream(content: Content) -> Option<usize> {
    STREAMS.iter().position(|of| *of == content)
}

/// What stays the same while anything is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pins {
    /// log2(D) - 4.
    pub dim: u32,
    /// Query rows have their own scales.
    pub scaled_queries: bool,
}

/// A beat of `in`, as `fetch_path` gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operands {
    /// Two's complement in the low bits.
    pub data: Box<[u16]>,
    /// Width of an operand.
    pub bits: u32,
    /// What they are.
    pub content: Content,
    /// The job's last beat.
    pub last: bool,
}

/// A beat of `query_job`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryJob {
    /// Its rows, at least one.
    pub rows: usize,
    /// Their score scale.
    pub factor: ScaleFactor,
    /// It is of LSBs of the row behind it.
    pub lsbs: bool,
    /// Its only row is kept.
    pub keep: bool,
    /// The row that was kept comes again.
    pub again: bool,
    /// It does not.
    pub drop: bool,
    /// Keys on chip: the width of `rows` follows.
    pub keys: usize,
}

impl Beat for QueryJob {
    fn fields(&self) -> Vec<Field> {
        vec![
            Field::value("rows", self.rows as u64, bits_for(self.keys)),
            Field::value("mantissa", self.factor.mantissa.into(), SCALE_MANTISSA_BITS),
            Field::value("shift", self.factor.shift.into(), 6),
            Field::flag("lsbs", self.lsbs),
            Field::flag("keep", self.keep),
            Field::flag("again", self.again),
            Field::flag("drop", self.drop),
        ]
    }
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum Input {
    /// On stream 0, `in`.
    Operands(Operands),
    /// On stream 1, `query_job`.
    Job(QueryJob),
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Operands(beat) => {
                let lanes: Vec<u64> = beat.data.iter().map(|&lane| lane.into()).collect();
                vec![
                    Field::lanes("data", &lanes, beat.bits),
                    Field::value("tag", beat.content.tag().into(), TAG_BITS as u32),
                    Field::flag("last", beat.last),
                ]
            }
            Self::Job(job) => job.fields(),
        }
    }
}

/// A beat of the queue, as it will be used.
#[derive(Debug, Clone)]
enum Held {
    /// As it leaves.
    Whole(attention_core::Input),
    /// 32 bits each.
    Granules(Vec<u32>),
    /// 16 operands each.
    Units(Vec<[i16; UNIT]>),
}

/// Top bits of 32 operands each.
fn granules(beat: &Operands) -> Vec<u32> {
    let granule = |chunk: &[u16]| chunk.iter().rev().fold(0, |word, x| word << 1 | u32::from(x >> (beat.bits - 1)));
    beat.data.chunks(CHUNK_ELEMENTS).map(granule).collect()
}

fn units(beat: &Operands) -> Vec<[i16; UNIT]> {
    let up = 16 - beat.bits;
    let unit = |chunk: &[u16]| std::array::from_fn(|i| (chunk[i] << up) as i16 >> up);
    beat.data.chunks(UNIT).map(unit).collect()
}

/// Router, queues and packers; outputs are inputs of `attention_core`, which takes them as they are.
///
/// Streams: `in`, `query_job`; `keys`, `key_scales`, `values`, `value_scales`, `norms`, `query`, `key_lsbs`, `value_lsbs`.
#[derive(Debug, Clone)]
pub struct OperandRouter {
    pins: Pins,
    bits: u32,
    multipliers: usize,
    lanes: usize,
    score_lanes: usize,
    queue: Fifo<(Content, Held, bool)>,
    /// Of keys, of values, norms.
    packers: [Packer<u32>; 3],
    rows: Packer<[i16; UNIT]>,
    store: Fifo<Vec<u32>>,
    stored: CreditPipe<Vec<u32>>,
    scales: Packer<u32>,
    jobs: Fifo<QueryJob>,
    /// Rows of the job that have left.
    row: usize,
    /// What is added to the next row, or comes again, and the scale of that.
    held: Vec<[i16; UNIT]>,
    held_factor: ScaleFactor,
    /// What packers offer, by stream.
    offers: [Option<attention_core::Input>; OUTPUTS],
}

/// Packed contents, each at the place of its packer.
const PACKED: [Content; 3] = [Content::KeyScales, Content::ValueScales, Content::Norms];

impl OperandRouter {
    /// As after reset.
    pub fn new(config: &ArchConfig, pins: Pins) -> Self {
        let (channels, lanes) = (config.channels, config.multipliers / HEAD_DIMS[0]);
        let [latency, places] = SCALES;
        let sizes = [lanes, 1, config.softmax_lanes];
        let mut router = Self {
            pins,
            bits: config.datapath_bits,
            multipliers: config.multipliers,
            lanes,
            score_lanes: config.softmax_lanes,
            queue: Fifo::new(BEATS),
            packers: sizes.map(|size| Packer::new(channels, size)),
            rows: Packer::new(channels * CHUNK_ELEMENTS / UNIT, 1),
            store: Fifo::new((config.keys_on_chip / channels).max(2)),
            stored: CreditPipe::new(latency, places),
            scales: Packer::new(channels, 1),
            jobs: Fifo::new(JOBS),
            row: 0,
            held: vec![],
            held_factor: ScaleFactor { mantissa: 0, shift: 0 },
            offers: Default::default(),
        };
        router.set(pins);
        router
    }

    /// Other pins, which is only allowed while nothing is inside.
    pub fn set(&mut self, pins: Pins) {
        let dim = HEAD_DIMS[pins.dim as usize];
        self.pins = pins;
        self.packers[1].resize((self.multipliers / dim).max(1));
        self.rows.resize(dim / UNIT);
    }

    /// Operands would be accepted.
    pub fn operands_ready(&self) -> bool {
        self.queue.ready()
    }

    /// A job of queries would be accepted.
    pub fn job_ready(&self) -> bool {
        self.jobs.ready()
    }

    /// The beat on offer for the stream of a content.
    pub fn offer(&self, content: Content) -> Option<&attention_core::Input> {
        match (self.queue.front(), content) {
            (Some((held, Held::Whole(beat), _)), _) if *held == content => Some(beat),
            _ => self.offers[stream(content)?].as_ref(),
        }
    }

    /// The row on offer is its job's last one.
    fn ends(&self) -> bool {
        self.jobs.front().is_some_and(|job| self.row + 1 == job.rows)
    }

    /// One rising edge: what was accepted, and which streams' offers were taken. Those are the caller's.
    pub fn exchange(
        &mut self,
        operands: Option<Operands>,
        announced: Option<QueryJob>,
        taken: [bool; OUTPUTS],
    ) -> [Option<attention_core::Input>; OUTPUTS] {
        // What moves is decided by the state before the edge.
        let took = |content: Content| stream(content).is_some_and(|stream| taken[stream]);
        let job = |of: fn(&QueryJob) -> bool| self.jobs.front().is_some_and(of);
        let front = self.rows.front(HEAD_DIMS[3] / UNIT).map(|(units, _)| units);
        let [keeps, again, drops] = [job(|job| job.keep), job(|job| job.again), job(|job| job.drop)];
        let lsbs = front.filter(|_| job(|job| job.lsbs));
        let leaves = took(Content::Queries);
        let (moves, ends) = (leaves || lsbs.is_some() || drops, self.ends());
        let row_taken = lsbs.is_some() || (leaves && !again);
        let scale_taken = leaves && !again && self.pins.scaled_queries;
        if let Some(attention_core::Input::Query(query)) = self.offers[5].as_ref().filter(|_| leaves) {
            self.held_factor = query.factor;
        }
        // As it leaves.
        let kept = match &self.offers[5] {
            Some(attention_core::Input::Query(query)) if leaves && keeps => {
                query.operands.chunks(UNIT).map(|unit| std::array::from_fn(|i| unit[i])).collect()
            }
            _ => vec![],
        };
        let ready = |packer: usize| self.packers[packer].ready(took(PACKED[packer]), false);
        let pops = self.queue.front().is_some_and(|(content, ..)| match content {
            Content::Keys | Content::Values | Content::KeyLsbs | Content::ValueLsbs => took(*content),
            Content::KeyScales => ready(0),
            Content::ValueScales => ready(1),
            Content::Norms => ready(2),
            Content::Queries | Content::QueryLsbs => self.rows.ready(row_taken, ends),
            Content::QueryScales => self.store.ready(),
        });
        let reads = self.store.front().is_some() && self.stored.ready();
        let unpacks = self.stored.front().is_some() && self.scales.ready(scale_taken, ends);

        let push = operands.map(|beat| {
            let (content, last) = (beat.content, beat.last);
            let held = match content {
                Content::Keys => {
                    let Operands { data: lanes, bits, last, .. } = beat;
                    Held::Whole(attention_core::Input::Keys(key_buffer::Input::Write { lanes, bits, last }))
                }
                Content::Values => {
                    let Operands { data: lanes, bits, last, .. } = beat;
                    Held::Whole(attention_core::Input::Values(value_buffer::Input::Write { lanes, bits, last }))
                }
                Content::KeyLsbs | Content::ValueLsbs => {
                    let Operands { data: lanes, bits, last, .. } = beat;
                    Held::Whole(attention_core::Input::Lsbs(attention_core::Lsbs { lanes, bits, last }))
                }
                Content::Queries | Content::QueryLsbs => Held::Units(units(&beat)),
                _ => Held::Granules(granules(&beat)),
            };
            (content, held, last)
        });
        let mut leave: [Option<attention_core::Input>; OUTPUTS] = Default::default();
        let mut packs: [Option<(Vec<u32>, bool)>; 3] = Default::default();
        let (mut row, mut scale) = (None, None);
        match self.queue.exchange(push, pops) {
            Some((content, Held::Whole(beat), _)) => leave[stream(content).expect("what is whole leaves")] = Some(beat),
            Some((_, Held::Units(units), _)) => row = Some((units, false)),
            Some((content, Held::Granules(words), last)) => match PACKED.iter().position(|packed| *packed == content) {
                Some(packer) => packs[packer] = Some((words, last)),
                None => scale = Some(words),
            },
            None => {}
        }
        for (i, content) in PACKED.into_iter().enumerate() {
            self.packers[i].clock(packs[i].take(), took(content), false);
        }
        self.rows.clock(row, row_taken, ends);
        let read = self.store.exchange(scale, reads);
        let words = self.stored.exchange(read, unpacks).map(|words| (words, false));
        self.scales.clock(words, scale_taken, ends);
        self.jobs.clock(announced, moves && ends);
        if moves {
            self.row = if ends { 0 } else { self.row + 1 };
            self.held = lsbs.unwrap_or(kept);
        }

        for (stream, content) in STREAMS.into_iter().enumerate() {
            if took(content) && leave[stream].is_none() {
                leave[stream] = self.offers[stream].take();
            }
            if self.offers[stream].is_none() {
                self.offers[stream] = self.packed(content);
            }
        }
        leave
    }

    /// What the packer of a content has on offer.
    fn packed(&self, content: Content) -> Option<attention_core::Input> {
        let cut = |words: Vec<u32>, bits: u32| words.into_iter().map(|word| word & ((1 << bits) - 1)).collect();
        Some(match content {
            Content::KeyScales => {
                let (words, last) = self.packers[0].front(self.lanes)?;
                let lanes = cut(words, TOKEN_SCALE_BITS);
                attention_core::Input::Keys(key_buffer::Input::Scale { lanes, last })
            }
            Content::ValueScales => {
                let (words, last) = self.packers[1].front(self.lanes)?;
                let lanes = cut(words, TOKEN_SCALE_BITS);
                attention_core::Input::Values(value_buffer::Input::Scale { lanes, last })
            }
            Content::Norms => {
                let (words, last) = self.packers[2].front(self.score_lanes)?;
                attention_core::Input::Norms(cut(words, VALUE_NORM_BITS), last)
            }
            Content::Queries => {
                let job = self.jobs.front().filter(|job| !job.lsbs && !job.drop)?;
                let mut units = match job.again {
                    true => vec![[0; UNIT]; HEAD_DIMS[3] / UNIT],
                    false => self.rows.front(HEAD_DIMS[3] / UNIT)?.0,
                };
                let up = 16 - self.bits;
                for (operand, lsb) in units.iter_mut().flatten().zip(self.held.iter().flatten()) {
                    *operand = operand.wrapping_add(*lsb) << up >> up;
                }
                let factor = if self.pins.scaled_queries && job.again {
                    self.held_factor
                } else if self.pins.scaled_queries {
                    let (words, _) = self.scales.front(1)?;
                    let (mantissa, shift) = HeadFactors::unpack(words[0] & ((1 << QUERY_SCALE_BITS) - 1));
                    ScaleFactor { mantissa, shift }
                } else {
                    job.factor
                };
                let operands = units.concat();
                attention_core::Input::Query(dot_product::Query { operand_bits: self.bits, operands, factor })
            }
            _ => return None,
        })
    }
}

impl CycleModel for OperandRouter {
    type Input = Input;
    type Output = attention_core::Input;

    fn ready(&self, port: usize) -> bool {
        if port == 0 { self.operands_ready() } else { self.job_ready() }
    }

    fn output(&self, port: usize) -> Option<&attention_core::Input> {
        self.offer(STREAMS[port])
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let (mut operands, mut job) = (None, None);
        for input in accepted.iter_mut().filter_map(Option::take) {
            match input {
                Input::Operands(beat) => operands = Some(beat),
                Input::Job(announced) => job = Some(announced),
            }
        }
        self.exchange(operands, job, std::array::from_fn(|port| taken[port]));
    }
}
