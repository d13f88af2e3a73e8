//! Softmax, in time. Siblings: `golden`, `hw`, `tests/softmax.rs`.

use crate::cosim::{Beat, Field};
use crate::cycle::{CycleModel, Fifo};
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;
use spatten_golden::softmax::Row;
use std::collections::VecDeque;
use std::sync::Arc;

/// Sizes of the RTL's queues.
const ROWS: [usize; 2] = [16, 32];
const OUT: usize = 8;
const DECISIONS: usize = 4;
const SMALLEST_RING: usize = 64;

/// Cycles from the last beat of a row to its maximum, without the tree.
const MAXIMUM: u64 = 3;
/// Cycles from a row's last word leaving the ring to its sum being offered, without the tree.
const SUM: u64 = 11;
/// The same to its divisor being there.
const DIVISOR: u64 = 16;
/// Cycles from a word of exponentials leaving its ring to its scores being offered.
const SCORES: u64 = 6;

/// One beat of logits: word `word` of a row that all its beats share.
#[derive(Debug, Clone)]
pub struct LogitBeat {
    /// `[n]`, the whole row.
    pub row: Arc<[i32]>,
    /// Which beat of it.
    pub word: usize,
    /// Lanes of a beat.
    pub lanes: usize,
}

impl LogitBeat {
    /// All beats of a row.
    pub fn of_row(row: &Arc<[i32]>, lanes: usize) -> impl Iterator<Item = Self> {
        (0..words(row.len(), lanes)).map(move |word| Self { row: row.clone(), word, lanes })
    }

    fn last(&self) -> bool {
        self.word + 1 == words(self.row.len(), self.lanes)
    }
}

/// Beats of a row; an empty one has one.
pub fn words(n: usize, lanes: usize) -> usize {
    n.div_ceil(lanes).max(1)
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum Input {
    /// On stream 0, `in`.
    Logits(LogitBeat),
    /// On stream 1, `decision`: is the row kept?
    Decision(bool),
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Logits(b) => {
                let from = b.word * b.lanes;
                let mut lanes: Vec<i64> = b.row[from..].iter().take(b.lanes).map(|&x| i64::from(x)).collect();
                let count = lanes.len() as u64;
                // What no row has must not matter.
                lanes.resize(b.lanes, 0x3a_5a5a ^ from as i64);
                vec![
                    Field::signed_lanes("logits", &lanes, 24),
                    Field::value("count", count, b.lanes.ilog2() + 1),
                    Field::flag("last", b.last()),
                ]
            }
            Self::Decision(keep) => vec![Field::flag("keep", *keep)],
        }
    }
}

/// Scores of one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scores {
    /// `[n]`
    pub probability: Vec<u32>,
    /// `[n]`
    pub increment: Vec<u32>,
}

/// One beat of scores: word `word` of a row that all its beats share.
#[derive(Debug, Clone)]
pub struct ScoreBeat {
    /// The whole row.
    pub row: Arc<Scores>,
    /// Which beat of it.
    pub word: usize,
    /// Lanes of a beat.
    pub lanes: usize,
}

impl ScoreBeat {
    /// All beats of a row.
    pub fn of_row(row: &Arc<Scores>, lanes: usize) -> impl Iterator<Item = Self> {
        (0..words(row.probability.len(), lanes)).map(move |word| Self { row: row.clone(), word, lanes })
    }

    /// Does it end its row?
    pub fn last(&self) -> bool {
        self.word + 1 == words(self.row.probability.len(), self.lanes)
    }
}

/// What comes out.
#[derive(Debug, Clone)]
pub enum Output {
    /// On stream 0, `sum`: the sum and its width.
    Sum(u64, u32),
    /// On stream 1, `out`.
    Scores(ScoreBeat),
}

impl Beat for Output {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Sum(sum, bits) => {
                let decode = |sum| format!("{}", sum as f64 * (-24f64).exp2());
                vec![Field::value("sum", *sum, *bits).decode(decode)]
            }
            Self::Scores(b) => {
                let lanes = |of: &[u32]| -> Vec<u64> {
                    let mut lanes: Vec<u64> =
                        of[b.word * b.lanes..].iter().take(b.lanes).map(|&x| u64::from(x)).collect();
                    lanes.resize(b.lanes, 0);
                    lanes
                };
                let count = b.row.probability.len() - b.word * b.lanes;
                vec![
                    Field::lanes("probability", &lanes(&b.row.probability), 13)
                        .decode(|p| format!("{}", p as f64 / 4096.0)),
                    Field::lanes("increment", &lanes(&b.row.increment), 17)
                        .decode(|p| format!("{}", p as f64 / 65536.0)),
                    Field::value("count", count.min(b.lanes) as u64, b.lanes.ilog2() + 1),
                    Field::flag("last", b.last()),
                ]
            }
        }
    }
}

