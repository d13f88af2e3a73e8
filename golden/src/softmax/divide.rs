//! Exponentials to probabilities: one reciprocal per row, one multiplication per key. Part of `softmax`.
//! Paper: section IV-F (there a divider).

use spatten_arch::format::{
    EXP_FRACTION, EXP_STORED_FRACTION, INCREMENT_FRACTION, PROBABILITY_FRACTION, RECIPROCAL_FRACTION,
    RECIPROCAL_TABLE_FRACTION,
};
use spatten_arch::rom::{RECIPROCAL, RECIPROCAL_INDEX_BITS};

/// Bits of the normalised sum that are looked at below the leading one.
const SUM_FRACTION: u32 = 17;
const LOW_BITS: u32 = SUM_FRACTION - RECIPROCAL_INDEX_BITS;

/// f64
pub fn reference(exp: f64, sum: f64) -> f64 {
    exp / sum
}

/// `1 / s` of a normalised number `1 <= s < 2`, U1.17 -> `reciprocal`.
#[inline]
pub fn reciprocal(s: u32) -> u32 {
    let index = (s >> LOW_BITS) as usize & ((1 << RECIPROCAL_INDEX_BITS) - 1);
    let low = s & ((1 << LOW_BITS) - 1);
    let slope = RECIPROCAL[index] - RECIPROCAL[index + 1];
    let value = RECIPROCAL[index] - ((slope * low + (1 << (LOW_BITS - 1))) >> LOW_BITS);
    const SHIFT: u32 = RECIPROCAL_TABLE_FRACTION - RECIPROCAL_FRACTION;
    (value + (1 << (SHIFT - 1))) >> SHIFT
}

/// What a row is divided by: `reciprocal * 2^-exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Divisor {
    /// `arch::format::Formats::reciprocal`
    pub reciprocal: u32,
    /// floor(log2(sum)), 0..=13.
    pub exponent: u32,
}

impl Divisor {
    /// # Formats   `exp_sum`, at least 1.0 (the row maximum's own exponential)
    /// # Panics   where the sum is below 1.0
    #[track_caller]
    pub fn new(sum: u64) -> Self {
        assert!(sum >= 1 << EXP_FRACTION, "sum {sum:#x} is below 1.0");
        let exponent = sum.ilog2() - EXP_FRACTION;
        Self { reciprocal: reciprocal((sum >> (exponent + EXP_FRACTION - SUM_FRACTION)) as u32), exponent }
    }

    #[inline]
    fn divide(self, exp_stored: u32, fraction: u32) -> u32 {
        let shift = EXP_STORED_FRACTION + RECIPROCAL_FRACTION + self.exponent - fraction;
        ((u64::from(exp_stored) * u64::from(self.reciprocal) + (1 << (shift - 1))) >> shift) as u32
    }

    /// # Formats   `exp_stored` -> `probability`, rounded half up
    #[inline]
    pub fn probability(self, exp_stored: u32) -> u32 {
        self.divide(exp_stored, PROBABILITY_FRACTION)
    }

    /// # Formats   `exp_stored` -> `importance_increment`, rounded half up from the same product
    #[inline]
    pub fn increment(self, exp_stored: u32) -> u32 {
        self.divide(exp_stored, INCREMENT_FRACTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spatten_testkit::Checks;

    #[test]
    fn every_reciprocal_is_within_two_to_minus_16() {
        let mut checks = Checks::new("reciprocal_exhaustive");
        for s in 1u32 << SUM_FRACTION..2 << SUM_FRACTION {
            let exact = f64::from(1u32 << SUM_FRACTION) / f64::from(s);
            checks.near(f64::from(reciprocal(s)) * (-17f64).exp2(), exact, (-16f64).exp2(), || format!("s {s}"));
        }
        checks.finish(1 << SUM_FRACTION);
    }

    #[test]
    fn one_is_exact() {
        let d = Divisor::new(1 << EXP_FRACTION);
        assert_eq!(d, Divisor { reciprocal: 1 << 17, exponent: 0 });
        assert_eq!((d.probability(1 << 17), d.increment(1 << 17)), (4096, 65536));
        assert_eq!(reference(1.0, 4.0), 0.25);
    }

    #[test]
    #[should_panic(expected = "below 1.0")]
    fn a_sum_below_one_cannot_happen() {
        Divisor::new(5);
    }
}
