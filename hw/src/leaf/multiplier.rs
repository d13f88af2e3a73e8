//! Product of two signed numbers. Every multiplier of the design is this leaf.

use crate::hdl::*;

/// `product = a * b`, all signed.
///
/// # Timing   the product of the operands of cycle `t` is there in `t + 2`, every cycle a new one. Operands and product are
/// registered, so that synthesis finds a DSP with registers around it (one DSP up to 18 x 18 bits on ECP5); nothing is reset.
#[derive(LogicBlock)]
pub struct Multiplier {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// One factor.
    pub a: Wire<In>,
    /// The other.
    pub b: Wire<In>,
    /// Their product, as wide as both together: nothing is lost.
    pub product: Wire<Out>,
    _operands: [Num; 2],
}

impl Multiplier {
    /// Cycles from operands to product.
    pub const LATENCY: usize = 2;

    /// Of operands of these widths, signs included.
    pub fn new(a_bits: usize, b_bits: usize) -> Self {
        Self {
            name: ModuleName::new(format!("multiplier_{a_bits}x{b_bits}")),
            clock: Default::default(),
            a: Wire::signed(a_bits),
            b: Wire::signed(b_bits),
            product: Wire::signed(a_bits + b_bits),
            _operands: Default::default(),
        }
    }
}

impl Logic for Multiplier {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let [a, b] = std::mem::replace(&mut self._operands, [self.a.val(), self.b.val()]);
            self.product.next = a * b;
        }
    }

    fn connect(&mut self) {
        self.product.connect();
    }

    fn hdl(&self) -> Verilog {
        let [a, b, product] = [self.a.width(), self.b.width(), self.product.width()].map(|bits| bits - 1);
        Verilog::Custom(format!(
            "reg signed [{a}:0] left;\nreg signed [{b}:0] right;\nreg signed [{product}:0] result;\n\
             always @(posedge clock) begin\n    left <= a;\n    right <= b;\n    result <= left * right;\nend\n\
             assign product = result;\n"
        ))
    }
}
