//! Double-buffered K SRAM, in time. Siblings: `hw`, `tests/key_buffer.rs`.

use crate::cosim::{Beat, Field, bits_for};
use crate::cycle::{CreditPipe, CycleModel};
use crate::halves::{Events, Halves};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::{TOKEN_SCALE_BITS, TOKEN_SCALE_FRACTION};

/// Sizes of a buffer of operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bits of an operand.
    pub bits: u32,
    /// Operands of a word that is read.
    pub word: usize,
    /// Operands of a beat that is written.
    pub beat: usize,
    /// Operands in both halves.
    pub operands: usize,
    /// Keys (or values) of a head.
    pub keys: usize,
    /// Keys of a word at the smallest head dimension.
    pub lanes: usize,
}

impl Size {
    /// Of `bytes` of SRAM in a configuration.
    pub fn of(config: &ArchConfig, bytes: usize) -> Self {
        let (word, beat) = (config.multipliers, 32 * config.channels);
        let operands = (1 << (8 * bytes / config.datapath_bits as usize).ilog2()).max(2 * word.max(beat));
        let lanes = word / HEAD_DIMS[0];
        Self { bits: config.datapath_bits, word, beat, operands, keys: config.keys_on_chip, lanes }
    }

    /// Operands that a head may have.
    pub fn head(&self, dim: u32) -> usize {
        if dim == 3 { self.operands } else { self.operands / 2 }
    }
}

/// A beat of `write`, `scale`, `read` or `add`.
#[derive(Debug, Clone)]
pub enum Input {
    /// Operands of `bits`.
    Write {
        /// Two's complement in the low bits.
        lanes: Box<[u16]>,
        /// Width of an operand.
        bits: u32,
        /// The head's last beat.
        last: bool,
    },
    /// Scales of as many keys.
    Scale {
        /// The scales.
        lanes: Box<[u32]>,
        /// The head's last ones.
        last: bool,
    },
    /// A request.
    Read {
        /// Word of the head.
        address: u32,
        /// Width of an address.
        address_bits: u32,
        /// Passed along.
        count: u32,
        /// Width of a count.
        count_bits: u32,
        /// Passed along.
        last: bool,
        /// The head's last request.
        release: bool,
        /// Nothing is read.
        marker: bool,
        /// The head is added to before it is read again.
        again: bool,
    },
    /// LSBs of `bits`.
    Add {
        /// Two's complement in the low bits.
        lanes: Box<[u16]>,
        /// Width of an operand.
        bits: u32,
        /// The head's last beat.
        last: bool,
    },
}

impl Input {
    /// A request to a buffer of this size.
    pub fn read(size: &Size, address: usize, count: usize, last: bool, release: bool) -> Self {
        let (address_bits, count_bits) = (bits_for(size.operands / size.word - 1), bits_for(size.lanes));
        let (address, count) = (address as u32, count as u32);
        Self::Read { address, address_bits, count, count_bits, last, release, marker: false, again: false }
    }

    /// What ends the reading of a head without a request: for good, or until it has been added to.
    pub fn marker(size: &Size, again: bool) -> Self {
        let (address_bits, count_bits) = (bits_for(size.operands / size.word - 1), bits_for(size.lanes));
        let (release, marker) = (!again, true);
        Self::Read { address: 0, address_bits, count: 0, count_bits, last: false, release, marker, again }
    }
}

fn operands(name: &'static str, lanes: &[u16], bits: u32) -> Field {
    Field::lanes(name, &lanes.iter().map(|&lane| lane.into()).collect::<Vec<u64>>(), bits)
}

fn scales(name: &'static str, lanes: &[u32]) -> Field {
    Field::lanes(name, &lanes.iter().map(|&lane| lane.into()).collect::<Vec<u64>>(), TOKEN_SCALE_BITS)
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Write { lanes, bits, last } | Self::Add { lanes, bits, last } => {
                vec![operands("data", lanes, *bits), Field::flag("last", *last)]
            }
            Self::Scale { lanes, last } => vec![scales("data", lanes), Field::flag("last", *last)],
            Self::Read { address, address_bits, count, count_bits, last, release, marker, again } => vec![
                Field::value("address", (*address).into(), *address_bits),
                Field::value("count", (*count).into(), *count_bits),
                Field::flag("last", *last),
                Field::flag("release", *release),
                Field::flag("marker", *marker),
                Field::flag("again", *again),
            ],
        }
    }
}

/// A word of the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Two's complement in the low bits.
    pub lanes: Box<[u16]>,
    /// Width of an operand.
    pub bits: u32,
    /// Scales of its keys.
    pub scales: Box<[u32]>,
    /// From the request.
    pub count: u32,
    /// From the request.
    pub last: bool,
}

impl Beat for Word {
    fn fields(&self) -> Vec<Field> {
        vec![
            operands("data", &self.lanes, self.bits),
            scales("scale", &self.scales),
            Field::value("count", self.count.into(), bits_for(self.scales.len())),
            Field::flag("last", self.last),
        ]
    }
}

/// What is asked for, and what becomes of the head after it.
#[derive(Debug, Clone)]
pub struct Request<T> {
    /// Nothing, where it is a marker.
    pub answer: Option<T>,
    /// It is read no more,
    pub release: bool,
    /// or not before it has been added to.
    pub again: bool,
}

/// When beats move. `T` is whatever belongs to the answer of a request.
///
/// # Timing   latency 3, 4 places; a half is read from the cycle after its last write and written from the cycle after its
/// release
#[derive(Debug, Clone)]
pub struct Timing<T> {
    halves: Halves,
    out: CreditPipe<T>,
}

