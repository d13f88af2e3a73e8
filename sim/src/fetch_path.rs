//! Token lists to operands, in time. Siblings: `hw`, `tests/fetch_path.rs`.

use crate::bitwidth_converter::{BitwidthConverter, ELEMENTS_KNOWN, Word};
use crate::cycle::Fifo;
use crate::matrix_fetcher::{self, MatrixFetcher, Request, Tokens};
use spatten_arch::ArchConfig;
use spatten_arch::element::Element;

/// Rows of one plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Word at which the plane begins, on every channel.
    pub base: u32,
    /// log2(head dimension) - 4.
    pub dim: u32,
    /// What the bits of an element are worth.
    pub element: Element,
    /// Comes back with the operands.
    pub tag: u8,
}

/// What the joiner is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Not all lanes have a beat, or no job is known.
    Waits,
    /// The first of two halves.
    Keeps,
    /// A beat.
    Whole,
    /// A kept half that no other follows.
    Alone,
}

/// Fetcher, converters and the joiner behind them; see `hw::fetch_path` for the streams. `W` is what a word holds: its bits, or
/// nothing where only time matters.
///
/// # Timing   that of its parts; the joiner takes a beat of every lane at once
#[derive(Debug, Clone)]
pub struct FetchPath<W: Word> {
    fetcher: MatrixFetcher<W>,
    converters: Vec<BitwidthConverter<W>>,
    /// Per job: rows are half a chunk long.
    half: Fifo<bool>,
    /// The low halves of a step that waits for another, its tag, and whether none follows.
    kept: Option<(Vec<W::Operands>, u8, bool)>,
    /// Of the cycle: lanes whose chunk and whose word moves.
    moved: Vec<(bool, bool)>,
}

impl<W: Word> FetchPath<W> {
    /// As after reset.
    pub fn new(config: &ArchConfig) -> Self {
        let lanes = config.channels;
        Self {
            fetcher: MatrixFetcher::new(config),
            converters: vec![BitwidthConverter::new(config); lanes],
            half: Fifo::new(ELEMENTS_KNOWN),
            kept: None,
            moved: vec![(false, false); lanes],
        }
    }

    /// A job would be accepted.
    pub fn job_ready(&self) -> bool {
        self.fetcher.job_ready() && self.half.ready() && self.converters.iter().all(BitwidthConverter::element_ready)
    }

    /// Tokens would be accepted.
    pub fn tokens_ready(&self) -> bool {
        self.fetcher.tokens_ready()
    }

    /// A response of this channel would be accepted.
    pub fn response_ready(&self, channel: usize) -> bool {
        self.fetcher.response_ready(channel)
    }

    /// The word that is asked for on a channel.
    pub fn request(&self, channel: usize) -> Option<&Request> {
        self.fetcher.request(channel)
    }

    fn step(&self) -> Step {
        if self.kept.as_ref().is_some_and(|(.., alone)| *alone) {
            return Step::Alone;
        }
        match self.half.front() {
            Some(half) if self.converters.iter().all(|c| c.output().is_some()) => {
                if *half && self.kept.is_none() {
                    Step::Keeps
                } else {
                    Step::Whole
                }
            }
            _ => Step::Waits,
        }
    }

    /// Tag of the beat that is there, and whether it is its job's last one.
    pub fn output(&self) -> Option<(u8, bool)> {
        match self.step() {
            Step::Waits | Step::Keeps => None,
            Step::Alone => self.kept.as_ref().map(|(_, tag, _)| (*tag, true)),
            Step::Whole => self.converters[0].output().map(|beat| (beat.tag, beat.last)),
        }
    }

    /// Operands of that beat, 32 by 32.
    pub fn operands(&self) -> Vec<W::Operands> {
        let now = || self.converters.iter().filter_map(|c| c.output()).map(|beat| beat.data.clone());
        match (self.step(), &self.kept) {
            (Step::Waits | Step::Keeps, _) => vec![],
            (Step::Whole, None) => now().collect(),
            (step, kept) => {
                let mut halves: Vec<W::Operands> = kept.iter().flat_map(|(data, ..)| data).cloned().collect();
                if step == Step::Whole {
                    halves.extend(now());
                }
                halves.resize_with(2 * self.converters.len(), W::zeros);
                halves.chunks(2).map(|pair| W::low_halves(&pair[0], &pair[1])).collect()
            }
        }
    }

    /// One rising edge: what was accepted, which requests were taken, and whether the beat was.
    pub fn clock(
        &mut self,
        job: Option<Job>,
        tokens: Option<Tokens>,
        response: impl FnMut(usize) -> Option<(u32, W)>,
        request_taken: impl Fn(usize) -> bool,
        taken: bool,
    ) {
        let step = self.step();
        let last = self.converters[0].output().map(|beat| (beat.tag, beat.last));
        let ends = taken && self.output().is_some_and(|(_, last)| last);
        let moves = step == Step::Keeps || (step == Step::Whole && taken);
        if taken {
            self.kept = None;
        }
        if let (Step::Keeps, Some((tag, last))) = (step, last) {
            let data = self.converters.iter().filter_map(|c| c.output()).map(|beat| beat.data.clone()).collect();
            self.kept = Some((data, tag, last));
        }
        self.half.clock(job.map(|job| job.dim == 0), ends);

        // Chunks and words move where both sides say so in the cycle before the edge.
        let fetcher = &self.fetcher;
        for (i, (converter, gone)) in self.converters.iter_mut().zip(&mut self.moved).enumerate() {
            let chunk = fetcher.chunk(i).filter(|_| converter.chunk_ready()).copied();
            let word = fetcher.word(i).filter(|_| converter.word_ready()).cloned();
            *gone = (chunk.is_some(), word.is_some());
            converter.clock(job.map(|job| job.element), chunk, word, moves);
        }
        let moved = &self.moved;
        let job = job.map(|job| matrix_fetcher::Job {
            base: job.base,
            bits: job.element.bits,
            split: job.dim.saturating_sub(1),
            tag: job.tag,
        });
        self.fetcher.clock(job, tokens, response, request_taken, |i| moved[i].0, |i| moved[i].1);
    }
}