/// Cycles and values of the block.
#[derive(Debug, Clone)]
pub struct Softmax {
    lanes: usize,
    levels: u64,
    sum_bits: u32,
    now: u64,
    arriving: usize,
    ring_places: usize,
    row_places: usize,
    /// Rows whose maximum is known in the cycle given.
    intake: VecDeque<(u64, Arc<[i32]>)>,
    issued: usize,
    stored_places: usize,
    freed: usize,
    sum_places: usize,
    scored_rows: usize,
    sums: VecDeque<(u64, Output)>,
    pending: VecDeque<(u64, Row)>,
    decisions: Fifo<bool>,
    scores: Option<Arc<Scores>>,
    scored: usize,
    out_places: usize,
    out: VecDeque<(u64, Output)>,
    spare: Vec<Row>,
}

impl Softmax {
    /// As after reset.
    pub fn new(config: &ArchConfig) -> Self {
        let ring = (2 * config.keys_on_chip / config.softmax_lanes).max(SMALLEST_RING);
        Self {
            lanes: config.softmax_lanes,
            levels: config.softmax_lanes.ilog2().into(),
            sum_bits: Formats::new(config).exp_sum.width(),
            now: 0,
            arriving: 0,
            ring_places: ring,
            row_places: ROWS[0],
            intake: VecDeque::new(),
            issued: 0,
            stored_places: ring,
            freed: 0,
            sum_places: ROWS[1],
            scored_rows: ROWS[1],
            sums: VecDeque::new(),
            pending: VecDeque::new(),
            decisions: Fifo::new(DECISIONS),
            scores: None,
            scored: 0,
            out_places: OUT,
            out: VecDeque::new(),
            spare: vec![],
        }
    }

    fn there<T>(&self, queue: &VecDeque<(u64, T)>) -> bool {
        queue.front().is_some_and(|(from, _)| *from <= self.now)
    }
}

impl CycleModel for Softmax {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        if port == 0 { self.ring_places > 0 && self.row_places > 0 } else { self.decisions.ready() }
    }

    fn output(&self, port: usize) -> Option<&Output> {
        let queue = if port == 0 { &self.sums } else { &self.out };
        queue.front().filter(|(from, _)| *from <= self.now).map(|(_, beat)| beat)
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        // Everything is decided by the state before the edge.
        let issue = self.there(&self.intake) && self.stored_places > 0 && self.sum_places > 0 && self.scored_rows > 0;
        let decided = self.there(&self.pending) && self.decisions.front().is_some();
        let keep = decided && self.decisions.front() == Some(&true);
        let score = keep && self.out_places > 0;
        self.stored_places += std::mem::take(&mut self.freed);

        if let Some(beat) = accepted[0].take() {
            let Input::Logits(beat) = beat else { panic!("{beat:?} on `in`") };
            assert_eq!((beat.word, beat.lanes), (self.arriving, self.lanes), "beats of a row come in order");
            self.ring_places -= 1;
            self.arriving += 1;
            if beat.last() {
                self.arriving = 0;
                self.row_places -= 1;
                self.intake.push_back((self.now + MAXIMUM + self.levels, beat.row));
            }
        }

        if issue {
            self.ring_places += 1;
            self.stored_places -= 1;
            self.issued += 1;
            if self.issued == words(self.intake[0].1.len(), self.lanes) {
                self.issued = 0;
                let (_, logits) = self.intake.pop_front().expect("a row");
                let mut row = self.spare.pop().unwrap_or_default();
                row.load(&logits);
                self.row_places += 1;
                self.sum_places -= 1;
                self.scored_rows -= 1;
                self.sums.push_back((self.now + SUM + self.levels, Output::Sum(row.sum, self.sum_bits)));
                self.pending.push_back((self.now + DIVISOR + self.levels, row));
            }
        }
        if taken[0] {
            self.sums.pop_front();
            self.sum_places += 1;
        }

        let mut retire = decided && !keep;
        if retire {
            self.freed = words(self.pending[0].1.exponentials.len(), self.lanes);
        }
        if score {
            let row = &self.pending[0].1;
            let scores = self.scores.get_or_insert_with(|| {
                let mut scores = Scores::default();
                if let Some(divisor) = row.divisor() {
                    scores.probability.extend(row.exponentials.iter().map(|&e| divisor.probability(e)));
                    scores.increment.extend(row.exponentials.iter().map(|&e| divisor.increment(e)));
                }
                Arc::new(scores)
            });
            let beat = ScoreBeat { row: scores.clone(), word: self.scored, lanes: self.lanes };
            retire = beat.last();
            self.scored += 1;
            self.freed = 1;
            self.out_places -= 1;
            self.out.push_back((self.now + SCORES, Output::Scores(beat)));
        }
        if retire {
            self.scored = 0;
            self.scores = None;
            self.scored_rows += 1;
            self.spare.extend(self.pending.pop_front().map(|(_, row)| row));
        }
        if taken[1] {
            self.out.pop_front();
            self.out_places += 1;
        }
        let decision = accepted[1].take().map(|beat| match beat {
            Input::Decision(keep) => keep,
            Input::Logits(_) => panic!("logits on `decision`"),
        });
        self.decisions.clock(decision, retire);
        self.now += 1;
    }
}
