//! Passes of rows, in time.

use super::again::Flat;
use super::heads::ForRows;
use super::visible::Visible;
use crate::attention_core::{Name, Row};
use crate::cycle::Fifo;
use spatten_arch::config::MAX_HEADS;
use spatten_golden::dot_product::ScaleFactor;

const PLACES: usize = 4;
const TELLS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Take,
    Look,
    Offer,
    Wait,
    Measure,
    Tell,
    Mark,
    Next,
    Release,
}

/// Where outputs of a head go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plane {
    /// Word at which they begin.
    pub base: u32,
    /// The head.
    pub head: usize,
}

/// What the parts around it say in a cycle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    /// Begins a layer.
    pub start: bool,
    /// The head that is taken.
    pub head: Option<ForRows>,
    /// Rows of a head, and those that are known.
    pub count: usize,
    pub known: usize,
    /// Its rows may need a second pass; keys and values have LSBs.
    pub progressive: bool,
    pub lsbs: [bool; 2],
    /// All rows that were issued are decided; the highest index of a flat one.
    pub settled: bool,
    pub most: Option<usize>,
    /// The flat row that is on offer.
    pub again: Option<Flat>,
}

#[derive(Debug, Clone)]
pub(super) struct Rows {
    state: State,
    index: usize,
    head: Option<ForRows>,
    /// Of the row at hand, and by head.
    number: usize,
    factors: Vec<ScaleFactor>,
    second: bool,
    final_row: bool,
    none: bool,
    planes: Fifo<Plane>,
    tells: Fifo<Option<usize>>,
    row: Option<Row>,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self {
            state: State::Idle,
            index: 0,
            head: None,
            number: 0,
            factors: vec![ScaleFactor { mantissa: 0, shift: 0 }; MAX_HEADS],
            second: false,
            final_row: false,
            none: false,
            planes: Fifo::new(PLACES),
            tells: Fifo::new(TELLS),
            row: None,
        }
    }

    pub(super) fn idle(&self) -> bool {
        self.state == State::Idle
    }

    /// A head is taken where one is there.
    pub(super) fn takes(&self) -> bool {
        self.state == State::Take && self.planes.ready()
    }

    /// A flat row is taken where one is there.
    pub(super) fn takes_again(&self) -> bool {
        self.state == State::Next
    }

    pub(super) fn row(&self) -> Option<Row> {
        self.row
    }

    pub(super) fn plane(&self) -> Option<&Plane> {
        self.planes.front()
    }

    /// Whether rows come again, and if so, how many keys they see.
    pub(super) fn tell(&self) -> Option<&Option<usize>> {
        self.tells.front()
    }

    /// No row of the layer follows, unless it comes again.
    pub(super) fn closing(&self) -> bool {
        self.state == State::Wait && self.head.is_some_and(|head| head.closes)
    }

    /// The flat rows are wanted.
    pub(super) fn goes(&self) -> bool {
        self.state == State::Tell && self.tells.ready()
    }

    /// A first pass is taken.
    pub(super) fn issues(&self, progressive: bool, taken: bool) -> bool {
        self.state == State::Offer && taken && progressive && !self.second
    }

    /// What the row at hand sees and keeps.
    pub(super) fn read(&self, visible: &Visible) -> (usize, usize) {
        match self.state {
            State::Look if self.index < visible.known() => visible.of(self.index),
            State::Tell => visible.of(self.index),
            _ => (0, 0),
        }
    }

    pub(super) fn clock(
        &mut self,
        around: Around,
        (visible, keep): (usize, usize),
        [row_taken, plane_taken, told]: [bool; 3],
        keys: usize,
    ) {
        let Around { start, head, count, known, progressive, lsbs, settled, most, again } = around;
        self.planes.clock(head.map(|head| Plane { base: head.base, head: head.head }), plane_taken);
        let mut tell = None;
        let before = self.state;
        let current = self.head;
        self.state = match self.state {
            State::Idle if start => State::Take,
            State::Idle => State::Idle,
            State::Take => {
                (self.index, self.second, self.none) = (0, false, false);
                match head {
                    Some(taken) => {
                        self.head = head;
                        self.number = taken.head;
                        self.factors[taken.head] = taken.importance;
                        State::Look
                    }
                    None => State::Take,
                }
            }
            State::Look if self.index < known => State::Offer,
            State::Look => State::Look,
            State::Offer if row_taken && self.second => {
                if self.final_row {
                    State::Release
                } else {
                    State::Next
                }
            }
            State::Offer if row_taken => {
                self.index += 1;
                match current {
                    _ if self.index < count => State::Look,
                    Some(head) if head.ends && progressive => State::Wait,
                    Some(head) if head.ends => State::Release,
                    _ => State::Take,
                }
            }
            State::Offer => State::Offer,
            State::Wait => match most {
                Some(most) if settled => {
                    self.index = most;
                    State::Measure
                }
                None if settled && self.tells.ready() => {
                    self.none = true;
                    tell = Some(None);
                    State::Release
                }
                _ => State::Wait,
            },
            State::Measure => State::Tell,
            State::Tell if self.tells.ready() => {
                self.second = true;
                tell = Some(Some(visible));
                if lsbs.contains(&true) { State::Mark } else { State::Next }
            }
            State::Tell => State::Tell,
            State::Mark if row_taken => State::Next,
            State::Mark => State::Mark,
            State::Next => match again {
                Some((name, last)) => {
                    (self.index, self.number, self.final_row) = (name.index, name.head, last);
                    State::Look
                }
                None => State::Next,
            },
            State::Release if row_taken => {
                if current.is_some_and(|head| head.closes) {
                    State::Idle
                } else {
                    State::Take
                }
            }
            State::Release => State::Release,
        };
        self.tells.clock(tell, told);
        let offers = matches!(self.state, State::Offer | State::Mark | State::Release);
        if self.state == before && offers {
            return;
        }
        self.row = offers.then(|| {
            let (offer, mark, release) =
                (self.state == State::Offer, self.state == State::Mark, self.state == State::Release);
            let ends = self.head.is_some_and(|head| head.ends);
            let last = if self.second { self.final_row } else { !progressive && ends && self.index + 1 == count };
            Row {
                visible: if offer { visible } else { 0 },
                keep: if offer { keep } else { 0 },
                name: Name { index: self.index % keys, head: self.number },
                factor: self.factors[self.number],
                last_pass: !progressive || self.second,
                release_keys: (offer && last) || (release && self.none),
                release_values: release,
                again_keys: mark && lsbs[0],
                again_values: mark && lsbs[1],
                keys,
            }
        });
    }
}
