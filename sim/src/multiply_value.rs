//! Probabilities times values. Siblings: `golden`, `hw`, `tests/multiply_value.rs`.
//!
//! [`Timing`] says when, for a payload of any kind; [`MultiplyValue`] adds the values.

use crate::cosim::{Beat, Field, bits_for};
use crate::cycle::{CreditPipe, CycleModel};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::{Formats, OUTPUT_BITS, TOKEN_SCALE_BITS};
use spatten_golden::multiply_value::{fixed, round, weight};

/// Outputs of a row, the unused upper ones included.
const ROW: usize = HEAD_DIMS[HEAD_DIMS.len() - 1];

/// Cycles from the last beat of a row to its outputs.
pub fn latency(config: &ArchConfig) -> usize {
    12 + (config.multipliers / HEAD_DIMS[0]).ilog2() as usize
}

/// Lanes of probabilities.
pub fn lanes(config: &ArchConfig) -> usize {
    config.multipliers / HEAD_DIMS[0]
}

/// When beats move. `T` is whatever belongs to the outputs of one row.
#[derive(Debug, Clone)]
pub struct Timing<T> {
    pipe: CreditPipe<T>,
}

impl<T> Timing<T> {
    /// As after reset.
    pub fn new(config: &ArchConfig) -> Self {
        let latency = latency(config);
        Self { pipe: CreditPipe::new(latency, (latency + 1).next_power_of_two()) }
    }

    /// Whether a beat is accepted, a row's last one or another.
    pub fn ready(&self) -> bool {
        self.pipe.ready()
    }

    /// The outputs that are offered.
    pub fn front(&self) -> Option<&T> {
        self.pipe.front()
    }

    /// One rising edge: the row that an accepted last beat completes, whether the offered outputs were taken. Other beats
    /// change nothing.
    ///
    /// # Panics
    /// Where a row is completed without a place for it.
    #[track_caller]
    pub fn clock(&mut self, row: Option<T>, pop: bool) {
        self.pipe.clock(row, pop);
    }
}

/// Value rows, or a slice of one, with their probabilities.
#[derive(Debug, Clone)]
pub struct Values {
    /// Bits of a value.
    pub operand_bits: u32,
    /// One per multiplier.
    pub values: Vec<i16>,
    /// One per lane.
    pub probability: Vec<u32>,
    /// One per lane.
    pub token_scale: Vec<u32>,
    /// Value rows in the beat.
    pub count: usize,
    /// The query row ends here.
    pub last: bool,
}

/// Outputs of a query row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// 128, of which those from D on are 0.
    pub outputs: Vec<i64>,
    /// How many did not fit.
    pub saturated: u64,
    /// Sum of their magnitudes.
    pub magnitude: u64,
}

impl Beat for Values {
    fn fields(&self) -> Vec<Field> {
        let values: Vec<i64> = self.values.iter().map(|&x| x.into()).collect();
        let [probabilities, scales] =
            [&self.probability, &self.token_scale].map(|lanes| lanes.iter().map(|&x| x.into()).collect::<Vec<u64>>());
        vec![
            Field::signed_lanes("values", &values, self.operand_bits),
            Field::lanes("probability", &probabilities, 13),
            Field::lanes("token_scale", &scales, TOKEN_SCALE_BITS),
            Field::value("count", self.count as u64, bits_for(self.probability.len())),
            Field::flag("last", self.last),
        ]
    }
}

impl Beat for Outputs {
    fn fields(&self) -> Vec<Field> {
        vec![
            Field::signed_lanes("outputs", &self.outputs, OUTPUT_BITS),
            Field::value("saturated", self.saturated, 8),
            Field::value("magnitude", self.magnitude, 23),
        ]
    }
}

/// The block with its values.
#[derive(Debug, Clone)]
pub struct MultiplyValue {
    timing: Timing<Outputs>,
    formats: Formats,
    dim: usize,
    multipliers: usize,
    sums: Vec<i32>,
    slice: usize,
}

impl MultiplyValue {
    /// As after reset, for a head dimension of [`HEAD_DIMS`].
    pub fn new(config: &ArchConfig, dim: usize) -> Self {
        Self {
            timing: Timing::new(config),
            formats: Formats::new(config),
            dim,
            multipliers: config.multipliers,
            sums: vec![0; dim],
            slice: 0,
        }
    }

    /// Adds a beat; the row's outputs, where it is complete.
    fn add(&mut self, beat: &Values) -> Option<Outputs> {
        for lane in 0..beat.count {
            let p = weight(beat.probability[lane], beat.token_scale[lane]);
            if self.dim <= self.multipliers {
                fixed(p, &beat.values[lane * self.dim..][..self.dim], &mut self.sums);
            } else {
                fixed(p, &beat.values, &mut self.sums[self.slice * self.multipliers..][..self.multipliers]);
            }
        }
        self.slice = if (self.slice + 1) * self.multipliers >= self.dim { 0 } else { self.slice + 1 };
        if !beat.last {
            return None;
        }
        self.slice = 0;
        let mut row = Outputs { outputs: vec![0; ROW], saturated: 0, magnitude: 0 };
        for (out, sum) in row.outputs.iter_mut().zip(&mut self.sums) {
            let (output, saturated) = round(std::mem::take(sum), &self.formats.output);
            *out = output.into();
            row.saturated += u64::from(saturated);
            row.magnitude += u64::from(output.unsigned_abs());
        }
        Some(row)
    }
}

impl CycleModel for MultiplyValue {
    type Input = Values;
    type Output = Outputs;

    fn ready(&self, _port: usize) -> bool {
        self.timing.ready()
    }

    fn output(&self, _port: usize) -> Option<&Outputs> {
        self.timing.front()
    }

    fn clock(&mut self, accepted: &mut [Option<Values>], taken: &[bool]) {
        let row = accepted[0].take().and_then(|beat| self.add(&beat));
        self.timing.clock(row, taken[0]);
    }
}
