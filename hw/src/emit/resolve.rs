//! A kernel's syntax tree with loops unrolled, names resolved and constant conditions decided.

use super::expression::{Expression, Operator, Symbol};
use super::tree::literal;
use num_bigint::BigInt;
use rust_hdl_core::ast::{
    VerilogBlock, VerilogBlockOrConditional, VerilogExpression, VerilogOp, VerilogOpUnary, VerilogStatement,
};
use std::collections::HashMap;

/// A statement on resolved signals.
#[derive(Debug, Clone)]
pub enum Statement {
    /// `target = value`; the target by its key in [`Scope::targets`].
    Assign(usize, Expression),
    /// Two-way choice.
    If(Expression, Vec<Statement>, Vec<Statement>),
    /// Choice by value: `(label, body)`, the default's label being `None`.
    Case(Expression, Vec<(Option<BigInt>, Vec<Statement>)>, usize),
}

/// A signal that the kernel drives.
#[derive(Debug, Clone)]
pub struct Target {
    /// Kernel's spelling, for messages.
    pub key: String,
    /// Verilog name.
    pub text: String,
    pub bits: usize,
    /// Declared in the port list as this output.
    pub port: bool,
}

/// Names that a kernel may use.
#[derive(Debug, Default)]
pub struct Scope {
    pub readable: HashMap<String, Symbol>,
    pub target_of: HashMap<String, usize>,
    pub targets: Vec<Target>,
    pub constants: HashMap<String, BigInt>,
    /// Bits of the enumeration's values and their number, by state signal.
    pub enumerations: HashMap<String, usize>,
}

/// Resolves a kernel.
pub fn resolve(code: &VerilogBlock, scope: &Scope) -> Result<Vec<Statement>, String> {
    let mut resolver = Resolver { scope, loops: vec![] };
    let mut statements = vec![];
    resolver.block(code, &mut statements)?;
    Ok(statements)
}

struct Resolver<'a> {
    scope: &'a Scope,
    loops: Vec<(String, usize)>,
}

