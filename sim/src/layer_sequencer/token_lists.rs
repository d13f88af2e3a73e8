//! Parts of the two lists as tokens of fetch jobs, in time.

use crate::cycle::{CreditPipe, Fifo};
use crate::matrix_fetcher::Tokens;

const COMMANDS: usize = 4;
const PLACES: usize = 4;
/// Cycles from reading a word to its beat.
const LATENCY: usize = 2;

/// Tokens of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Command {
    /// 0: keys, 1: queries.
    pub list: usize,
    /// First word.
    pub from: usize,
    /// Tokens before the end.
    pub to: usize,
    /// The last of them alone.
    pub single: bool,
}

#[derive(Debug, Clone)]
pub(super) struct TokenLists {
    lanes: usize,
    commands: Fifo<Command>,
    /// What is read, and the word that is next.
    active: Option<(Command, usize)>,
    pipe: CreditPipe<Tokens>,
}

impl TokenLists {
    pub(super) fn new(lanes: usize) -> Self {
        Self { lanes, commands: Fifo::new(COMMANDS), active: None, pipe: CreditPipe::new(LATENCY, PLACES) }
    }

    /// Nothing is left to be read.
    pub(super) fn idle(&self) -> bool {
        self.active.is_none() && self.commands.front().is_none()
    }

    /// A command would be accepted.
    pub(super) fn ready(&self) -> bool {
        self.commands.ready()
    }

    pub(super) fn front(&self) -> Option<&Tokens> {
        self.pipe.front()
    }

    pub(super) fn clock(&mut self, command: Option<Command>, lists: &[Vec<u16>; 2], taken: bool) {
        let lanes = self.lanes;
        let mut beat = None;
        let mut free = self.active.is_none();
        if let Some((command, at)) = &mut self.active
            && self.pipe.ready()
        {
            let last = *at == command.to.saturating_sub(1) / lanes;
            let end = if last { command.to } else { (*at + 1) * lanes };
            let from = if command.single { command.to - 1 } else { *at * lanes };
            beat = Some(Tokens { index: lists[command.list][from..end].to_vec(), last });
            *at += 1;
            free = last;
        }
        let next = free && self.commands.front().is_some();
        let popped = self.commands.exchange(command, next);
        if free {
            self.active = popped.map(|command| (command, command.from));
        }
        self.pipe.clock(beat, taken);
    }
}
