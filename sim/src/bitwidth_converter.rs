//! Packed planes to operands, in time. Siblings: `golden`, `hw`, `tests/bitwidth_converter.rs`.

use crate::cosim::{Beat, Bits, Field};
use crate::cycle::{CreditPipe, CycleModel};
use spatten_arch::plan::Split;
use spatten_golden::bitwidth_converter::Conversion;
use std::collections::VecDeque;

/// How many elements follow and how they are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Elements of the job.
    pub elements: u32,
    /// Widths of both planes, and what they mean.
    pub conversion: Conversion,
    /// MSBs only.
    pub first: bool,
}

impl Job {
    /// Bits of an element in the planes that are read.
    pub fn bits(&self) -> [u32; 2] {
        [self.conversion.msb_bits, if self.first { 0 } else { self.conversion.lsb_bits }]
    }
}

/// A beat of `job`, `msb` or `lsb`.
#[derive(Debug, Clone)]
pub enum Input {
    /// A job.
    Job(Job),
    /// A word of a plane.
    Word(Bits),
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Word(word) => vec![Field::bits("data", word.clone())],
            Self::Job(job) => {
                let c = &job.conversion;
                let split = match c.split {
                    Split::Floor => 0,
                    Split::Mid => 1,
                    Split::Balanced => 2,
                };
                let width = |max: u32| u32::BITS - max.leading_zeros();
                vec![
                    Field::value("elements", job.elements.into(), 20),
                    Field::value("msb_bits", c.msb_bits.into(), width(c.datapath_bits)),
                    Field::value("lsb_bits", c.lsb_bits.into(), width(8.min(c.datapath_bits - 1))),
                    Field::value("split", split, 2),
                    Field::flag("first", job.first),
                ]
            }
        }
    }
}

/// A beat of operands, in the low bits of each lane; lanes from `count` on are 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operands {
    /// Two's complement in `bits` bits.
    pub lanes: Box<[u16]>,
    /// Width of an operand.
    pub bits: u32,
    /// How many.
    pub count: u32,
    /// The job's last beat.
    pub last: bool,
}

impl Beat for Operands {
    fn fields(&self) -> Vec<Field> {
        let lanes: Vec<u64> = self.lanes.iter().map(|&lane| lane.into()).collect();
        vec![
            Field::lanes("data", &lanes, self.bits),
            Field::value("count", self.count.into(), u32::BITS - (self.lanes.len() as u32).leading_zeros()),
            Field::flag("last", self.last),
        ]
    }
}

/// Words of one plane; positions and amounts are in granules of as many bits as a beat has elements.
#[derive(Debug, Clone)]
struct Plane {
    elements: u32,
    granules: u32,
    rows: u32,
    words: VecDeque<Bits>,
    /// Granules of the first word that are used up.
    used: u32,
    available: u32,
}

impl Plane {
    fn new(word_bits: u32, elements: u32, max_bits: u32) -> Self {
        let granules = word_bits / elements;
        let rows = ((granules - 1 + max_bits).div_ceil(granules) + 1).next_power_of_two();
        Self { elements, granules, rows, words: VecDeque::new(), used: 0, available: 0 }
    }

    fn ready(&self) -> bool {
        self.available <= (self.rows - 1) * self.granules
    }

    /// Bits `at..at + bits` after the used ones.
    fn field(&self, at: u32, bits: u32) -> u32 {
        let at = self.used * self.elements + at;
        let width = self.granules * self.elements;
        let (word, low) = ((at / width) as usize, at % width);
        let half = |at: u32| {
            let (word, low) = if at < width { (word, at) } else { (word + 1, at - width) };
            self.words.get(word).and_then(|w| w.words().get((low / 32) as usize)).copied().unwrap_or(0)
        };
        let pair = u64::from(half(low)) | u64::from(half(low - low % 32 + 32)) << 32;
        (pair >> (low % 32)) as u32 & ((1 << bits) - 1)
    }

    fn take(&mut self, need: u32, end: bool) {
        self.used += need;
        self.available -= need;
        if end && !self.used.is_multiple_of(self.granules) {
            self.available -= self.available % self.granules;
            self.used = self.used.next_multiple_of(self.granules);
        }
        while self.used >= self.granules {
            self.words.pop_front();
            self.used -= self.granules;
        }
    }

