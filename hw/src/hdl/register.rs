//! Registers. They have no reset of their own: a kernel says what reset does, so that data paths carry none.

use super::wire::Wire;
use rust_hdl_core::prelude::*;

/// The body of a register, by which the emitter knows it and writes it into its parent.
pub const REGISTER: &str = "// register";

/// A register of run-time width: `d` is taken over to `q` at the rising edge.
#[derive(Debug, Clone, LogicBlock)]
pub struct Reg {
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// The next value.
    pub d: Wire<In>,
    /// The value.
    pub q: Wire<Out>,
}

impl Reg {
    /// Values `0..2^bits`.
    #[track_caller]
    pub fn unsigned(bits: usize) -> Self {
        Self { clock: Default::default(), d: Wire::unsigned(bits), q: Wire::unsigned(bits) }
    }

    /// Values `-2^(bits-1)..2^(bits-1)`.
    #[track_caller]
    pub fn signed(bits: usize) -> Self {
        Self { clock: Default::default(), d: Wire::signed(bits), q: Wire::signed(bits) }
    }
}

impl Logic for Reg {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.q.next = self.d.val();
        }
    }
    fn connect(&mut self) {
        self.q.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(REGISTER.into())
    }
}

/// A register of a stock rust-hdl type: a bit (`Dff<Bit>`) or the state of a machine (`Dff<State>`).
#[derive(Debug, Clone, Default, LogicBlock)]
pub struct Dff<T: Synth> {
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// The next value.
    pub d: Signal<In, T>,
    /// The value.
    pub q: Signal<Out, T>,
}

impl<T: Synth> Logic for Dff<T> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.q.next = self.d.val();
        }
    }
    fn connect(&mut self) {
        self.q.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(REGISTER.into())
    }
}
