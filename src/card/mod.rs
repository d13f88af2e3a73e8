//! The host's side of a card: what it writes into card memory, the jobs it sends, and what it reads back.
//!
//! ```text
//!  LayerInput -> [golden::fixed: quantise] -> layer: planes, parameters --> CardMemory <----+
//!  Plan, mask ------------------------------> sequence: Begin, Step, Layer --> CardDevice   | reads, writes
//!  LayerOutput, survivors, importances <----- sequence: outputs, map, state block <---------+
//! ```
//! Nothing here depends on what the card is made of: [`CardDevice`] is a simulator, a Verilated chip or a test's interpreter.
//!
//! Reading order: [`device`] (what a card is), [`memory`], [`sequence`] (jobs of a sequence), [`planes`] (what a layer is written as), [`attention`] (the door for
//! `spatten run` and `spatten infer`).

pub mod attention;
pub mod board;
pub mod device;
pub mod memory;
pub mod planes;
pub mod rtl;
pub mod sequence;

pub use attention::CardAttention;
pub use board::Board;
pub use device::{CardDevice, Counters, DeviceError};
pub use memory::CardMemory;
pub use sequence::{CardSequence, UnfitError, check};
