//! Golden model of the accelerator.
pub mod attention;
pub mod trace;
