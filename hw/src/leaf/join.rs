//! Lanes as one word, which kernels cannot say: they do not concatenate.

use crate::hdl::*;

/// Lane 0 in the lowest bits.
///
/// # Timing   `word` follows `lane` in the same cycle
#[derive(LogicBlock)]
pub struct Join {
    name: ModuleName,
    /// The lanes.
    pub lane: Vec<Wire<In>>,
    /// All of them.
    pub word: Wire<Out>,
}

impl Join {
    /// Of `lanes` lanes of `bits`.
    pub fn new(lanes: usize, bits: usize) -> Self {
        Self {
            name: ModuleName::new(format!("join_{lanes}x{bits}")),
            lane: vec_of(lanes, || Wire::unsigned(bits)),
            word: Wire::unsigned(lanes * bits),
        }
    }
}

impl Logic for Join {
    fn update(&mut self) {
        let bits = self.lane.first().map_or(0, Wire::width);
        let word = self.lane.iter().rev().fold(Num::default(), |word, lane| (word << bits) | lane.val());
        self.word.next = word;
    }

    fn connect(&mut self) {
        self.word.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("assign word = lane;\n".into())
    }
}
