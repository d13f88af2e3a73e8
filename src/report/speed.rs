//! What only a device with cycles knows.

use crate::card::Counters;
use serde::Serialize;
use spatten_arch::ArchConfig;
use spatten_arch::registers::Counter;

/// Cycles (those with a job) and what they were used for, as far as the device counts it.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    cycles: u64,
    clock_hz: u64,
    latency_s: f64,
    ops_per_s: f64,
    /// Mean of the next two: the chip has as many multipliers for scores as for values.
    #[serde(skip_serializing_if = "Option::is_none")]
    multiplier_utilization: Option<f64>,
    dot_product_utilization: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    multiply_value_utilization: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stall_cycles: Option<StallCycles>,
}

/// Busy cycles by what was waited for; see the counters of the register map.
#[derive(Debug, Clone, Serialize)]
struct StallCycles {
    query: u64,
    key: u64,
    refetch: u64,
    softmax: u64,
    select: u64,
    value: u64,
    write: u64,
    cascade: u64,
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// Bytes moved of those that the channels can move.
pub fn bandwidth_utilization(c: &Counters, arch: &ArchConfig) -> f64 {
    let kinds =
        [Counter::ReadQ, Counter::ReadKMsb, Counter::ReadKLsb, Counter::ReadV, Counter::ReadOther, Counter::Write];
    let moved = kinds.iter().map(|&kind| c[kind]).sum();
    share(moved, c[Counter::Busy] * (arch.channels * arch.channel_bytes) as u64)
}

impl Speed {
    /// Of so many operations and what was counted meanwhile.
    pub fn of(c: &Counters, arch: &ArchConfig, ops: u64) -> Self {
        let cycles = c[Counter::Busy];
        let latency_s = cycles as f64 / arch.clock_hz as f64;
        let dot = share(c[Counter::Dot], cycles);
        let multiply = c.get(Counter::Multiply).map(|busy| share(busy, cycles));
        Self {
            cycles,
            clock_hz: arch.clock_hz,
            latency_s,
            ops_per_s: if cycles == 0 { 0.0 } else { ops as f64 / latency_s },
            multiplier_utilization: multiply.map(|multiply| (dot + multiply) / 2.0),
            dot_product_utilization: dot,
            multiply_value_utilization: multiply,
            stall_cycles: c.get(Counter::StallQuery).map(|_| StallCycles {
                query: c[Counter::StallQuery],
                key: c[Counter::StallKey],
                refetch: c[Counter::StallRefetch],
                softmax: c[Counter::StallSoftmax],
                select: c[Counter::StallSelect],
                value: c[Counter::StallValue],
                write: c[Counter::StallWrite],
                cascade: c[Counter::StallCascade],
            }),
        }
    }

    /// One line for a person.
    pub fn summary(&self) -> String {
        let values = self.multiply_value_utilization.map(|share| format!(", values {:.1} %", 100.0 * share));
        format!(
            "cycles                 {} = {:.3e} s at {:.3} GHz; multipliers of scores {:.1} %{}",
            self.cycles,
            self.latency_s,
            self.clock_hz as f64 / 1e9,
            100.0 * self.dot_product_utilization,
            values.unwrap_or_default()
        )
    }
}
