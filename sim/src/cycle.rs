//! What a cycle model is, and the two models that most blocks are made of.
//!
//! All handshake outputs are functions of registered state alone (a Moore machine): no block has a combinational path
//! between its ports. Models therefore compose in any order: read every `ready` and `output`, then clock every model.

use std::collections::VecDeque;

/// The timing (and values) of one block.
///
/// A beat moves on input `port` in a cycle in which the source offers it and [`ready`](Self::ready) holds, and on output
/// `port` in a cycle in which [`output`](Self::output) offers it and the sink is ready.
pub trait CycleModel {
    /// One beat of any input stream (an enum where streams differ).
    type Input;
    /// One beat of any output stream.
    type Output;

    /// Whether input stream `port` would accept a beat in this cycle.
    fn ready(&self, port: usize) -> bool;

    /// The beat offered on output stream `port` in this cycle.
    fn output(&self, port: usize) -> Option<&Self::Output>;

    /// One rising edge. `accepted[i]` is `Some` only where `ready(i)` held, `taken[o]` only where `output(o)` was `Some`.
    fn clock(&mut self, accepted: &mut [Option<Self::Input>], taken: &[bool]);
}

/// A FIFO with registered flags: a word written in cycle t is visible in t+1, and where it is full a read in cycle t makes
/// room from t+1, so a push into a full FIFO is refused even beside a pop.
///
/// Full throughput needs two words.
#[derive(Debug, Clone)]
pub struct Fifo<T> {
    depth: usize,
    words: VecDeque<T>,
}

impl<T> Fifo<T> {
    /// # Panics
    /// Where `depth` is 0.
    #[track_caller]
    pub fn new(depth: usize) -> Self {
        assert!(depth > 0, "a FIFO of depth 0 never accepts");
        Self { depth, words: VecDeque::with_capacity(depth) }
    }

    /// Whether a push is accepted in this cycle.
    pub fn ready(&self) -> bool {
        self.words.len() < self.depth
    }

    /// The oldest word.
    pub fn front(&self) -> Option<&T> {
        self.words.front()
    }

    /// Words inside.
    pub fn level(&self) -> usize {
        self.words.len()
    }

    /// One rising edge.
    ///
    /// # Panics
    /// On a push into a full FIFO or a pop from an empty one.
    #[track_caller]
    pub fn clock(&mut self, push: Option<T>, pop: bool) {
        self.exchange(push, pop);
    }

    /// One rising edge; what is popped is the caller's.
    ///
    /// # Panics
    /// As [`clock`](Self::clock).
    #[track_caller]
    pub fn exchange(&mut self, push: Option<T>, pop: bool) -> Option<T> {
        assert!(push.is_none() || self.ready(), "push into a full FIFO of depth {}", self.depth);
        let popped = if pop { self.words.pop_front() } else { None };
        assert!(!pop || popped.is_some(), "pop from an empty FIFO");
        self.words.extend(push);
        popped
    }
}

impl<T> CycleModel for Fifo<T> {
    type Input = T;
    type Output = T;

    fn ready(&self, _port: usize) -> bool {
        self.ready()
    }

    fn output(&self, _port: usize) -> Option<&T> {
        self.front()
    }

    fn clock(&mut self, accepted: &mut [Option<T>], taken: &[bool]) {
        self.clock(accepted[0].take(), taken[0]);
    }
}

/// A free-running pipeline of `latency` cycles that ends in a FIFO of `depth` words. Nothing in it ever stalls: a beat is
/// accepted only where a word of the FIFO is left for it (a credit), and a word freed by a pop in cycle t is a credit from
/// cycle t+1.
///
/// A beat accepted in cycle t is on the output in cycle t+latency at the earliest. Full throughput needs a depth of
/// `latency + 1`, because a beat holds its credit from the cycle after t to cycle t+latency.
#[derive(Debug, Clone)]
pub struct CreditPipe<T> {
    stages: VecDeque<Option<T>>,
    in_flight: usize,
    queue: Fifo<T>,
}

impl<T> CreditPipe<T> {
    /// # Panics
    /// Where `latency` or `depth` is 0.
    #[track_caller]
    pub fn new(latency: usize, depth: usize) -> Self {
        assert!(latency > 0, "a pipeline of latency 0 is a combinational path");
        Self { stages: (1..latency).map(|_| None).collect(), in_flight: 0, queue: Fifo::new(depth) }
    }

    /// Whether a beat is accepted in this cycle.
    pub fn ready(&self) -> bool {
        self.used() < self.queue.depth
    }

    /// The oldest beat that has left the pipeline.
    pub fn front(&self) -> Option<&T> {
        self.queue.front()
    }

    /// Credits that are taken: beats in the pipeline and in the FIFO.
    pub fn used(&self) -> usize {
        self.in_flight + self.queue.level()
    }

    /// One rising edge.
    ///
    /// # Panics
    /// On a push without a credit or a pop without a beat.
    #[track_caller]
    pub fn clock(&mut self, push: Option<T>, pop: bool) {
        self.exchange(push, pop);
    }

    /// One rising edge; what is popped is the caller's.
    ///
    /// # Panics
    /// As [`clock`](Self::clock).
    #[track_caller]
    pub fn exchange(&mut self, push: Option<T>, pop: bool) -> Option<T> {
        assert!(push.is_none() || self.ready(), "push without a credit, all {} are taken", self.queue.depth);
        self.in_flight += usize::from(push.is_some());
        self.stages.push_back(push);
        let arrives = self.stages.pop_front().flatten();
        self.in_flight -= usize::from(arrives.is_some());
        self.queue.exchange(arrives, pop)
    }
}

