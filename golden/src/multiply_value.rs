//! Probabilities times values. Siblings: `hw`, `sim`, `tests/multiply_value.rs`.
//! Paper: SpAtten section IV-G.

use ndarray::ArrayView2;
use spatten_arch::format::{Format, PROBABILITY_FRACTION, TOKEN_SCALE_FRACTION, round_shift};

/// f64: adds `p * v` to `sum`.
///
/// # Shapes   `v [D]`, `sum [D]`
pub fn reference(p: f64, v: &[f64], sum: &mut [f64]) {
    for (s, x) in sum.iter_mut().zip(v) {
        *s += p * x;
    }
}

/// A probability weighted with the scale of its value row (plans with one scale per token).
///
/// # Formats   `probability` * `token_scale` -> `probability`, rounded half up
#[inline]
pub fn weight(p: u32, token_scale: u32) -> i32 {
    round_shift(i64::from(p) * i64::from(token_scale), TOKEN_SCALE_FRACTION) as i32
}

/// Adds `p * v` to `sum`, exactly.
///
/// # Formats   `probability`, `operand [D]` -> `value_sum [D]`
#[inline]
pub fn fixed(p: i32, v: &[i16], sum: &mut [i32]) {
    for (s, &x) in sum.iter_mut().zip(v) {
        *s += p * i32::from(x);
    }
}

/// Sums to outputs.
///
/// # Formats   `value_sum` -> `output`, rounded half up; the flag says that it saturated
#[inline]
pub fn round(sum: i32, output: &Format) -> (i32, bool) {
    let shift = PROBABILITY_FRACTION as i32 - output.fraction_bits;
    let (value, saturated) = output.saturate(round_shift(i64::from(sum), shift as u32));
    (value as i32, saturated)
}

/// f64 product of a row of probabilities with all values, for tests.
pub fn reference_row(p: &[f64], v: ArrayView2<'_, f64>) -> Vec<f64> {
    let mut sum = vec![0.0; v.ncols()];
    for (p, v) in p.iter().zip(v.outer_iter()) {
        reference(*p, v.as_slice().expect("rows are contiguous"), &mut sum);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;
    use spatten_arch::{ArchConfig, format::Formats};

    proptest! {
        #[test]
        fn integers_equal_the_reference_before_rounding(
            rows in prop::collection::vec((0u32..=4096, prop::collection::vec(-2048i16..=2047, 4)), 0..60)
        ) {
            let v = Array2::from_shape_fn((rows.len(), 4), |(i, d)| f64::from(rows[i].1[d]));
            let p: Vec<f64> = rows.iter().map(|r| f64::from(r.0) / 4096.0).collect();
            let mut sum = [0; 4];
            for (p, v) in &rows {
                fixed(*p as i32, v, &mut sum);
            }
            for (s, e) in sum.iter().zip(reference_row(&p, v.view())) {
                prop_assert_eq!(f64::from(*s) / 4096.0, e);
            }
        }
    }

    #[test]
    fn the_largest_row_fits_and_rounds() {
        for bits in [4, 12, 16] {
            let mut config = ArchConfig::paper();
            config.datapath_bits = bits;
            let formats = Formats::new(&config);
            // 1024 probabilities that sum to 1 and were each rounded up by half a unit.
            let mut sum = [0];
            for _ in 0..1024 {
                fixed(4, &[-(1 << (bits - 1)) as i16], &mut sum);
            }
            fixed(512, &[-(1 << (bits - 1)) as i16], &mut sum);
            assert!(formats.value_sum.holds(i64::from(sum[0])));
            let (out, saturated) = round(sum[0], &formats.output);
            assert!(!saturated);
            assert_eq!(formats.output.value(i64::from(out)), f64::from(sum[0]) / 4096.0);
        }
    }

    #[test]
    fn an_output_that_does_not_fit_saturates_and_says_so() {
        let output = Formats::new(&ArchConfig::paper()).output;
        assert_eq!(round(i32::MAX, &output), (32767, true));
        assert_eq!(round(i32::MIN, &output), (-32768, true));
    }

    #[test]
    fn weights_round_half_up() {
        assert_eq!(weight(4096, 1 << TOKEN_SCALE_FRACTION), 4096);
        assert_eq!(weight(1, 1 << (TOKEN_SCALE_FRACTION - 1)), 1);
        assert_eq!(weight(0, 99), 0);
    }
}
