//! The fetch jobs of a layer, in time.

use super::Layer;
use super::heads::ForFetches;
use super::token_lists::Command;
use crate::cycle::Fifo;
use crate::fetch_path;
use crate::operand_router::QueryJob;
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
}

/// A job, its tokens, and the rows of queries that it brings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Issue {
    pub job: fetch_path::Job,
    pub command: Command,
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
    ahead: bool,
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
            ahead: false,
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
            State::Idle | State::Take => false,
            State::Own | State::Queries => true,
            State::Ahead => next.is_some_and(|head| head.first),
        }
    }

    fn needed(&self, layer: &Layer) -> bool {
        match Content::ALL[self.content] {
            Content::Keys | Content::Values | Content::Queries => true,
            Content::KeyScales | Content::ValueScales | Content::QueryScales => layer.scaled,
            Content::Norms => layer.weighted,
            Content::KeyLsbs | Content::ValueLsbs | Content::QueryLsbs => false,
        }
    }

    fn rooms(&self, command_room: bool) -> bool {
        let queries = Content::ALL[self.content] == Content::Queries;
        self.jobs.ready() && command_room && (self.query_jobs.ready() || !queries)
    }

    /// What is issued in this cycle.
    pub(super) fn issue(
        &self,
        layer: &Layer,
        next: Option<&ForFetches>,
        counts: [usize; 2],
        command_room: bool,
    ) -> Option<Issue> {
        if !self.works(next) || !self.needed(layer) || !self.rooms(command_room) {
            return None;
        }
        let head = if self.state == State::Ahead { next? } else { self.head.as_ref()? };
        let content = Content::ALL[self.content];
        let end = self.end(counts[1]);
        let bits = match content {
            Content::Keys => layer.bits[0],
            Content::Values => layer.bits[1],
            Content::Queries => layer.bits[2],
            _ => GRANULE_BITS,
        };
        let job = fetch_path::Job {
            base: head.base[self.content],
            dim: if content.granules() { GRANULE_DIM } else { layer.dim },
            element: Element::whole(bits),
            tag: content as u8,
        };
        let command = match self.state {
            State::Queries => Command { list: 1, from: self.from / self.lanes, to: end },
            _ => Command { list: 0, from: 0, to: counts[0] },
        };
        let rows = end.saturating_sub(self.from);
        let query_job = (content == Content::Queries).then_some(QueryJob {
            rows,
            factor: head.logit,
            lsbs: false,
            keys: self.keys,
        });
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
        counts: [usize; 2],
        command_room: bool,
        taken: [bool; 2],
    ) {
        let done = self.works(next) && (!self.needed(layer) || self.rooms(command_room));
        let end = self.end(counts[1]);
        self.jobs.clock(issued.map(|issue| issue.job), taken[0]);
        self.query_jobs.clock(issued.and_then(|issue| issue.query_job), taken[1]);
        let closes = self.head.is_some_and(|head| head.closes);
        let after = if closes { State::Idle } else { State::Take };
        let single = counts[1] == 1;
        match self.state {
            State::Idle => {
                if start {
                    self.state = State::Take;
                    self.ahead = false;
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
                    self.state = after;
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
                let has_second = self.split != counts[1];
                if self.values_left {
                    self.values_left = false;
                    self.state = State::Own;
                    self.content = Content::Values as usize;
                } else if single || self.second || (closes && !has_second) {
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
                    self.state = if self.split == counts[1] { State::Take } else { State::Queries };
                }
            }
            State::Own | State::Queries => {}
        }
    }
}
