//! What the engines are compared with: a sorting network, and the latency model that the paper's authors released.

use crate::rows::Row;
use spatten_arch::lfsr::Lfsr;
use spatten_golden::quick_select;

/// Batcher's odd-even merge sorter: the comparators of each stage. An `n` that is no power of two is padded.
#[derive(Debug, Clone)]
pub struct Batcher {
    /// Depth: stages. Width: comparators of each.
    pub stages: Vec<u64>,
}

impl Batcher {
    /// The network as Batcher 1968 builds it, checked against the published sums: for `n = 2^p`, `p (p + 1) / 2` stages and
    /// `(p^2 - p + 4) 2^(p - 2) - 1` comparators (Knuth, The Art of Computer Programming, volume 3, section 5.3.4).
    pub fn new(n: usize) -> Self {
        let n = n.next_power_of_two();
        let mut stages = vec![];
        let mut merged = 1;
        while merged < n {
            let mut distance = merged;
            while distance > 0 {
                let pairs = (distance % merged..n - distance).step_by(2 * distance);
                let lanes = pairs.flat_map(|j| (j..j + distance).filter(|i| i + distance < n));
                let in_one_merge = |i: &usize| i / (2 * merged) == (i + distance) / (2 * merged);
                stages.push(lanes.filter(in_one_merge).count() as u64);
                distance /= 2;
            }
            merged *= 2;
        }
        let p = u64::from(n.ilog2());
        assert_eq!(stages.len() as u64, p * (p + 1) / 2, "stages of {n}");
        assert_eq!(stages.iter().sum::<u64>(), (p * p - p + 4) * n as u64 / 4 - 1, "comparators of {n}");
        Self { stages }
    }

    pub fn comparators(&self) -> u64 {
        self.stages.iter().sum()
    }

    /// Cycles of a row where as many comparators work as quick-select has, two arrays of `lanes`, a stage after the other.
    pub fn folded(&self, lanes: usize) -> u64 {
        self.stages.iter().map(|c| c.div_ceil(2 * lanes as u64)).sum()
    }
}

/// Cycles of each row by the model of the authors' release (`TopKLatencyModel.scala` in mit-han-lab/spatten): a pass over
/// `c` candidates takes `ceil(c / lanes) + 3`. The passes are golden's, with its pivots.
pub fn authors(rows: &[Row], lanes: usize) -> Vec<u64> {
    let mut generator = Lfsr::default();
    let cycles = |row: &Row| {
        let passes = quick_select::fixed(&row.scores, row.k.min(row.scores.len()), &mut generator).passes;
        passes.iter().map(|candidates| candidates.div_ceil(lanes) as u64 + 3).sum()
    };
    rows.iter().map(cycles).collect()
}
