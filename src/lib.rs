//! The command line of `spatten` as a library: what the binary, the cross-crate tests and the fuzz targets share.
//!
//! Reading order: [`cli`] (arguments and exit status), [`run`] (a recorded trace), [`model`] and [`infer`] (a real
//! transformer), [`card`] (the host's side of a device with jobs and memory), [`eval`] (how much quality a plan costs),
//! [`rtl`] (Verilog), [`docs`] (tables generated from `spatten-arch`).

pub mod card;
pub mod cli;
pub mod device;
pub mod docs;
pub mod eval;
pub mod infer;
pub mod model;
pub mod output;
pub mod report;
pub mod rtl;
pub mod run;
pub mod workload;
