//! The engines that are measured, behind one interface: their Verilog, what they must answer, the rows that they like least.

use crate::rows::{Row, adversary};
use anyhow::Result;
use spatten_arch::lfsr::Lfsr;
use spatten_golden::{radix_select, top_k};
use spatten_hw::emit::{Design, emit};
use spatten_sim::cosim::{Bits, bits_for};

/// Sizes of an engine.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Of a score.
    pub bits: usize,
    /// Scores per cycle.
    pub lanes: usize,
    /// Longest row.
    pub keys: usize,
}

/// An engine with streams `in`, `k` and `out`.
pub trait Engine {
    fn name(&self) -> &'static str;
    fn design(&self, size: Size) -> Result<Design>;
    /// Rows in the order in which they are run after reset.
    fn adversary(&self, n: usize, k: usize, count: usize, size: Size) -> Vec<Row>;
    /// Rows that fill the pipeline: the time from row to row is that of the rows after them.
    fn warm_up(&self) -> usize;
    /// Ports of a beat of `out`.
    fn ports(&self) -> &'static [&'static str];
    /// Golden beats of a row, in the order of the ports.
    fn answer(&self, row: &Row, size: Size) -> Vec<Vec<Bits>>;
}

pub fn engines() -> Vec<Box<dyn Engine>> {
    vec![Box::new(QuickSelect), Box::new(RadixSelect), Box::new(TopK)]
}

fn threshold(row: &Row, size: Size) -> Vec<Vec<Bits>> {
    let found = radix_select::fixed(&row.scores, row.k.min(row.scores.len()), size.bits as u32, |_| ());
    let (score, equal) = found.map_or((u64::MAX >> (64 - size.bits), 0), |t| (t.score, t.equal));
    vec![vec![Bits::new(score, size.bits as u32), Bits::new(equal as u64, bits_for(size.keys))]]
}

/// The paper's.
struct QuickSelect;

impl Engine for QuickSelect {
    fn name(&self) -> &'static str {
        "quick_select"
    }

    fn design(&self, size: Size) -> Result<Design> {
        Ok(emit(spatten_hw::quick_select::QuickSelect::new(size.bits, size.lanes, size.keys))?)
    }

    /// Made for the state of its pivot generator.
    fn adversary(&self, n: usize, k: usize, count: usize, _: Size) -> Vec<Row> {
        let mut generator = Lfsr::default();
        (0..count).map(|_| adversary(n, k, &mut generator)).collect()
    }

    fn warm_up(&self) -> usize {
        0
    }

    fn ports(&self) -> &'static [&'static str] {
        &["out_score", "out_equal"]
    }

    fn answer(&self, row: &Row, size: Size) -> Vec<Vec<Bits>> {
        threshold(row, size)
    }
}

/// All scores stay candidates until the last digit. No row is worse than another.
fn all_largest(n: usize, k: usize, count: usize, size: Size) -> Vec<Row> {
    vec![Row { scores: vec![(1 << size.bits) - 1; n], k }; count]
}

/// The engine of `top_k`.
struct RadixSelect;

impl Engine for RadixSelect {
    fn name(&self) -> &'static str {
        "radix_select"
    }

    fn design(&self, size: Size) -> Result<Design> {
        Ok(emit(spatten_hw::radix_select::RadixSelect::new(size.bits, size.lanes, size.keys))?)
    }

    fn adversary(&self, n: usize, k: usize, count: usize, size: Size) -> Vec<Row> {
        all_largest(n, k, count, size)
    }

    fn warm_up(&self) -> usize {
        4
    }

    fn ports(&self) -> &'static [&'static str] {
        &["out_score", "out_equal"]
    }

    fn answer(&self, row: &Row, size: Size) -> Vec<Vec<Bits>> {
        threshold(row, size)
    }
}

/// The whole block: engine, row memory, filter, zero eliminator.
struct TopK;

impl Engine for TopK {
    fn name(&self) -> &'static str {
        "top_k"
    }

    fn design(&self, size: Size) -> Result<Design> {
        Ok(emit(spatten_hw::top_k::TopK::new(size.bits, size.lanes, size.keys))?)
    }

    fn adversary(&self, n: usize, k: usize, count: usize, size: Size) -> Vec<Row> {
        all_largest(n, k, count, size)
    }

    fn warm_up(&self) -> usize {
        6
    }

    fn ports(&self) -> &'static [&'static str] {
        &["out_index", "out_score", "out_count", "out_last"]
    }

    fn answer(&self, row: &Row, size: Size) -> Vec<Vec<Bits>> {
        let kept = top_k::fixed(&row.scores, row.k, size.bits as u32);
        let beats = kept.len().div_ceil(size.lanes).max(1);
        let beat = |b: usize| {
            let of_beat = &kept[b * size.lanes..kept.len().min((b + 1) * size.lanes)];
            let lanes = |value: &dyn Fn(usize) -> u64, width: u32| {
                let mut lanes: Vec<u64> = of_beat.iter().map(|&i| value(i)).collect();
                lanes.resize(size.lanes, 0);
                Bits::from_lanes(&lanes, width)
            };
            vec![
                lanes(&|i| i as u64, bits_for(size.keys - 1)),
                lanes(&|i| row.scores[i], size.bits as u32),
                Bits::new(of_beat.len() as u64, bits_for(size.lanes)),
                Bits::new(u64::from(b + 1 == beats), 1),
            ]
        };
        (0..beats).map(beat).collect()
    }
}
