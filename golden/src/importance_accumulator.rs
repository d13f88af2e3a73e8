//! Cumulative scores of tokens and heads. Siblings: `hw`, `sim`, `tests/importance_accumulator.rs`.
//! Paper: SpAtten sections III-A, III-B.
//! Differs from the paper: sums saturate instead of wrapping, and a probability enters with 16 fraction bits, because up to
//! a fifth of a real model's probabilities are below 2^-12 and would vanish from the sums that decide what is pruned.

use crate::dot_product::ScaleFactor;
use crate::softmax::divide;
use spatten_arch::format::{
    DECAY_FRACTION, Format, INCREMENT_FRACTION, MEAN_FRACTION, VALUE_NORM_FRACTION, round_shift,
};

/// f64: `sum + increment`
pub fn reference(sum: f64, increment: f64) -> f64 {
    sum + increment
}

/// # Formats   `token_importance` or `head_importance`; the flag says that it saturated
#[inline]
pub fn fixed(sum: u64, increment: u64, format: &Format) -> (u64, bool) {
    let cap = format.max_raw() as u64;
    let new = sum.saturating_add(increment);
    if new > cap { (cap, true) } else { (new, false) }
}

/// Increment of a token in `value_weighted` mode.
///
/// # Formats   `importance_increment` * `value_norm` -> `weighted_increment`
#[inline]
pub fn weighted(increment: u32, value_norm: u32) -> u64 {
    round_shift(i64::from(increment) * i64::from(value_norm), VALUE_NORM_FRACTION) as u64
}

/// Increment of a head from one row of outputs.
///
/// # Formats   `output [D]` -> `head_importance`
#[inline]
pub fn head_increment(output: &[i32], factor: ScaleFactor) -> u64 {
    let sum: i64 = output.iter().map(|o| i64::from(o.abs())).sum();
    factor.apply(sum) as u64
}

/// Sum after the decay of one generation step.
#[inline]
pub fn decay(sum: u64, gamma: u32) -> u64 {
    round_shift((sum as i64) * i64::from(gamma), DECAY_FRACTION) as u64
}

/// `gamma` as the descriptor carries it.
pub fn decay_factor(gamma: f64) -> u32 {
    (gamma * f64::from(1u32 << DECAY_FRACTION)).round() as u32
}

/// Sum divided by the number of rows that could see the token, with the reciprocal of `softmax`; 0 for no rows.
///
/// # Formats   `token_importance` -> `token_mean`
#[inline]
pub fn mean(sum: u64, rows: u64, format: &Format) -> (u64, bool) {
    const REMAINING: u32 = MEAN_FRACTION - INCREMENT_FRACTION;
    if rows == 0 {
        return (0, false);
    }
    let exponent = rows.ilog2();
    let normalised = if exponent <= 17 { rows << (17 - exponent) } else { rows >> (exponent - 17) };
    let product = (u128::from(sum) * u128::from(divide::reciprocal(normalised as u32))) << REMAINING;
    let shift = 17 + exponent;
    let mean = (product + (1 << (shift - 1))) >> shift;
    let (value, saturated) = format.saturate(i64::try_from(mean).unwrap_or(i64::MAX));
    (value as u64, saturated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use spatten_arch::{ArchConfig, format::Formats};

    #[test]
    fn sums_saturate_and_say_so() {
        let f = Formats::new(&ArchConfig::paper()).token_importance;
        let cap = f.max_raw() as u64;
        assert_eq!(fixed(cap - 1, 1, &f), (cap, false));
        assert_eq!(fixed(cap, 1, &f), (cap, true));
        assert_eq!(fixed(cap, 0, &f), (cap, false));
        assert_eq!(fixed(u64::MAX, 9, &f), (cap, true));
    }

    proptest! {
        #[test]
        fn mean_is_within_two_to_minus_15(sum in 0u64..1 << 36, rows in 1u64..1 << 24) {
            let f = Formats::new(&ArchConfig::paper()).token_mean;
            let (raw, saturated) = mean(sum, rows, &f);
            let exact = sum as f64 / 65536.0 / rows as f64;
            if exact < 31.9 {
                prop_assert!(!saturated);
                prop_assert!((f.value(raw as i64) - exact).abs() <= exact * (-15f64).exp2() + (-31f64).exp2());
            }
        }

        #[test]
        fn decay_is_within_its_rounding(sum in 0u64..1 << 36, gamma in 0.0f64..=1.0) {
            let exact = sum as f64 * gamma;
            let off = (decay(sum, decay_factor(gamma)) as f64 - exact).abs();
            prop_assert!(off <= 0.5 + sum as f64 * (-17f64).exp2());
        }
    }

    #[test]
    fn decay_of_one_and_zero_are_exact() {
        assert_eq!(decay(12345, decay_factor(1.0)), 12345);
        assert_eq!(decay(12345, decay_factor(0.0)), 0);
    }

    #[test]
    fn weighted_increment_is_the_product() {
        assert_eq!(weighted(1 << 16, 1 << 12), 1 << 15);
        let f = Formats::new(&ArchConfig::paper());
        let largest = weighted(1 << 16, f.value_norm.max_raw() as u32);
        assert!(f.weighted_increment.holds(largest as i64), "{largest}");
        assert_eq!(head_increment(&[3, -5, 0], ScaleFactor::new(2.0)), 16);
        assert_eq!(reference(1.0, 0.5), 1.5);
        assert_eq!(mean(77, 0, &Formats::new(&ArchConfig::paper()).token_mean), (0, false));
    }
}
