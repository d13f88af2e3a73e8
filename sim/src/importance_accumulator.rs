//! Importance of tokens and heads, in time. Siblings: `golden`, `hw`, `tests/importance_accumulator.rs`.

use crate::cosim::{Beat, Field, bits_for};
use crate::cycle::CycleModel;
use crate::softmax::{Scores, words};
use spatten_arch::ArchConfig;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::format::Formats;
use spatten_golden::dot_product::ScaleFactor;
use spatten_golden::importance_accumulator::{decay, fixed, mean, weighted};
use std::collections::VecDeque;
use std::sync::Arc;

/// Cycles from a word to the same word of the next row.
const ROW_GAP: u64 = 3;
/// Cycles of rest after a command.
const DRAIN: u64 = 16;
/// Sizes of the RTL's queues, and cycles from a step to their output.
const READS: [usize; 2] = [16, 4];
const READ_LATENCY: [u64; 2] = [15, 2];
/// Bits of a row count.
pub const ROW_BITS: u32 = 24;

/// Bits of a command's count of tokens or heads.
pub fn count_bits(config: &ArchConfig) -> u32 {
    bits_for(config.keys_on_chip.max(MAX_HEADS))
}

/// What the block is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Adds rows of scores and of outputs.
    Accumulate {
        /// Of scores.
        rows: u32,
        /// Of outputs.
        head_rows: u32,
        /// Scores are multiplied by norms.
        weighted: bool,
    },
    /// Sets the first `count` tokens (in whole words) or heads to 0.
    Clear {
        /// Heads.
        heads: bool,
        /// How many.
        count: u32,
    },
    /// Multiplies the first tokens by `gamma`.
    Decay {
        /// U1.16
        gamma: u32,
        /// How many.
        count: u32,
    },
    /// Puts out the first tokens or heads.
    Read {
        /// Heads.
        heads: bool,
        /// Divided by their rows.
        mean: bool,
        /// How many.
        count: u32,
    },
    /// Takes in the first tokens or heads.
    Load {
        /// Heads.
        heads: bool,
        /// How many.
        count: u32,
    },
}

/// Scores of one beat, with norms of the values where they count.
#[derive(Debug, Clone)]
pub struct TokenBeat {
    /// The whole row, of which increments are used.
    pub row: Arc<Scores>,
    /// `[n]`
    pub norms: Arc<[u32]>,
    /// Which beat of the row.
    pub word: usize,
}

/// A row of outputs.
#[derive(Debug, Clone, Copy)]
pub struct HeadRow {
    /// Its head.
    pub head: usize,
    /// Sum of its magnitudes.
    pub magnitude: u32,
    /// Factor to the unit of head importance.
    pub factor: ScaleFactor,
}

/// Importances and row counts of one beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// `[lanes]`
    pub importance: Vec<u64>,
    /// `[lanes]`
    pub rows: Vec<u64>,
}

impl Word {
    fn fields(&self) -> Vec<Field> {
        vec![Field::lanes("importance", &self.importance, 36), Field::lanes("rows", &self.rows, ROW_BITS)]
    }
}

/// What goes in, each with the sizes that its ports need.
#[derive(Debug, Clone)]
pub enum Input {
    /// On stream 0, `command`: and bits of its count.
    Command(Command, u32),
    /// On stream 1, `in`: and lanes.
    Scores(TokenBeat, usize),
    /// On stream 2, `head`.
    Head(HeadRow),
    /// On stream 3, `load`.
    Load(Word),
    /// On stream 4, `head_load`.
    HeadLoad(u64),
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Command(command, bits) => {
                let (op, heads, mean, count, rows, head_rows, weighted, gamma) = match *command {
                    Command::Accumulate { rows, head_rows, weighted } => {
                        (0, false, true, 1, rows, head_rows, weighted, 77)
                    }
                    Command::Clear { heads, count } => (1, heads, true, count, 3, 3, true, 99),
                    Command::Decay { gamma, count } => (2, false, true, count, 3, 3, true, gamma),
                    Command::Read { heads, mean, count } => (3, heads, mean, count, 3, 3, true, 88),
                    Command::Load { heads, count } => (4, heads, true, count, 3, 3, true, 66),
                };
                vec![
                    Field::value("op", op, 3),
                    Field::flag("heads", heads),
                    Field::flag("weighted", weighted),
                    Field::flag("mean", mean),
                    Field::value("count", count.into(), *bits),
                    Field::value("rows", rows.into(), ROW_BITS),
                    Field::value("head_rows", head_rows.into(), ROW_BITS),
                    Field::value("gamma", gamma.into(), 17),
                ]
            }
            Self::Scores(beat, lanes) => {
                let n = beat.row.increment.len();
                let (from, to) = (beat.word * lanes, ((beat.word + 1) * lanes).min(n));
                // What no row has must not matter.
                let mut increments = vec![0x1_5a5a; *lanes];
                let mut norms = vec![0x2_a5a5; *lanes];
                for j in from..to {
                    increments[j - from] = beat.row.increment[j].into();
                    norms[j - from] = beat.norms.get(j).map_or(0x3_1234, |&x| u64::from(x));
                }
                vec![
                    Field::lanes("increment", &increments, 17),
                    Field::lanes("norm", &norms, 18),
                    Field::value("count", (to - from) as u64, lanes.ilog2() + 1),
                    Field::flag("last", beat.word + 1 == words(n, *lanes)),
                ]
            }
            Self::Head(row) => vec![
                Field::value("head", row.head as u64, MAX_HEADS.ilog2()),
                Field::value("magnitude", row.magnitude.into(), 24),
                Field::value("mantissa", row.factor.mantissa.into(), 18),
                Field::value("shift", row.factor.shift.into(), 6),
            ],
            Self::Load(word) => word.fields(),
            Self::HeadLoad(importance) => vec![Field::value("importance", *importance, 48)],
        }
    }
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// On stream 0, `read`.
    Read {
        /// All lanes of the word.
        word: Word,
        /// How many were asked for.
        count: usize,
        /// The last word.
        last: bool,
    },
    /// On stream 1, `head_read`: importance, and is it the last?
    HeadRead(u64, bool),
    /// On stream 2, `done`: saturations of tokens and heads, and bits of the first.
    Done([u64; 2], u32),
}

