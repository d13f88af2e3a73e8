//! What rows see and keep, in time.

use super::Layer;
use crate::cosim::bits_for;
use spatten_arch::descriptor::ValueKeep;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// Steps left.
    Multiply(u32),
    /// Heads counted.
    Count(usize),
    Report,
    Read,
    Compare,
}

#[derive(Debug, Clone)]
pub(super) struct Visible {
    steps: u32,
    state: State,
    causal: bool,
    total: u32,
    key_at: usize,
    query_at: usize,
    known: usize,
    /// Keys that a row sees and values that it keeps: of every row, and by row.
    all: (usize, usize),
    of_row: Vec<(usize, usize)>,
}

impl Visible {
    pub(super) fn new(keys: usize) -> Self {
        Self {
            steps: bits_for(keys),
            state: State::Idle,
            causal: false,
            total: 0,
            key_at: 0,
            query_at: 0,
            known: 0,
            all: (0, 0),
            of_row: vec![(0, 0); keys],
        }
    }

    pub(super) fn idle(&self) -> bool {
        self.state == State::Idle
    }

    pub(super) fn known(&self) -> usize {
        self.known
    }

    pub(super) fn total(&self) -> Option<u32> {
        (self.state == State::Report).then_some(self.total)
    }

    /// Of a row that is known.
    pub(super) fn of(&self, row: usize) -> (usize, usize) {
        if self.causal { self.of_row[row] } else { self.all }
    }

    pub(super) fn clock(&mut self, layer: &Layer, start: bool, lists: &[Vec<u16>; 2], taken: bool) {
        let share = ValueKeep::from_raw(layer.share);
        let queries = lists[1].len();
        self.state = match self.state {
            State::Idle if start => {
                self.known = 0;
                self.causal = layer.causal;
                State::Multiply(self.steps)
            }
            State::Idle => State::Idle,
            State::Multiply(0) => {
                let keys = lists[0].len();
                self.all = (keys, share.count(keys));
                self.total = 0;
                if !layer.causal {
                    self.known = queries;
                }
                State::Count(0)
            }
            State::Multiply(left) => State::Multiply(left - 1),
            State::Count(head) => {
                if layer.mask.checked_shr(head as u32).unwrap_or(0) & 1 == 1 {
                    self.total += queries as u32;
                }
                if head == layer.heads { State::Report } else { State::Count(head + 1) }
            }
            State::Report => {
                (self.key_at, self.query_at) = (0, 0);
                match taken {
                    false => State::Report,
                    true if layer.causal && queries > 0 => State::Read,
                    true => State::Idle,
                }
            }
            State::Read => State::Compare,
            State::Compare => {
                let token = lists[1][self.query_at].wrapping_add(layer.first_row);
                if lists[0].get(self.key_at).is_some_and(|&key| key <= token) {
                    self.key_at += 1;
                    State::Read
                } else {
                    self.of_row[self.query_at] = (self.key_at, share.count(self.key_at));
                    self.query_at += 1;
                    self.known = self.query_at;
                    if self.query_at == queries { State::Idle } else { State::Read }
                }
            }
        };
    }
}
