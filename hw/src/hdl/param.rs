//! Numbers and names that a block is built with.

use num_bigint::BigUint;
use rust_hdl_core::prelude::*;
use rust_hdl_core::signal::get_signal_id;

/// A size of the block: a loop bound, an index offset or a constant in a kernel (`self.lanes.val()`).
#[derive(Debug, Clone)]
pub struct Param {
    value: usize,
    id: usize,
}

impl Param {
    /// A size.
    pub fn new(value: usize) -> Self {
        Self { value, id: get_signal_id() }
    }

    /// The size.
    pub fn val(&self) -> usize {
        self.value
    }
}

impl Logic for Param {
    fn update(&mut self) {}
}

impl Atom for Param {
    fn bits(&self) -> usize {
        usize::BITS as usize
    }
    fn connected(&self) -> bool {
        true
    }
    fn changed(&self) -> bool {
        false
    }
    fn kind(&self) -> AtomKind {
        AtomKind::Constant
    }
    fn descriptor(&self) -> TypeDescriptor {
        TypeDescriptor { name: "Param".into(), kind: TypeKind::Bits(usize::BITS as usize) }
    }
    fn vcd(&self) -> VCDValue {
        VCDValue::String(self.value.to_string())
    }
    fn id(&self) -> usize {
        self.id
    }
    fn verilog(&self) -> VerilogLiteral {
        self.value.into()
    }
    fn constraints(&self) -> Vec<PinConstraint> {
        vec![]
    }
}

impl Block for Param {
    fn connect_all(&mut self) {}
    fn update_all(&mut self) {}
    fn has_changed(&self) -> bool {
        false
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_atom(name, self);
    }
}

/// The name of the block's Verilog module. Blocks of one name must be the same module: sizes belong into it.
#[derive(Debug, Clone)]
pub struct ModuleName {
    name: String,
    id: usize,
}

/// Marks the atom of a [`ModuleName`] for the emitter.
pub(crate) const MODULE_NAME: &str = "module name: ";

impl ModuleName {
    /// A name that is a Verilog identifier.
    ///
    /// # Panics
    /// Where it is not one.
    #[track_caller]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let identifier = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        assert!(identifier, "module name {name:?} is not lower_snake_case");
        Self { name, id: get_signal_id() }
    }
}

impl Logic for ModuleName {
    fn update(&mut self) {}
}

impl Atom for ModuleName {
    fn bits(&self) -> usize {
        1
    }
    fn connected(&self) -> bool {
        true
    }
    fn changed(&self) -> bool {
        false
    }
    fn kind(&self) -> AtomKind {
        AtomKind::Constant
    }
    fn descriptor(&self) -> TypeDescriptor {
        TypeDescriptor { name: format!("{MODULE_NAME}{}", self.name), kind: TypeKind::Bits(1) }
    }
    fn vcd(&self) -> VCDValue {
        VCDValue::String(self.name.clone())
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

impl Block for ModuleName {
    fn connect_all(&mut self) {}
    fn update_all(&mut self) {}
    fn has_changed(&self) -> bool {
        false
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_atom(name, self);
    }
}

/// A warning of `verilator --lint-only -Wall` that is not meant for this module, and why not. Both are printed into it.
#[derive(Debug, Clone)]
pub struct Waiver {
    text: String,
    id: usize,
}

/// Marks the atom of a [`Waiver`] for the emitter.
pub(crate) const WAIVER: &str = "waiver: ";

impl Waiver {
    /// Waives `rule` (`"UNUSEDSIGNAL"`) for a reason of one line.
    ///
    /// # Panics
    /// Where the rule is not a name of Verilator's, or the reason is no line.
    #[track_caller]
    pub fn new(rule: &str, reason: &str) -> Self {
        assert!(!rule.is_empty() && rule.bytes().all(|b| b.is_ascii_uppercase()), "lint rule {rule:?}");
        assert!(!reason.is_empty() && !reason.contains('\n'), "reason of a waiver: {reason:?}");
        Self { text: format!("{rule} {reason}"), id: get_signal_id() }
    }
}

impl Logic for Waiver {
    fn update(&mut self) {}
}

impl Atom for Waiver {
    fn bits(&self) -> usize {
        1
    }
    fn connected(&self) -> bool {
        true
    }
    fn changed(&self) -> bool {
        false
    }
    fn kind(&self) -> AtomKind {
        AtomKind::Constant
    }
    fn descriptor(&self) -> TypeDescriptor {
        TypeDescriptor { name: format!("{WAIVER}{}", self.text), kind: TypeKind::Bits(1) }
    }
    fn vcd(&self) -> VCDValue {
        VCDValue::String(self.text.clone())
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

impl Block for Waiver {
    fn connect_all(&mut self) {}
    fn update_all(&mut self) {}
    fn has_changed(&self) -> bool {
        false
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_atom(name, self);
    }
}

/// Low `bits` of `value` in two's complement, as an unsigned number.
pub(crate) fn modulo(value: &num_bigint::BigInt, bits: usize) -> BigUint {
    let modulus = num_bigint::BigInt::from(1) << bits;
    let mask: num_bigint::BigInt = &modulus - 1;
    (value & mask).to_biguint().unwrap_or_default()
}
