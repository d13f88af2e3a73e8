//! Rows of scores for the tests of the selection blocks: every kind that is hard for some engine, and their streams.

use spatten_sim::cosim::{Beat, Coverage, Field, bits_for};
use spatten_sim::radix_select::Input;
use spatten_testkit::Rng;

/// A row and how many of it are kept.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its scores.
    pub scores: Vec<u64>,
    /// May be more than it has.
    pub k: usize,
}

/// Widths of the ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Of a score.
    pub bits: u32,
    /// Scores per beat.
    pub lanes: usize,
    /// Longest row.
    pub keys: usize,
}

/// A beat of either input stream with the widths of its ports.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What the model takes.
    pub input: Input,
    /// Widths.
    pub size: Size,
}

impl Beat for Sent {
    fn fields(&self) -> Vec<Field> {
        let Size { bits, lanes, keys } = self.size;
        match &self.input {
            Input::Scores { scores, last } => {
                // Lanes that do not count must not matter: all ones would be the largest.
                let mut all = scores.clone();
                all.resize(lanes, u64::MAX >> (64 - bits));
                vec![
                    Field::lanes("scores", &all, bits),
                    Field::value("count", scores.len() as u64, bits_for(lanes)),
                    Field::flag("last", *last),
                ]
            }
            Input::Keep(k) => vec![Field::value("count", *k as u64, bits_for(keys))],
        }
    }
}

/// The beats of rows: scores, and k.
pub fn streams(rows: &[Row], size: Size) -> (Vec<Sent>, Vec<Sent>) {
    let mut beats = vec![];
    for row in rows {
        if row.scores.is_empty() {
            beats.push(Sent { input: Input::Scores { scores: vec![], last: true }, size });
        }
        let count = row.scores.len().div_ceil(size.lanes);
        for (i, scores) in row.scores.chunks(size.lanes).enumerate() {
            beats.push(Sent { input: Input::Scores { scores: scores.to_vec(), last: i + 1 == count }, size });
        }
    }
    (beats, rows.iter().map(|row| Sent { input: Input::Keep(row.k), size }).collect())
}

/// Scores of one kind.
pub fn scores(kind: u64, n: usize, bits: u32, rng: &mut Rng) -> Vec<u64> {
    let most = u64::MAX >> (64 - bits);
    let count = n as u64;
    let step = (most / count.max(1)).max(1);
    match kind {
        0 => (0..n).map(|_| rng.bits() & most).collect(),
        1 => (0..count).map(|i| (i * step).min(most)).collect(),
        2 => (0..count).map(|i| ((count - i) * step).min(most)).collect(),
        3 => {
            let same = rng.bits() & most;
            vec![same; n]
        }
        // Few values: ties at every threshold.
        4 => (0..n).map(|_| rng.below(4).min(most)).collect(),
        // The largest at the end.
        5 => (0..n).map(|i| if i + 1 == n { most } else { rng.bits() & (most >> 1) }).collect(),
        // Differ in the last digit alone: every pass but the last counts all of them.
        6 => {
            let base = rng.bits() & most & !7;
            (0..n).map(|_| base | (rng.below(8) & most)).collect()
        }
        // As probabilities are: most nearly nothing.
        _ => (0..n).map(|_| (rng.bits() & most) >> rng.below(u64::from(bits))).collect(),
    }
}

/// Kinds of [`scores`].
pub const KINDS: u64 = 8;

/// Every directed case, then `count` rows of all kinds: mostly short, some as long as fits.
pub fn rows(size: Size, count: usize, rng: &mut Rng) -> Vec<Row> {
    let Size { bits, lanes, keys } = size;
    let mut rows = vec![];
    for kind in 0..KINDS {
        for n in [0, 1, 2, lanes - 1, lanes, lanes + 1, 2 * lanes, 3 * lanes + lanes / 2, keys] {
            let n = n.min(keys);
            for k in [0, 1, n / 2, n.saturating_sub(1), n, (n + 1).min(keys), keys] {
                rows.push(Row { scores: scores(kind, n, bits, rng), k });
            }
        }
    }
    while rows.len() < count {
        let longest = [lanes, 3 * lanes, 8 * lanes, keys][[0, 1, 1, 2, 2, 2, 2, 3][rng.below(8) as usize]].min(keys);
        let n = rng.below(longest as u64 + 1) as usize;
        let k = rng.below(n as u64 + 2).min(keys as u64) as usize;
        rows.push(Row { scores: scores(rng.below(KINDS), n, bits, rng), k });
    }
    rows
}

/// Every row of up to `longest` scores out of `values`, with every k up to one more than it has.
pub fn every_row(values: &[u64], longest: usize, keys: usize) -> Vec<Row> {
    let mut rows = vec![];
    for n in 0..=longest {
        for mut code in 0..values.len().pow(n as u32) {
            let mut scores = vec![];
            for _ in 0..n {
                scores.push(values[code % values.len()]);
                code /= values.len();
            }
            rows.extend((0..=(n + 1).min(keys)).map(|k| Row { scores: scores.clone(), k }));
        }
    }
    rows
}

/// Counts the rare cases of rows.
pub fn cover(rows: &[Row], size: Size, coverage: &mut Coverage) {
    for Row { scores, k } in rows {
        let n = scores.len();
        let mut sorted = scores.clone();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let mut case = |name, happens: bool| coverage.add(name, u64::from(happens));
        case("empty row", n == 0);
        case("one score", n == 1);
        case("longest row", n == size.keys);
        case("partial beat", n % size.lanes != 0);
        case("k = 0", *k == 0 && n > 0);
        case("k = n", *k == n && n > 0);
        case("k > n", *k > n);
        case("all equal", n > 1 && sorted[0] == sorted[n - 1]);
        case("tie at the threshold", *k > 0 && *k < n && sorted[*k - 1] == sorted[*k]);
        case("sorted up", n > 2 && sorted[0] > sorted[n - 1] && scores.is_sorted());
        case("sorted down", n > 2 && sorted[0] > sorted[n - 1] && scores.is_sorted_by(|a, b| a >= b));
        case("largest at the end", n > 2 && scores[n - 1] == sorted[0] && sorted[0] > sorted[1]);
    }
}

/// What [`cover`] counts, and stalls.
pub const RARE: [&str; 15] = [
    "bubble",
    "back-pressure",
    "stall",
    "empty row",
    "one score",
    "longest row",
    "partial beat",
    "k = 0",
    "k = n",
    "k > n",
    "all equal",
    "tie at the threshold",
    "sorted up",
    "sorted down",
    "largest at the end",
];
