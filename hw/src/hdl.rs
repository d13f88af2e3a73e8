//! What kernels are written with: rust-hdl, with widths that are known when a block is built and not when it is compiled.
//!
//! Stock rust-hdl fixes every width as a const generic, which cannot follow an `ArchConfig`. A [`Wire`] is a rust-hdl atom
//! whose width its constructor gives, and its value in a kernel is a [`Num`], an integer that never overflows:
//!
//! - an expression is a mathematical integer, whatever the widths of its operands;
//! - assigning it to a wire keeps the low bits that the wire has.
//!
//! So kernels need no casts, and [`crate::emit`] prints Verilog in which every operand has the width that this takes. It
//! also makes the expressions harmless for which rust-hdl 0.46 prints Verilog that differs from its own simulation
//! (`docs/decisions/0009-run-time-widths.md`).
//!
//! ```
//! use spatten_hw::hdl::*;
//!
//! /// Adds what arrives.
//! #[derive(LogicBlock)]
//! struct Accumulate {
//!     name: ModuleName,
//!     pub clock: Signal<In, Clock>,
//!     pub reset: Signal<In, Bit>,
//!     pub addend: Wire<In>,
//!     pub total: Wire<Out>,
//!     sum: Reg,
//! }
//!
//! impl Accumulate {
//!     fn new(bits: usize) -> Self {
//!         Self {
//!             name: ModuleName::new(format!("accumulate_{bits}")),
//!             clock: Default::default(),
//!             reset: Default::default(),
//!             addend: Wire::unsigned(bits),
//!             total: Wire::unsigned(bits + 8),
//!             sum: Reg::unsigned(bits + 8),
//!         }
//!     }
//! }
//!
//! impl Logic for Accumulate {
//!     #[hdl_gen]
//!     fn update(&mut self) {
//!         dff_setup!(self, clock, sum);
//!         self.total.next = self.sum.q.val();
//!         self.sum.d.next = self.sum.q.val() + self.addend.val();
//!         if self.reset.val() {
//!             self.sum.d.next = 0.into();
//!         }
//!     }
//! }
//!
//! let design = spatten_hw::emit::emit(Accumulate::new(4)).unwrap();
//! assert!(design.modules[0].text.contains("sum_next = (sum + {8'd0, addend});"));
//! ```

mod num;
mod param;
mod register;
mod wire;

pub use crate::dff_setup;
pub use num::Num;
pub(crate) use param::{MODULE_NAME, WAIVER, modulo};
pub use param::{ModuleName, Param, Waiver};
pub use register::{Dff, REGISTER, Reg};
pub use rust_hdl_core::clock;
pub use rust_hdl_core::prelude::{
    Atom, AtomKind, Bit, Bits, Block, Clock, Direction, In, Local, Logic, LogicBlock, LogicState, Out, Probe, Signal,
    Synth, ToBits, TypeDescriptor, TypeKind, VCDValue, Verilog, VerilogLiteral, hdl_gen,
};
// The derives name these modules of rust-hdl by their short paths.
pub use rust_hdl_core::prelude::simulate;
pub use rust_hdl_core::prelude::{ast, block, clog2, logic, probe, synth, type_descriptor};
pub use wire::Wire;

/// `n` fresh signals or sub-blocks.
pub fn vec_of<T>(n: usize, make: impl Fn() -> T) -> Vec<T> {
    (0..n).map(|_| make()).collect()
}

/// Bits that hold the values `0..=max`.
pub fn bits_for(max: usize) -> usize {
    (usize::BITS - max.leading_zeros()).max(1) as usize
}

/// Clocks registers and lets them keep their values unless the kernel says otherwise (`#[hdl_gen]` knows it by name).
#[macro_export]
macro_rules! dff_setup {
    ($self:ident, $clock:ident, $($register:ident),+ $(,)?) => {
        $(
            $self.$register.clock.next = $self.$clock.val();
            $self.$register.d.next = $self.$register.q.val();
        )+
    };
}
