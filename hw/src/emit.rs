//! rust-hdl blocks to Verilog: one module per kind of block, registers and connections in the place where they are used.
//!
//! rust-hdl's own printer writes one module per *instance*, and for some expressions Verilog that differs from its own
//! simulation, because Verilog widens operands to their context. This printer knows every width (`expression`), so that
//! each operator is written at the width that keeps its value; what has no such form is refused with the kernel's name.

mod expression;
mod keywords;
mod print;
mod resolve;
mod tree;

#[cfg(test)]
mod tests;

use crate::hdl::Block;
use std::collections::BTreeMap;

/// Verilog of a block and of all that it contains.
#[derive(Debug, Clone)]
pub struct Design {
    /// Name of the top module.
    pub top: String,
    /// Every module once, children before parents.
    pub modules: Vec<Module>,
    /// Ports of the top module in order.
    pub ports: Vec<Port>,
}

/// One Verilog module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Its text, from `module` to `endmodule`, with its lint waivers around.
    pub text: String,
    /// Is the body a kernel in rust-hdl (and not Verilog text)?
    pub native: bool,
}

/// A port of the top module; lanes are packed into one, lane 0 lowest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Width of all lanes together.
    pub bits: usize,
    /// Number of lanes; 1 where it is not an array.
    pub lanes: usize,
    /// Is it an input?
    pub input: bool,
}

/// A block that cannot be printed.
#[derive(Debug, thiserror::Error)]
#[error("{module}: {what}")]
pub struct EmitError {
    /// Module in which it was found.
    pub module: String,
    /// What is wrong and what would be right.
    pub what: String,
}

impl Design {
    /// All modules as one text.
    pub fn verilog(&self) -> String {
        self.modules.iter().map(|m| m.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Lines of module bodies from kernels, and from Verilog text.
    pub fn lines(&self) -> (usize, usize) {
        let of = |native| self.modules.iter().filter(|m| m.native == native).map(|m| m.text.lines().count()).sum();
        (of(true), of(false))
    }
}

/// Connects a block and prints it.
///
/// # Errors
/// Where a signal is driven twice, not at all or not on every path, is read in the statement that drives it, is indexed
/// out of range, or where two different modules bear one name.
pub fn emit(mut block: impl Block) -> Result<Design, EmitError> {
    block.connect_all();
    let root = tree::build(&block)?;
    let mut modules = BTreeMap::new();
    let mut order = vec![];
    let ports = print::module(&root, &mut modules, &mut order)?;
    let top = root.module.clone();
    let modules = order.into_iter().map(|name| modules.remove(&name).expect("printed")).collect();
    Ok(Design { top, modules, ports })
}
