//! Expressions with known values' ranges, and their Verilog at a given width.
//!
//! A kernel's expression is an integer. `Expression::text(width)` is Verilog of exactly `width` bits that equals it modulo
//! `2^width`: sums, products, left shifts and bitwise operators need only that many low bits of their operands, while
//! comparisons and right shifts need all bits, which `shape` bounds.

use super::tree::AtomInfo;
use crate::hdl::modulo;
use num_bigint::{BigInt, Sign};

/// How a readable signal is written.
#[derive(Debug, Clone)]
pub struct Symbol {
    /// A plain name, or a slice of one with constant bounds.
    pub text: String,
    /// First bit within `base` where `text` is a slice.
    pub offset: usize,
    /// The vector that `text` names or slices.
    pub base: String,
    /// Is `base` wider than the symbol?
    pub sliced: bool,
    pub bits: usize,
    pub signed: bool,
    pub truth: bool,
}

impl Symbol {
    /// A whole signal.
    pub fn whole(text: String, atom: &AtomInfo) -> Self {
        Self {
            base: text.clone(),
            text,
            offset: 0,
            sliced: false,
            bits: atom.bits,
            signed: atom.signed,
            truth: atom.truth,
        }
    }

    /// Lane `index` of `lanes` in a packed vector.
    pub fn lane(base: String, index: usize, atom: &AtomInfo) -> Self {
        let offset = index * atom.bits;
        let mut symbol = Self::whole(base, atom);
        symbol.offset = offset;
        symbol.sliced = true;
        symbol.text = symbol.slice(0, atom.bits);
        symbol
    }

    /// Bits `low..low + bits` of the symbol.
    fn slice(&self, low: usize, bits: usize) -> String {
        let from = self.offset + low;
        if !self.sliced && low == 0 && bits == self.bits {
            self.base.clone()
        } else if bits == 1 {
            if self.bits == 1 && !self.sliced { self.base.clone() } else { format!("{}[{from}]", self.base) }
        } else {
            format!("{}[{}:{from}]", self.base, from + bits - 1)
        }
    }
}

/// Operators of two integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// What a kernel computes.
#[derive(Debug, Clone)]
pub enum Expression {
    Constant(BigInt),
    Symbol(Symbol),
    Binary(Box<Expression>, Operator, Box<Expression>),
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Any(Box<Expression>),
    Bit(Box<Expression>, Box<Expression>),
    Truncate(Box<Expression>, usize),
}

/// Bits that hold every value of an expression in two's complement (with a sign bit) or, unsigned, without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub bits: usize,
    pub signed: bool,
}

impl Shape {
    /// Bits with a sign.
    fn with_sign(self) -> usize {
        self.bits + usize::from(!self.signed)
    }
}

/// Wires that a module needs besides its own, for what Verilog cannot say in place.
#[derive(Debug, Default)]
pub struct Hoisted {
    pub wires: Vec<(String, usize, String)>,
    cache: std::collections::HashMap<(usize, String), String>,
}

impl Hoisted {
    /// A wire of `bits` that holds `text`; equal texts share one.
    fn wire(&mut self, bits: usize, text: String) -> Symbol {
        let next = self.wires.len();
        let name = self.cache.entry((bits, text.clone())).or_insert_with(|| format!("value_{next}")).clone();
        if name == format!("value_{next}") {
            self.wires.push((name.clone(), bits, text));
        }
        Symbol { text: name.clone(), base: name, offset: 0, sliced: false, bits, signed: false, truth: false }
    }
}

use Operator::*;

impl Expression {
    /// Folds operators of constants.
    pub fn binary(left: Expression, operator: Operator, right: Expression) -> Self {
        if let (Self::Constant(a), Self::Constant(b)) = (&left, &right) {
            let small = || usize::try_from(b).ok();
            let folded = match operator {
                Add => Some(a + b),
                Sub => Some(a - b),
                Mul => Some(a * b),
                And => Some(a & b),
                Or => Some(a | b),
                Xor => Some(a ^ b),
                Shl => small().map(|n| a << n),
                Shr => small().map(|n| a >> n),
                Eq => Some(BigInt::from(u8::from(a == b))),
                Ne => Some(BigInt::from(u8::from(a != b))),
                Lt => Some(BigInt::from(u8::from(a < b))),
                Le => Some(BigInt::from(u8::from(a <= b))),
                Gt => Some(BigInt::from(u8::from(a > b))),
                Ge => Some(BigInt::from(u8::from(a >= b))),
            };
            if let Some(value) = folded {
                return Self::Constant(value);
            }
        }
        let zero = |x: &Self| x.known() == Some(false);
        let shape = left.shape();
        let shifted_out = |by: &BigInt| !shape.signed && usize::try_from(by).is_ok_and(|n| n >= shape.bits);
        match operator {
            And if zero(&left) || zero(&right) => return Self::Constant(BigInt::ZERO),
            Shr if matches!(&right, Self::Constant(by) if shifted_out(by)) => return Self::Constant(BigInt::ZERO),
            _ => {}
        }
        // `if (i < N) & ...` is decided where its constant half decides it.
        match (operator, left.known(), right.known()) {
            (And, Some(false), _) | (Or, Some(true), _) if left.is_bit() && right.truth() => left,
            (And, _, Some(false)) | (Or, _, Some(true)) if right.is_bit() && left.truth() => right,
            (And, Some(true), _) | (Or, Some(false), _) if left.is_bit() && right.truth() => right,
            (And, _, Some(true)) | (Or, _, Some(false)) if right.is_bit() && left.truth() => left,
            _ => Self::Binary(Box::new(left), operator, Box::new(right)),
        }
    }

