//! Query times keys and the score scale. Siblings: `hw`, `sim`, `tests/dot_product.rs`.
//! Paper: SpAtten section IV-E, Fig. 11 (reconfigurable adder tree).
//! Differs from the paper: the product with the scale happens once per score, in base-2 units, so that the exponential
//! needs no multiplication of its own.

use ndarray::ArrayView1;
use spatten_arch::format::{
    Formats, LOGIT_FRACTION, SCALE_MANTISSA_BITS, SCALE_SHIFT_MAX, TOKEN_SCALE_FRACTION, round_shift,
};

/// A positive real number as `mantissa * 2^-shift`, as descriptors carry it.
///
/// Relative error 2^-18 for numbers from 2^-46 to 2^18; smaller ones lose bits, larger ones are held at the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleFactor {
    /// `arch::format::Formats::scale_mantissa`
    pub mantissa: u32,
    /// Right shift, 0..=63.
    pub shift: u32,
}

impl ScaleFactor {
    /// The nearest factor.
    ///
    /// ```
    /// use spatten_golden::dot_product::ScaleFactor;
    /// assert_eq!(ScaleFactor::new(1.0), ScaleFactor { mantissa: 1 << 17, shift: 17 });
    /// assert_eq!(ScaleFactor::new(0.0).mantissa, 0);
    /// ```
    pub fn new(x: f64) -> Self {
        let top = SCALE_MANTISSA_BITS as i32 - 1;
        if x <= 0.0 {
            return Self { mantissa: 0, shift: 0 };
        }
        let mut shift = top - x.log2().floor() as i32;
        let mut mantissa = (x * f64::from(shift).exp2()).round();
        if mantissa >= f64::from(top + 1).exp2() {
            shift -= 1;
            mantissa = (x * f64::from(shift).exp2()).round();
        }
        if shift < 0 {
            return Self { mantissa: (1 << SCALE_MANTISSA_BITS) - 1, shift: 0 };
        }
        if shift > SCALE_SHIFT_MAX as i32 {
            shift = SCALE_SHIFT_MAX as i32;
            mantissa = (x * f64::from(shift).exp2()).round();
        }
        Self { mantissa: mantissa as u32, shift: shift as u32 }
    }

    /// The factor that turns a dot product of operands into a logit, from the real value of one unit of the dot product
    /// (steps of Q and K times the workload's scale).
    pub fn for_logits(unit: f64) -> Self {
        Self::new(unit * std::f64::consts::LOG2_E * f64::from(LOGIT_FRACTION).exp2())
    }

    /// `value * mantissa >> shift`, rounded half up.
    #[inline]
    pub fn apply(self, value: i64) -> i64 {
        round_shift(value * i64::from(self.mantissa), self.shift)
    }
}

/// f64: `scale * q . k`
pub fn reference(q: ArrayView1<'_, f64>, k: ArrayView1<'_, f64>, scale: f64) -> f64 {
    scale * q.dot(&k)
}

/// Exact sum of products of integers, before any scale.
///
/// # Formats   operands -> `arch::format::Formats::dot`
/// # Panics   where lengths differ
#[inline]
pub fn integer(q: &[i16], k: &[i16]) -> i64 {
    assert_eq!(q.len(), k.len(), "head dimension of query and key");
    // Chunks whose sum fits 32 bits for every i16: two products. For operands of 12 bits a whole row fits.
    q.chunks(2)
        .zip(k.chunks(2))
        .map(|(a, b)| a.iter().zip(b).map(|(&x, &y)| i64::from(x) * i64::from(y)).sum::<i64>())
        .sum()
}

/// The same for operands of at most 13 bits, in 32-bit sums (which is what keeps the model fast).
#[inline]
pub fn integer_narrow(q: &[i16], k: &[i16]) -> i64 {
    debug_assert_eq!(q.len(), k.len());
    i64::from(q.iter().zip(k).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum::<i32>())
}

/// A dot product to a logit.
///
/// # Formats   `dot` and `token_scale` -> `logit`; the flag says that it saturated
/// # Rounding   half up after each factor; a token scale of 1.0 is the identity
#[inline]
pub fn scale(dot: i64, token_scale: u32, factor: ScaleFactor, formats: &Formats) -> (i64, bool) {
    let relative = round_shift(dot * i64::from(token_scale), TOKEN_SCALE_FRACTION);
    formats.logit.saturate(factor.apply(relative))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use spatten_arch::ArchConfig;

    proptest! {
        #[test]
        fn factor_is_within_two_to_minus_18(x in 1e-12f64..2e5) {
            let f = ScaleFactor::new(x);
            let back = f64::from(f.mantissa) * (-f64::from(f.shift)).exp2();
            prop_assert!((back / x - 1.0).abs() <= (-18f64).exp2(), "{x}: {f:?}");
            prop_assert!(f.mantissa < 1 << SCALE_MANTISSA_BITS);
        }

        #[test]
        fn both_integer_sums_agree(pairs in prop::collection::vec((-2048i16..=2047, -2048i16..=2047), 0..128)) {
            let (q, k): (Vec<i16>, Vec<i16>) = pairs.into_iter().unzip();
            let exact: i64 = q.iter().zip(&k).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum();
            prop_assert_eq!(integer(&q, &k), exact);
            prop_assert_eq!(integer_narrow(&q, &k), exact);
            prop_assert!(Formats::new(&ArchConfig::paper()).dot.holds(exact));
        }

        #[test]
        fn logits_are_within_their_rounding_of_the_reference(
            dot in -(1i64 << 29)..(1i64 << 29), unit in 1e-9f64..1e-7
        ) {
            let formats = Formats::new(&ArchConfig::paper());
            let factor = ScaleFactor::for_logits(unit);
            let (raw, saturated) = scale(dot, 1 << TOKEN_SCALE_FRACTION, factor, &formats);
            let exact = dot as f64 * unit * std::f64::consts::LOG2_E;
            prop_assert!(!saturated);
            prop_assert!((formats.logit.value(raw) - exact).abs() <= (-15f64).exp2() + exact.abs() * (-17.9f64).exp2());
        }
    }

    #[test]
    fn sixteen_bit_extremes_do_not_overflow() {
        assert_eq!(integer(&[i16::MIN; 128], &[i16::MIN; 128]), 128 << 30);
        let extreme = integer_narrow(&[-2048; 128], &[-2048; 128]);
        assert_eq!(extreme, 1 << 29);
        assert!(Formats::new(&ArchConfig::paper()).dot.holds(extreme));
    }

    #[test]
    fn scores_beyond_the_format_saturate_and_say_so() {
        let formats = Formats::new(&ArchConfig::paper());
        let one = ScaleFactor::new(1.0);
        assert_eq!(scale(1 << 28, 1 << TOKEN_SCALE_FRACTION, one, &formats), (formats.logit.max_raw(), true));
        assert_eq!(scale(-(1 << 28), 1 << TOKEN_SCALE_FRACTION, one, &formats), (formats.logit.min_raw(), true));
    }

    #[test]
    fn factors_outside_the_range_stay_defined() {
        assert_eq!(ScaleFactor::new(1e30), ScaleFactor { mantissa: (1 << 18) - 1, shift: 0 });
        assert_eq!(ScaleFactor::new(1e-30), ScaleFactor { mantissa: 0, shift: 63 });
        let almost = ScaleFactor::new(2.0 - 1e-9);
        assert_eq!(almost, ScaleFactor { mantissa: 1 << 17, shift: 16 });
    }
}
