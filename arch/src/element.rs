//! What the bits of a plane's element are worth as an operand: the one thing that the converter has to know about a job.
//! Paper: SpAtten sections III-D (MSBs first, LSBs where they are needed) and IV-D.

use crate::plan::Split;

/// How the bits of an element are read. Numbers are what stands on wires: bit 0 is half a cell, bit 1 no sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// Two's complement.
    Signed = 0,
    /// Two's complement and half of the lowest bit: MSBs as the middle of their cell.
    Middle = 1,
    /// Unsigned.
    Unsigned = 2,
    /// Unsigned less half of the range: what LSBs add to the middle of their cell.
    Centred = 3,
}

/// Bits of a code of [`Reading`].
pub const READING_BITS: usize = 2;

/// An element of one plane. Operands are aligned to the top of the datapath: the element is followed by zeros there and
/// preceded by `above` bits, which are its sign.
///
/// What it is worth: `golden::bitwidth_converter::operand`. MSBs and LSBs of a number add up to the number, whatever the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Element {
    /// Its bits.
    pub bits: u32,
    /// Bits of the number that lie above them, in another plane.
    pub above: u32,
    /// How they are read.
    pub reading: Reading,
}

impl Element {
    /// A whole number.
    pub fn whole(bits: u32) -> Self {
        Self { bits, above: 0, reading: Reading::Signed }
    }

    /// The MSBs of a number whose `lsb_bits` others are elsewhere.
    pub fn msb(bits: u32, lsb_bits: u32, split: Split) -> Self {
        let middle = split == Split::Mid && lsb_bits > 0;
        Self { bits, above: 0, reading: if middle { Reading::Middle } else { Reading::Signed } }
    }

    /// The LSBs that belong to MSBs of `msb_bits`: what they add to what those were read as.
    pub fn lsb(msb_bits: u32, bits: u32, split: Split) -> Self {
        let reading = match split {
            Split::Floor => Reading::Unsigned,
            Split::Mid => Reading::Centred,
            Split::Balanced => Reading::Signed,
        };
        Self { bits, above: msb_bits, reading }
    }

    /// Whether the field is in two's complement.
    pub fn signed(&self) -> bool {
        matches!(self.reading, Reading::Signed | Reading::Middle)
    }
}
