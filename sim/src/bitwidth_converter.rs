//! Packed chunks to operands, in time. Siblings: `golden`, `hw`, `tests/bitwidth_converter.rs`.

use crate::cosim::Bits;
use crate::cycle::{CreditPipe, Fifo};
use crate::matrix_fetcher::Chunk;
use spatten_arch::ArchConfig;
use spatten_arch::element::Element;
use spatten_arch::layout::{CHUNK_ELEMENTS, GRANULE_BYTES};
use spatten_golden::bitwidth_converter::operand;
use std::collections::VecDeque;

/// What a word holds: its bits, or nothing where only time matters.
pub trait Word: Clone {
    /// What a chunk becomes.
    type Operands: Clone;

    /// Operands of the chunk that begins `skip` granules into the first of its words.
    fn operands(words: &[Self], skip: usize, element: &Element, datapath_bits: u32) -> Self::Operands;

    /// As many zeros.
    fn zeros() -> Self::Operands;
}

impl Word for () {
    type Operands = ();
    fn operands(_: &[()], _: usize, _: &Element, _: u32) {}
    fn zeros() {}
}

impl Word for Bits {
    /// Two's complement in the low `datapath_bits`.
    type Operands = Box<[u16]>;

    fn operands(words: &[Self], skip: usize, element: &Element, datapath_bits: u32) -> Box<[u16]> {
        // A granule is one of the 32-bit words of `Bits`.
        let mut granules = words.iter().flat_map(|word| word.words()).skip(skip).copied();
        let (bits, mask) = (element.bits, (1u64 << element.bits) - 1);
        let (mut window, mut left) = (0u64, 0);
        let field = |_| {
            if left < bits {
                window |= u64::from(granules.next().expect("a chunk lies in its words")) << left;
                left += 32;
            }
            let field = (window & mask) as i32;
            window >>= bits;
            left -= bits;
            let field = if element.signed() { field << (32 - bits) >> (32 - bits) } else { field };
            (operand(*element, field, datapath_bits) & ((1 << datapath_bits) - 1)) as u16
        };
        (0..CHUNK_ELEMENTS).map(field).collect()
    }

    fn zeros() -> Box<[u16]> {
        [0; CHUNK_ELEMENTS].into()
    }
}

/// A beat of operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operands<O> {
    /// 32 of them; zeros where there was no chunk.
    pub data: O,
    /// There was one.
    pub live: bool,
    /// From the chunk.
    pub tag: u8,
    /// From the chunk.
    pub last: bool,
}

/// Jobs whose elements are known before their chunks come.
const ELEMENTS_KNOWN: usize = 16;
/// Cycles from taking a chunk to its operands, and places for those.
const OUT: (usize, usize) = (6, 8);

/// One lane's converter; see `hw::bitwidth_converter` for the streams.
///
/// # Timing   a chunk is taken where its element, its words and a place are there, and is on the output 6 cycles later
#[derive(Debug, Clone)]
pub struct BitwidthConverter<W: Word> {
    datapath_bits: u32,
    granules: usize,
    most: usize,
    elements: Fifo<Element>,
    chunks: Fifo<Chunk>,
    /// Words that no chunk has touched.
    held: VecDeque<W>,
    /// The word in which the chunk before ended, and where.
    open: Option<W>,
    end: usize,
    touched: Vec<W>,
    out: CreditPipe<Operands<W::Operands>>,
}

impl<W: Word> BitwidthConverter<W> {
    /// For one lane of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let granules = config.channel_bytes / GRANULE_BYTES;
        let most_touched = (granules - 1 + config.datapath_bits as usize).div_ceil(granules);
        Self {
            datapath_bits: config.datapath_bits,
            granules,
            most: (most_touched + 2).next_power_of_two() - 1,
            elements: Fifo::new(ELEMENTS_KNOWN),
            chunks: Fifo::new(2),
            held: VecDeque::new(),
            open: None,
            end: 0,
            touched: Vec::with_capacity(most_touched),
            out: CreditPipe::new(OUT.0, OUT.1),
        }
    }

    /// A job's element would be accepted.
    pub fn element_ready(&self) -> bool {
        self.elements.ready()
    }

    /// A chunk would be accepted.
    pub fn chunk_ready(&self) -> bool {
        self.chunks.ready()
    }

    /// A word would be accepted.
    pub fn word_ready(&self) -> bool {
        self.held.len() < self.most
    }

    /// The operands that are there.
    pub fn output(&self) -> Option<&Operands<W::Operands>> {
        self.out.front()
    }

    /// The chunk that goes in this cycle, and what its job's elements are.
    fn issued(&self) -> Option<(Chunk, Element)> {
        let (chunk, element) = (self.chunks.front()?, self.elements.front()?);
        let goes = self.out.ready() && self.held.len() >= chunk.words.into();
        goes.then_some((*chunk, *element))
    }

    fn convert(&mut self, chunk: &Chunk, element: &Element) -> W::Operands {
        let skip = if chunk.fresh { chunk.skip.into() } else { self.end };
        self.touched.clear();
        self.touched.extend(self.open.take().filter(|_| !chunk.fresh));
        self.touched.extend(self.held.drain(..usize::from(chunk.words)));
        if !chunk.live {
            return W::zeros();
        }
        let operands = W::operands(&self.touched, skip, element, self.datapath_bits);
        self.end = (skip + element.bits as usize) % self.granules;
        self.open = self.touched.pop();
        operands
    }

    /// One rising edge: what was accepted, and whether the operands are taken.
    pub fn clock(&mut self, element: Option<Element>, chunk: Option<Chunk>, word: Option<W>, taken: bool) {
        let issued = self.issued();
        let operands = issued.map(|(chunk, element)| {
            let data = self.convert(&chunk, &element);
            Operands { data, live: chunk.live, tag: chunk.tag, last: chunk.last }
        });
        self.out.clock(operands, taken);
        self.chunks.clock(chunk, issued.is_some());
        self.elements.clock(element, issued.is_some_and(|(chunk, _)| chunk.last));
        self.held.extend(word);
    }
}
