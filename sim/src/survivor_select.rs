//! Who survives a layer, in time. Siblings: `golden` (`cascade`), `hw`, `tests/survivor_select.rs`.

use crate::cosim::{Beat, Field, bits_for};
use crate::cycle::{CreditPipe, CycleModel};
use crate::top_k::TopK;
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;
use spatten_arch::layout::TOKEN_BITS;

/// Cycles and places behind `top_k`.
const LATENCY: usize = 2;
const PLACES: usize = 4;

/// Widths that beats are described with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    /// Tokens of a beat.
    pub lanes: usize,
    /// Of a list, at most.
    pub keys: usize,
    /// Bits of an importance.
    pub importance: u32,
}

impl Widths {
    /// In a configuration.
    pub fn of(config: &ArchConfig) -> Self {
        let importance = Formats::new(config).token_importance.width();
        Self { lanes: config.softmax_lanes, keys: config.keys_on_chip, importance }
    }
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum Input {
    /// On stream 0, `list`: tokens, and whether they are pinned; the list's last ones.
    List(Vec<(u16, bool)>, bool, Widths),
    /// On stream 1, `select`: tokens to keep, and whether a list comes with it.
    Select(usize, bool, Widths),
    /// On stream 2, `in`: importances, and whether they are the last ones.
    Importance(Vec<u64>, bool, Widths),
}

fn lanes(values: impl Iterator<Item = u64>, widths: &Widths) -> Vec<u64> {
    let mut all: Vec<u64> = values.collect();
    all.resize(widths.lanes, 0);
    all
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::List(tokens, last, w) => vec![
                Field::lanes("index", &lanes(tokens.iter().map(|t| t.0.into()), w), TOKEN_BITS as u32),
                Field::lanes("pinned", &lanes(tokens.iter().map(|t| t.1.into()), w), 1),
                Field::value("count", tokens.len() as u64, bits_for(w.lanes)),
                Field::flag("last", *last),
            ],
            Self::Select(keep, new_list, w) => {
                vec![Field::value("keep", *keep as u64, bits_for(w.keys)), Field::flag("new_list", *new_list)]
            }
            Self::Importance(values, last, w) => vec![
                Field::lanes("importance", &lanes(values.iter().copied(), w), w.importance),
                Field::value("count", values.len() as u64, bits_for(w.lanes)),
                Field::flag("last", *last),
            ],
        }
    }
}

/// A beat of `kept`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Tokens and their places in the list.
    pub tokens: Vec<(u16, usize)>,
    /// What further lanes show.
    pub first: u16,
    /// The last ones.
    pub last: bool,
    /// How it is described.
    pub widths: Widths,
}

impl Beat for Kept {
    fn fields(&self) -> Vec<Field> {
        let w = &self.widths;
        let mut index: Vec<u64> = self.tokens.iter().map(|t| t.0.into()).collect();
        index.resize(w.lanes, self.first.into());
        vec![
            Field::lanes("index", &index, TOKEN_BITS as u32),
            Field::lanes("place", &lanes(self.tokens.iter().map(|t| t.1 as u64), w), bits_for(w.keys - 1)),
            Field::value("count", self.tokens.len() as u64, bits_for(w.lanes)),
            Field::flag("last", self.last),
        ]
    }
}

/// The block; see `hw::survivor_select` for the streams.
#[derive(Debug, Clone)]
pub struct SurvivorSelect {
    widths: Widths,
    list: Vec<(u16, bool)>,
    writing: Vec<(u16, bool)>,
    /// What the first place of the memory holds.
    first: u16,
    busy: bool,
    waits: bool,
    asks: bool,
    wants: bool,
    keep: usize,
    read_at: usize,
    top_k: TopK,
    queue: CreditPipe<Kept>,
}

impl SurvivorSelect {
    /// At the size of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let widths = Widths::of(config);
        Self {
            widths,
            list: vec![],
            writing: vec![],
            first: 0,
            busy: false,
            waits: false,
            asks: false,
            wants: false,
            keep: 0,
            read_at: 0,
            // A pin is one more bit.
            top_k: TopK::new(widths.importance + 1, widths.lanes),
            queue: CreditPipe::new(LATENCY, PLACES),
        }
    }
}

impl CycleModel for SurvivorSelect {
    type Input = Input;
    type Output = Kept;

    fn ready(&self, port: usize) -> bool {
        match port {
            0 => self.waits,
            1 => !self.busy,
            _ => self.wants && !self.waits && self.top_k.ready(0),
        }
    }

    fn output(&self, _port: usize) -> Option<&Kept> {
        self.queue.front()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let (first, widths) = (self.first, self.widths);
        let moved = self.top_k.kept().filter(|_| self.queue.ready()).map(|(kept, last)| {
            let tokens = kept.iter().map(|&(place, _)| (self.list[place as usize].0, place as usize)).collect();
            Kept { tokens, first, last, widths }
        });
        let ends = taken[0] && self.queue.front().is_some_and(|kept| kept.last);
        let asks = self.asks && !self.waits && self.top_k.ready(1);
        let scores = match accepted[2].take() {
            Some(Input::Importance(values, last, _)) => {
                let score = |(i, value): (usize, &u64)| {
                    u64::from(self.list[self.read_at + i].1) << self.widths.importance | value
                };
                let scores: Vec<u64> = values.iter().enumerate().map(score).collect();
                self.read_at = if last { 0 } else { self.read_at + values.len() };
                self.wants = !last;
                Some((scores, last))
            }
            Some(other) => panic!("{other:?} on `in`"),
            None => None,
        };
        let scores = scores.as_ref().map(|(scores, last)| (&scores[..], *last));
        let k = asks.then(|| self.keep.max(self.list.iter().filter(|(_, pinned)| *pinned).count()));
        self.top_k.step(scores, k, moved.is_some());
        self.queue.clock(moved, taken[0]);
        if asks {
            self.asks = false;
        }
        if ends {
            self.busy = false;
        }
        match accepted[0].take() {
            Some(Input::List(tokens, last, _)) => {
                if self.writing.is_empty() {
                    self.first = tokens.first().map_or(0, |token| token.0);
                }
                self.writing.extend(tokens);
                if last {
                    self.list = std::mem::take(&mut self.writing);
                    self.waits = false;
                }
            }
            Some(other) => panic!("{other:?} on `list`"),
            None => {}
        }
        match accepted[1].take() {
            Some(Input::Select(keep, new_list, _)) => {
                (self.busy, self.asks, self.wants, self.waits, self.keep) = (true, true, true, new_list, keep);
            }
            Some(other) => panic!("{other:?} on `select`"),
            None => {}
        }
    }
}
