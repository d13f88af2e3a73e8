//! Cells that rust-hdl cannot say, as short Verilog text, each with its reason in `docs/decisions/0010-verilog-leaves.md`
//! and its own test in co-simulation.

mod multiplier;
mod ram;

pub use multiplier::Multiplier;
pub use ram::{Ram, ReadPort};
