//! Packed planes in memory to operands on chip, and back. Siblings: `hw`, `sim`, `tests/bitwidth_converter.rs`.
//! Paper: SpAtten section IV-D.
//! Why: MSB and LSB planes lie in memory separately and contiguously, little-endian bit order, element 0 at bit 0, so that
//! a plane of any width streams as whole beats and the converter is one shifter per lane.
//! Differs from the paper: one plane at a time, see [`operand`]; operands are aligned to the top of the datapath, so that outputs of narrow plans keep their
//! fraction; an all-integer model cannot tell the difference (a power of two in the scale).

use spatten_arch::element::{Element, Reading};
use spatten_arch::plan::Split;

/// Packs the low `bits` of each value, element after element, least significant bit first; the last byte is filled with 0.
///
/// # Formats   two's complement in `bits` bits (1..=16)
/// # Panics   where a value does not fit as signed or unsigned `bits`-bit number
pub fn pack(values: impl IntoIterator<Item = i32>, bits: u32) -> Vec<u8> {
    assert!((1..=16).contains(&bits), "plane of {bits} bits, expected 1..=16");
    let mut bytes = Vec::new();
    let (mut word, mut filled) = (0u32, 0);
    for value in values {
        let (low, high) = (-(1i32 << (bits - 1)), (1i32 << bits) - 1);
        assert!((low..=high).contains(&value), "{value} in a plane of {bits} bits");
        word |= ((value as u32) & ((1 << bits) - 1)) << filled;
        filled += bits;
        while filled >= 8 {
            bytes.push(word as u8);
            word >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        bytes.push(word as u8);
    }
    bytes
}

/// Bytes of a plane of `count` elements.
pub fn plane_bytes(count: usize, bits: u32) -> usize {
    (count * bits as usize).div_ceil(8)
}

/// Element `index` of a plane, sign-extended if `signed`.
#[inline]
pub fn unpack(plane: &[u8], index: usize, bits: u32, signed: bool) -> i32 {
    let at = index * bits as usize;
    let byte = |i: usize| u32::from(plane.get(i).copied().unwrap_or(0));
    let word = byte(at / 8) | byte(at / 8 + 1) << 8 | byte(at / 8 + 2) << 16;
    let raw = (word >> (at % 8)) & ((1 << bits) - 1);
    if signed { ((raw << (32 - bits)) as i32) >> (32 - bits) } else { raw as i32 }
}

/// What an element of one plane is worth: the block's function, a plane at a time, because LSBs come later or never.
///
/// For every split, what MSBs are worth is [`Conversion::first`], and what MSBs and LSBs are worth adds up to
/// [`Conversion::full`] exactly. So LSBs that come later are added to the operands on chip; nothing else is kept of the MSBs.
///
/// # Formats   `field` S(bits-1).0 where `element.signed()`, otherwise U(bits).0 -> `arch::format::Formats::operand`
///
/// ```
/// use spatten_arch::{element::Element, plan::Split};
/// use spatten_golden::bitwidth_converter::operand;
/// // 8 + 4 bits, read as middles of cells, in a datapath of 12 bits: MSB 3 is 3 * 16 + 8, and LSB 5 is 5 - 8.
/// let [msb, lsb] = [Element::msb(8, 4, Split::Mid), Element::lsb(8, 4, Split::Mid)];
/// assert_eq!((operand(msb, 3, 12), operand(lsb, 5, 12)), (56, -3));
/// ```
#[inline]
pub fn operand(element: Element, field: i32, datapath_bits: u32) -> i32 {
    let halves = match element.reading {
        Reading::Signed | Reading::Unsigned => 2 * field,
        Reading::Middle => 2 * field + 1,
        Reading::Centred => 2 * field - (1 << element.bits),
    };
    // A half is left only where bits are missing below.
    (halves << (datapath_bits - element.above - element.bits)) >> 1
}

/// How the planes of one tensor become operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversion {
    /// Bits of the MSB plane (or of the only one).
    pub msb_bits: u32,
    /// Bits of the LSB plane; 0 where there is none.
    pub lsb_bits: u32,
    /// Meaning of the planes.
    pub split: Split,
    /// Width of an operand.
    pub datapath_bits: u32,
}

impl Conversion {
    /// Left shift that aligns a value to the top of the datapath.
    pub fn align(&self) -> u32 {
        self.datapath_bits - self.msb_bits - self.lsb_bits
    }

