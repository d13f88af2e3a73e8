//! Card memory for tests of what reads it: rows of packed planes where `arch::layout` says, random bits everywhere else; and
//! how late its answers come.

use spatten_arch::ArchConfig;
use spatten_arch::element::Element;
use spatten_arch::layout::{CHUNK_ELEMENTS, GRANULE_BYTES, Layout};
use spatten_golden::bitwidth_converter::pack;
use spatten_testkit::Rng;
use std::collections::{HashMap, VecDeque};

/// A plane: where it begins, and what it holds.
#[derive(Debug, Clone, Copy)]
pub struct Plane {
    /// Word at which it begins, on every channel.
    pub base: u32,
    /// What its elements are.
    pub element: Element,
    /// Elements of a row.
    pub dim: usize,
    /// Which ones.
    pub salt: u64,
}

impl Plane {
    /// log2(chunks of a row).
    pub fn split(&self) -> u32 {
        (self.dim / CHUNK_ELEMENTS).max(1).ilog2()
    }

    /// The field of an element; behind the row's last one (`dim` 16), padding.
    pub fn field(&self, row: usize, at: usize) -> i32 {
        let bits = self.element.bits;
        let mut rng = Rng::new(self.salt ^ (row as u64) << 8 ^ at as u64);
        // The ends of the range are where a sign goes wrong.
        let raw = match rng.below(8) {
            0 => 1 << (bits - 1),
            1 => (1 << (bits - 1)) - 1,
            _ => rng.below(1 << bits) as i32,
        };
        if self.element.signed() && raw >> (bits - 1) > 0 { raw - (1 << bits) } else { raw }
    }

    /// A chunk of a row, as it lies in memory.
    pub fn chunk(&self, row: usize, chunk: usize) -> Vec<u8> {
        let at = chunk * CHUNK_ELEMENTS;
        pack((at..at + CHUNK_ELEMENTS).map(|i| self.field(row, i)), self.element.bits)
    }
}

/// Memory that holds the rows that were written.
#[derive(Debug, Clone)]
pub struct Memory {
    config: ArchConfig,
    words: HashMap<(usize, u32), Vec<u8>>,
    rng: Rng,
}

impl Memory {
    pub fn new(config: &ArchConfig, seed: u64) -> Self {
        Self { config: config.clone(), words: HashMap::new(), rng: Rng::new(seed) }
    }

    /// Puts a row of a plane where it belongs.
    pub fn write(&mut self, plane: &Plane, row: usize) {
        let layout = Layout::new(&self.config, plane.dim, plane.element.bits as usize);
        let size = self.config.channel_bytes;
        for chunk in 0..layout.chunks() {
            let (channel, granule) = layout.place(row, chunk);
            for (i, byte) in plane.chunk(row, chunk).into_iter().enumerate() {
                let at = granule * GRANULE_BYTES + i;
                let word = plane.base.wrapping_add((at / size) as u32);
                let rng = &mut self.rng;
                let fresh = || (0..size).map(|_| rng.bits() as u8).collect::<Vec<u8>>();
                self.words.entry((channel, word)).or_insert_with(fresh)[at % size] = byte;
            }
        }
    }

    /// A word in which something was written: nothing else has to be read.
    #[track_caller]
    pub fn read(&self, channel: usize, address: u32) -> &[u8] {
        let word = self.words.get(&(channel, address));
        word.unwrap_or_else(|| panic!("word {address:#x} of channel {channel} holds nothing that was listed"))
    }
}

/// How late, and on which channel, memory answers.
#[derive(Debug, Clone, Copy)]
pub enum Answers {
    /// After so many cycles, in order.
    After(u64),
    /// After up to so many cycles, in any order.
    Within(u64),
    /// The same, on any channel.
    Anywhere(u64),
}

impl Answers {
    /// Cycle and channel of an answer to what was asked for in `cycle` on `channel`.
    pub fn to(self, cycle: u64, channel: usize, channels: usize, rng: &mut Rng) -> (u64, usize) {
        match self {
            Self::After(cycles) => (cycle + cycles, channel),
            Self::Within(cycles) => (cycle + 1 + rng.below(cycles), channel),
            Self::Anywhere(cycles) => (cycle + 1 + rng.below(cycles), rng.below(channels as u64) as usize),
        }
    }
}

/// Puts a beat into a queue by its cycle; whether it overtakes another.
pub fn insert<T>(queue: &mut VecDeque<(u64, T)>, cycle: u64, beat: T) -> bool {
    let at = queue.partition_point(|(due, _)| *due <= cycle);
    let overtakes = at < queue.len();
    queue.insert(at, (cycle, beat));
    overtakes
}
