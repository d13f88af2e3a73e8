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

/// A row as beats of up to `lanes` scores, and whether each is the last; an empty row is one beat.
pub fn beats(scores: &[u64], lanes: usize) -> Vec<(Vec<u64>, bool)> {
    let count = scores.len().div_ceil(lanes).max(1);
    (0..count).map(|i| (scores[i * lanes..scores.len().min((i + 1) * lanes)].to_vec(), i + 1 == count)).collect()
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
/// drawn is the largest candidate, and the smallest is looked for, so that each pass removes one. Scores are `0..n`.
pub fn adversary(n: usize, generator: &mut Lfsr) -> Row {
    let mut scores = vec![0; n];
    let mut candidates: Vec<usize> = (0..n).collect();
    for value in (0..n).rev() {
        let drawn = candidates.remove(generator.index(candidates.len()));
        scores[drawn] = value as u64;
    }
    Row { scores, k: n }
}
