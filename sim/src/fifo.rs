//! Valid/ready queue. Siblings: `hw`, `tests/fifo.rs`.

pub use crate::cycle::Fifo;
