//! Cycle-accurate simulator (cycle models of the blocks, memory and energy models) and the Verilator co-simulation
//! harness.
//!
//! | module | idea |
//! | --- | --- |
//! | [`cycle`] | what a cycle model is: registered handshakes, FIFO, pipeline with credits |
//! | [`cosim`] | emitted Verilog, Verilated at run time, against cycle model and golden beats in every cycle |
//!
//! No block has a model yet: a report of `spatten run` has no cycle counts until this crate predicts the RTL's.

pub mod bitwidth_converter;
pub mod cosim;
pub mod crossbar;
pub mod cycle;
pub mod fifo;
pub mod halves;
pub mod key_buffer;
pub mod ram;
pub mod value_buffer;
