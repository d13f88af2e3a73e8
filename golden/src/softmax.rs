//! Row maximum, exponential, sum, reciprocal. Siblings: `hw`, `sim`, `tests/softmax.rs`.
//! Paper: SpAtten section IV-F, Fig. 12.
//! Why: scores come in base-2 units, so `e^(s - max)` is a 64-entry chord table and a shift; the division is one
//! reciprocal per row and one multiplication per probability.
//! Differs from the paper: a table instead of a 5th-order Taylor polynomial (one multiplier instead of five, and an exact
//! 1 at 0); the row maximum is subtracted, without which logits of a real model (up to 71) overflow; no divider.
//!
//! # Error
//! `|p - p_f64| <= ERROR_BOUND = 2^-11` for every row of up to 1024 logits. Derivation, largest terms first:
//! - rounding `p` to 12 fraction bits: 2^-13;
//! - sum: n exponentials, each rounded by at most 2^-25: n * 2^-25 <= 2^-15 relative to a sum of at least 1;
//! - chord of the exponential: +1.5e-5 relative, twice `p(1-p)` at most: 2^-17;
//! - stored exponential: 2^-18; reciprocal: chord 2^-18, truncation of the sum 2^-17, rounding 2^-17: together < 2^-15.3;
//! - rounding of logits to 14 fraction bits: ln 2 * 2^-15 * 2 * 1/4 < 2^-16.5.
//!
//! The total is below 2^-11.9; the tests establish it on random, adversarial and real rows.

pub mod accumulate;
pub mod divide;
pub mod exp;

/// Derived above; the tests' tolerance.
pub const ERROR_BOUND: f64 = 1.0 / 2048.0;

/// f64: probabilities of scores in nats.
///
/// # Shapes   `[n]` -> `[n]`; empty for n = 0
pub fn reference(scores: &[f64]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut p: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
    let sum: f64 = p.iter().sum();
    for x in &mut p {
        *x /= sum;
    }
    p
}

/// One row on its way through the block. Buffers are reused from row to row.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// `[n]`, `exp_stored`
    pub exponentials: Vec<u32>,
    /// `exp_sum`; 0 for an empty row.
    pub sum: u64,
}

impl Row {
    /// Exponentials and sum of a row of logits, which is all that [`crate::requant_decision`] needs.
    ///
    /// # Shapes   `logits [n]`, n <= keys on chip
    /// # Formats   `logit` -> `exp_stored`, `exp_sum`
    pub fn load(&mut self, logits: &[i32]) {
        self.exponentials.clear();
        self.sum = 0;
        let Some(&max) = logits.iter().max() else { return };
        self.exponentials.reserve(logits.len());
        for &logit in logits {
            let e = exp::fixed((max - logit) as u32);
            self.sum = accumulate::fixed(self.sum, e);
            self.exponentials.push(exp::stored(e));
        }
    }

    /// The divisor of the row; `None` for an empty row.
    pub fn divisor(&self) -> Option<divide::Divisor> {
        (self.sum > 0).then(|| divide::Divisor::new(self.sum))
    }
}

