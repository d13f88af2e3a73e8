//! Beats of `matrix_fetcher` and of what is behind it, as their ports are.

use super::memory::{Memory, Plane};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::element::{Element, READING_BITS};
use spatten_arch::layout::{ADDRESS_BITS, GRANULE_BYTES, TOKEN_BITS};
use spatten_arch::plan::Split;
use spatten_hw::matrix_fetcher::TAG_BITS;
use spatten_sim::cosim::{Bits, Field, bits_for};
use spatten_sim::matrix_fetcher::{Chunk, Request, Tokens, id_bits};
use spatten_testkit::Rng;

/// Widths of the ports.
#[derive(Debug, Clone, Copy)]
pub struct Widths {
    pub lanes: usize,
    pub bits: u32,
    pub slot: u32,
    pub id: u32,
    pub skip: u32,
    pub words: u32,
}

impl Widths {
    pub fn of(config: &ArchConfig) -> Self {
        let granules = config.channel_bytes / GRANULE_BYTES;
        let slot = bits_for(config.words_in_flight - 1) + 1;
        Self {
            lanes: config.channels,
            bits: bits_for(config.datapath_bits as usize),
            slot,
            id: id_bits(config),
            skip: bits_for(granules - 1),
            words: bits_for((granules - 1 + config.datapath_bits as usize).div_ceil(granules)),
        }
    }

    pub fn tokens(&self, tokens: &Tokens) -> Vec<Field> {
        // Further ones mean nothing.
        let mut index = vec![0x5a5a; self.lanes];
        index.iter_mut().zip(&tokens.index).for_each(|(to, &token)| *to = token.into());
        vec![
            Field::lanes("index", &index, TOKEN_BITS as u32),
            Field::value("count", tokens.index.len() as u64, bits_for(self.lanes)),
            Field::flag("last", tokens.last),
        ]
    }

    pub fn request(&self, request: &Request) -> Vec<Field> {
        vec![
            Field::value("address", request.address.into(), ADDRESS_BITS as u32),
            Field::value("id", request.id.into(), self.id),
        ]
    }

    pub fn response(&self, id: u32, data: &Bits) -> Vec<Field> {
        vec![Field::value("id", id.into(), self.id), Field::bits("data", data.clone())]
    }

    pub fn chunk(&self, chunk: &Chunk) -> Vec<Field> {
        vec![
            Field::flag("live", chunk.live),
            Field::flag("fresh", chunk.fresh),
            Field::value("skip", chunk.skip.into(), self.skip),
            Field::value("words", chunk.words.into(), self.words),
            Field::value("tag", chunk.tag.into(), TAG_BITS as u32),
            Field::flag("last", chunk.last),
        ]
    }

    pub fn element(&self, element: &Element) -> Vec<Field> {
        vec![
            Field::value("bits", element.bits.into(), self.bits),
            Field::value("above", element.above.into(), self.bits),
            Field::value("reading", element.reading as u64, READING_BITS as u32),
        ]
    }
}

/// Every element that a datapath admits: whole numbers, and MSBs and LSBs of every split.
pub fn elements(datapath_bits: u32) -> Vec<Element> {
    let mut all: Vec<Element> = (1..=datapath_bits).map(Element::whole).collect();
    let widths = (1..datapath_bits).flat_map(|msb| (1..=datapath_bits - msb).map(move |lsb| (msb, lsb)));
    for (msb, lsb) in widths {
        for split in [Split::Floor, Split::Mid, Split::Balanced] {
            for element in [Element::msb(msb, lsb, split), Element::lsb(msb, lsb, split)] {
                if !all.contains(&element) {
                    all.push(element);
                }
            }
        }
    }
    all
}

/// A job and its tokens.
#[derive(Debug, Clone)]
pub struct Listed {
    pub plane: Plane,
    pub tag: u8,
    pub tokens: Vec<u16>,
}

impl Listed {
    /// Its beats of tokens; without tokens, one of none.
    pub fn beats(&self, lanes: usize) -> Vec<Tokens> {
        Tokens::beats(&self.tokens, lanes)
    }

    /// Row and part of chunk `x` of the job.
    pub fn chunk(&self, x: usize) -> Option<(usize, usize)> {
        let split = self.plane.split();
        Some((usize::from(*self.tokens.get(x >> split)?), x & ((1 << split) - 1)))
    }

    /// Steps of a chunk per lane.
    pub fn steps(&self, lanes: usize) -> usize {
        (self.tokens.len() << self.plane.split()).div_ceil(lanes).max(1)
    }
}

/// Planes of all widths and dimensions, one of `elements` each. They do not overlap; the first one wraps around the end of
/// the addresses.
pub fn planes(elements: &[Element], rng: &mut Rng) -> Vec<Plane> {
    let all = elements.iter().flat_map(|&element| HEAD_DIMS.map(|dim| (element, dim)));
    let room = (1u64 << ADDRESS_BITS) / (elements.len() * HEAD_DIMS.len()) as u64;
    let plane = |(number, (element, dim)): (usize, (Element, usize))| {
        let base = (number as u64 * room) as u32;
        Plane { base: base.wrapping_sub(1 + rng.below(8) as u32), element, dim, salt: rng.bits() }
    };
    all.enumerate().map(plane).collect()
}

/// Jobs of all shapes, until their chunks have at least `granules` granules; their rows are written to `memory`.
pub fn jobs(planes: &[Plane], granules: usize, memory: &mut Memory, rng: &mut Rng) -> Vec<Listed> {
    let (mut listed, mut total): (Vec<Listed>, usize) = (vec![], 0);
    while total < granules {
        // Now and then a job goes on where the one before ended.
        let goes_on = listed.last().filter(|_| rng.below(8) == 0).and_then(|l| Some((l.plane, *l.tokens.last()?)));
        let plane = goes_on.map_or(planes[rng.below(planes.len() as u64) as usize], |(plane, _)| plane);
        let first = rng.below(1 << TOKEN_BITS) as u16;
        let most = if rng.below(8) == 0 { 400 } else { 40 };
        let count = 1 + rng.below(most) as usize;
        let tokens: Vec<u16> = match (goes_on, rng.below(8)) {
            (Some((_, last)), _) => (1..=count as u16).map(|i| last.wrapping_add(i)).collect(),
            (_, 0) => vec![first],
            (_, 1) => vec![],
            // Dense, from anywhere.
            (_, 2 | 3) => (0..count).map(|i| first.saturating_sub(100) + i as u16).collect(),
            // With gaps.
            (_, 4 | 5) => {
                let mut tokens: Vec<u16> = (0..count).map(|_| rng.below(200) as u16).collect();
                tokens.sort_unstable();
                tokens.dedup();
                tokens
            }
            // In any order, some twice.
            (_, 6) => (0..count).map(|_| rng.below(30) as u16).collect(),
            _ => (0..count).map(|_| rng.below(1 << TOKEN_BITS) as u16).collect(),
        };
        tokens.iter().for_each(|&token| memory.write(&plane, token.into()));
        total += (tokens.len() << plane.split()) * plane.element.bits as usize;
        listed.push(Listed { plane, tag: rng.below(1 << TAG_BITS) as u8, tokens });
    }
    listed
}