    fn push(&mut self, word: Bits) {
        self.words.push_back(word);
        self.available += self.granules;
    }
}

#[derive(Debug, Clone, Copy)]
struct Description {
    job: Job,
    need: [u32; 2],
    count: u32,
    last: bool,
}

/// Inputs 0 `job`, 1 `msb`, 2 `lsb`; output 0 `out`.
///
/// # Timing   a job is described beat by beat (latency 3, 4 places); a described beat is taken where both planes have it
/// and is on the output 5 cycles later (8 places)
#[derive(Debug, Clone)]
pub struct BitwidthConverter {
    elements: u32,
    job: Option<Job>,
    left: u32,
    beats: CreditPipe<Description>,
    planes: [Plane; 2],
    out: CreditPipe<Operands>,
}

impl BitwidthConverter {
    /// Words of `word_bits` (a multiple of 32) to beats of `elements` operands of `bits`.
    pub fn new(word_bits: u32, elements: u32, bits: u32) -> Self {
        let plane = |max_bits| Plane::new(word_bits, elements, max_bits);
        Self {
            elements,
            job: None,
            left: 0,
            beats: CreditPipe::new(3, 4),
            planes: [plane(bits), plane(8.min(bits - 1))],
            out: CreditPipe::new(5, 8),
        }
    }

    fn operands(&self, beat: &Description) -> Operands {
        let Job { conversion: c, first, .. } = beat.job;
        let [high, low] = &self.planes;
        let signed = |raw: u32, bits: u32| ((raw << (32 - bits)) as i32) >> (32 - bits);
        let lane = |i: u32| {
            let msb = signed(high.field(i * c.msb_bits, c.msb_bits), c.msb_bits);
            if first || c.lsb_bits == 0 {
                return if first { c.first(msb) } else { c.full(msb, 0) };
            }
            let raw = low.field(i * c.lsb_bits, c.lsb_bits);
            c.full(msb, if c.split == Split::Balanced { signed(raw, c.lsb_bits) } else { raw as i32 })
        };
        let mut lanes = vec![0; self.elements as usize].into_boxed_slice();
        let mask = ((1u32 << c.datapath_bits) - 1) as i32;
        lanes.iter_mut().zip(0..beat.count).for_each(|(to, i)| *to = (lane(i) & mask) as u16);
        Operands { lanes, bits: c.datapath_bits, count: beat.count, last: beat.last }
    }
}

impl CycleModel for BitwidthConverter {
    type Input = Input;
    type Output = Operands;

    fn ready(&self, port: usize) -> bool {
        match port {
            0 => self.left == 0 || (self.left <= self.elements && self.beats.ready()),
            port => self.planes[port - 1].ready(),
        }
    }

    fn output(&self, _port: usize) -> Option<&Operands> {
        self.out.front()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let enough = |beat: &&Description| self.planes.iter().zip(beat.need).all(|(p, need)| p.available >= need);
        let issued = self.beats.front().filter(|_| self.out.ready()).filter(enough).copied();
        let operands = issued.map(|beat| {
            let operands = self.operands(&beat);
            self.planes.iter_mut().zip(beat.need).for_each(|(plane, need)| plane.take(need, beat.last));
            operands
        });
        self.out.clock(operands, taken[0]);
        for (plane, word) in self.planes.iter_mut().zip(&mut accepted[1..]) {
            if let Some(Input::Word(word)) = word.take() {
                plane.push(word);
            }
        }
        let described = self.job.filter(|_| self.left > 0 && self.beats.ready()).map(|job| {
            let (count, last) = (self.left.min(self.elements), self.left <= self.elements);
            let need = job.bits().map(|bits| (count * bits).div_ceil(self.elements));
            self.left -= count;
            Description { job, need, count, last }
        });
        self.beats.clock(described, issued.is_some());
        if let Some(Input::Job(job)) = accepted[0].take() {
            (self.job, self.left) = (Some(job), job.elements);
        }
    }
}
