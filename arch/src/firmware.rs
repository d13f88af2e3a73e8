//! The program of `controller`, and what its fields, streams and ports are in `chip`.

mod names;
mod program;

pub use names::{Field, Pop, Port, Push};
pub use program::program;

use crate::ArchConfig;
use crate::descriptor::JOB_BYTES;
use std::ops::RangeInclusive;

/// Bytes of a word of memory that the program can work with: no less than a register, no more than a job.
pub const WORD_BYTES: RangeInclusive<usize> = 8..=JOB_BYTES;

/// Fields of what the program pushes, in a configuration: those of [`Field`], then 8 bytes each of a word.
pub fn fields(config: &ArchConfig) -> usize {
    Field::ALL.len() + elements(config)
}

/// Ports that it sees: those of [`Port`], then 8 bytes each of a word.
pub fn ports(config: &ArchConfig) -> usize {
    Port::ALL.len() + elements(config)
}

/// Registers that a word of memory fills.
pub fn elements(config: &ArchConfig) -> usize {
    config.channel_bytes / 8
}
