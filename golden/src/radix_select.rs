//! Histogram selection with deterministic time. Siblings: `hw`, `sim`, `tests/radix_select.rs`.
//! Why: the paper's quick-select needs a random number of passes over long rows and no useful bound holds; a histogram of
//! digits needs one pass per digit ([`digits`]), and the first one runs while the scores arrive.
//! Differs from the paper: the whole engine.

use crate::top_k::Threshold;
use spatten_arch::radix::digits;

/// What one pass saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Candidates per digit.
    pub bins: Vec<u32>,
    /// The digit of the k-th largest.
    pub digit: usize,
}

/// Finds the k-th largest of scores of `width` bits, most significant digit first: per pass a histogram of the candidates'
/// digits, then from the top the bin in which the count reaches the target.
///
/// # Shapes   `scores [n]`, `k <= n`
/// # Formats   unsigned, `width` bits
/// # Panics   where k > n (the caller clamps and reports)
#[track_caller]
pub fn fixed(scores: &[u64], k: usize, width: u32, mut observe: impl FnMut(&Pass)) -> Option<Threshold> {
    assert!(k <= scores.len(), "k = {k} of n = {}", scores.len());
    if k == 0 {
        return None;
    }
    let mut prefix = 0u64;
    let mut target = k;
    let mut candidates: Vec<u64> = vec![];
    let mut shift = width;
    for (pass, bits) in digits(width).into_iter().enumerate() {
        shift -= bits;
        let from: &[u64] = if pass == 0 { scores } else { &candidates };
        let digit_of = |score: u64| (score >> shift) as usize & ((1 << bits) - 1);
        let mut bins = vec![0u32; 1 << bits];
        for &score in from {
            debug_assert!(score >> width == 0, "score {score:#x} in {width} bits");
            bins[digit_of(score)] += 1;
        }
        let mut digit = bins.len() - 1;
        while target > bins[digit] as usize {
            target -= bins[digit] as usize;
            digit -= 1;
        }
        prefix |= (digit as u64) << shift;
        candidates = from.iter().copied().filter(|&s| digit_of(s) == digit).collect();
        observe(&Pass { bins, digit });
    }
    Some(Threshold { score: prefix, equal: target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top_k::tests::check_engine;

    #[test]
    fn equals_a_stable_sort_on_every_input() {
        for width in [13, 36, 37, 48] {
            check_engine("radix_select_against_sort", |s, k| fixed(s, k, width, |_| ()));
        }
    }

    #[test]
    fn the_number_of_passes_depends_on_the_width_alone() {
        for scores in [vec![5u64; 64], (0..64).collect(), vec![0, 4095]] {
            for k in 1..=scores.len() {
                let mut passes = 0;
                fixed(&scores, k, 13, |_| passes += 1);
                assert_eq!(passes, 3);
            }
        }
    }
}