    /// Operand from its MSB field alone.
    ///
    /// # Formats   `msb` S(msb_bits-1).0 -> `arch::format::Formats::operand`
    #[inline]
    pub fn first(&self, msb: i32) -> i32 {
        let half = if self.lsb_bits > 0 && self.split == Split::Mid { 1 << (self.lsb_bits - 1) } else { 0 };
        ((msb << self.lsb_bits) + half) << self.align()
    }

    /// Operand from both fields: the LSB field is signed in a balanced split, otherwise unsigned.
    #[inline]
    pub fn full(&self, msb: i32, lsb: i32) -> i32 {
        ((msb << self.lsb_bits) + lsb) << self.align()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantiser;
    use proptest::prelude::*;
    use spatten_testkit::Checks;

    proptest! {
        #[test]
        fn planes_unpack_to_what_was_packed(
            bits in 1u32..=16, signed: bool, raw in prop::collection::vec(any::<u16>(), 0..70)
        ) {
            let mask = (1u32 << bits) - 1;
            let values: Vec<i32> = raw.iter().map(|&r| {
                let field = u32::from(r) & mask;
                if signed { ((field << (32 - bits)) as i32) >> (32 - bits) } else { field as i32 }
            }).collect();
            let plane = pack(values.iter().copied(), bits);
            prop_assert_eq!(plane.len(), plane_bytes(values.len(), bits));
            for (i, &v) in values.iter().enumerate() {
                prop_assert_eq!(unpack(&plane, i, bits, signed), v);
            }
        }

        #[test]
        fn operands_from_planes_are_the_quantisers_readings(
            value in -119i32..=119, how in prop::sample::select(vec![Split::Floor, Split::Mid, Split::Balanced])
        ) {
            let c = Conversion { msb_bits: 4, lsb_bits: 4, split: how, datapath_bits: 12 };
            let (msb, lsb) = quantiser::split(value, 4, how);
            prop_assert_eq!(c.full(msb, lsb), value << 4);
            prop_assert_eq!(c.first(msb), quantiser::read_msb(msb, 4, how) << 4);
        }
    }

    #[test]
    fn planes_one_at_a_time_add_up_to_the_number() {
        let mut checks = Checks::new("operands_add_up");
        let fields = |bits: u32, signed: bool| {
            let low = if signed { -(1 << (bits - 1)) } else { 0 };
            low..low + (1 << bits)
        };
        let mut expected = 0;
        for datapath_bits in [4, 9, 12] {
            let widths = (1..=datapath_bits).flat_map(|m| (0..=datapath_bits - m).map(move |l| (m, l)));
            for (msb_bits, lsb_bits) in widths {
                for split in [Split::Floor, Split::Mid, Split::Balanced] {
                    let c = Conversion { msb_bits, lsb_bits, split, datapath_bits };
                    let (upper, lower) =
                        (Element::msb(msb_bits, lsb_bits, split), Element::lsb(msb_bits, lsb_bits, split));
                    expected += 1 << msb_bits;
                    for msb in fields(msb_bits, upper.signed()) {
                        let first = operand(upper, msb, datapath_bits);
                        checks.eq(first, c.first(msb), || format!("{c:?} {msb}"));
                        if lsb_bits == 0 {
                            let whole = operand(Element::whole(msb_bits), msb, datapath_bits);
                            assert_eq!((whole, first), (c.full(msb, 0), c.full(msb, 0)), "{c:?} {msb}");
                            continue;
                        }
                        expected += 1 << lsb_bits;
                        for lsb in fields(lsb_bits, lower.signed()) {
                            let delta = operand(lower, lsb, datapath_bits);
                            checks.eq(first + delta, c.full(msb, lsb), || format!("{c:?} {msb} {lsb}"));
                            assert!((-1i32 << (datapath_bits - 1)..1 << (datapath_bits - 1)).contains(&delta), "{c:?}");
                        }
                    }
                }
            }
        }
        checks.finish(expected);
    }

    #[test]
    fn twelve_bit_elements_pack_two_in_three_bytes() {
        assert_eq!(pack([0x123, -1], 12), [0x23, 0xf1, 0xff]);
        assert_eq!(unpack(&[0x23, 0xf1, 0xff], 1, 12, true), -1);
    }

    #[test]
    #[should_panic(expected = "300 in a plane of 8 bits")]
    fn a_value_that_does_not_fit_is_refused() {
        pack([300], 8);
    }
}
