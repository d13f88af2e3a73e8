//! RTL of the accelerator in rust-hdl and the Verilog emitter.
//!
//! Nothing is here yet: the README's block table names every block as `golden` until its RTL exists and is
//! co-simulated. This crate depends on `spatten-arch` only and must never see `spatten-golden`; that the two agree
//! is evidence only because they share no code.
