//! The fetch jobs of a layer, in time.

use super::Layer;
use super::again::Flat;
use super::heads::ForFetches;
use super::token_lists::Command;
use crate::cycle::Fifo;
use crate::fetch_path;
use crate::operand_router::QueryJob;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::content::{Content, GRANULE_BITS, GRANULE_DIM};
use spatten_arch::element::Element;

const JOBS: usize = 4;
const STEP: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Take,
    Own,
    Queries,
    Ahead,
    Decide,
    Lsbs,
    Next,
    Again,
    AheadQuery,
}

/// A job, its tokens, and the rows of queries that it brings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Issue {
    pub job: Option<fetch_path::Job>,
    pub command: Option<Command>,
    pub query_job: Option<QueryJob>,
}

#[derive(Debug, Clone)]
pub(super) struct Fetches {
    lanes: usize,
    keys: usize,
    step: usize,
    state: State,
    /// Place in `Content::ALL`.
    content: usize,
    head: Option<ForFetches>,
    /// By head: what flat rows need.
    heads: Vec<Option<ForFetches>>,
    /// Keys that they see.
    seen: usize,
    ahead: bool,
    query_ahead: bool,
    second: bool,
    /// Values come behind the only query.
    values_left: bool,
    from: usize,
    split: usize,
    jobs: Fifo<fetch_path::Job>,
    query_jobs: Fifo<QueryJob>,
}

impl Fetches {
    pub(super) fn new(lanes: usize, keys: usize) -> Self {
        Self {
            lanes,
            keys,
            step: STEP.max(lanes),
            state: State::Idle,
            content: 0,
            head: None,
            heads: vec![None; MAX_HEADS],
            seen: 0,
            ahead: false,
            query_ahead: false,
            second: false,
            values_left: false,
            from: 0,
            split: 0,
            jobs: Fifo::new(JOBS),
            query_jobs: Fifo::new(JOBS),
        }
    }

    pub(super) fn idle(&self) -> bool {
        self.state == State::Idle
    }

    /// A head is taken where one is there.
    pub(super) fn takes(&self) -> bool {
        self.state == State::Take
    }

    pub(super) fn job(&self) -> Option<&fetch_path::Job> {
        self.jobs.front()
    }

    pub(super) fn query_job(&self) -> Option<&QueryJob> {
        self.query_jobs.front()
    }

    /// Where the queries at hand end.
    fn end(&self, queries: usize) -> usize {
        if self.second { queries } else { self.split }
    }

    fn works(&self, next: Option<&ForFetches>) -> bool {
        match self.state {
            State::Idle | State::Take | State::Decide | State::Next => false,
            State::Own | State::Queries | State::Lsbs | State::Again => true,
            State::Ahead | State::AheadQuery => next.is_some_and(|head| head.first),
        }
    }

    fn needed(&self, layer: &Layer) -> bool {
        match Content::ALL[self.content] {
            Content::Keys | Content::Values | Content::Queries => true,
            Content::KeyScales | Content::ValueScales | Content::QueryScales => layer.scaled,
            Content::Norms => layer.weighted,
            Content::KeyLsbs => layer.lsb_bits[0] > 0,
            Content::ValueLsbs => layer.lsb_bits[1] > 0,
            Content::QueryLsbs => layer.lsb_bits[2] > 0,
        }
    }

    fn rooms(&self, command_room: bool) -> bool {
        let queries = matches!(Content::ALL[self.content], Content::Queries | Content::QueryLsbs);
        self.jobs.ready() && command_room && (self.query_jobs.ready() || !queries)
    }

    /// An outcome is taken where one is there.
    pub(super) fn takes_outcome(&self) -> bool {
        self.state == State::Decide && self.query_jobs.ready()
    }

    /// The next head's keys may be ahead of the outcome of this one.
    fn keeps_ahead(&self, layer: &Layer, queries: usize) -> bool {
        let waits = self.head.is_some_and(|head| head.ends && !head.closes);
        layer.progressive && waits && queries == 1 && layer.dim != 3
    }

    /// The query at hand is kept until then.
    fn keeps(&self, layer: &Layer, queries: usize) -> bool {
        self.keeps_ahead(layer, queries) && self.head.is_some_and(|head| head.first) && layer.lsb_bits[2] == 0
    }

