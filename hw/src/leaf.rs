//! Cells that rust-hdl cannot say, as short Verilog text, each with its reason in `docs/decisions/0010-verilog-leaves.md`
//! and its own test in co-simulation.

mod join;
mod lane_ram;
mod lane_sum;
mod multiplier;
mod rom;

pub use crate::ram::{Ram, ReadPort};
pub use join::Join;
pub use lane_ram::LaneRam;
pub use lane_sum::LaneSum;
pub use multiplier::Multiplier;
pub use rom::{BlockRom, Rom};
