//! Co-simulation: Verilog text is Verilated at run time, loaded into this process and driven from Rust.
//!
//! | file | idea |
//! | --- | --- |
//! | [`verilate`] | Verilog text to a shared library, built once and cached |
//! | [`model`] | one running instance: pins, clock, waveforms |
//! | [`lanes`] | values of any width and lanes packed into them |
//! | [`bench`](mod@bench) | a block against its cycle model and the golden beats, in every cycle |
//! | [`coverage`] | proof that the rare cases happened |
//!
//! This is ours because no published crate works on Verilator 5.006, the version of Debian 12 (`docs/decisions`). It takes
//! Verilog as text and knows nothing of who wrote it. The clock of a module is called `clock`; `reset` is synchronous and
//! active high. The harness drives both.

pub mod bench;
pub mod coverage;
pub mod lanes;
pub mod model;
pub mod verilate;

pub use bench::{Beat, BenchError, BenchReport, BlockBench, Field, Mismatch, Stalls, seed};
pub use coverage::Coverage;
pub use lanes::{Bits, beats, bits_for, part, put};
pub use model::{Direction, Init, Model, Pin, Port};
pub use verilate::{Built, Cache, Optimise, Verilog};

use std::path::PathBuf;

/// Why a model could not be built, loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CosimError {
    /// A program is not installed.
    #[error("{tool} is not on PATH: sh setup.sh build installs it (Debian: apt-get install verilator g++ zlib1g-dev)")]
    NoTool {
        /// Its name, or the path that was asked for.
        tool: String,
    },
    /// The Verilator found is too old.
    #[error("Verilator 5.006 or newer is needed, {path} says {found:?}")]
    OldVerilator {
        /// The program.
        path: PathBuf,
        /// Its answer.
        found: String,
    },
    /// Verilator refuses the text; its warnings count, `Verilog::argument("-Wno-...")` waives one.
    #[error("verilator refuses {top}:\n{message}")]
    Refused {
        /// The top module.
        top: String,
        /// What it printed.
        message: String,
    },
    /// The C++ of the model does not compile or link.
    #[error("g++ fails on the model of {top}:\n{message}")]
    Compile {
        /// The top module.
        top: String,
        /// What it printed.
        message: String,
    },
    /// Verilator wrote something that this crate does not know, for example a port that is an unpacked array.
    #[error("verilator's output for {top} is not understood: {line:?}")]
    Output {
        /// The top module.
        top: String,
        /// The line or file.
        line: String,
    },
    /// A file or a program could not be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or program.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The library cannot be loaded.
    #[error("cannot load {}: {source}", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// What the loader said.
        source: libloading::Error,
    },
    /// The module has no such port.
    #[error("{top} has no port {name:?}, it has: {}", found.join(", "))]
    NoPort {
        /// The top module.
        top: String,
        /// The name asked for.
        name: String,
        /// The ports that it has.
        found: Vec<String>,
    },
    /// The module stopped: `$stop`, `$fatal`, `$finish`, or a failed assertion.
    #[error("{top} stopped in cycle {cycle}: {message}")]
    Stopped {
        /// The top module.
        top: String,
        /// The clock period, counted from construction.
        cycle: u64,
        /// Where, and what it printed.
        message: String,
    },
    /// A waveform or coverage was asked of a model that was built without.
    #[error("the model of {top} was built without {what}, or {} cannot be written", path.display())]
    NotBuilt {
        /// The top module.
        top: String,
        /// What is missing.
        what: &'static str,
        /// The file asked for.
        path: PathBuf,
    },
}

pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> CosimError {
    let path = path.into();
    move |source| CosimError::Io { path, source }
}
