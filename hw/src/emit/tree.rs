//! The blocks of a design as a tree, read through rust-hdl's probe.

use super::EmitError;
use crate::hdl::{Atom, AtomKind, Block, Probe, REGISTER, TypeKind, Verilog};
use crate::hdl::{MODULE_NAME, WAIVER};
use num_bigint::BigInt;

/// A signal, parameter or port of a block.
#[derive(Debug, Clone)]
pub struct AtomInfo {
    /// Path in the kernel's spelling (`x$3`).
    pub name: String,
    pub kind: AtomKind,
    pub bits: usize,
    pub signed: bool,
    /// A truth value: `!` is logical.
    pub truth: bool,
    /// Of constants.
    pub value: BigInt,
    /// Of enumerations: `State$Idle` and so on.
    pub variants: Vec<String>,
}

/// One instance of a block.
#[derive(Debug)]
pub struct Node {
    pub instance: String,
    pub module: String,
    pub register: bool,
    pub atoms: Vec<AtomInfo>,
    pub children: Vec<Node>,
    pub code: Verilog,
    /// Lint rules that are waived, each with its reason.
    pub waivers: Vec<(String, String)>,
}

#[derive(Default)]
struct Builder {
    stack: Vec<Node>,
    namespaces: Vec<String>,
    root: Option<Node>,
    error: Option<EmitError>,
}

/// Reads a block.
pub fn build(block: &dyn Block) -> Result<Node, EmitError> {
    let mut builder = Builder::default();
    block.accept("top", &mut builder);
    match builder.error {
        Some(error) => Err(error),
        None => Ok(builder.root.expect("a block has a scope")),
    }
}

impl Probe for Builder {
    fn visit_start_scope(&mut self, name: &str, node: &dyn Block) {
        let code = node.hdl();
        let register = matches!(&code, Verilog::Custom(text) if text == REGISTER);
        self.stack.push(Node {
            instance: name.into(),
            module: String::new(),
            register,
            atoms: vec![],
            children: vec![],
            code,
            waivers: vec![],
        });
    }

    fn visit_start_namespace(&mut self, name: &str, _: &dyn Block) {
        self.namespaces.push(name.into());
    }

    fn visit_end_namespace(&mut self, _: &str, _: &dyn Block) {
        self.namespaces.pop();
    }

    fn visit_atom(&mut self, name: &str, atom: &dyn Atom) {
        let node = self.stack.last_mut().expect("atoms are in scopes");
        let descriptor = atom.descriptor();
        if let Some(module) = descriptor.name.strip_prefix(MODULE_NAME) {
            node.module = module.into();
            return;
        }
        if let Some((rule, reason)) = descriptor.name.strip_prefix(WAIVER).and_then(|w| w.split_once(' ')) {
            node.waivers.push((rule.into(), reason.into()));
            return;
        }
        let path: Vec<&str> = self.namespaces.iter().map(String::as_str).chain([name]).collect();
        let variants = match &descriptor.kind {
            TypeKind::Enum(names) => names.iter().map(|n| n.replace("::", "$")).collect(),
            _ => vec![],
        };
        let value = if atom.kind() == AtomKind::Constant { literal(&atom.verilog()) } else { BigInt::ZERO };
        node.atoms.push(AtomInfo {
            name: path.join("$"),
            kind: atom.kind(),
            bits: atom.bits(),
            signed: matches!(descriptor.kind, TypeKind::Signed(_)),
            truth: descriptor.name == "Bit" || descriptor.name == "clock",
            value,
            variants,
        });
    }

    fn visit_end_scope(&mut self, _: &str, _: &dyn Block) {
        let node = self.stack.pop().expect("scopes nest");
        if node.module.is_empty() && !node.register && self.error.is_none() {
            let path: Vec<&str> = self.stack.iter().map(|n| n.instance.as_str()).collect();
            self.error = Some(EmitError {
                module: path.join("."),
                what: format!("block {:?} has no ModuleName field", node.instance),
            });
        }
        match self.stack.last_mut() {
            Some(parent) => parent.children.push(node),
            None => self.root = Some(node),
        }
    }
}

/// The number that a literal of rust-hdl holds; it shows it only as text.
pub fn literal(value: &crate::hdl::VerilogLiteral) -> BigInt {
    let text = format!("{value:x}");
    let digits = text.split("'h").nth(1).unwrap_or_default();
    BigInt::parse_bytes(digits.as_bytes(), 16).expect("rust-hdl prints hexadecimal digits")
}
