//! Histogram selection with deterministic time. Siblings: `golden`, `hw`, `tests/radix_select.rs`.
//!
//! Time does not depend on scores, so the model counts cycles and finds the answer once per row.

use crate::cycle::CycleModel;
use spatten_arch::radix::digits;

/// A beat of the row stream, or of the k stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Port 0: scores of a row.
    Scores {
        /// Up to as many as there are lanes.
        scores: Vec<u64>,
        /// The row ends.
        last: bool,
    },
    /// Port 1: how many to keep of the next row.
    Keep(usize),
}

/// The k-th largest score and how many of its equals to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The k-th largest; all ones where nothing is kept.
    pub score: u64,
    /// 0 where nothing is kept.
    pub equal: usize,
}

/// What the arrival stage does in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Open,
    /// Cycles until the counts are complete.
    Drain(u32),
    Compare,
    Choose,
    Offer,
}

/// What the later passes do in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passes {
    Idle,
    /// Cycles until the answer.
    Busy(usize),
    Done,
}

/// The engine: one row arrives while another is in the later passes.
#[derive(Debug, Clone)]
pub struct RadixSelect {
    lanes: usize,
    later: usize,
    most: u64,
    arrival: Arrival,
    row: Vec<u64>,
    beats: usize,
    k: Option<usize>,
    k_settled: bool,
    first: Option<Answer>,
    passes: Passes,
    answer: Option<Answer>,
}

impl RadixSelect {
    /// For scores of `bits`, `lanes` per cycle.
    pub fn new(bits: u32, lanes: usize) -> Self {
        Self {
            lanes,
            later: digits(bits).len() - 1,
            most: u64::MAX >> (64 - bits),
            arrival: Arrival::Open,
            row: vec![],
            beats: 0,
            k: None,
            k_settled: false,
            first: None,
            passes: Passes::Idle,
            answer: None,
        }
    }

    /// Whether a beat of scores is accepted in this cycle.
    pub fn ready(&self) -> bool {
        self.arrival == Arrival::Open
    }

    /// Whether a k is accepted in this cycle.
    pub fn k_ready(&self) -> bool {
        self.k.is_none()
    }

    /// The answer that is offered.
    pub fn front(&self) -> Option<&Answer> {
        if self.later == 0 {
            self.first.as_ref().filter(|_| self.arrival == Arrival::Offer)
        } else {
            self.answer.as_ref().filter(|_| self.passes == Passes::Done)
        }
    }

    /// One rising edge.
    ///
    /// # Panics
    /// Where more scores come in a beat than there are lanes.
    #[track_caller]
    pub fn clock(&mut self, scores: Option<(&[u64], bool)>, k: Option<usize>, taken: bool) {
        let free = match self.passes {
            _ if self.later == 0 => taken,
            Passes::Idle => true,
            Passes::Busy(_) => false,
            Passes::Done => taken,
        };
        let moves = self.arrival == Arrival::Offer && free;
        self.passes = match self.passes {
            Passes::Busy(1) => Passes::Done,
            Passes::Busy(cycles) => Passes::Busy(cycles - 1),
            Passes::Done if taken => Passes::Idle,
            other => other,
        };
        if moves && self.later > 0 {
            self.passes = Passes::Busy(self.later * (self.beats + 4) + 3);
            self.answer = self.first.take();
        }
        let settled = self.k.is_some();
        if let Some(k) = k {
            assert!(self.k.is_none(), "a second k");
            self.k = Some(k);
        }
        if let Some((scores, last)) = scores {
            assert!(scores.len() <= self.lanes, "{} scores in {} lanes", scores.len(), self.lanes);
            self.row.extend_from_slice(scores);
            self.beats += 1;
            if last {
                self.arrival = Arrival::Drain(3);
            }
        } else {
            self.arrival = match self.arrival {
                Arrival::Drain(1) => Arrival::Compare,
                Arrival::Drain(cycles) => Arrival::Drain(cycles - 1),
                Arrival::Compare if self.k_settled => Arrival::Choose,
                Arrival::Choose => {
                    let k = self.k.expect("compared with it");
                    self.first = Some(kth_largest(&mut self.row, k, self.most));
                    Arrival::Offer
                }
                Arrival::Offer if moves => Arrival::Open,
                other => other,
            };
        }
        self.k_settled = settled;
        if moves {
            self.row.clear();
            self.beats = 0;
            self.k = None;
            self.k_settled = false;
        }
    }
}

/// The answer; leaves the row in another order.
fn kth_largest(row: &mut [u64], k: usize, most: u64) -> Answer {
    let k = k.min(row.len());
    if k == 0 {
        return Answer { score: most, equal: 0 };
    }
    let (larger, &mut score, _) = row.select_nth_unstable_by(k - 1, |a, b| b.cmp(a));
    Answer { score, equal: k - larger.iter().filter(|&&s| s > score).count() }
}

impl CycleModel for RadixSelect {
    type Input = Input;
    type Output = Answer;

    fn ready(&self, port: usize) -> bool {
        if port == 0 { self.ready() } else { self.k_ready() }
    }

    fn output(&self, _port: usize) -> Option<&Answer> {
        self.front()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let scores = match &accepted[0] {
            Some(Input::Scores { scores, last }) => Some((&scores[..], *last)),
            Some(Input::Keep(_)) => panic!("a k on the port of scores"),
            None => None,
        };
        let k = match &accepted[1] {
            Some(Input::Keep(k)) => Some(*k),
            Some(Input::Scores { .. }) => panic!("scores on the port of k"),
            None => None,
        };
        self.clock(scores, k, taken[0]);
    }
}