impl Resolver<'_> {
    fn block(&mut self, code: &VerilogBlock, into: &mut Vec<Statement>) -> Result<(), String> {
        for statement in code {
            self.statement(statement, into)?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &VerilogStatement, into: &mut Vec<Statement>) -> Result<(), String> {
        match statement {
            VerilogStatement::Assignment(target, value) => {
                let VerilogExpression::Signal(path) = target else { return Err(format!("assignment to {target:?}")) };
                let name = self.path(path)?;
                let Some(&target) = self.scope.target_of.get(&name) else {
                    let what = if self.scope.readable.contains_key(&name) {
                        "is not the kernel's to drive"
                    } else {
                        "is not a signal"
                    };
                    return Err(format!("{name} {what}"));
                };
                into.push(Statement::Assign(target, self.expression(value)?));
            }
            VerilogStatement::If(c) => {
                let test = self.expression(&c.test)?;
                let known = test.known();
                let (mut then, mut otherwise) = (vec![], vec![]);
                if known != Some(false) {
                    self.block(&c.then, &mut then)?;
                }
                if known != Some(true) {
                    match &c.otherwise {
                        VerilogBlockOrConditional::Block(b) => self.block(b, &mut otherwise)?,
                        VerilogBlockOrConditional::Conditional(s) => self.statement(s, &mut otherwise)?,
                        VerilogBlockOrConditional::None => {}
                    }
                }
                match known {
                    Some(true) => into.extend(then),
                    Some(false) => into.extend(otherwise),
                    None => into.push(Statement::If(test, then, otherwise)),
                }
            }
            VerilogStatement::Match(m) => {
                let test = self.expression(&m.test)?;
                let bits = test.shape().bits;
                let variants = match &m.test {
                    VerilogExpression::Signal(path) => {
                        self.scope.enumerations.get(&self.path(path)?).copied().unwrap_or(1 << bits.min(20))
                    }
                    _ => 1 << bits.min(20),
                };
                let mut cases = vec![];
                for case in &m.cases {
                    let mut body = vec![];
                    self.block(&case.block, &mut body)?;
                    let label = match case.condition.as_str() {
                        "default" => None,
                        text => Some(self.label(text)?),
                    };
                    cases.push((label, body));
                }
                into.push(Statement::Case(test, cases, variants));
            }
            VerilogStatement::Loop(l) => {
                for i in l.from.as_usize()..l.to.as_usize() {
                    self.loops.push((l.index.clone(), i));
                    let done = self.block(&l.block, into);
                    self.loops.pop();
                    done?;
                }
            }
            VerilogStatement::Macro(block) => self.block(block, into)?,
            VerilogStatement::Comment(_) => {}
            VerilogStatement::SliceAssignment { .. } => {
                return Err("assignment to a part of a signal: use one wire per part".into());
            }
            VerilogStatement::Link(_) => return Err("interface link: assign the signals".into()),
        }
        Ok(())
    }

    fn label(&self, text: &str) -> Result<BigInt, String> {
        let name = text.replace("::", "$");
        if let Some(value) = self.scope.constants.get(&name) {
            return Ok(value.clone());
        }
        text.parse().map_err(|_| format!("match arm {text} is neither a number nor a state"))
    }

    fn expression(&self, e: &VerilogExpression) -> Result<Expression, String> {
        Ok(match e {
            VerilogExpression::Signal(path) => {
                let name = self.path(path)?;
                if let Some((_, value)) = self.loops.iter().rev().find(|(n, _)| *n == name) {
                    return Ok(Expression::Constant((*value).into()));
                }
                if let Some(value) = self.scope.constants.get(&name) {
                    return Ok(Expression::Constant(value.clone()));
                }
                let symbol =
                    self.scope.readable.get(&name).ok_or_else(|| format!("{name} is not a signal that can be read"))?;
                Expression::Symbol(symbol.clone())
            }
            VerilogExpression::Literal(value) => Expression::Constant(literal(value)),
            VerilogExpression::Paren(x) => self.expression(x)?,
            VerilogExpression::Cast(x, bits) => Expression::Truncate(Box::new(self.expression(x)?), *bits),
            VerilogExpression::Signed(_) | VerilogExpression::Unsigned(_) => {
                return Err("cast of a sign: assign to a wire of that sign".into());
            }
            VerilogExpression::Binary(l, op, r) => {
                let operator = match op {
                    VerilogOp::Add => Operator::Add,
                    VerilogOp::Sub => Operator::Sub,
                    VerilogOp::Mul => Operator::Mul,
                    VerilogOp::LogicalAnd | VerilogOp::BitAnd => Operator::And,
                    VerilogOp::LogicalOr | VerilogOp::BitOr => Operator::Or,
                    VerilogOp::BitXor => Operator::Xor,
                    VerilogOp::Shl => Operator::Shl,
                    VerilogOp::Shr => Operator::Shr,
                    VerilogOp::Eq => Operator::Eq,
                    VerilogOp::Lt => Operator::Lt,
                    VerilogOp::Le => Operator::Le,
                    VerilogOp::Ne => Operator::Ne,
                    VerilogOp::Ge => Operator::Ge,
                    VerilogOp::Gt => Operator::Gt,
                };
                Expression::binary(self.expression(l)?, operator, self.expression(r)?)
            }
            VerilogExpression::Unary(op, x) => {
                let x = self.expression(x)?;
                match op {
                    VerilogOpUnary::Not => Expression::Not(Box::new(x)),
                    VerilogOpUnary::Neg => Expression::Negate(Box::new(x)),
                    VerilogOpUnary::Any => Expression::any(x),
                    VerilogOpUnary::All | VerilogOpUnary::Xor => return Err("all() and xor() of a wire".into()),
                }
            }
            VerilogExpression::Index(x, index) => {
                Expression::Bit(Box::new(self.expression(x)?), Box::new(self.expression(index)?))
            }
            VerilogExpression::Slice(..) | VerilogExpression::IndexReplace(..) => {
                return Err("get_bits and replace_bit: shift and assign to a wire of that width".into());
            }
        })
    }

    /// `x[i+half$val()]$q$next` to `x$5$q`.
    fn path(&self, path: &str) -> Result<String, String> {
        // The tokens of a long path are printed on several lines.
        let path: String = path.split_whitespace().collect();
        let path = path.trim_end_matches("$next").trim_end_matches("$val()");
        let mut name = String::new();
        let mut rest = path;
        while let Some(open) = rest.find('[') {
            name.push_str(&rest[..open]);
            let mut depth = 0;
            let close = rest[open..]
                .char_indices()
                .find(|(_, c)| {
                    depth += match c {
                        '[' => 1,
                        ']' => -1,
                        _ => 0,
                    };
                    depth == 0
                })
                .map(|(at, _)| open + at)
                .ok_or_else(|| format!("{path}: unbalanced brackets"))?;
            let index = self.index(&rest[open + 1..close])?;
            name.push_str(&format!("${index}"));
            rest = &rest[close + 1..];
        }
        name.push_str(rest);
        Ok(name.replace("::", "$"))
    }

    fn index(&self, text: &str) -> Result<usize, String> {
        let mut parser = IndexParser { resolver: self, text: text.as_bytes(), at: 0 };
        let value = parser.sum()?;
        if parser.at != parser.text.len() {
            return Err(format!("index {text}: unexpected {:?}", &text[parser.at..]));
        }
        usize::try_from(value).map_err(|_| format!("index {text} is {value}"))
    }
}

