//! A signal whose width the constructor gives.

use super::num::Num;
use super::param::modulo;
use num_bigint::BigInt;
use rust_hdl_core::prelude::*;
use rust_hdl_core::signal::get_signal_id;
use std::marker::PhantomData;

/// A rust-hdl signal of a width known at run time: `Wire<In>`, `Wire<Out>`, `Wire<Local>`.
#[derive(Debug, Clone)]
pub struct Wire<D: Direction> {
    /// What a kernel assigns. The wire keeps the low bits.
    pub next: Num,
    val: Num,
    bits: usize,
    signed: bool,
    claimed: bool,
    changed: bool,
    id: usize,
    direction: PhantomData<D>,
}

impl<D: Direction> Wire<D> {
    /// Values `0..2^bits`.
    ///
    /// # Panics
    /// Where `bits` is 0.
    #[track_caller]
    pub fn unsigned(bits: usize) -> Self {
        Self::new(bits, false)
    }

    /// Values `-2^(bits-1)..2^(bits-1)`.
    ///
    /// # Panics
    /// Where `bits` is 0.
    #[track_caller]
    pub fn signed(bits: usize) -> Self {
        Self::new(bits, true)
    }

    #[track_caller]
    fn new(bits: usize, signed: bool) -> Self {
        assert!(bits > 0, "a wire of 0 bits");
        Self {
            next: Num::default(),
            val: Num::default(),
            bits,
            signed,
            claimed: false,
            changed: false,
            id: get_signal_id(),
            direction: PhantomData,
        }
    }

    /// The value. Of a local wire or an output, what is assigned counts at once, as in rust-hdl.
    pub fn val(&self) -> Num {
        if D::KIND == AtomKind::InputParameter { self.val.clone() } else { self.kept() }
    }

    /// The width in bits.
    pub fn width(&self) -> usize {
        self.bits
    }

    fn kept(&self) -> Num {
        let low: BigInt = modulo(&self.next.0, self.bits).into();
        if self.signed && low.bit(self.bits as u64 - 1) { Num(low - (BigInt::from(1) << self.bits)) } else { Num(low) }
    }
}

impl<D: Direction> Logic for Wire<D> {
    fn update(&mut self) {}
    fn connect(&mut self) {
        self.claimed = true;
    }
}

impl<D: Direction> Atom for Wire<D> {
    fn bits(&self) -> usize {
        self.bits
    }
    fn connected(&self) -> bool {
        self.claimed
    }
    fn changed(&self) -> bool {
        self.changed
    }
    fn kind(&self) -> AtomKind {
        D::KIND
    }
    fn descriptor(&self) -> TypeDescriptor {
        let kind = if self.signed { TypeKind::Signed(self.bits) } else { TypeKind::Bits(self.bits) };
        TypeDescriptor { name: "Wire".into(), kind }
    }
    fn vcd(&self) -> VCDValue {
        VCDValue::String(self.val().0.to_string())
    }
    fn id(&self) -> usize {
        self.id
    }
    fn verilog(&self) -> VerilogLiteral {
        false.into()
    }
    fn constraints(&self) -> Vec<PinConstraint> {
        vec![]
    }
}

impl<D: Direction> Block for Wire<D> {
    fn connect_all(&mut self) {}
    fn update_all(&mut self) {
        let kept = self.kept();
        self.changed = self.val != kept;
        self.val = kept;
    }
    fn has_changed(&self) -> bool {
        self.changed
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_atom(name, self);
    }
}
