//! Keeps the k largest in input order. Siblings: `golden`, `hw`, `tests/top_k.rs`.

use crate::cycle::{CreditPipe, CycleModel};
use crate::prefix_sum::stages;
use crate::radix_select::RadixSelect;
use crate::zero_eliminator::{Gapped, Packed, Packer, network_latency};
use std::collections::VecDeque;

pub use crate::radix_select::Input;

/// A kept element: its place in the row, and its score.
pub type Kept = (u32, u64);

/// The filter behind an engine: rows wait for their thresholds, then pass through it, one word per cycle.
#[derive(Debug, Clone)]
pub struct Filter {
    lanes: usize,
    /// Rows that wait, and scores of the one that arrives.
    rows: VecDeque<Vec<u64>>,
    arriving: Vec<u64>,
    /// The row that is filtered, its next score, its threshold and the equals that still pass.
    row: Option<Vec<u64>>,
    next: usize,
    score: u64,
    equal: usize,
    pipe: CreditPipe<Gapped<Kept>>,
    /// None where a beat is what is kept of a word.
    packer: Option<Packer<Kept>>,
    /// Rows that are done, for their memory.
    spare: Vec<Vec<u64>>,
}

impl Filter {
    /// For `lanes` scores per cycle; not `packed`, a beat is what is kept of a word.
    pub fn new(lanes: usize, packed: bool) -> Self {
        let latency = 3 + stages(lanes) + 1 + network_latency(lanes) + 1;
        Self {
            lanes,
            rows: VecDeque::new(),
            arriving: vec![],
            row: None,
            next: 0,
            score: 0,
            equal: 0,
            pipe: CreditPipe::new(latency, (latency + 1).next_power_of_two()),
            packer: packed.then(|| Packer::new(lanes)),
            spare: vec![],
        }
    }

    /// Whether a threshold is accepted in this cycle.
    pub fn ready(&self) -> bool {
        self.row.is_none()
    }

    /// The beat that is offered.
    pub fn front(&self) -> Option<&Packed<Kept>> {
        self.packer.as_ref()?.front()
    }

    /// The same, packed or not, and whether the row ends.
    pub fn kept(&self) -> Option<(&[Kept], bool)> {
        match &self.packer {
            Some(packer) => packer.front().map(|beat| (&beat.lanes[..], beat.last)),
            None => self.pipe.front().map(|beat| (&beat.kept[..], beat.last)),
        }
    }

    /// One rising edge: scores that the engine takes, its answer where that is taken, and whether a beat is.
    ///
    /// # Panics
    /// Where a threshold comes without its row.
    #[track_caller]
    pub fn clock(&mut self, scores: Option<(&[u64], bool)>, threshold: Option<(u64, usize)>, taken: bool) {
        if let Some((scores, last)) = scores {
            self.arriving.extend_from_slice(scores);
            if last {
                let empty = self.spare.pop().unwrap_or_default();
                self.rows.push_back(std::mem::replace(&mut self.arriving, empty));
            }
        }
        let mut word = None;
        if self.pipe.ready()
            && let Some(row) = &self.row
        {
            let end = row.len().min(self.next + self.lanes);
            let mut kept = vec![];
            for (i, &score) in row[self.next..end].iter().enumerate() {
                let equal = score == self.score && self.equal > 0;
                self.equal -= usize::from(equal);
                if equal || score > self.score {
                    kept.push(((self.next + i) as u32, score));
                }
            }
            let last = end == row.len();
            self.next = end;
            word = Some(Gapped { kept, last });
            if last && let Some(mut row) = self.row.take() {
                row.clear();
                self.spare.push(row);
            }
        }
        if let Some((score, equal)) = threshold {
            self.row = Some(self.rows.pop_front().expect("a threshold belongs to a row"));
            (self.score, self.equal, self.next) = (score, equal, 0);
        }
        let moves = self.packer.as_ref().map_or(taken, |packer| packer.ready() && self.pipe.front().is_some());
        let beat = self.pipe.exchange(word, moves);
        if let Some(packer) = &mut self.packer {
            packer.clock(beat, taken);
        }
    }
}

/// The block: the histogram engine and the filter.
#[derive(Debug, Clone)]
pub struct TopK {
    engine: RadixSelect,
    filter: Filter,
}

impl TopK {
    /// For scores of `bits`, `lanes` per cycle.
    pub fn new(bits: u32, lanes: usize) -> Self {
        Self { engine: RadixSelect::new(bits, lanes), filter: Filter::new(lanes, true) }
    }

    /// The same with a beat out per beat in, whose output is [`kept`](Self::kept) alone.
    pub fn aligned(bits: u32, lanes: usize) -> Self {
        Self { engine: RadixSelect::new(bits, lanes), filter: Filter::new(lanes, false) }
    }

    /// What is kept, on offer, and whether the row ends.
    pub fn kept(&self) -> Option<(&[Kept], bool)> {
        self.filter.kept()
    }

    /// One rising edge; scores are accepted only where [`ready`](CycleModel::ready) of port 0, k of port 1.
    pub fn step(&mut self, scores: Option<(&[u64], bool)>, k: Option<usize>, taken: bool) {
        let threshold = self.engine.front().filter(|_| self.filter.ready()).map(|a| (a.score, a.equal));
        self.filter.clock(scores, threshold, taken);
        self.engine.clock(scores, k, threshold.is_some());
    }
}

impl CycleModel for TopK {
    type Input = Input;
    type Output = Packed<Kept>;

    fn ready(&self, port: usize) -> bool {
        CycleModel::ready(&self.engine, port)
    }

    fn output(&self, _port: usize) -> Option<&Packed<Kept>> {
        self.filter.front()
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
        self.step(scores, k, taken[0]);
    }
}
