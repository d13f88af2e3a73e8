//! What a card is to its host: memory, a door for jobs, and counters.

use super::CardMemory;
use spatten_arch::descriptor::{Completion, Entry, Opcode, Status, snake};
use spatten_arch::registers::Counter;
use std::ops::{AddAssign, Index, IndexMut};

/// A card.
pub trait CardDevice {
    /// Card memory. The host writes what a job reads before it runs the job, and reads what it wrote after.
    fn memory(&mut self) -> &mut CardMemory;

    /// Submits a job and advances the device until its completion is there.
    ///
    /// # Errors
    /// Where the device does not answer, within as many cycles as the implementation waits. A job that ends with an error has
    /// a completion that says so.
    fn run(&mut self, entry: &Entry) -> Result<Completion, DeviceError>;

    /// What was counted since the device began.
    fn counters(&self) -> Counters;
}

/// All counters at one moment, or their difference between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    values: [u64; Counter::ALL.len()],
    /// Bit i: the device does not count counter i.
    missing: u64,
    /// Cycles of the longest selection so far.
    pub topk_longest: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self { values: [0; Counter::ALL.len()], missing: 0, topk_longest: 0 }
    }
}

impl Index<Counter> for Counters {
    type Output = u64;

    fn index(&self, counter: Counter) -> &u64 {
        &self.values[counter as usize]
    }
}

impl IndexMut<Counter> for Counters {
    fn index_mut(&mut self, counter: Counter) -> &mut u64 {
        &mut self.values[counter as usize]
    }
}

impl Counters {
    /// A counter, where the device counts it.
    pub fn get(&self, counter: Counter) -> Option<u64> {
        (self.missing >> counter as u32 & 1 == 0).then(|| self[counter])
    }

    /// Says that the device counts nothing but these.
    #[must_use]
    pub fn only(self, counted: &[Counter]) -> Self {
        let all = (1u64 << Counter::ALL.len()) - 1;
        Self { missing: counted.iter().fold(all, |missing, &counter| missing & !(1 << counter as u32)), ..self }
    }

    /// What was counted after `earlier`; the longest selection stays that of all.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let values = std::array::from_fn(|i| self.values[i].wrapping_sub(earlier.values[i]));
        Self { values, missing: self.missing, topk_longest: self.topk_longest }
    }
}

impl AddAssign<&Counters> for Counters {
    fn add_assign(&mut self, other: &Self) {
        for (value, more) in self.values.iter_mut().zip(&other.values) {
            *value += more;
        }
        self.missing |= other.missing;
        self.topk_longest = self.topk_longest.max(other.topk_longest);
    }
}

/// Why a card gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No completion in time.
    #[error("device: job {} is not complete after {cycles} cycles", snake(.opcode.name()))]
    Deadline {
        /// What the job does.
        opcode: Opcode,
        /// How long was waited.
        cycles: u64,
    },
    /// A completion with an error.
    #[error("device: job {} ended with {}, detail {detail}", snake(.opcode.name()), snake(.status.name()))]
    Refused {
        /// What the job does.
        opcode: Opcode,
        /// How it ended.
        status: Status,
        /// See [`Status`].
        detail: u32,
    },
    /// The device stopped, which no completion can report.
    #[error("device: stopped with {}", snake(.status.name()))]
    Stopped {
        /// What its register `error` says.
        status: Status,
    },
    /// What it wrote cannot be.
    #[error("device: {what} is {found}, expected {expected}")]
    Impossible {
        /// What.
        what: &'static str,
        /// What it says.
        found: String,
        /// What it could say.
        expected: String,
    },
    /// What the device is made of failed.
    #[error("device: {0}")]
    Machine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_and_sums_are_by_counter() {
        let mut earlier = Counters::default();
        earlier[Counter::Rows] = 3;
        let mut later = earlier;
        (later[Counter::Rows], later[Counter::Jobs], later.topk_longest) = (10, 1, 7);
        let mut sum = later.since(&earlier);
        assert_eq!((sum[Counter::Rows], sum[Counter::Jobs], sum[Counter::Cycles], sum.topk_longest), (7, 1, 0, 7));
        sum += &later;
        assert_eq!((sum[Counter::Rows], sum[Counter::Jobs]), (17, 2));
    }

    #[test]
    fn errors_are_one_line() {
        let refused =
            DeviceError::Refused { opcode: Opcode::ReadState, status: Status::BadContext, detail: 4 }.to_string();
        assert_eq!(refused, "device: job read_state ended with bad_context, detail 4");
    }
}
