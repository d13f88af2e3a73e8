//! Signed multiplier with registers at its inputs and its output, as DSP blocks have them. Every multiplier of the design is
//! this leaf.

use crate::hdl::*;

/// `product = a * b` in two's complement.
///
/// # Timing   factors of cycle `t` are multiplied in `product` in cycle `t + 2`; nothing is reset
#[derive(LogicBlock)]
pub struct Multiplier {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// A factor.
    pub a: Wire<In>,
    /// The other factor.
    pub b: Wire<In>,
    /// Their product.
    pub product: Wire<Out>,
    _factors: [Num; 2],
}

impl Multiplier {
    /// Factors of `a_bits` and `b_bits`, both signed.
    pub fn new(a_bits: usize, b_bits: usize) -> Self {
        Self {
            name: ModuleName::new(format!("multiplier_{a_bits}x{b_bits}")),
            clock: Default::default(),
            a: Wire::signed(a_bits),
            b: Wire::signed(b_bits),
            product: Wire::signed(a_bits + b_bits),
            _factors: Default::default(),
        }
    }
}

impl Logic for Multiplier {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let [a, b] = std::mem::replace(&mut self._factors, [self.a.val(), self.b.val()]);
            self.product.next = a * b;
        }
    }

    fn connect(&mut self) {
        self.product.connect();
    }

    fn hdl(&self) -> Verilog {
        let [a, b, product] = [&self.a.width(), &self.b.width(), &self.product.width()].map(|bits| bits - 1);
        Verilog::Custom(format!(
            "reg signed [{a}:0] a_held;\nreg signed [{b}:0] b_held;\nreg signed [{product}:0] product_held;\n\
             always @(posedge clock) begin\n  a_held <= a;\n  b_held <= b;\n  product_held <= a_held * b_held;\nend\n\
             assign product = product_held;\n"
        ))
    }
}