/// `+ - * / % << >>` on loop variables, parameters and numbers, with Rust's precedence.
struct IndexParser<'a> {
    resolver: &'a Resolver<'a>,
    text: &'a [u8],
    at: usize,
}

impl IndexParser<'_> {
    fn eat(&mut self, token: &str) -> bool {
        let found = self.text[self.at..].starts_with(token.as_bytes());
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn sum(&mut self) -> Result<i64, String> {
        let mut value = self.terms()?;
        loop {
            if self.eat("<<") {
                value <<= self.terms()?;
            } else if self.eat(">>") {
                value >>= self.terms()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn terms(&mut self) -> Result<i64, String> {
        let mut value = self.factors()?;
        loop {
            if self.eat("+") {
                value += self.factors()?;
            } else if self.eat("-") {
                value -= self.factors()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn factors(&mut self) -> Result<i64, String> {
        let mut value = self.atom()?;
        loop {
            if self.eat("*") {
                value *= self.atom()?;
            } else if self.eat("/") {
                value /= self.atom()?;
            } else if self.eat("%") {
                value %= self.atom()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn atom(&mut self) -> Result<i64, String> {
        if self.eat("(") {
            let value = self.sum()?;
            return if self.eat(")") { Ok(value) } else { Err("index: missing )".into()) };
        }
        let start = self.at;
        while self.at < self.text.len() && (self.text[self.at].is_ascii_alphanumeric() || self.text[self.at] == b'_') {
            self.at += 1;
        }
        let word = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        self.eat("$val()");
        if let Ok(number) = word.trim_end_matches("usize").parse::<i64>() {
            return Ok(number);
        }
        if let Some((_, value)) = self.resolver.loops.iter().rev().find(|(n, _)| *n == word) {
            return Ok(*value as i64);
        }
        let constant = self.resolver.scope.constants.get(&word);
        constant.and_then(|c| i64::try_from(c).ok()).ok_or_else(|| {
            format!("index {}: {word:?} is neither a loop variable nor a Param", String::from_utf8_lossy(self.text))
        })
    }
}
