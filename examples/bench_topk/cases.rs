//! Which rows are measured: kinds of scores, k, and recorded attention.

use crate::common;
use crate::rows::Row;
use spatten_arch::format::LOGIT_FRACTION;
use spatten_golden::softmax;
use spatten_testkit::Rng;

/// Rows of one case beside those that fill the pipeline; of long rows fewer.
pub fn row_count(n: usize) -> usize {
    if n > 1024 { 100 } else { 200 }
}

/// How many of each row are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Always so many.
    Of(usize),
    /// 1, 2, 3, ..., n, a row each.
    Every,
}

impl Keep {
    pub fn all(n: usize) -> [Self; 5] {
        [Self::Of(1), Self::Of(n.div_ceil(10)), Self::Of(n / 2), Self::Of(n), Self::Every]
    }

    /// The rows with their k, as many as asked for or, for every k, as many as there are k.
    pub fn rows(self, scores: &[Vec<u64>], count: usize) -> Vec<Row> {
        let n = scores[0].len();
        let count = if self == Self::Every { count.max(n) } else { count };
        let k = |i: usize| if let Self::Of(k) = self { k } else { i % n + 1 };
        (0..count).map(|i| Row { scores: scores[i % scores.len()].clone(), k: k(i) }).collect()
    }
}

impl std::fmt::Display for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Of(k) => write!(f, "{k}"),
            Self::Every => write!(f, "1..n"),
        }
    }
}

/// Scores of each kind that is made here.
pub fn kinds(n: usize, bits: usize, count: usize) -> Vec<(&'static str, Vec<Vec<u64>>)> {
    let mut rng = Rng::new(n as u64);
    let mut uniform = || (0..n).map(|_| rng.bits() >> (64 - bits)).collect::<Vec<u64>>();
    let random: Vec<_> = (0..count).map(|_| uniform()).collect();
    let mut sorted: Vec<_> = (0..count).map(|_| uniform()).collect();
    sorted.iter_mut().for_each(|row| row.sort_unstable());
    vec![("uniform", random), ("sorted", sorted), ("all equal", vec![vec![17; n]; count])]
}

/// Probabilities of recorded attention rows with their length, spread over layers, heads and queries; empty without the data.
pub fn attention(count: usize) -> Vec<(usize, Vec<Vec<u64>>)> {
    let Some((_, traces)) = common::recorded() else { return vec![] };
    let mut all = vec![];
    for recorded in &traces {
        let trace = &recorded.trace;
        let (keys, dim) = (trace.keys(), trace.head_dim());
        let unit = std::f64::consts::LOG2_E * f64::from(1u32 << LOGIT_FRACTION) / (dim as f64).sqrt();
        let mut rows = vec![];
        for layer in 0..trace.layers() {
            for head in 0..trace.heads() {
                for row in 0..trace.rows() {
                    let logit = |key: usize| {
                        let dot =
                            |d| f64::from(trace.q[[layer, head, row, d]]) * f64::from(trace.k[[layer, head, key, d]]);
                        ((0..dim).map(dot).sum::<f64>() * unit).round() as i32
                    };
                    let logits: Vec<i32> = (0..keys).map(logit).collect();
                    rows.push(softmax::fixed(&logits).into_iter().map(u64::from).collect::<Vec<u64>>());
                }
            }
        }
        let step = (rows.len() / count).max(1);
        all.push((keys, rows.into_iter().step_by(step | 1).take(count).collect()));
    }
    all.sort_by_key(|(n, _)| *n);
    all
}
