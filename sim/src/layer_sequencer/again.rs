//! Which rows are computed again, in time.

use crate::attention_core::Name;
use crate::cycle::Fifo;
use std::collections::BTreeSet;

const VERDICTS: usize = 4;
const FETCHES: usize = 4;
const ROWS: usize = 16;
/// Most rows of a word of the map.
const WORD: usize = 32;

/// A row, and whether it was flat and is the layer's last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whose it is.
    pub name: Name,
    /// It is computed again.
    pub flat: bool,
    /// The layer's last one.
    pub last: bool,
}

/// A flat row, and whether it is the last one of those that share keys.
pub(super) type Flat = (Name, bool);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Read,
    Look,
    Give,
}

#[derive(Debug, Clone)]
pub(super) struct Again {
    word: usize,
    words: usize,
    state: State,
    pending: usize,
    total: u32,
    /// Flat rows of the heads at hand by head and index, and those that are left of the ones that are given.
    flat: BTreeSet<(usize, usize)>,
    left: BTreeSet<(usize, usize)>,
    /// Head and word of the walk.
    at: (usize, usize),
    verdicts: Fifo<Verdict>,
    fetches: Fifo<Flat>,
    rows: Fifo<Flat>,
}

impl Again {
    pub(super) fn new(keys: usize) -> Self {
        let word = WORD.min(keys);
        Self {
            word,
            words: keys / word,
            state: State::Idle,
            pending: 0,
            total: 0,
            flat: BTreeSet::new(),
            left: BTreeSet::new(),
            at: (0, 0),
            verdicts: Fifo::new(VERDICTS),
            fetches: Fifo::new(FETCHES),
            rows: Fifo::new(ROWS),
        }
    }

    pub(super) fn verdict_ready(&self) -> bool {
        self.verdicts.ready() && self.pending > 0
    }

    pub(super) fn refetched(&self) -> Option<&Verdict> {
        self.verdicts.front()
    }

    /// Flat rows of the layer so far.
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// All rows that were issued are decided.
    pub(super) fn settled(&self) -> bool {
        self.pending == 0
    }

    /// The highest index of a flat row, if there is one.
    pub(super) fn most(&self) -> Option<usize> {
        self.flat.iter().map(|(_, index)| *index).max()
    }

    pub(super) fn to_fetches(&self) -> Option<&Flat> {
        self.fetches.front()
    }

    pub(super) fn to_rows(&self) -> Option<&Flat> {
        self.rows.front()
    }

    /// Rows of the word at hand.
    fn of_word(&self) -> Option<(usize, usize)> {
        let (head, at) = self.at;
        let first = *self.left.first()?;
        (first.0 == head && first.1 / self.word == at).then_some(first)
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn clock(
        &mut self,
        start: bool,
        count: usize,
        issued: bool,
        closing: bool,
        verdict: Option<(Name, bool)>,
        go: bool,
        refetched_taken: bool,
        [fetch_taken, row_taken]: [bool; 2],
    ) {
        let last = closing && self.pending == 1;
        self.verdicts.clock(verdict.map(|(name, flat)| Verdict { name, flat, last }), refetched_taken);
        self.pending += usize::from(issued);
        self.pending -= usize::from(verdict.is_some());
        let room = self.fetches.ready() && self.rows.ready();
        let mut given = None;
        self.state = match self.state {
            State::Idle if go => {
                self.left = std::mem::take(&mut self.flat);
                let (head, index) = *self.left.first().expect("some row is flat");
                self.at = (head, index / self.word);
                State::Read
            }
            State::Idle => State::Idle,
            State::Read => State::Look,
            State::Look => State::Give,
            State::Give => match self.of_word() {
                Some((head, index)) if room => {
                    self.left.pop_first();
                    given = Some((Name { head, index }, self.left.is_empty()));
                    if self.left.is_empty() { State::Idle } else { State::Give }
                }
                Some(_) => State::Give,
                None => {
                    let (head, at) = self.at;
                    let ends = at == (count - 1) / self.word;
                    self.at = if ends { (head + 1, 0) } else { (head, (at + 1) % self.words) };
                    State::Read
                }
            },
        };
        self.fetches.clock(given, fetch_taken);
        self.rows.clock(given, row_taken);
        if start {
            self.total = 0;
        }
        if let Some((name, true)) = verdict {
            self.total += 1;
            self.flat.insert((name.head, name.index));
        }
    }
}