impl Beat for Output {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Read { word, count, last } => {
                let mut fields = word.fields();
                fields.push(Field::value("count", *count as u64, word.rows.len().ilog2() + 1));
                fields.push(Field::flag("last", *last));
                fields
            }
            Self::HeadRead(importance, last) => {
                vec![Field::value("importance", *importance, 48), Field::flag("last", *last)]
            }
            Self::Done([tokens, heads], bits) => vec![
                Field::value("token_saturations", *tokens, *bits),
                Field::value("head_saturations", *heads, ROW_BITS),
            ],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Accumulate,
    Sweep,
    Drain(u64),
    Done,
}

/// Cycles and values of the block.
#[derive(Debug, Clone)]
pub struct ImportanceAccumulator {
    lanes: usize,
    formats: Formats,
    saturation_bits: u32,
    now: u64,
    state: State,
    command: Command,
    rows_left: u32,
    head_rows_left: u32,
    word: usize,
    row_from: u64,
    at: usize,
    sums: Vec<u64>,
    rows: Vec<u64>,
    heads: Vec<u64>,
    saturations: [u64; 2],
    reads: VecDeque<(u64, Output)>,
    head_reads: VecDeque<(u64, Output)>,
    done: Option<Output>,
}

impl ImportanceAccumulator {
    /// As after reset, with all sums 0 (the RTL's are unknown until they are cleared).
    pub fn new(config: &ArchConfig) -> Self {
        Self {
            lanes: config.softmax_lanes,
            formats: Formats::new(config),
            saturation_bits: ROW_BITS + config.keys_on_chip.ilog2(),
            now: 0,
            state: State::Idle,
            command: Command::Accumulate { rows: 0, head_rows: 0, weighted: false },
            rows_left: 0,
            head_rows_left: 0,
            word: 0,
            row_from: 0,
            at: 0,
            sums: vec![0; config.keys_on_chip],
            rows: vec![0; config.keys_on_chip],
            heads: vec![0; MAX_HEADS],
            saturations: [0; 2],
            reads: VecDeque::new(),
            head_reads: VecDeque::new(),
            done: None,
        }
    }

    /// One row of scores, all at once: nothing looks at sums before the command is over.
    fn add(&mut self, beat: &TokenBeat, weigh: bool) {
        for (j, &increment) in beat.row.increment.iter().enumerate() {
            let increment = if weigh { weighted(increment, beat.norms[j]) } else { u64::from(increment) };
            let (sum, cut) = fixed(self.sums[j], increment, &self.formats.token_importance);
            self.sums[j] = sum;
            self.rows[j] = (self.rows[j] + 1).min((1 << ROW_BITS) - 1);
            self.saturations[0] += u64::from(cut);
        }
    }

