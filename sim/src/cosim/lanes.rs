//! Values wider than a machine word, and lanes packed into them: lane 0 in the lowest bits, as the emitter packs ports.

use std::fmt;

/// Bits that hold the values `0..=max`; at least 1.
pub fn bits_for(max: usize) -> u32 {
    (usize::BITS - max.leading_zeros()).max(1)
}

/// A row in beats of up to `lanes`, and whether each is its last one; a row of none is one beat of none.
pub fn beats<T: Clone>(row: &[T], lanes: usize) -> Vec<(Vec<T>, bool)> {
    let count = row.len().div_ceil(lanes).max(1);
    (0..count).map(|i| (row.iter().skip(i * lanes).take(lanes).cloned().collect(), i + 1 == count)).collect()
}

/// Bits of a lane of any width, of words as a port holds them.
pub fn part(words: &[u32], at: usize, width: usize) -> Bits {
    let word = |low: usize| {
        let pair = u64::from(words[low / 32]) | u64::from(words.get(low / 32 + 1).copied().unwrap_or(0)) << 32;
        (pair >> (low % 32)) as u32
    };
    let mut found: Vec<u32> = (0..width.div_ceil(32)).map(|i| word(at + 32 * i)).collect();
    if let (Some(top), used @ 1..) = (found.last_mut(), width % 32) {
        *top &= (1 << used) - 1;
    }
    Bits::from_words(found, width as u32)
}

/// Puts a value into a lane that holds 0.
pub fn put(words: &mut [u32], at: usize, value: &[u32]) {
    for (i, word) in value.iter().enumerate() {
        let low = at + 32 * i;
        words[low / 32] |= word << (low % 32);
        if !low.is_multiple_of(32) && low / 32 + 1 < words.len() {
            words[low / 32 + 1] |= word >> (32 - low % 32);
        }
    }
}

/// A value of up to any number of bits, as it stands on a port: 32-bit words, the lowest first, nothing above the width.
///
/// ```
/// use spatten_sim::cosim::Bits;
/// let bits = Bits::from_signed_lanes(&[-1, 5, -2048], 12);
/// assert_eq!((bits.width(), bits.lane(0, 12), bits.signed_lane(2, 12)), (36, 0xfff, -2048));
/// assert_eq!(bits.to_string(), "0x800005fff");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bits {
    words: Vec<u32>,
    width: u32,
}

impl Bits {
    /// Zero.
    pub fn zero(width: u32) -> Self {
        Self { words: vec![0; width.div_ceil(32) as usize], width }
    }

    /// An unsigned value; widths above 64 are extended with zeros.
    ///
    /// # Panics
    /// Where the value does not fit.
    #[track_caller]
    pub fn new(value: u64, width: u32) -> Self {
        assert_fits(value, width);
        let mut bits = Self::zero(width);
        bits.or_at(0, value);
        bits
    }

    /// Bytes, the lowest first.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let lanes: Vec<u64> = bytes.iter().map(|&byte| byte.into()).collect();
        Self::from_lanes(&lanes, 8)
    }

    /// Words as a port holds them.
    ///
    /// # Panics
    /// Where their number is not that of the width, or a bit above the width is set.
    #[track_caller]
    pub fn from_words(words: Vec<u32>, width: u32) -> Self {
        assert_eq!(words.len(), width.div_ceil(32) as usize, "words of a value of {width} bits");
        if let (Some(&top), used @ 1..) = (words.last(), width % 32) {
            assert_eq!(top >> used, 0, "bits above width {width} in top word {top:#010x}");
        }
        Self { words, width }
    }

    /// Lanes of `lane_width` bits (1 to 64), lane 0 lowest.
    ///
    /// # Panics
    /// Where a lane does not fit.
    #[track_caller]
    pub fn from_lanes(lanes: &[u64], lane_width: u32) -> Self {
        let mut bits = Self::zero(lanes.len() as u32 * lane_width);
        for (i, &lane) in lanes.iter().enumerate() {
            assert_fits(lane, lane_width);
            bits.or_at(i as u32 * lane_width, lane);
        }
        bits
    }

    /// Lanes in two's complement of `lane_width` bits (1 to 64), lane 0 lowest.
    ///
    /// # Panics
    /// Where a lane does not fit.
    #[track_caller]
    pub fn from_signed_lanes(lanes: &[i64], lane_width: u32) -> Self {
        let mut bits = Self::zero(lanes.len() as u32 * lane_width);
        for (i, &lane) in lanes.iter().enumerate() {
            assert_eq!(
                sign_extend(lane as u64 & mask(lane_width), lane_width),
                lane,
                "signed value in {lane_width} bits"
            );
            bits.or_at(i as u32 * lane_width, lane as u64 & mask(lane_width));
        }
        bits
    }

    /// Number of bits.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The words, lowest first.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Lane `index` of lanes of `lane_width` bits (1 to 64).
    ///
    /// # Panics
    /// Where the lane is not inside the value.
    #[track_caller]
    pub fn lane(&self, index: usize, lane_width: u32) -> u64 {
        let low = index as u32 * lane_width;
        assert!(
            (1..=64).contains(&lane_width) && low + lane_width <= self.width,
            "lane {index} x {lane_width} of {self:?}"
        );
        let word = |at: u32| u128::from(self.words.get(at as usize).copied().unwrap_or(0));
        let window = word(low / 32) | word(low / 32 + 1) << 32 | word(low / 32 + 2) << 64;
        (window >> (low % 32)) as u64 & mask(lane_width)
    }

    /// The same in two's complement.
    ///
    /// # Panics
    /// Where the lane is not inside the value.
    #[track_caller]
    pub fn signed_lane(&self, index: usize, lane_width: u32) -> i64 {
        sign_extend(self.lane(index, lane_width), lane_width)
    }

    /// All lanes.
    ///
    /// # Panics
    /// Where the width is not a whole number of lanes.
    #[track_caller]
    pub fn lanes(&self, lane_width: u32) -> Vec<u64> {
        assert_eq!(self.width % lane_width, 0, "lanes of {lane_width} in {} bits", self.width);
        (0..(self.width / lane_width) as usize).map(|i| self.lane(i, lane_width)).collect()
    }

    /// All lanes in two's complement.
    ///
    /// # Panics
    /// Where the width is not a whole number of lanes.
    #[track_caller]
    pub fn signed_lanes(&self, lane_width: u32) -> Vec<i64> {
        self.lanes(lane_width).into_iter().map(|lane| sign_extend(lane, lane_width)).collect()
    }

    fn or_at(&mut self, low: u32, value: u64) {
        let window = u128::from(value) << (low % 32);
        for (i, word) in self.words.iter_mut().skip((low / 32) as usize).take(3).enumerate() {
            *word |= (window >> (32 * i)) as u32;
        }
    }
}

