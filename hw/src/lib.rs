//! RTL of the accelerator in rust-hdl and the Verilog emitter.
//!
//! | module | holds |
//! | --- | --- |
//! | [`hdl`] | what kernels are written with: rust-hdl with run-time widths |
//! | [`mod@emit`] | kernels to Verilog |
//! | [`leaf`] | the cells that are Verilog text |
//! | [`registry`] | every block by name |
//! | the others | one block each, named as in `arch::blocks` |
//!
//! This crate depends on `spatten-arch` only and must never see `spatten-golden`; that the two agree is evidence only
//! because they share no code.

// rust-hdl kernels have no `&&`, and an outer `if` over constants keeps an index in range for the inner one.
#![allow(clippy::collapsible_if)]

pub mod emit;
pub mod hdl;
pub mod leaf;
pub mod registry;

pub mod attention_core;
pub mod axi_master;
pub mod bitwidth_converter;
pub mod chip;
pub mod controller;
pub mod credits;
pub mod crossbar;
pub mod csr;
pub mod delay;
pub mod dot_product;
pub mod fetch_path;
pub mod fifo;
pub mod halves;
pub mod importance_accumulator;
pub mod key_buffer;
pub mod lane_fifo;
pub mod layer_engine;
pub mod layer_sequencer;
pub mod matrix_fetcher;
pub mod multiply_value;
pub mod operand_router;
pub mod prefix_sum;
pub mod quick_select;
pub mod radix_select;
pub mod ram;
pub mod requant_decision;
pub mod softmax;
pub mod survivor_select;
pub mod token_store;
pub mod top_k;
pub mod value_buffer;
pub mod verdict_map;
pub mod write_back;
pub mod zero_eliminator;
