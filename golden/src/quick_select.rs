//! The paper's selection engine. Siblings: `hw`, `sim`, `tests/quick_select.rs`.
//! Paper: SpAtten section IV-B, Algorithm 3, Fig. 9: candidates stream past a pivot into two FIFOs, larger ones to the
//! right, smaller ones to the left, equal ones counted; the next pass takes the FIFO that holds the k-th largest.
//! Differs from the paper: `size(FIFO_R) + num_eq < target` in the first test; as printed (`<=`) it never ends for k = n
//! and contradicts Fig. 9.

use crate::top_k::Threshold;
use spatten_arch::lfsr::Lfsr;

/// The k-th largest and how many of its equals to keep, and how the engine got there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// `None` for k = 0 or n = 0: keep nothing.
    pub threshold: Option<Threshold>,
    /// Candidates that each pass streamed.
    pub passes: Vec<usize>,
}

/// # Shapes   `scores [n]`, `k <= n`
/// # Timing   one pass over the candidates per pivot; the pivots come from `generator`, whose state goes on
/// # Panics   where k > n (the caller clamps and reports)
#[track_caller]
pub fn fixed(scores: &[u64], k: usize, generator: &mut Lfsr) -> Selection {
    assert!(k <= scores.len(), "k = {k} of n = {}", scores.len());
    let mut passes = vec![];
    if k == 0 {
        return Selection { threshold: None, passes };
    }
    let mut candidates = scores.to_vec();
    let mut target = k;
    loop {
        passes.push(candidates.len());
        let pivot = candidates[generator.index(candidates.len())];
        let larger: Vec<u64> = candidates.iter().copied().filter(|&x| x > pivot).collect();
        let smaller: Vec<u64> = candidates.iter().copied().filter(|&x| x < pivot).collect();
        let equal = candidates.len() - larger.len() - smaller.len();
        if larger.len() + equal < target {
            target -= larger.len() + equal;
            candidates = smaller;
        } else if larger.len() < target {
            let threshold = Some(Threshold { score: pivot, equal: target - larger.len() });
            return Selection { threshold, passes };
        } else {
            candidates = larger;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top_k::tests::check_engine;

    #[test]
    fn equals_a_stable_sort_on_every_input() {
        let mut generator = Lfsr::default();
        check_engine("quick_select_against_sort", |s, k| fixed(s, k, &mut generator).threshold);
    }

    #[test]
    fn pivots_change_the_passes_but_never_the_answer() {
        let scores = [3, 9, 6, 1, 7, 6, 2, 8];
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 1..50u32 {
            let s = fixed(&scores, 5, &mut Lfsr::new(seed.wrapping_mul(0x9E37_79B9)));
            assert_eq!(s.threshold, Some(Threshold { score: 6, equal: 2 }));
            assert!(s.passes[0] == 8 && s.passes.windows(2).all(|w| w[1] < w[0]));
            lengths.insert(s.passes.len());
        }
        assert!(lengths.len() > 1, "every seed took the same number of passes");
    }

    #[test]
    fn all_equal_and_k_equal_n_end_after_one_pass() {
        let s = fixed(&[7; 100], 100, &mut Lfsr::default());
        assert_eq!((s.threshold, s.passes.len()), (Some(Threshold { score: 7, equal: 100 }), 1));
    }
}
