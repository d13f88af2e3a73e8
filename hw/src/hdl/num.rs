//! The value of a wire inside a kernel: an integer of any size.

use num_bigint::BigInt;
use std::ops::{Add, BitAnd, BitOr, BitXor, Mul, Neg, Not, Shl, Shr, Sub};

/// An integer. Arithmetic is exact; a wire keeps the low bits of what it is assigned.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Num(pub(crate) BigInt);

impl Num {
    /// Bit `index` of the two's complement.
    pub fn get_bit(&self, index: usize) -> Bit {
        self.0.bit(index as u64)
    }

    /// Is any bit set?
    pub fn any(&self) -> Bit {
        self.0 != BigInt::ZERO
    }

    /// As an index. Of a negative or huge value: `usize::MAX`, which indexes nothing.
    pub fn index(&self) -> usize {
        usize::try_from(&self.0).unwrap_or(usize::MAX)
    }
}

type Bit = bool;

impl From<usize> for Num {
    fn from(x: usize) -> Self {
        Self(x.into())
    }
}

impl From<bool> for Num {
    fn from(x: bool) -> Self {
        Self(u8::from(x).into())
    }
}

impl PartialEq<usize> for Num {
    fn eq(&self, other: &usize) -> bool {
        self.0 == BigInt::from(*other)
    }
}

impl PartialOrd<usize> for Num {
    fn partial_cmp(&self, other: &usize) -> Option<std::cmp::Ordering> {
        self.0.partial_cmp(&BigInt::from(*other))
    }
}

macro_rules! operator {
    ($($name:ident $method:ident $op:tt),+) => { $(
        impl $name for Num {
            type Output = Num;
            fn $method(self, other: Num) -> Num {
                Num(self.0 $op other.0)
            }
        }
        impl $name<usize> for Num {
            type Output = Num;
            fn $method(self, other: usize) -> Num {
                Num(self.0 $op BigInt::from(other))
            }
        }
        impl $name<bool> for Num {
            type Output = Num;
            fn $method(self, other: bool) -> Num {
                self.$method(Num::from(other))
            }
        }
    )+ };
}
operator!(Add add +, Sub sub -, Mul mul *, BitAnd bitand &, BitOr bitor |, BitXor bitxor ^);

impl Shl<usize> for Num {
    type Output = Num;
    fn shl(self, by: usize) -> Num {
        Num(self.0 << by)
    }
}

impl Shr<usize> for Num {
    type Output = Num;
    fn shr(self, by: usize) -> Num {
        Num(self.0 >> by)
    }
}

impl Shl for Num {
    type Output = Num;
    fn shl(self, by: Num) -> Num {
        self << by.index()
    }
}

impl Shr for Num {
    type Output = Num;
    fn shr(self, by: Num) -> Num {
        self >> by.index()
    }
}

impl Not for Num {
    type Output = Num;
    fn not(self) -> Num {
        Num(!self.0)
    }
}

impl Neg for Num {
    type Output = Num;
    fn neg(self) -> Num {
        Num(-self.0)
    }
}