impl<T> CycleModel for CreditPipe<T> {
    type Input = T;
    type Output = T;

    fn ready(&self, _port: usize) -> bool {
        self.ready()
    }

    fn output(&self, _port: usize) -> Option<&T> {
        self.front()
    }

    fn clock(&mut self, accepted: &mut [Option<T>], taken: &[bool]) {
        self.clock(accepted[0].take(), taken[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spatten_testkit::{Checks, Rng};

    /// Cycles in which beats 0, 1, ... are taken, with the source always offering and the sink ready where told.
    fn taken_cycles<M: CycleModel<Input = u64, Output = u64>>(
        model: &mut M,
        cycles: u64,
        ready: impl Fn(u64) -> bool,
    ) -> (Vec<u64>, Vec<u64>) {
        let (mut accepted_in, mut taken_in) = (vec![], vec![]);
        for cycle in 0..cycles {
            let push = model.ready(0).then(|| {
                accepted_in.push(cycle);
                accepted_in.len() as u64 - 1
            });
            let pop = ready(cycle) && model.output(0).is_some();
            if pop {
                assert_eq!(model.output(0), Some(&(taken_in.len() as u64)), "order");
                taken_in.push(cycle);
            }
            model.clock(&mut [push], &[pop]);
        }
        (accepted_in, taken_in)
    }

    #[test]
    fn a_word_is_not_there_in_its_own_cycle_and_is_in_the_next() {
        let mut fifo = Fifo::new(2);
        assert_eq!(fifo.front(), None);
        fifo.clock(Some(7), false);
        assert_eq!(fifo.front(), Some(&7));
    }

    #[test]
    fn a_pop_makes_room_one_cycle_later() {
        let mut fifo = Fifo::new(2);
        fifo.clock(Some(1), false);
        assert!(fifo.ready());
        fifo.clock(Some(2), false);
        assert!(!fifo.ready());
        fifo.clock(None, true);
        assert!(fifo.ready());
        assert_eq!((fifo.front(), fifo.level()), (Some(&2), 1));
    }

    #[test]
    #[should_panic(expected = "push into a full FIFO of depth 1")]
    fn a_push_into_a_full_fifo_is_refused_even_beside_a_pop() {
        let mut fifo = Fifo::new(1);
        fifo.clock(Some(1), false);
        fifo.clock(Some(2), true);
    }

    #[test]
    fn two_words_are_full_throughput_and_one_is_half() {
        let (accepted, taken) = taken_cycles(&mut Fifo::new(2), 10, |_| true);
        assert_eq!((accepted, taken), ((0..10).collect(), (1..10).collect()));
        let (accepted, _) = taken_cycles(&mut Fifo::new(1), 10, |_| true);
        assert_eq!(accepted, [0, 2, 4, 6, 8]);
    }

    #[test]
    fn latency_is_exact_from_both_sides() {
        let mut checks = Checks::new("credit_pipe_latency");
        for latency in 1..6 {
            let mut pipe = CreditPipe::new(latency, 1);
            pipe.clock(Some(1), false);
            for cycle in 1..latency {
                checks.eq(pipe.front(), None, || format!("latency {latency} cycle {cycle}"));
                pipe.clock(None, false);
            }
            checks.eq(pipe.front(), Some(&1), || format!("latency {latency}"));
        }
        checks.finish(1 + 2 + 3 + 4 + 5);
    }

    #[test]
    fn full_throughput_needs_one_credit_more_than_the_latency() {
        for latency in 1..6u64 {
            let (accepted, taken) =
                taken_cycles(&mut CreditPipe::new(latency as usize, latency as usize + 1), 30, |_| true);
            assert_eq!((accepted, taken), ((0..30).collect(), (latency..30).collect()), "latency {latency}");
            let (accepted, _) = taken_cycles(&mut CreditPipe::new(latency as usize, latency as usize), 30, |_| true);
            assert_eq!(accepted[latency as usize], latency + 1, "one bubble per {latency} beats");
        }
    }

    #[test]
    fn credits_stop_the_source_and_return_one_cycle_after_a_pop() {
        let (accepted, taken) = taken_cycles(&mut CreditPipe::new(3, 4), 14, |cycle| cycle >= 10);
        assert_eq!(accepted, [0, 1, 2, 3, 11, 12, 13]);
        assert_eq!(taken, [10, 11, 12, 13]);
    }

    #[test]
    fn a_pipe_of_latency_one_is_a_fifo() {
        let mut checks = Checks::new("a_pipe_of_latency_one_is_a_fifo");
        let (mut rng, mut pipe, mut fifo) = (Rng::new(3), CreditPipe::new(1, 3), Fifo::new(3));
        for i in 0..1000 {
            let push = (fifo.ready() && rng.below(2) == 0).then_some(i);
            let pop = fifo.front().is_some() && rng.below(2) == 0;
            pipe.clock(push, pop);
            fifo.clock(push, pop);
            checks.eq((pipe.ready(), pipe.front()), (fifo.ready(), fifo.front()), || format!("cycle {i}"));
        }
        checks.finish(1000);
    }
}
