//! The single source of truth of the accelerator: every fact that golden model, RTL, simulator, driver, command line and
//! documentation share stands here once and is imported from here.
//!
//! | module | facts |
//! | --- | --- |
//! | [`config`] | sizes of the chip (`tiny`, `eighth`, `paper`, TOML files) and the relations between them |
//! | [`mod@format`] | width, fraction, rounding, saturation and reason of every number on a wire |
//! | [`rom`] | contents of the exponential and reciprocal tables |
//! | [`radix`] | digits of `radix_select` |
//! | [`lfsr`] | the pivot generator of `quick_select` |
//! | [`blocks`] | the blocks, their paper sections and how far each one is |
//! | [`layout`] | where planes of packed elements, rows of outputs and blocks of bytes lie in card memory |
//! | [`element`] | what the bits of a packed element are worth as an operand |
//! | [`content`] | what a fetched plane holds: the tags of jobs |
//! | [`firmware`] | its program, and what that is connected to |
//! | [`micro`] | instructions of `controller` |
//! | [`registers`] | the registers of the PCIe function |
//! | [`descriptor`] | jobs, completions, and what they name in card memory |
//! | [`c_header`] | both for C |
//! | [`token_store`] | its commands |
//! | [`plan`] | pruning plans (`PLAN.toml`) and the schedules that they stand for |
//! | [`toml_file`] | reading TOML with errors that fit on one line |

pub mod blocks;
pub mod c_header;
pub mod config;
pub mod content;
pub mod descriptor;
pub mod element;
pub mod firmware;
pub mod format;
pub mod layout;
pub mod lfsr;
pub mod micro;
pub mod plan;
pub mod radix;
pub mod registers;
pub mod rom;
pub mod token_store;
pub mod toml_file;

pub use config::{ArchConfig, ArchError};
pub use plan::{Plan, PlanError};
pub use toml_file::FileError;