/// Ones in the lowest `width` bits (at most 64).
pub(crate) fn mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

/// The lowest `width` bits (1 to 64) as two's complement.
pub(crate) fn sign_extend(value: u64, width: u32) -> i64 {
    ((value << (64 - width)) as i64) >> (64 - width)
}

#[track_caller]
fn assert_fits(value: u64, width: u32) {
    assert!(value & !mask(width) == 0, "{value:#x} does not fit into {width} bits");
}

impl fmt::Display for Bits {
    /// Hexadecimal, with all leading zeros of the width.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: String = self.words.iter().rev().map(|w| format!("{w:08x}")).collect();
        let shown = (self.width.div_ceil(4) as usize).max(1);
        let digits = if digits.is_empty() { "0" } else { &digits };
        write!(f, "0x{}", &digits[digits.len() - shown..])
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'{self}", self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spatten_testkit::{Checks, Rng};

    #[test]
    fn lanes_of_every_width_come_back() {
        let (mut checks, mut rng) = (Checks::new("lanes_of_every_width_come_back"), Rng::new(1));
        for width in 1..=64 {
            for count in [1, 2, 7, 64] {
                let lanes: Vec<u64> = (0..count).map(|_| rng.bits() & mask(width)).collect();
                let signed: Vec<i64> = lanes.iter().map(|&lane| sign_extend(lane, width)).collect();
                let bits = Bits::from_lanes(&lanes, width);
                checks.eq(bits.lanes(width), lanes, || format!("width {width} count {count}"));
                checks.eq(&Bits::from_signed_lanes(&signed, width), &bits, || format!("width {width} count {count}"));
                checks.eq(bits.signed_lanes(width), signed, || format!("width {width} count {count}"));
                let again = Bits::from_words(bits.words().to_vec(), width * count);
                checks.eq(again, bits, || format!("width {width} count {count}"));
            }
        }
        checks.finish(64 * 4 * 4);
    }

    #[test]
    fn hexadecimal_shows_every_digit_of_the_width() {
        let shown = [(Bits::new(5, 1 + 64), 17), (Bits::new(5, 12), 3), (Bits::zero(768), 192), (Bits::zero(0), 1)];
        for (bits, digits) in shown {
            assert_eq!(bits.to_string().len(), 2 + digits, "{bits:?}");
        }
        assert_eq!(Bits::new(0x3fa, 16).to_string(), "0x03fa");
    }

    #[test]
    #[should_panic(expected = "0x1000 does not fit into 12 bits")]
    fn a_lane_that_does_not_fit_is_refused() {
        Bits::from_lanes(&[1, 0x1000], 12);
    }

    #[test]
    #[should_panic(expected = "signed value in 12 bits")]
    fn a_signed_lane_that_does_not_fit_is_refused() {
        Bits::from_signed_lanes(&[2048], 12);
    }

    #[test]
    #[should_panic(expected = "bits above width 33")]
    fn bits_above_the_width_are_refused() {
        Bits::from_words(vec![0, 2], 33);
    }
}
