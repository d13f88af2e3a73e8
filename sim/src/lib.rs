//! Cycle-accurate simulator (cycle models of the blocks, memory and energy models) and the Verilator co-simulation
//! harness.
//!
//! | module | idea |
//! | --- | --- |
//! | [`cycle`] | what a cycle model is: registered handshakes, FIFO, pipeline with credits |
//! | [`cosim`] | emitted Verilog, Verilated at run time, against cycle model and golden beats in every cycle |
//!
//! Every other module is one block's model, equal to its RTL in every cycle. [`layer_engine`] composes most of them: it runs layers from
//! memory to memory. There is no model of a whole chip yet, so a report of `spatten run` has no cycle counts.

pub mod attention_core;
pub mod axi_master;
pub mod bitwidth_converter;
pub mod chip;
pub mod controller;
pub mod cosim;
pub mod crossbar;
pub mod csr;
pub mod cycle;
pub mod dot_product;
pub mod fetch_path;
pub mod fifo;
pub mod halves;
pub mod importance_accumulator;
pub mod key_buffer;
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
