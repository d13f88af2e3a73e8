//! Cells that rust-hdl cannot say, as short Verilog text, each with its reason in `docs/decisions/0010-verilog-leaves.md`
//! and its own test in co-simulation.

mod lane_ram;
mod multiplier;
mod rom;

pub use crate::ram::{Ram, ReadPort};
pub use lane_ram::LaneRam;
pub use multiplier::Multiplier;
pub use rom::{BlockRom, Rom};