/// Probabilities of a row of logits, for callers that want nothing else.
///
/// # Formats   `logit` -> `probability`
/// ```
/// use spatten_golden::softmax;
/// assert_eq!(softmax::fixed(&[7]), [4096]);
/// assert_eq!(softmax::fixed(&[5, 5, 5]), [1365; 3]);
/// assert!(softmax::fixed(&[]).is_empty());
/// ```
pub fn fixed(logits: &[i32]) -> Vec<u32> {
    let mut row = Row::default();
    row.load(logits);
    row.divisor().map_or(vec![], |d| row.exponentials.iter().map(|&e| d.probability(e)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use spatten_arch::format::LOGIT_FRACTION;
    use spatten_testkit::{Checks, Rng};

    fn worst(logits: &[i32]) -> f64 {
        let unit = std::f64::consts::LN_2 / f64::from(1u32 << LOGIT_FRACTION);
        let exact = reference(&logits.iter().map(|&t| f64::from(t) * unit).collect::<Vec<_>>());
        let p = fixed(logits);
        assert_eq!(p.len(), exact.len());
        p.iter().zip(&exact).map(|(&a, b)| (f64::from(a) / 4096.0 - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn random_rows_stay_within_the_bound() {
        let mut checks = Checks::new("softmax_random_rows");
        let mut rng = Rng::new(0x5eed_0001);
        let mut most: f64 = 0.0;
        for i in 0..3000 {
            let n = [1, 2, 3, 7, 64, 119, 384, 1000, 1024][i % 9];
            let spread = [0.1, 1.0, 4.0, 20.0, 100.0][i % 5] * f64::from(1u32 << LOGIT_FRACTION);
            let row: Vec<i32> = (0..n).map(|_| (rng.normal() * spread).clamp(-8388608.0, 8388607.0) as i32).collect();
            let w = worst(&row);
            most = most.max(w);
            checks.that(w <= ERROR_BOUND, || format!("row {i} of {n}: {w:e}"));
        }
        println!("softmax: worst error over random rows {most:e} = 2^{:.2}, bound 2^-11", most.log2());
        checks.finish(3000);
    }

    #[test]
    fn adversarial_rows_stay_within_the_bound() {
        let mut checks = Checks::new("softmax_adversarial_rows");
        let one = 1 << LOGIT_FRACTION;
        let mut most: f64 = 0.0;
        let mut count = 0;
        // One large and many equal small ones, at every distance: all roundings of the sum in one direction, and all
        // errors of the chord alike.
        for n in [2usize, 3, 17, 256, 1000, 1024] {
            for distance in (0..26 * one).step_by(331).chain((0..64).map(|i| i * one / 64 + one / 128)) {
                let mut row = vec![-distance; n];
                row[n / 2] = 0;
                let w = worst(&row);
                most = most.max(w);
                checks.that(w <= ERROR_BOUND, || format!("n {n}, distance {distance}: {w:e}"));
                count += 1;
            }
            // Half and half.
            for distance in (0..14 * one).step_by(997) {
                let row: Vec<i32> = (0..n).map(|i| if i % 2 == 0 { 0 } else { -distance }).collect();
                let w = worst(&row);
                most = most.max(w);
                checks.that(w <= ERROR_BOUND, || format!("half of {n}, distance {distance}: {w:e}"));
                count += 1;
            }
        }
        println!("softmax: worst error over adversarial rows {most:e} = 2^{:.2}, bound 2^-11", most.log2());
        checks.finish(count);
    }

    #[test]
    fn equal_scores_give_one_over_n_rounded() {
        let mut checks = Checks::new("softmax_equal_scores");
        for n in 1..=4096usize {
            let p = fixed(&vec![-77; n]);
            let expected = (4096.0 / n as f64).round() as u32;
            checks.that(p.len() == n && p.iter().all(|&x| x == expected), || format!("n {n}: {} != {expected}", p[0]));
        }
        checks.finish(4096);
    }

    #[test]
    fn extreme_logits_are_defined() {
        let (low, high) = (-(1 << 23), (1 << 23) - 1);
        assert_eq!(fixed(&[low, high]), [0, 4096]);
        assert_eq!(fixed(&[low, low]), [2048, 2048]);
    }

    proptest! {
        #[test]
        fn larger_scores_never_have_smaller_probabilities(row in prop::collection::vec(-(1i32 << 20)..(1 << 20), 1..200)) {
            let p = fixed(&row);
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by_key(|&i| row[i]);
            prop_assert!(order.windows(2).all(|w| p[w[0]] <= p[w[1]]));
        }

        #[test]
        fn a_common_offset_changes_nothing(row in prop::collection::vec(-(1i32 << 20)..(1 << 20), 1..50), by in 0i32..(1 << 20)) {
            let moved: Vec<i32> = row.iter().map(|t| t + by).collect();
            prop_assert_eq!(fixed(&row), fixed(&moved));
        }
    }
}
