//! Rows of scores for the selection engines.
#![allow(dead_code)] // each user takes its own part

use spatten_arch::lfsr::Lfsr;
use spatten_testkit::Rng;

/// Scores, and how many of them to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub scores: Vec<u64>,
    pub k: usize,
}

/// Rows of `n` scores of `bits`: uniform, few values, two values, equal ones (small and the largest), sorted both ways, one
/// large among zeros.
pub fn every_kind(n: usize, bits: u32, rng: &mut Rng) -> Vec<Vec<u64>> {
    let most = u64::MAX >> (64 - bits);
    let mut uniform = || (0..n).map(|_| rng.bits() & most).collect::<Vec<u64>>();
    let (random, mut up, mut down) = (uniform(), uniform(), uniform());
    up.sort_unstable();
    down.sort_unstable_by(|a, b| b.cmp(a));
    let mut few = |values: u64| (0..n).map(|_| rng.below(values.min(most + 1))).collect();
    let (few, two) = (few(4), few(2));
    vec![
        random,
        up,
        down,
        few,
        two,
        vec![1; n],
        vec![most; n],
        (0..n).map(|i| if i == n / 2 { most } else { 0 }).collect(),
    ]
}

/// The row of `n` scores against which quick-select does worst when its generator is in this state: every pivot that is
/// drawn is the smallest candidate, or the largest once no smaller one is left to remove, so that each of the `n` passes
/// removes one. Scores are `0..n`, `1 <= k <= n`.
pub fn adversary(n: usize, k: usize, generator: &mut Lfsr) -> Row {
    let mut scores = vec![0; n];
    let mut candidates: Vec<usize> = (0..n).collect();
    let (mut low, mut high) = (0, n);
    while !candidates.is_empty() {
        let drawn = candidates.remove(generator.index(candidates.len()));
        scores[drawn] = if low < n - k {
            low += 1;
            low - 1
        } else {
            high -= 1;
            high
        } as u64;
    }
    Row { scores, k }
}