    /// One word or head of a sweep; is it the last?
    fn step(&mut self, load: Option<Input>) -> bool {
        let (heads, count) = match self.command {
            Command::Clear { heads, count } | Command::Read { heads, count, .. } | Command::Load { heads, count } => {
                (heads, count as usize)
            }
            Command::Decay { count, .. } => (false, count as usize),
            Command::Accumulate { .. } => unreachable!("no sweep"),
        };
        let last = self.at + 1 == if heads { count.max(1) } else { words(count, self.lanes) };
        let some = count > 0;
        let from = self.at * self.lanes;
        match (self.command, load) {
            (Command::Clear { .. }, _) if heads && some => self.heads[self.at] = 0,
            (Command::Clear { .. }, _) if some => {
                self.sums[from..from + self.lanes].fill(0);
                self.rows[from..from + self.lanes].fill(0);
            }
            (Command::Decay { gamma, .. }, _) if some => {
                self.sums[from..from + self.lanes].iter_mut().for_each(|sum| *sum = decay(*sum, gamma));
            }
            (Command::Read { .. }, _) if heads => {
                let read = Output::HeadRead(self.heads[self.at], last);
                self.head_reads.push_back((self.now + READ_LATENCY[1], read));
            }
            (Command::Read { mean: divided, .. }, _) => {
                let (sums, rows) = (&self.sums[from..from + self.lanes], &self.rows[from..from + self.lanes]);
                let value = |(&sum, &rows)| if divided { mean(sum, rows, &self.formats.token_mean).0 } else { sum };
                let word = Word { importance: sums.iter().zip(rows).map(value).collect(), rows: rows.to_vec() };
                let count = (count - from.min(count)).min(self.lanes);
                self.reads.push_back((self.now + READ_LATENCY[0], Output::Read { word, count, last }));
            }
            (Command::Load { .. }, Some(Input::HeadLoad(importance))) if some => self.heads[self.at] = importance,
            (Command::Load { .. }, Some(Input::Load(word))) if some => {
                self.sums[from..from + self.lanes].copy_from_slice(&word.importance);
                self.rows[from..from + self.lanes].copy_from_slice(&word.rows);
            }
            _ => {}
        }
        self.at += 1;
        last
    }
}

impl CycleModel for ImportanceAccumulator {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        let load = |of| matches!(self.command, Command::Load { heads, .. } if heads == of);
        match port {
            0 => self.state == State::Idle,
            1 => self.state == State::Accumulate && self.rows_left > 0 && (self.word > 0 || self.now >= self.row_from),
            2 => self.state == State::Accumulate && self.head_rows_left > 0,
            3 => self.state == State::Sweep && load(false),
            _ => self.state == State::Sweep && load(true),
        }
    }

    fn output(&self, port: usize) -> Option<&Output> {
        let front = |queue: &'_ VecDeque<(u64, Output)>| queue.front().is_some_and(|(from, _)| *from <= self.now);
        match port {
            0 => self.reads.front().filter(|_| front(&self.reads)).map(|(_, beat)| beat),
            1 => self.head_reads.front().filter(|_| front(&self.head_reads)).map(|(_, beat)| beat),
            _ => self.done.as_ref(),
        }
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        // Places are counted before the edge.
        let places = [READS[0] - self.reads.len(), READS[1] - self.head_reads.len()];
        match self.state {
            State::Idle => {
                if let Some(Input::Command(command, _)) = accepted[0].take() {
                    self.command = command;
                    self.saturations = [0; 2];
                    self.at = 0;
                    self.state = State::Sweep;
                    if let Command::Accumulate { rows, head_rows, .. } = command {
                        (self.rows_left, self.head_rows_left) = (rows, head_rows);
                        self.state = State::Accumulate;
                    }
                }
            }
            State::Accumulate => {
                if self.rows_left == 0 && self.head_rows_left == 0 {
                    self.state = State::Drain(DRAIN);
                }
                if let Some(Input::Scores(beat, lanes)) = accepted[1].take() {
                    assert_eq!((beat.word, lanes), (self.word, self.lanes), "beats of a row come in order");
                    self.row_from = (self.now + ROW_GAP).saturating_sub(self.word as u64);
                    self.word += 1;
                    if self.word == words(beat.row.increment.len(), self.lanes) {
                        self.word = 0;
                        self.rows_left -= 1;
                        self.add(&beat, matches!(self.command, Command::Accumulate { weighted: true, .. }));
                    }
                }
                if let Some(Input::Head(row)) = accepted[2].take() {
                    let increment = row.factor.apply(row.magnitude.into()) as u64;
                    let (sum, cut) = fixed(self.heads[row.head], increment, &self.formats.head_importance);
                    self.heads[row.head] = sum;
                    self.saturations[1] += u64::from(cut);
                    self.head_rows_left -= 1;
                }
            }
            State::Sweep => {
                let load = accepted[3].take().or(accepted[4].take());
                let steps = match self.command {
                    Command::Load { .. } => load.is_some(),
                    Command::Read { heads, .. } => places[usize::from(heads)] > 0,
                    _ => true,
                };
                if steps && self.step(load) {
                    self.state = State::Drain(DRAIN);
                }
            }
            State::Drain(left) => {
                self.state = State::Drain(left - 1);
                if left == 1 {
                    self.state = State::Done;
                    self.done = Some(Output::Done(self.saturations, self.saturation_bits));
                }
            }
            State::Done => {
                if taken[2] {
                    self.done = None;
                    self.state = State::Idle;
                }
            }
        }
        if taken[0] {
            self.reads.pop_front();
        }
        if taken[1] {
            self.head_reads.pop_front();
        }
        self.now += 1;
    }
}
