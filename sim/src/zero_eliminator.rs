//! Closes the gaps in a stream, order kept. Siblings: `golden`, `hw`, `tests/zero_eliminator.rs`.

use crate::cycle::{CreditPipe, CycleModel};
use crate::prefix_sum::stages;

/// A beat with gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gapped<T> {
    /// What stays of it, in order.
    pub kept: Vec<T>,
    /// The row ends.
    pub last: bool,
}

/// A beat without gaps: full, but for the last of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed<T> {
    /// Its lanes.
    pub lanes: Vec<T>,
    /// The row ends.
    pub last: bool,
}

/// Cycles of the shift network.
pub(crate) fn network_latency(lanes: usize) -> usize {
    stages(lanes) + (lanes.ilog2() as usize).div_ceil(2)
}

/// Partial beats into full ones: the end of the block, and of `top_k`.
#[derive(Debug, Clone)]
pub struct Packer<T> {
    lanes: usize,
    /// Left over from the beats before; after a row's last one, what waits for a cycle of its own.
    left: Vec<T>,
    flushing: bool,
    pipe: CreditPipe<Packed<T>>,
}

impl<T> Packer<T> {
    /// For beats of `lanes` lanes.
    pub fn new(lanes: usize) -> Self {
        let latency = stages(lanes) + 1;
        let pipe = CreditPipe::new(latency, (latency + 1).next_power_of_two());
        Self { lanes, left: Vec::with_capacity(2 * lanes), flushing: false, pipe }
    }

    /// Whether a beat is accepted in this cycle.
    pub fn ready(&self) -> bool {
        self.pipe.ready() && !self.flushing
    }

    /// The oldest beat.
    pub fn front(&self) -> Option<&Packed<T>> {
        self.pipe.front()
    }

    /// One rising edge.
    pub fn clock(&mut self, push: Option<Gapped<T>>, pop: bool) {
        let mut out = None;
        if let Some(beat) = push {
            self.left.extend(beat.kept);
            // A full beat waits for the next kept lane: it might be the row's last one.
            let more = self.left.len() > self.lanes;
            self.flushing = beat.last && more;
            if more || beat.last {
                let rest = self.left.split_off(self.lanes.min(self.left.len()));
                let lanes = std::mem::replace(&mut self.left, rest);
                out = Some(Packed { lanes, last: beat.last && !self.flushing });
            }
        } else if self.flushing && self.pipe.ready() {
            out = Some(Packed { lanes: std::mem::take(&mut self.left), last: true });
            self.flushing = false;
        }
        self.pipe.clock(out, pop);
    }
}

/// The block: the shift network with its queue, and the packer.
#[derive(Debug, Clone)]
pub struct ZeroEliminator<T> {
    compact: CreditPipe<Gapped<T>>,
    packer: Packer<T>,
}

impl<T> ZeroEliminator<T> {
    /// For beats of `lanes` lanes.
    pub fn new(lanes: usize) -> Self {
        let latency = network_latency(lanes) + 1;
        let compact = CreditPipe::new(latency, (latency + 1).next_power_of_two());
        Self { compact, packer: Packer::new(lanes) }
    }
}

impl<T> CycleModel for ZeroEliminator<T> {
    type Input = Gapped<T>;
    type Output = Packed<T>;

    fn ready(&self, _port: usize) -> bool {
        self.compact.ready()
    }

    fn output(&self, _port: usize) -> Option<&Packed<T>> {
        self.packer.front()
    }

    fn clock(&mut self, accepted: &mut [Option<Gapped<T>>], taken: &[bool]) {
        let moves = self.packer.ready() && self.compact.front().is_some();
        let beat = self.compact.exchange(accepted[0].take(), moves);
        self.packer.clock(beat, taken[0]);
    }
}
