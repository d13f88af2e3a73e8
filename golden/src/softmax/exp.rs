//! `2^-x` by a chord table and a shift. Part of `softmax`.
//! Paper: section IV-F (there a 5th-order Taylor polynomial).

use spatten_arch::format::{EXP_FRACTION, EXP_STORED_FRACTION, LOGIT_FRACTION};
use spatten_arch::rom::{EXP, EXP_INDEX_BITS};

const LOW_BITS: u32 = LOGIT_FRACTION - EXP_INDEX_BITS;

/// f64: `2^-x`
pub fn reference(x: f64) -> f64 {
    (-x).exp2()
}

/// # Formats   `exp_argument` -> `exp`
/// # Error   chord +1.5e-5 relative, rounding 2^-24 before and 2^-25 after the shift
#[inline]
pub fn fixed(argument: u32) -> u32 {
    let whole = argument >> LOGIT_FRACTION;
    let index = (argument >> LOW_BITS) as usize & ((1 << EXP_INDEX_BITS) - 1);
    let low = argument & ((1 << LOW_BITS) - 1);
    let slope = EXP[index] - EXP[index + 1];
    let value = EXP[index] - ((slope * low + (1 << (LOW_BITS - 1))) >> LOW_BITS);
    match whole {
        0 => value,
        1..=25 => ((value >> (whole - 1)) + 1) >> 1,
        _ => 0,
    }
}

/// The exponential as it waits for the sum: rounded half up.
///
/// # Formats   `exp` -> `exp_stored`
#[inline]
pub fn stored(exp: u32) -> u32 {
    const SHIFT: u32 = EXP_FRACTION - EXP_STORED_FRACTION;
    (exp + (1 << (SHIFT - 1))) >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;
    use spatten_testkit::Checks;

    /// Chord of 64 segments: (1/64)^2 / 8 * ln(2)^2 relative; two roundings of half a unit of 2^-24.
    const CHORD: f64 = 0.4805 / (64.0 * 64.0 * 8.0);

    #[test]
    fn every_argument_is_within_the_bound_and_monotone() {
        let mut checks = Checks::new("exp_exhaustive");
        let mut last = u32::MAX;
        let end = 28u32 << LOGIT_FRACTION;
        for argument in 0..end {
            let exact = reference(f64::from(argument) / f64::from(1u32 << LOGIT_FRACTION));
            let value = fixed(argument);
            let tolerance = exact * CHORD + (-24f64).exp2() + (-25f64).exp2();
            checks.near(f64::from(value) * (-24f64).exp2(), exact, tolerance, || format!("argument {argument}"));
            assert!(value <= last, "not monotone at {argument}");
            last = value;
        }
        checks.finish(u64::from(end));
    }

    #[test]
    fn zero_is_exactly_one_and_far_is_zero() {
        assert_eq!((fixed(0), stored(fixed(0))), (1 << EXP_FRACTION, 1 << EXP_STORED_FRACTION));
        assert_eq!(fixed((1 << 24) - 1), 0);
        assert_eq!(fixed(25 << LOGIT_FRACTION), 1, "2^-25 rounds up to one unit of 2^-24");
        assert_eq!(fixed((25 << LOGIT_FRACTION) + 300), 0);
    }
}
