//! Passes of rows, in time.

use super::heads::ForRows;
use super::visible::Visible;
use crate::attention_core::{Name, Row};
use crate::cycle::Fifo;

const PLANES: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Take,
    Look,
    Offer,
    Release,
}

#[derive(Debug, Clone)]
pub(super) struct Rows {
    state: State,
    index: usize,
    head: Option<ForRows>,
    planes: Fifo<u32>,
    row: Option<Row>,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self { state: State::Idle, index: 0, head: None, planes: Fifo::new(PLANES), row: None }
    }

    pub(super) fn idle(&self) -> bool {
        self.state == State::Idle
    }

    /// A head is taken where one is there.
    pub(super) fn takes(&self) -> bool {
        self.state == State::Take && self.planes.ready()
    }

    pub(super) fn row(&self) -> Option<Row> {
        self.row
    }

    pub(super) fn plane(&self) -> Option<&u32> {
        self.planes.front()
    }

    /// What the row at hand sees and keeps.
    pub(super) fn read(&self, visible: &Visible) -> (usize, usize) {
        if self.state == State::Look && self.index < visible.known() { visible.of(self.index) } else { (0, 0) }
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn clock(
        &mut self,
        start: bool,
        head: Option<ForRows>,
        count: usize,
        known: usize,
        (visible, keep): (usize, usize),
        taken: [bool; 2],
        keys: usize,
    ) {
        self.planes.clock(head.map(|head| head.base), taken[1]);
        let before = self.state;
        self.state = match self.state {
            State::Idle if start => State::Take,
            State::Idle => State::Idle,
            State::Take => {
                self.index = 0;
                match head {
                    Some(_) => {
                        self.head = head;
                        State::Look
                    }
                    None => State::Take,
                }
            }
            State::Look if self.index < known => State::Offer,
            State::Look => State::Look,
            State::Offer if taken[0] => {
                self.index += 1;
                match self.head {
                    _ if self.index < count => State::Look,
                    Some(head) if head.ends => State::Release,
                    _ => State::Take,
                }
            }
            State::Offer => State::Offer,
            State::Release if taken[0] => {
                if self.head.is_some_and(|head| head.closes) {
                    State::Idle
                } else {
                    State::Take
                }
            }
            State::Release => State::Release,
        };
        if self.state == before && matches!(self.state, State::Offer | State::Release) {
            return;
        }
        let offered = self.head.filter(|_| matches!(self.state, State::Offer | State::Release));
        self.row = offered.map(|head| {
            let release = self.state == State::Release;
            Row {
                visible: if release { 0 } else { visible },
                keep: if release { 0 } else { keep },
                name: Name { index: self.index % keys, head: head.head },
                factor: head.importance,
                last_pass: true,
                release_keys: !release && head.ends && self.index + 1 == count,
                release_values: release,
                again_keys: false,
                again_values: false,
                keys,
            }
        });
    }
}