impl<T> Timing<T> {
    /// An empty buffer; `dim` is log2(D) - 4.
    pub fn new(dim: u32, scaled: bool) -> Self {
        Self { halves: Halves::new(dim == 3, scaled), out: CreditPipe::new(3, 4) }
    }

    /// Who may use which half.
    pub fn halves(&self) -> &Halves {
        &self.halves
    }

    /// Whether a request is accepted.
    pub fn ready(&self) -> bool {
        self.halves.read_half().is_some() && self.out.ready()
    }

    /// The answer that is offered.
    pub fn front(&self) -> Option<&T> {
        self.out.front()
    }

    /// One rising edge: the ends of what is written, whether a beat is added and is the last one, the accepted request,
    /// whether the answer was taken.
    pub fn clock(
        &mut self,
        [data_ends, scale_ends]: [bool; 2],
        add: Option<bool>,
        request: Option<Request<T>>,
        taken: bool,
    ) -> Option<T> {
        let (freed, again) = request.as_ref().map_or((false, false), |request| (request.release, request.again));
        self.halves.clock(Events { data_ends, scale_ends, freed, again, add });
        self.out.exchange(request.and_then(|request| request.answer), taken)
    }
}

/// Adds lanes of `bits`.
pub(crate) fn add(operands: &mut [u16], lanes: &[u16], bits: u32) {
    let mask = u16::MAX >> (16 - bits);
    operands.iter_mut().zip(lanes).for_each(|(operand, lane)| *operand = operand.wrapping_add(*lane) & mask);
}

/// Inputs 0 `write`, 1 `scale`, 2 `read`, 3 `add`; output 0 `out`.
#[derive(Debug, Clone)]
pub struct KeyBuffer {
    size: Size,
    dim: u32,
    scaled: bool,
    timing: Timing<Word>,
    write_at: usize,
    scale_at: usize,
    add_at: usize,
    operands: Vec<u16>,
    scales: Vec<u32>,
}

impl KeyBuffer {
    /// An empty buffer; `dim` is log2(D) - 4.
    pub fn new(size: Size, dim: u32, scaled: bool) -> Self {
        Self {
            size,
            dim,
            scaled,
            timing: Timing::new(dim, scaled),
            write_at: 0,
            scale_at: 0,
            add_at: 0,
            operands: vec![0; size.operands],
            scales: vec![0; 2 * size.keys.max(size.lanes)],
        }
    }

    /// Bit i: half i may be read.
    pub fn full(&self) -> u64 {
        self.timing.halves.full()
    }

    fn base(&self, half: usize) -> usize {
        if self.dim == 3 { 0 } else { half * self.size.operands / 2 }
    }

    fn word(&self, half: usize, address: usize, count: u32, last: bool) -> Word {
        let Size { bits, word, lanes, .. } = self.size;
        let from = self.base(half) + address * word;
        let mut scales = vec![1 << TOKEN_SCALE_FRACTION; lanes].into_boxed_slice();
        if self.scaled {
            // The row of scales that holds the word's keys, from the first of them on.
            let (row, part) = (address >> self.dim, address & ((1 << self.dim) - 1));
            let key = half * self.scales.len() / 2 + row * lanes;
            let skip = (part * lanes) >> self.dim;
            scales.fill(0);
            scales[..lanes - skip].copy_from_slice(&self.scales[key + skip..key + lanes]);
        }
        Word { lanes: self.operands[from..from + word].into(), bits, scales, count, last }
    }
}

impl CycleModel for KeyBuffer {
    type Input = Input;
    type Output = Word;

    fn ready(&self, port: usize) -> bool {
        match port {
            0 => self.timing.halves.data_open(),
            1 => self.timing.halves.scale_open(),
            3 => self.timing.halves.add_open(),
            _ => self.timing.ready(),
        }
    }

    fn output(&self, _port: usize) -> Option<&Word> {
        self.timing.front()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let (mut data_ends, mut scale_ends) = (false, false);
        let mut word = None;
        if let (Some(Input::Read { address, count, last, release, marker, again, .. }), Some(half)) =
            (accepted[2].take(), self.timing.halves.read_half())
        {
            let answer = (!marker).then(|| self.word(half, address as usize, count, last));
            word = Some(Request { answer, release, again });
        }
        let mut added = None;
        if let Some(Input::Add { lanes, bits, last }) = accepted[3].take() {
            let at = self.base(self.timing.halves.add_half()) + self.add_at;
            add(&mut self.operands[at..at + lanes.len()], &lanes, bits);
            self.add_at = if last { 0 } else { self.add_at + lanes.len() };
            added = Some(last);
        }
        if let Some(Input::Write { lanes, last, .. }) = accepted[0].take() {
            let head = self.size.head(self.dim);
            let at = self.base(self.timing.halves.write_half()) + self.write_at % head;
            self.operands[at..at + lanes.len()].copy_from_slice(&lanes);
            self.write_at = if last { 0 } else { self.write_at + lanes.len() };
            data_ends = last;
        }
        if let Some(Input::Scale { lanes, last }) = accepted[1].take() {
            let half = self.scales.len() / 2;
            let at = half * self.timing.halves.write_half() + self.scale_at % half;
            self.scales[at..at + lanes.len()].copy_from_slice(&lanes);
            self.scale_at = if last { 0 } else { self.scale_at + lanes.len() };
            scale_ends = last;
        }
        self.timing.clock([data_ends, scale_ends], added, word, taken[0]);
    }
}
