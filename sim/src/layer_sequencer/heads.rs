//! Heads that are computed, in time.

use super::{BASES, Factors, Layer};
use crate::cycle::Fifo;
use spatten_arch::content::Content;
use spatten_golden::dot_product::ScaleFactor;

const PLACES: usize = 4;

/// What is fetched for a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct ForFetches {
    /// The first one of these keys and values.
    pub first: bool,
    /// The last one of these keys and values.
    pub ends: bool,
    /// The layer's last one.
    pub closes: bool,
    pub head: usize,
    pub logit: ScaleFactor,
    /// By content.
    pub base: [u32; BASES],
}

/// What its rows need.
#[derive(Debug, Clone, Copy)]
pub(super) struct ForRows {
    pub head: usize,
    pub importance: ScaleFactor,
    pub base: u32,
    /// The last one of these keys and values.
    pub ends: bool,
    /// The layer's last one.
    pub closes: bool,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    head: usize,
    first: bool,
    factors: Factors,
    base: [u32; BASES],
}

#[derive(Debug, Clone)]
pub(super) struct Heads {
    running: bool,
    number: usize,
    heads: usize,
    in_group: usize,
    mask: u128,
    seen: bool,
    at: [u32; BASES],
    pending: Option<Pending>,
    fetches: Fifo<ForFetches>,
    rows: Fifo<ForRows>,
}

impl Heads {
    pub(super) fn new() -> Self {
        Self {
            running: false,
            number: 0,
            heads: 0,
            in_group: 0,
            mask: 0,
            seen: false,
            at: [0; BASES],
            pending: None,
            fetches: Fifo::new(PLACES),
            rows: Fifo::new(PLACES),
        }
    }

    pub(super) fn to_fetches(&self) -> Option<&ForFetches> {
        self.fetches.front()
    }

    pub(super) fn to_rows(&self) -> Option<&ForRows> {
        self.rows.front()
    }

    fn room(&self) -> bool {
        self.fetches.ready() && self.rows.ready()
    }

    fn alive(&self) -> bool {
        self.mask & 1 == 1
    }

    /// Factors would be accepted.
    pub(super) fn factor_ready(&self) -> bool {
        self.running && self.number != self.heads && (!(self.alive() && self.pending.is_some()) || self.room())
    }

    pub(super) fn clock(
        &mut self,
        layer: &Layer,
        start: bool,
        factors: Option<Factors>,
        fetch_taken: bool,
        rows_taken: bool,
    ) {
        let ended = self.running && self.number == self.heads;
        let found = factors.is_some() && self.alive();
        let pushed = self.pending.filter(|_| found || (ended && self.room()));
        let ends = ended || !self.seen;
        if ended && (self.room() || self.pending.is_none()) {
            self.running = false;
        }
        if pushed.is_some() {
            self.pending = None;
        }
        self.fetches.clock(
            pushed.map(|p| ForFetches {
                first: p.first,
                ends,
                closes: ended,
                head: p.head,
                logit: p.factors.logit,
                base: p.base,
            }),
            fetch_taken,
        );
        self.rows.clock(
            pushed.map(|p| ForRows {
                head: p.head,
                importance: p.factors.importance,
                base: p.base[BASES - 1],
                ends,
                closes: ended,
            }),
            rows_taken,
        );
        if let Some(factors) = factors {
            let group_ends = self.in_group + 1 == layer.group;
            if found {
                self.pending = Some(Pending { head: self.number, first: !self.seen, factors, base: self.at });
                self.seen = true;
            }
            for (i, at) in self.at.iter_mut().enumerate() {
                let of_queries = Content::ALL.get(i).is_none_or(|content| content.of_queries());
                if of_queries || group_ends {
                    *at = at.wrapping_add(layer.stride[i]);
                }
            }
            self.number += 1;
            self.mask >>= 1;
            self.in_group += 1;
            if group_ends {
                self.in_group = 0;
                self.seen = false;
            }
        }
        if start {
            self.running = true;
            self.number = 0;
            self.heads = layer.heads;
            self.in_group = 0;
            self.mask = layer.mask;
            self.seen = false;
            self.at = layer.base;
        }
    }
}
