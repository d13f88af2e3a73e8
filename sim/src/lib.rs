//! Cycle-accurate simulator (cycle models of the blocks, memory and energy models) and the Verilator co-simulation
//! harness.
//!
//! Nothing is here yet: a report of `spatten run` has no cycle counts until this crate predicts the RTL's.
