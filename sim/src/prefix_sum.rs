//! Counts of marked lanes below each lane. Siblings: `golden`, `hw`, `tests/prefix_sum.rs`.

use crate::cycle::{CreditPipe, CycleModel};

/// Registers of a network of log2(lanes) levels, two of them between two registers; at least one.
pub(crate) fn stages(lanes: usize) -> usize {
    (lanes.ilog2() as usize).div_ceil(2).max(1)
}

/// Counts of one beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Marked lanes below each lane.
    pub below: Vec<u32>,
    /// Marked lanes.
    pub total: u32,
}

/// The block as a pipeline with credits. Input: the marks of a beat.
#[derive(Debug, Clone)]
pub struct PrefixSum {
    pipe: CreditPipe<Counts>,
}

impl PrefixSum {
    /// For `lanes` lanes.
    pub fn new(lanes: usize) -> Self {
        let latency = stages(lanes) + 1;
        Self { pipe: CreditPipe::new(latency, (latency + 1).next_power_of_two()) }
    }
}

impl CycleModel for PrefixSum {
    type Input = Vec<bool>;
    type Output = Counts;

    fn ready(&self, _port: usize) -> bool {
        self.pipe.ready()
    }

    fn output(&self, _port: usize) -> Option<&Counts> {
        self.pipe.front()
    }

    fn clock(&mut self, accepted: &mut [Option<Vec<bool>>], taken: &[bool]) {
        let counts = accepted[0].take().map(|marked| {
            let mut total = 0;
            let count = |&mark: &bool| {
                total += u32::from(mark);
                total - u32::from(mark)
            };
            let below = marked.iter().map(count).collect();
            Counts { below, total }
        });
        self.pipe.clock(counts, taken[0]);
    }
}