    /// Is any bit set? Folds constants.
    pub fn any(x: Expression) -> Self {
        match x.known() {
            Some(known) => Self::Constant(BigInt::from(u8::from(known))),
            None => Self::Any(Box::new(x)),
        }
    }

    /// Does it read a signal?
    pub fn varies(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Symbol(_) => true,
            Self::Binary(a, _, b) | Self::Bit(a, b) => a.varies() || b.varies(),
            Self::Not(x) | Self::Negate(x) | Self::Any(x) | Self::Truncate(x, _) => x.varies(),
        }
    }

    /// Is it 0 or 1?
    fn is_bit(&self) -> bool {
        matches!(self, Self::Constant(c) if c.bits() <= 1 && c.sign() != Sign::Minus)
    }

    /// The truth value of a constant.
    pub fn known(&self) -> Option<bool> {
        match self {
            Self::Constant(c) => Some(c.sign() != Sign::NoSign),
            _ => None,
        }
    }

    /// Is it a truth value, of which `!` is the logical opposite?
    pub fn truth(&self) -> bool {
        match self {
            Self::Symbol(s) => s.truth,
            Self::Binary(l, And | Or | Xor, r) => l.truth() && r.truth(),
            Self::Binary(_, Eq | Ne | Lt | Le | Gt | Ge, _) | Self::Any(_) | Self::Bit(..) => true,
            Self::Not(x) => x.truth(),
            _ => false,
        }
    }

    /// The range of values.
    pub fn shape(&self) -> Shape {
        let unsigned = |bits: usize| Shape { bits: bits.max(1), signed: false };
        let signed = |bits| Shape { bits, signed: true };
        match self {
            Self::Constant(c) if c.sign() == Sign::Minus => signed((c + 1u8).bits() as usize + 1),
            Self::Constant(c) => unsigned(c.bits() as usize),
            Self::Symbol(s) => Shape { bits: s.bits, signed: s.signed },
            Self::Not(x) if x.truth() => unsigned(1),
            Self::Not(x) => signed(x.shape().with_sign()),
            Self::Negate(x) => signed(x.shape().with_sign() + 1),
            Self::Any(_) | Self::Bit(..) => unsigned(1),
            Self::Truncate(_, bits) => unsigned(*bits),
            Self::Binary(l, operator, r) => {
                let (a, b) = (l.shape(), r.shape());
                let either = a.signed || b.signed;
                let widest = if either { a.with_sign().max(b.with_sign()) } else { a.bits.max(b.bits) };
                match operator {
                    Add => Shape { bits: widest + 1, signed: either },
                    Sub => signed(a.with_sign().max(b.with_sign()) + 1),
                    Mul if either => signed(a.with_sign() + b.with_sign()),
                    Mul => unsigned(a.bits + b.bits),
                    And if !a.signed && !b.signed => unsigned(a.bits.min(b.bits)),
                    And if !a.signed => a,
                    And if !b.signed => b,
                    And | Or | Xor => Shape { bits: widest, signed: either },
                    Shl => match &**r {
                        Self::Constant(n) => Shape { bits: a.bits + usize::try_from(n).unwrap_or(0), signed: a.signed },
                        _ => Shape { bits: a.bits + (1 << b.bits.min(12)) - 1, signed: a.signed },
                    },
                    Shr => match &**r {
                        Self::Constant(n) => {
                            let left = a.bits.saturating_sub(usize::try_from(n).unwrap_or(usize::MAX));
                            Shape { bits: left.max(1), signed: a.signed }
                        }
                        _ => a,
                    },
                    Eq | Ne | Lt | Le | Gt | Ge => unsigned(1),
                }
            }
        }
    }

    /// Verilog of exactly `bits` bits, equal to the expression modulo `2^bits`.
    pub fn text(&self, bits: usize, hoisted: &mut Hoisted) -> Result<String, String> {
        Ok(match self {
            Self::Constant(c) => constant(c, bits),
            Self::Symbol(s) => resize(s, bits),
            Self::Not(x) if x.truth() => extend(format!("(~{})", x.text(1, hoisted)?), 1, bits),
            Self::Not(x) => format!("(~{})", x.text(bits, hoisted)?),
            Self::Negate(x) => format!("(-{})", x.text(bits, hoisted)?),
            Self::Any(x) => {
                let shape = x.shape();
                extend(format!("(|{})", x.text(shape.bits, hoisted)?), 1, bits)
            }
            Self::Bit(x, index) => {
                let source = x.symbol(hoisted)?;
                let bit = match &**index {
                    Self::Constant(i) => {
                        let i = usize::try_from(i).map_err(|_| format!("bit {i} of {}", source.text))?;
                        if i >= source.bits {
                            return Err(format!("bit {i} of {}, which has {} bits", source.text, source.bits));
                        }
                        source.slice(i, 1)
                    }
                    index => {
                        let source = if source.sliced { hoisted.wire(source.bits, source.text) } else { source };
                        let needed = crate::hdl::bits_for(source.bits - 1);
                        format!("{}[{}]", source.base, index.text(needed, hoisted)?)
                    }
                };
                extend(bit, 1, bits)
            }
            Self::Truncate(x, n) => {
                let n = *n;
                if bits <= n { x.text(bits, hoisted)? } else { extend(x.text(n, hoisted)?, n, bits) }
            }
            Self::Binary(l, operator, r) => match operator {
                Add | Sub | Mul | And | Or | Xor => {
                    // Truth values stay one bit wide.
                    let inner = if self.truth() { 1 } else { bits };
                    let symbol = match operator {
                        Add => "+",
                        Sub => "-",
                        Mul => "*",
                        And => "&",
                        Or => "|",
                        _ => "^",
                    };
                    let text = format!("({} {symbol} {})", l.text(inner, hoisted)?, r.text(inner, hoisted)?);
                    extend(text, inner, bits)
                }
                Shl => {
                    let by = match &**r {
                        Self::Constant(n) => n.to_string(),
                        r if r.shape().signed => return Err("shift by a signed number".into()),
                        r => r.text(r.shape().bits, hoisted)?,
                    };
                    format!("({} << {by})", l.text(bits, hoisted)?)
                }
                Shr => {
                    let shape = l.shape();
                    match &**r {
                        Self::Constant(n) => {
                            let n = usize::try_from(n).map_err(|_| format!("shift right by {n}"))?;
                            let source = l.symbol(hoisted)?;
                            if n >= source.bits {
                                let sign = source.slice(source.bits - 1, 1);
                                return Ok(if shape.signed {
                                    format!("{{{bits}{{{sign}}}}}")
                                } else {
                                    constant(&BigInt::ZERO, bits)
                                });
                            }
                            let kept = source.bits - n;
                            if bits <= kept {
                                source.slice(n, bits)
                            } else {
                                let sign = source.slice(source.bits - 1, 1);
                                widen(&source.slice(n, kept), &sign, kept, bits, shape.signed)
                            }
                        }
                        r if r.shape().signed => return Err("shift by a signed number".into()),
                        r => {
                            let by = r.text(r.shape().bits, hoisted)?;
                            let value = l.text(shape.bits, hoisted)?;
                            let shifted = if shape.signed {
                                format!("$signed({value}) >>> {by}")
                            } else {
                                format!("{value} >> {by}")
                            };
                            let mut wire = hoisted.wire(shape.bits, shifted);
                            wire.signed = shape.signed;
                            resize(&wire, bits)
                        }
                    }
                }
                Eq | Ne | Lt | Le | Gt | Ge => {
                    let (a, b) = (l.shape(), r.shape());
                    let signed = a.signed || b.signed;
                    let common = if signed { a.with_sign().max(b.with_sign()) } else { a.bits.max(b.bits) };
                    let symbol = match operator {
                        Eq => "==",
                        Ne => "!=",
                        Lt => "<",
                        Le => "<=",
                        Gt => ">",
                        _ => ">=",
                    };
                    let (a, b) = (l.text(common, hoisted)?, r.text(common, hoisted)?);
                    let ordered = !matches!(operator, Eq | Ne);
                    let text = if signed && ordered {
                        format!("($signed({a}) {symbol} $signed({b}))")
                    } else {
                        format!("({a} {symbol} {b})")
                    };
                    extend(text, 1, bits)
                }
            },
        })
    }

    /// The expression as something that can be sliced.
    fn symbol(&self, hoisted: &mut Hoisted) -> Result<Symbol, String> {
        if let Self::Symbol(s) = self {
            return Ok(s.clone());
        }
        let shape = self.shape();
        let text = self.text(shape.bits, hoisted)?;
        let mut wire = hoisted.wire(shape.bits, text);
        wire.signed = shape.signed;
        Ok(wire)
    }
}

fn constant(value: &BigInt, bits: usize) -> String {
    let low = modulo(value, bits);
    if bits <= 32 { format!("{bits}'d{low}") } else { format!("{bits}'h{low:x}") }
}

fn resize(symbol: &Symbol, bits: usize) -> String {
    if bits <= symbol.bits {
        return symbol.slice(0, bits);
    }
    let sign = symbol.slice(symbol.bits - 1, 1);
    widen(&symbol.text, &sign, symbol.bits, bits, symbol.signed)
}

fn widen(text: &str, sign: &str, from: usize, to: usize, signed: bool) -> String {
    let more = to - from;
    if more == 0 {
        text.into()
    } else if signed {
        format!("{{{{{more}{{{sign}}}}}, {text}}}")
    } else {
        format!("{{{more}'d0, {text}}}")
    }
}

/// Zeros in front of an unsigned text of `from` bits.
fn extend(text: String, from: usize, to: usize) -> String {
    widen(&text, "", from, to, false)
}
