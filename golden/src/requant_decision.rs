//! Does a query row need its LSBs? Siblings: `hw`, `sim`, `tests/requant_decision.rs`.
//! Paper: SpAtten section III-D: a row whose largest probability is below a threshold is flat, and its scores are computed
//! again with the LSBs.
//! Differs from the paper: `max(p) < t` is decided as `sum > 1/t` (the largest exponential is exactly 1), so the decision
//! needs no division and is known before the reciprocal.
//!
//! # Error
//! The decision can differ from f64 only where `|max(p) - t|` is below [`DECISION_ERROR`] on the same integers.

use spatten_arch::format::{EXP_FRACTION, Format};

/// Of `max(p) = 1/sum`: sum within n * 2^-25 + chord 1.5e-5 + logit rounding ln2 * 2^-14, relative to itself; 1/sum <= 1.
/// For rows of up to 1024 keys below 2^-13.
pub const DECISION_ERROR: f64 = 1.0 / 8192.0;

/// f64. Never true for an empty row.
pub fn reference(probabilities: &[f64], threshold: f64) -> bool {
    !probabilities.is_empty() && probabilities.iter().copied().fold(0.0, f64::max) < threshold
}

/// `1 / threshold` as the descriptor carries it; a threshold of 0 is held at the largest number, which no sum exceeds.
///
/// # Formats   -> `threshold_inverse`
pub fn threshold_inverse(threshold: f64, format: &Format) -> u64 {
    let exact = (f64::from(EXP_FRACTION)).exp2() / threshold;
    if exact < format.max_raw() as f64 { exact.round() as u64 } else { format.max_raw() as u64 }
}

/// # Formats   `exp_sum`, `threshold_inverse`; an empty row has sum 0
#[inline]
pub fn fixed(sum: u64, threshold_inverse: u64) -> bool {
    sum > threshold_inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::softmax;
    use proptest::prelude::*;
    use spatten_arch::{ArchConfig, format::Formats};

    proptest! {
        #[test]
        fn decisions_agree_outside_the_documented_error(
            row in prop::collection::vec(-200_000i32..0, 0..300), threshold in 0.0f64..=1.0
        ) {
            let unit = std::f64::consts::LN_2 / 16384.0;
            let exact = softmax::reference(&row.iter().map(|&t| f64::from(t) * unit).collect::<Vec<_>>());
            let largest = exact.iter().copied().fold(0.0, f64::max);
            let mut fixed_row = softmax::Row::default();
            fixed_row.load(&row);
            let inverse = threshold_inverse(threshold, &Formats::new(&ArchConfig::paper()).threshold_inverse);
            if (largest - threshold).abs() > DECISION_ERROR {
                prop_assert_eq!(fixed(fixed_row.sum, inverse), reference(&exact, threshold));
            }
        }
    }

    #[test]
    fn edges_of_the_threshold() {
        let format = Formats::new(&ArchConfig::paper()).threshold_inverse;
        let never = threshold_inverse(0.0, &format);
        assert!(!fixed(1024 << 24, never) && !fixed(0, never));
        let always = threshold_inverse(1.0, &format);
        assert!(!fixed(1 << 24, always), "p = 1 is not below 1");
        assert!(fixed((1 << 24) + 1, always));
        assert!(!reference(&[], 1.0) && !reference(&[1.0], 1.0) && reference(&[0.5, 0.5], 1.0));
    }
}
