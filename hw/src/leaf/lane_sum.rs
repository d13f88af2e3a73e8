//! Sums of the lanes of two words, which kernels cannot say: they do not concatenate.

use crate::hdl::*;

/// Lane by lane `a + b`, modulo the width of a lane.
///
/// # Timing   `sum` follows in the same cycle
#[derive(LogicBlock)]
pub struct LaneSum {
    name: ModuleName,
    /// The lanes, the first in the lowest bits.
    pub a: Wire<In>,
    /// What is added to them.
    pub b: Wire<In>,
    /// All sums.
    pub sum: Wire<Out>,
    _lanes: usize,
    _bits: usize,
}

impl LaneSum {
    /// Of `lanes` lanes of `bits`.
    pub fn new(lanes: usize, bits: usize) -> Self {
        Self {
            name: ModuleName::new(format!("lane_sum_{lanes}x{bits}")),
            a: Wire::unsigned(lanes * bits),
            b: Wire::unsigned(lanes * bits),
            sum: Wire::unsigned(lanes * bits),
            _lanes: lanes,
            _bits: bits,
        }
    }
}

impl Logic for LaneSum {
    fn update(&mut self) {
        let (bits, mask) = (self._bits, Num::from((1usize << self._bits) - 1));
        let lane = |word: &Num, i: usize| (word.clone() >> (i * bits)) & mask.clone();
        let (a, b) = (self.a.val(), self.b.val());
        let sums = (0..self._lanes).rev().map(|i| (lane(&a, i) + lane(&b, i)) & mask.clone());
        self.sum.next = sums.fold(Num::default(), |word, sum| (word << bits) | sum);
    }

    fn connect(&mut self) {
        self.sum.connect();
    }

    fn hdl(&self) -> Verilog {
        let (lanes, bits) = (self._lanes, self._bits);
        Verilog::Custom(format!(
            "genvar i;\n\
             generate for (i = 0; i < {lanes}; i = i + 1) begin : lane\n    \
             assign sum[i * {bits} +: {bits}] = a[i * {bits} +: {bits}] + b[i * {bits} +: {bits}];\n\
             end endgenerate\n"
        ))
    }
}
