//! From scores to requests for values, in time.

use crate::cycle::{CycleModel, Fifo};
use crate::softmax::Scores;
use crate::top_k::TopK;
use std::collections::VecDeque;
use std::sync::Arc;

/// Sizes of the RTL's queues.
const ORDER: usize = 16;
const BYPASS: usize = 4;

/// What happens to a row; `name` goes along.
#[derive(Debug, Clone, Copy)]
pub enum Route<N> {
    /// It is a row.
    Row {
        /// Values that are kept; `None` for all.
        keep: Option<usize>,
        /// Whose it is.
        name: N,
    },
    /// No row.
    Marker(Marker),
}

/// What the values are told between rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// They are done with.
    Release,
    /// They are added to.
    Again,
}

/// Kept values of a row, or the end of a head.
#[derive(Debug, Clone)]
pub struct Kept<N> {
    /// Index and probability.
    pub values: VecDeque<(u32, u32)>,
    /// The row, if it ends here.
    pub ends: Option<N>,
    /// No row.
    pub marker: Option<Marker>,
}

/// Selection engines with a way past them.
#[derive(Debug, Clone)]
pub struct LocalValues<N> {
    lanes: usize,
    engines: Vec<TopK>,
    turn: usize,
    /// Scores of the arriving row that are in.
    begun: Option<usize>,
    bypass: Fifo<(Arc<Scores>, usize, usize, bool)>,
    order: Fifo<(Source, Option<N>)>,
    scores: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Engine(usize),
    Bypass,
    Marker(Marker),
}

impl<N: Copy> LocalValues<N> {
    /// With so many engines, `lanes` scores per beat.
    pub fn new(bits: u32, lanes: usize, engines: usize) -> Self {
        Self {
            lanes,
            engines: vec![TopK::aligned(bits, lanes); engines],
            turn: 0,
            begun: None,
            bypass: Fifo::new(BYPASS),
            order: Fifo::new(ORDER),
            scores: vec![],
        }
    }

    /// Whether a beat of the row of this route is accepted.
    pub fn ready(&self, route: Option<&Route<N>>) -> bool {
        let Some(Route::Row { keep, .. }) = route else { return false };
        let engine = &self.engines[self.turn];
        let open = match keep {
            None => self.bypass.ready(),
            Some(_) => engine.ready(0) && (self.begun.is_some() || engine.ready(1)),
        };
        open && (self.begun.is_some() || self.order.ready())
    }

    /// Whether a release passes.
    pub fn releases(&self, route: Option<&Route<N>>) -> bool {
        matches!(route, Some(Route::Marker(_))) && self.order.ready()
    }

    /// Whether a beat is offered.
    pub fn offers(&self) -> bool {
        self.order.front().is_some_and(|(source, _)| match *source {
            Source::Engine(e) => self.engines[e].kept().is_some(),
            Source::Bypass => self.bypass.front().is_some(),
            Source::Marker(_) => true,
        })
    }

    /// One rising edge: the route and what comes on it, and whether the beat on offer is taken; the beat.
    pub fn clock(
        &mut self,
        route: Option<Route<N>>,
        beat: Option<(&Arc<Scores>, usize, bool)>,
        releases: bool,
        taken: bool,
    ) -> Option<Kept<N>> {
        let source = self.order.front().map(|(source, name)| (*source, *name)).filter(|_| taken);
        let mut kept = None;
        let mut order = match route {
            Some(Route::Marker(marker)) if releases => Some((Source::Marker(marker), None)),
            _ => None,
        };
        let mut feed = None;
        let mut push = None;
        if let (Some(Route::Row { keep, name }), Some((row, count, last))) = (route, beat) {
            let at = self.begun.unwrap_or(0);
            if self.begun.is_none() {
                order = Some((keep.map_or(Source::Bypass, |_| Source::Engine(self.turn)), Some(name)));
            }
            match keep {
                None => push = Some((row.clone(), at, count, last)),
                Some(k) => {
                    self.scores.clear();
                    self.scores.extend(row.probability[at..at + count].iter().map(|&p| u64::from(p)));
                    feed = Some((self.turn, last, self.begun.is_none().then_some(k)));
                    if last {
                        self.turn = (self.turn + 1) % self.engines.len();
                    }
                }
            }
            self.begun = (!last).then_some(at + count);
        }
        for (e, engine) in self.engines.iter_mut().enumerate() {
            let taken = source.is_some_and(|(source, _)| source == Source::Engine(e));
            if taken && let (Some((beat, last)), Some((_, name))) = (engine.kept(), source) {
                let values = beat.iter().map(|&(index, score)| (index, score as u32)).collect();
                kept = Some(Kept { values, ends: name.filter(|_| last), marker: None });
            }
            let fed = feed.filter(|(of, ..)| *of == e);
            engine.step(fed.map(|(_, last, _)| (&self.scores[..], last)), fed.and_then(|(.., k)| k), taken);
        }
        let bypassed = source.is_some_and(|(source, _)| source == Source::Bypass);
        if let (Some((row, at, count, last)), Some((_, name))) = (self.bypass.exchange(push, bypassed), source) {
            let values = (at..at + count).map(|j| (j as u32, row.probability[j])).collect();
            kept = Some(Kept { values, ends: name.filter(|_| last), marker: None });
        }
        if let Some((Source::Marker(marker), _)) = source {
            kept = Some(Kept { values: VecDeque::new(), ends: None, marker: Some(marker) });
        }
        let leaves = kept.as_ref().is_some_and(|kept| kept.marker.is_some() || kept.ends.is_some());
        self.order.clock(order, leaves);
        debug_assert!(kept.as_ref().is_none_or(|kept| kept.values.len() <= self.lanes));
        kept
    }
}

/// Cuts beats where the word of the value buffer changes.
#[derive(Debug, Clone)]
pub struct ValueRequests<N> {
    /// log2 of the rows of a word.
    level: u32,
    held: Option<Kept<N>>,
}

impl<N> ValueRequests<N> {
    /// For words of so many rows.
    pub fn new(rows: usize) -> Self {
        Self { level: rows.ilog2(), held: None }
    }

    /// The beat that is cut.
    pub fn front(&self) -> Option<&Kept<N>> {
        self.held.as_ref()
    }

    /// How many values the next request has.
    pub fn count(&self) -> usize {
        let Some(held) = &self.held else { return 0 };
        let word = |&(index, _): &(u32, u32)| index >> self.level;
        let Some(first) = held.values.front().map(word) else { return 0 };
        held.values.iter().take_while(|value| word(value) == first).count()
    }

    /// Whether the next request is the beat's last one.
    pub fn done(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.values.len() == self.count())
    }

    /// Whether a beat is accepted, if the value buffer is ready or not.
    pub fn ready(&self, sink: bool) -> bool {
        self.held.is_none() || (sink && self.done())
    }

    /// One rising edge.
    pub fn clock(&mut self, beat: Option<Kept<N>>, taken: bool) {
        if taken {
            let (count, done) = (self.count(), self.done());
            if let Some(held) = &mut self.held {
                held.values.drain(..count);
            }
            if done {
                self.held = None;
            }
        }
        if beat.is_some() {
            self.held = beat.filter(|beat| !beat.values.is_empty() || beat.ends.is_some() || beat.marker.is_some());
        }
    }
}
