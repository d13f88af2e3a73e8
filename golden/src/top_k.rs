//! Keeps the k largest in input order. Siblings: `hw`, `sim`, `tests/top_k.rs`.
//! Paper: SpAtten section IV-B, Fig. 9: a selection engine finds the k-th largest, a filter passes what is larger and as
//! many equals as are still needed, a zero eliminator closes the gaps.
//! Differs from the paper: ties are counted, so exactly k pass; see `quick_select` for Algorithm 3.

use crate::radix_select;

/// The k-th largest score, and how many equal to it are kept (the first ones).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// The k-th largest.
    pub score: u64,
    /// At least 1.
    pub equal: usize,
}

/// Indices of the `k` largest in input order, by a stable sort. Total for every input.
///
/// # Shapes   `scores [n]` -> `[min(k, n)]`
/// # Ties     lowest index wins
/// ```
/// use spatten_golden::top_k;
/// assert_eq!(top_k::reference(&[1.0, 3.0, 3.0, 2.0, 3.0], 2), [1, 2]);
/// ```
pub fn reference<S: PartialOrd + Copy>(scores: &[S], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).expect("scores are numbers"));
    order.truncate(k);
    order.sort_unstable();
    order
}

/// The filter behind either engine: one pass in input order.
///
/// # Shapes   `scores [n]` -> kept indices, ascending
pub fn filter(scores: &[u64], threshold: Option<Threshold>, mut keep: impl FnMut(usize)) {
    let Some(Threshold { score, equal }) = threshold else { return };
    let mut equal_left = equal;
    for (index, &s) in scores.iter().enumerate() {
        if s > score {
            keep(index);
        } else if s == score && equal_left > 0 {
            equal_left -= 1;
            keep(index);
        }
    }
}

/// Indices of the `k` largest in input order.
///
/// # Shapes   `scores [n]` -> `[min(k, n)]`
/// # Formats   unsigned, `width` bits
/// # Ties     lowest index wins
/// ```
/// use spatten_golden::top_k;
/// assert_eq!(top_k::fixed(&[1, 3, 3, 2, 3], 2, 12), [1, 2]);
/// assert!(top_k::fixed(&[], 5, 12).is_empty());
/// ```
pub fn fixed(scores: &[u64], k: usize, width: u32) -> Vec<usize> {
    let threshold = radix_select::fixed(scores, k.min(scores.len()), width, |_| ());
    let mut kept = Vec::with_capacity(k.min(scores.len()));
    filter(scores, threshold, |i| kept.push(i));
    kept
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use spatten_testkit::{Checks, Rng};

    /// Runs a selection engine against the stable sort: every small input exhaustively, then long ones of every kind.
    pub(crate) fn check_engine(name: &'static str, mut engine: impl FnMut(&[u64], usize) -> Option<Threshold>) {
        let mut checks = Checks::new(name);
        let mut ties = 0;
        let mut check = |scores: &[u64], k: usize, checks: &mut Checks| {
            let mut kept = vec![];
            let threshold = engine(scores, k);
            filter(scores, threshold, |i| kept.push(i));
            if let Some(t) = threshold {
                ties += u64::from(scores.iter().filter(|&&s| s == t.score).count() > t.equal);
            }
            checks.eq(kept, reference(scores, k), || format!("k {k} of {scores:?}"));
        };
        let mut expected = 0;
        for n in 0..=5u32 {
            for code in 0..4u64.pow(n) {
                let scores: Vec<u64> = (0..n).map(|i| code >> (2 * i) & 3).collect();
                for k in 0..=scores.len() {
                    check(&scores, k, &mut checks);
                    expected += 1;
                }
            }
        }
        let mut rng = Rng::new(0x5eed_0002);
        for n in [16u64, 100, 384, 1024] {
            let kinds: [Vec<u64>; 6] = [
                (0..n).map(|_| rng.below(1 << 12)).collect(),
                (0..n).map(|i| i * 3).collect(),
                (0..n).map(|i| (n - i) * 3).collect(),
                vec![4095; n as usize],
                (0..n).map(|_| rng.below(4)).collect(),
                (0..n).map(|i| if i == n / 2 { 4096 } else { 0 }).collect(),
            ];
            for scores in &kinds {
                for k in [0, 1, 2, n / 3, n / 2, n - 1, n] {
                    check(scores, k as usize, &mut checks);
                    expected += 1;
                }
            }
        }
        assert!(ties > 100, "only {ties} inputs had to choose among equals");
        checks.finish(expected);
    }

    proptest! {
        #[test]
        fn equals_a_stable_sort(
            scores in prop::collection::vec(prop_oneof![0u64..8, 0u64..1 << 36], 0..300), share in 0.0f64..1.2
        ) {
            let k = (share * scores.len() as f64) as usize;
            prop_assert_eq!(fixed(&scores, k, 36), reference(&scores, k));
        }
    }

    #[test]
    fn k_beyond_n_keeps_all_and_zero_keeps_none() {
        assert_eq!(fixed(&[3, 1], 9, 12), [0, 1]);
        assert!(fixed(&[3, 1], 0, 12).is_empty());
        assert!(fixed(&[], 0, 12).is_empty());
    }
}
