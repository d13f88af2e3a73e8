//! Requantisation decisions, in time. Siblings: `golden`, `hw`, `tests/requant_decision.rs`.

use crate::cosim::{Beat, Field};
use crate::cycle::CycleModel;
use spatten_golden::requant_decision;
use std::collections::VecDeque;

/// Sizes of the RTL's queues.
const PLACES: usize = 4;
/// Cycles from a sum to its decision.
const LATENCY: u64 = 2;

/// A row's sum, on stream `sum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// `exp_sum`; 0 for an empty row.
    pub sum: u64,
    /// It is kept whatever its sum.
    pub last_pass: bool,
    /// Which row it is.
    pub row: u64,
    /// Widths of sum and row.
    pub bits: [u32; 2],
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        vec![
            Field::value("sum", self.sum, self.bits[0]),
            Field::flag("final", self.last_pass),
            Field::value("row", self.row, self.bits[1]),
        ]
    }
}

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// On stream 0, `decision`: is the row kept?
    Decision(bool),
    /// On stream 1, `refetch`: a row that is not, and its width.
    Refetch(u64, u32),
}

impl Beat for Output {
    fn fields(&self) -> Vec<Field> {
        match *self {
            Self::Decision(keep) => vec![Field::flag("keep", keep)],
            Self::Refetch(row, bits) => vec![Field::value("row", row, bits)],
        }
    }
}

/// Cycles and values of the block.
#[derive(Debug, Clone)]
pub struct RequantDecision {
    threshold_inverse: u64,
    now: u64,
    decision_places: usize,
    refetch_places: usize,
    decisions: VecDeque<(u64, Output)>,
    refetches: VecDeque<(u64, Output)>,
    /// A row came in the last cycle and does not need the place it took.
    returns: bool,
}

impl RequantDecision {
    /// As after reset.
    pub fn new(threshold_inverse: u64) -> Self {
        Self {
            threshold_inverse,
            now: 0,
            decision_places: PLACES,
            refetch_places: PLACES,
            decisions: VecDeque::new(),
            refetches: VecDeque::new(),
            returns: false,
        }
    }
}

impl CycleModel for RequantDecision {
    type Input = Input;
    type Output = Output;

    fn ready(&self, _port: usize) -> bool {
        self.decision_places > 0 && self.refetch_places > 0
    }

    fn output(&self, port: usize) -> Option<&Output> {
        let queue = if port == 0 { &self.decisions } else { &self.refetches };
        queue.front().filter(|(from, _)| *from <= self.now).map(|(_, beat)| beat)
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        self.refetch_places += usize::from(std::mem::take(&mut self.returns));
        if let Some(row) = accepted[0].take() {
            let flat = !row.last_pass && requant_decision::fixed(row.sum, self.threshold_inverse);
            self.decision_places -= 1;
            self.refetch_places -= 1;
            self.decisions.push_back((self.now + LATENCY, Output::Decision(!flat)));
            if flat {
                self.refetches.push_back((self.now + LATENCY, Output::Refetch(row.row, row.bits[1])));
            }
            self.returns = !flat;
        }
        if taken[0] {
            self.decisions.pop_front();
            self.decision_places += 1;
        }
        if taken[1] {
            self.refetches.pop_front();
            self.refetch_places += 1;
        }
        self.now += 1;
    }
}
