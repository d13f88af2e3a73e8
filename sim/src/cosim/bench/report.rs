//! What a run says: what it has checked, or the first difference.

use crate::cosim::{CosimError, Coverage};
use std::fmt;

/// The first difference between RTL, cycle model and golden beats. Its text is the whole report.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Mismatch {
    /// Name of the block.
    pub block: String,
    /// The port, or the stream.
    pub signal: String,
    /// What is wrong with it.
    pub what: String,
    /// The cycle, counted from the end of reset.
    pub cycle: u64,
    /// Which beat of the stream.
    pub beat: Option<usize>,
    /// Which lane of the field.
    pub lane: Option<usize>,
    /// Who says what: `("rtl", "0x03fa")`.
    pub values: Vec<(&'static str, String)>,
    /// What the comparison means.
    pub note: String,
    /// Configuration, seed and stalls of the run.
    pub run: String,
    /// The command that repeats it.
    pub again: Option<String>,
    /// The waveform.
    pub waves: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}   cycle {}", self.block, self.signal, self.what, self.cycle)?;
        for (name, value) in [("beat", self.beat), ("lane", self.lane)] {
            value.map_or(Ok(()), |value| write!(f, "  {name} {value}"))?;
        }
        for (i, (who, value)) in self.values.iter().enumerate() {
            let note = if i + 1 == self.values.len() { format!("    [{}]", self.note) } else { String::new() };
            write!(f, "\n  {who:<6} {value}{note}")?;
        }
        write!(f, "\n  {}", self.run)?;
        self.again.iter().try_for_each(|command| write!(f, "\n  again: {command}"))?;
        self.waves.iter().try_for_each(|waves| write!(f, "\n  waves: {waves}"))
    }
}

/// Why a run failed. `Debug` is the report too, so that `unwrap` and a test that returns it print something readable.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The model could not be built or loaded, or a port is missing.
    #[error(transparent)]
    Cosim(#[from] CosimError),
    /// Ports and streams do not fit together.
    #[error("{block}: {message}")]
    Wiring {
        /// Name of the block.
        block: String,
        /// Which port, and what is known of it.
        message: String,
    },
    /// RTL, cycle model and golden beats differ.
    #[error("{0}")]
    Mismatch(Box<Mismatch>),
}

impl fmt::Debug for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a run has checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BenchReport {
    /// Block, configuration, seed and stalls.
    pub run: String,
    /// Clock periods after reset.
    pub cycles: u64,
    /// Beats accepted, per input stream.
    pub accepted: Vec<(String, u64)>,
    /// Beats compared and taken, per output stream.
    pub checked: Vec<(String, u64)>,
    /// Cycles in which those of `accepted` were, per input stream: throughput is read off here.
    pub accepted_at: Vec<Vec<u64>>,
    /// Cycles in which those of `checked` were taken, per output stream.
    pub taken_at: Vec<Vec<u64>>,
    /// Values (lanes of fields) in those.
    pub values: u64,
    /// Cycles in which a source paused although it had a beat, over all inputs.
    pub bubbles: u64,
    /// Cycles in which the block did not accept a beat that was offered, over all inputs.
    pub back_pressure: u64,
    /// Cycles in which a sink did not take a beat that was offered, over all outputs.
    pub stalls: u64,
    /// Cycle in which the first input beat was accepted.
    pub first_accepted: Option<u64>,
    /// Cycle in which the last output beat was taken.
    pub last_taken: Option<u64>,
}

impl BenchReport {
    /// Cycles from the first accepted beat to the last one taken, both included: with
    /// [`Stalls::None`](super::Stalls::None) the block's own time.
    pub fn span(&self) -> u64 {
        self.last_taken.zip(self.first_accepted).map_or(0, |(last, first)| last - first + 1)
    }

    /// Counts `bubble`, `back-pressure` and `stall`.
    pub fn cover(&self, coverage: &mut Coverage) {
        coverage.add("bubble", self.bubbles);
        coverage.add("back-pressure", self.back_pressure);
        coverage.add("stall", self.stalls);
    }

    /// Ends a test, which says itself how many output beats it expects.
    ///
    /// # Panics
    /// Where another number was checked, or none.
    #[track_caller]
    pub fn finish(&self, expected: usize) {
        let checked: u64 = self.checked.iter().map(|(_, beats)| beats).sum();
        assert_eq!(checked, expected as u64, "beats checked: {self}");
        assert!(checked > 0, "nothing was checked: {self}");
        println!("{self}");
    }
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} cycles;", self.run, self.cycles)?;
        for (name, beats) in self.accepted.iter().chain(&self.checked) {
            write!(f, " {name} {beats} beats,")?;
        }
        write!(f, " {} values checked; {} bubbles, ", self.values, self.bubbles)?;
        write!(f, "{} cycles of back-pressure, {} stalls", self.back_pressure, self.stalls)
    }
}
