//! The paper's selection engine, in cycles. Siblings: `golden`, `hw`, `tests/quick_select.rs`.
//! Paper: SpAtten section IV-B, Algorithm 3, Fig. 9.
//! Why: between a row's last beat and its answer nothing depends on the ports, so the whole selection is done when the row
//! is known, and then only cycles are counted.

use crate::cycle::CycleModel;
use crate::zero_eliminator::network_latency;
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;
use spatten_arch::lfsr::Lfsr;
use spatten_golden::quick_select;

/// Cycles of a pass beside its beats: two to draw and read the pivot, one to decide; and from the last word's address, four
/// until its candidates are counted, or the zero eliminator's and two until they can be read, if that is more.
pub fn pass_cycles(lanes: usize) -> u64 {
    3 + 4.max(network_latency(lanes) as u64 + 2)
}

/// One beat of stream `in` or of stream `k`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Some scores of a row.
    Scores(Vec<u64>, End),
    /// How many to keep.
    K(usize),
}

/// Whether a row goes on after a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It does.
    More,
    /// It ends.
    Last,
}

/// The answer to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// The k-th largest; all ones where nothing is kept.
    pub score: u64,
    /// Equals to keep.
    pub equal: usize,
    /// Passes that it took.
    pub passes: usize,
}

/// Cycles from the one of the last beat (or of k, if that is later) to the one of the answer.
pub fn cycles(passes: &[usize], lanes: usize) -> u64 {
    2 + passes.iter().map(|c| c.div_ceil(lanes) as u64 + pass_cycles(lanes)).sum::<u64>()
}

#[derive(Debug, Clone)]
enum State {
    Load,
    Busy { cycles: u64, answer: Output },
    Done(Output),
}

/// The engine. Inputs: 0 = `in`, 1 = `k`. Output: 0 = `out`.
#[derive(Debug, Clone)]
pub struct QuickSelect {
    bits: u32,
    lanes: usize,
    generator: Lfsr,
    state: State,
    row: Vec<u64>,
    loaded: bool,
    k: Option<usize>,
}

impl QuickSelect {
    /// For scores of `bits`, `lanes` per cycle.
    pub fn new(bits: u32, lanes: usize) -> Self {
        Self { bits, lanes, generator: Lfsr::default(), state: State::Load, row: vec![], loaded: false, k: None }
    }

    /// For local value pruning: probabilities.
    pub fn of(config: &ArchConfig) -> Self {
        Self::new(Formats::new(config).probability.width(), config.topk_lanes)
    }

    fn begin(&mut self, k: usize) {
        let selection = quick_select::fixed(&self.row, k.min(self.row.len()), &mut self.generator);
        let passes = selection.passes.len();
        let answer = match selection.threshold {
            Some(t) => Output { score: t.score, equal: t.equal, passes },
            None => Output { score: u64::MAX >> (64 - self.bits), equal: 0, passes },
        };
        self.state = State::Busy { cycles: cycles(&selection.passes, self.lanes) - 1, answer };
        self.row.clear();
        self.loaded = false;
        self.k = None;
    }
}

impl CycleModel for QuickSelect {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        matches!(self.state, State::Load) && if port == 0 { !self.loaded } else { self.k.is_none() }
    }

    fn output(&self, _port: usize) -> Option<&Output> {
        if let State::Done(answer) = &self.state { Some(answer) } else { None }
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        match &mut self.state {
            State::Load => {
                for beat in accepted.iter_mut().filter_map(Option::take) {
                    match beat {
                        Input::Scores(scores, end) => {
                            self.row.extend(scores);
                            self.loaded = end == End::Last;
                        }
                        Input::K(k) => self.k = Some(k),
                    }
                }
                if let (true, Some(k)) = (self.loaded, self.k) {
                    self.begin(k);
                }
            }
            State::Busy { cycles: 1, answer } => self.state = State::Done(*answer),
            State::Busy { cycles, .. } => *cycles -= 1,
            State::Done(_) if taken[0] => self.state = State::Load,
            State::Done(_) => {}
        }
    }
}