    /// The flat row on offer is done with.
    pub(super) fn takes_again(&self, layer: &Layer, again: bool, queries: usize, command_room: bool) -> bool {
        if self.state == State::Next && self.keeps(layer, queries) {
            return again && self.query_jobs.ready();
        }
        self.state == State::Again
            && Content::ALL[self.content] == Content::Queries
            && self.done(layer, None, command_room)
    }

    fn done(&self, layer: &Layer, next: Option<&ForFetches>, command_room: bool) -> bool {
        self.works(next) && (!self.needed(layer) || self.rooms(command_room))
    }

    /// What is issued in this cycle.
    pub(super) fn issue(
        &self,
        layer: &Layer,
        next: Option<&ForFetches>,
        again: Option<&Flat>,
        counts: [usize; 2],
        command_room: bool,
    ) -> Option<Issue> {
        if !self.works(next) || !self.needed(layer) || !self.rooms(command_room) {
            return None;
        }
        let head = match self.state {
            State::Ahead | State::AheadQuery => next?,
            State::Again => self.heads[again?.0.head].as_ref()?,
            _ => self.head.as_ref()?,
        };
        let content = Content::ALL[self.content];
        let end = self.end(counts[1]);
        let msb = |i: usize| Element::msb(layer.bits[i], layer.lsb_bits[i], layer.split);
        let lsb = |i: usize| Element::lsb(layer.bits[i], layer.lsb_bits[i], layer.split);
        let element = match content {
            Content::Keys => msb(0),
            Content::Values => msb(1),
            Content::Queries => msb(2),
            Content::KeyLsbs => lsb(0),
            Content::ValueLsbs => lsb(1),
            Content::QueryLsbs => lsb(2),
            _ => Element::whole(GRANULE_BITS),
        };
        let job = fetch_path::Job {
            base: head.base[self.content],
            dim: if content.granules() { GRANULE_DIM } else { layer.dim },
            element,
            tag: content as u8,
        };
        let command = match (self.state, again) {
            (State::Queries, _) => Command { list: 1, from: self.from / self.lanes, to: end, single: false },
            (State::Again, Some((name, _))) => {
                Command { list: 1, from: name.index / self.lanes, to: name.index + 1, single: true }
            }
            (State::AheadQuery, _) => Command { list: 1, from: 0, to: counts[1], single: false },
            (State::Lsbs, _) => Command { list: 0, from: 0, to: self.seen, single: false },
            _ => Command { list: 0, from: 0, to: counts[0], single: false },
        };
        let rows = if self.state == State::Again { 1 } else { end.saturating_sub(self.from) };
        let lsbs = content == Content::QueryLsbs;
        let keep = self.keeps(layer, counts[1]);
        let query_job = QueryJob { rows, factor: head.logit, lsbs, keep, again: false, drop: false, keys: self.keys };
        let said = (lsbs || content == Content::Queries) && self.state != State::AheadQuery;
        let query_job = said.then_some(query_job);
        let fetched = self.state == State::Queries && self.query_ahead;
        let (job, command) = ((!fetched).then_some(job), (!fetched).then_some(command));
        Some(Issue { job, command, query_job })
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn clock(
        &mut self,
        layer: &Layer,
        start: bool,
        head: Option<ForFetches>,
        next: Option<&ForFetches>,
        issued: Option<Issue>,
        outcome: Option<Option<usize>>,
        again: Option<&Flat>,
        counts: [usize; 2],
        command_room: bool,
        taken: [bool; 2],
    ) {
        let done = self.done(layer, next, command_room);
        let end = self.end(counts[1]);
        // What becomes of a query that was kept.
        let keeps = self.keeps(layer, counts[1]);
        let repeats = self.state == State::Next && keeps && self.takes_again(layer, again.is_some(), counts[1], true);
        let drop = keeps && outcome == Some(None);
        let factor = self.head.map(|head| head.logit).filter(|_| repeats || drop);
        let kept = factor.map(|factor| QueryJob {
            rows: 1,
            factor,
            lsbs: false,
            keep: false,
            again: repeats,
            drop,
            keys: self.keys,
        });
        self.jobs.clock(issued.and_then(|issue| issue.job), taken[0]);
        self.query_jobs.clock(issued.and_then(|issue| issue.query_job).or(kept), taken[1]);
        let (closes, ends) = self.head.map_or((false, false), |head| (head.closes, head.ends));
        let single = counts[1] == 1;
        // The first passes of the keys at hand are all fetched for; what is next may be ahead of their outcome.
        let waits = layer.progressive && ends;
        let keeps_ahead = self.keeps_ahead(layer, counts[1]);
        let next_head = if closes { State::Idle } else { State::Take };
        let after = if waits { State::Decide } else { next_head };
        match self.state {
            State::Idle => {
                if start {
                    self.state = State::Take;
                    self.ahead = false;
                    self.query_ahead = false;
                    self.split = match counts[1] {
                        n if n > 2 * self.step && layer.dim != 3 => ((n - 1) / self.step - 1) * self.step,
                        n => n,
                    };
                }
            }
            State::Take => {
                (self.second, self.values_left, self.from) = (false, false, 0);
                if let Some(head) = head {
                    let own = head.first && !self.ahead;
                    self.ahead = false;
                    self.heads[head.head] = Some(head);
                    self.head = Some(head);
                    self.state = if own { State::Own } else { State::Queries };
                    self.content = if own { Content::Keys } else { Content::QueryScales } as usize;
                }
            }
            State::Own if done => {
                self.content += 1;
                let all = self.content == Content::Queries as usize;
                self.values_left |= single && self.content == Content::Values as usize;
                if all && single {
                    self.state = match keeps_ahead {
                        true if keeps => State::AheadQuery,
                        true => State::Ahead,
                        false => after,
                    };
                    self.content = if keeps { Content::QueryScales } else { Content::Keys } as usize;
                } else if all || self.values_left {
                    self.state = State::Queries;
                    self.content = Content::QueryScales as usize;
                }
            }
            State::Queries if done => {
                if Content::ALL[self.content] == Content::QueryScales {
                    self.content = Content::Queries as usize;
                    return;
                }
                self.content = Content::QueryScales as usize;
                self.from = end;
                self.query_ahead = false;
                let has_second = self.split != counts[1];
                if self.values_left {
                    self.values_left = false;
                    self.state = State::Own;
                    self.content = Content::Values as usize;
                } else if keeps {
                    self.state = State::AheadQuery;
                } else if keeps_ahead {
                    self.state = State::Ahead;
                    self.content = Content::Keys as usize;
                } else if single || self.second || (!has_second && (closes || (waits && layer.dim == 3))) {
                    self.state = after;
                } else if closes {
                    self.second = true;
                } else {
                    self.state = State::Ahead;
                    self.content = Content::Keys as usize;
                }
            }
            State::Ahead => {
                let skips = next.is_some_and(|head| !head.first);
                if done {
                    self.content += 1;
                }
                if skips || (done && self.content == Content::Queries as usize) {
                    self.ahead = !skips;
                    self.second = true;
                    self.content = Content::QueryScales as usize;
                    self.state = if self.split == counts[1] { after } else { State::Queries };
                }
            }
            State::Decide => {
                self.content = Content::KeyLsbs as usize;
                self.state = match outcome {
                    Some(Some(seen)) => {
                        self.seen = seen;
                        State::Lsbs
                    }
                    Some(None) => next_head,
                    None => State::Decide,
                };
            }
            State::Lsbs if done => {
                if Content::ALL[self.content] == Content::ValueLsbs {
                    self.state = State::Next;
                }
                self.content = Content::ValueLsbs as usize;
            }
            State::Next => {
                self.content = Content::QueryScales as usize;
                if repeats {
                    self.state = State::Take;
                } else if again.is_some() && !keeps {
                    self.state = State::Again;
                }
            }
            State::AheadQuery if done => {
                let last = Content::ALL[self.content] == Content::Queries;
                if last {
                    self.query_ahead = true;
                    self.state = State::Ahead;
                }
                self.content = if last { Content::Keys } else { Content::Queries } as usize;
            }
            State::Again if done => match Content::ALL[self.content] {
                Content::QueryScales => self.content = Content::QueryLsbs as usize,
                Content::QueryLsbs => self.content = Content::Queries as usize,
                _ => self.state = if again.is_some_and(|(_, last)| *last) { next_head } else { State::Next },
            },
            State::Own | State::Queries | State::Lsbs | State::Again | State::AheadQuery => {}
        }
    }
}
