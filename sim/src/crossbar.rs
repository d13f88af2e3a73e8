//! Lanes to memory channels and back, in time. Siblings: `hw`, `tests/crossbar.rs`.

use crate::cycle::{CycleModel, Fifo};

/// Words waiting at an input.
const INPUT_DEPTH: usize = 4;

/// Inputs and outputs `0..ports`; a word goes with the output that it names.
///
/// # Timing   2 cycles, round robin where inputs ask for the same output
#[derive(Debug, Clone)]
pub struct Crossbar<T> {
    inputs: Vec<Fifo<(usize, T)>>,
    outputs: Vec<Fifo<T>>,
    /// First input that is asked next, per output.
    next: Vec<usize>,
}

impl<T: Clone> Crossbar<T> {
    /// `ports` inputs and outputs.
    pub fn new(ports: usize) -> Self {
        Self { inputs: vec![Fifo::new(INPUT_DEPTH); ports], outputs: vec![Fifo::new(2); ports], next: vec![0; ports] }
    }

    /// One rising edge: the words accepted by each input, and whether each output's is taken.
    pub fn clock(&mut self, mut accepted: impl FnMut(usize) -> Option<(usize, T)>, taken: impl Fn(usize) -> bool) {
        let ports = self.inputs.len();
        // Every input has one oldest word, so two outputs never choose the same input.
        let mut popped = 0u64;
        for (o, output) in self.outputs.iter_mut().enumerate() {
            let asks = |i: &usize| self.inputs[*i].front().is_some_and(|(to, _)| *to == o);
            let chosen = (self.next[o]..ports).chain(0..self.next[o]).find(asks).filter(|_| output.ready());
            let word = chosen.and_then(|i| {
                popped |= 1 << i;
                self.next[o] = (i + 1) % ports;
                self.inputs[i].front().map(|(_, word)| word.clone())
            });
            output.clock(word, taken(o));
        }
        for (i, input) in self.inputs.iter_mut().enumerate() {
            input.clock(accepted(i), popped >> i & 1 == 1);
        }
    }
}

impl<T: Clone> CycleModel for Crossbar<T> {
    type Input = (usize, T);
    type Output = T;

    fn ready(&self, port: usize) -> bool {
        self.inputs[port].ready()
    }

    fn output(&self, port: usize) -> Option<&T> {
        self.outputs[port].front()
    }

    fn clock(&mut self, accepted: &mut [Option<(usize, T)>], taken: &[bool]) {
        self.clock(|i| accepted[i].take(), |o| taken[o]);
    }
}
