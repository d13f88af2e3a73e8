//! The instructions of `controller`: what its program is written in, and what RTL and simulator decode.
//!
//! Why a program: jobs, checks and contexts are a thousand decisions that wait for each other. As state machines they would be most of
//! the RTL; as a program they are text over one small machine whose every instruction is tested.
//!
//! Registers and scratch words have 64 bits; register 0 is always 0. An instruction is a word of [`WORD_BITS`]:
//!
//! | bits | 36..31 | 30..26 | 25..21 | 20..16 | 15..0 |
//! | --- | --- | --- | --- | --- | --- |
//! | field | operation | `d` | `a` | `b` | `immediate` |

mod assembler;

pub use assembler::{Assembler, Label};

/// Lowest bit of an instruction's operation.
pub const OPERATION_AT: usize = 31;
/// Lowest bit of `d`.
pub const D_AT: usize = 26;
/// Lowest bit of `a`.
pub const A_AT: usize = 21;
/// Lowest bit of `b`.
pub const B_AT: usize = 16;
/// Bits of an instruction.
pub const WORD_BITS: usize = 37;
/// Registers.
pub const REGISTERS: usize = 32;
/// Bits of a register.
pub const REGISTER_BITS: usize = 64;
/// Words of scratch memory.
pub const SCRATCH_WORDS: usize = 1024;
/// Bits of a program counter; programs have up to 2^n instructions.
pub const COUNTER_BITS: usize = 12;

macro_rules! operations {
    ($($(#[doc = $doc:literal])* $name:ident = $value:literal;)*) => {
        /// What an instruction does; `imm` is the immediate, where it says `signed` from -32768 on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Operation {
            $($(#[doc = $doc])* $name = $value,)*
        }

        impl Operation {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

operations! {
    /// `d = a + b`
    Add = 0;
    /// `d = a - b`
    Subtract = 1;
    /// `d = a & b`
    And = 2;
    /// `d = a | b`
    Or = 3;
    /// `d = a ^ b`
    Xor = 4;
    /// `d = a + imm`, signed
    AddImmediate = 5;
    /// `d = a << ((b + imm) mod 64)`
    ShiftLeft = 6;
    /// `d = a >> ((b + imm) mod 64)`
    ShiftRight = 7;
    /// `d` = bits of `a` from bit `imm mod 64` on, `(imm >> 6 mod 64) + 1` of them
    Field = 8;
    /// `d = a << 16 | imm`
    Append = 9;
    /// `d = scratch[a + imm]`
    Load = 10;
    /// `scratch[a + imm] = b`
    Store = 11;
    /// Goes to `imm` where `a == b`.
    IfEqual = 12;
    /// Goes to `imm` where `a != b`.
    IfDifferent = 13;
    /// Goes to `imm` where `a < b`, both without sign.
    IfLess = 14;
    /// Goes to `imm` where `a >= b`, both without sign.
    IfNotLess = 15;
    /// `d` = the next instruction; goes to `imm`.
    Call = 16;
    /// Goes to `a`.
    Return = 17;
    /// Field `imm` of what is pushed = `a`.
    Out = 18;
    /// Waits until stream `imm` takes a beat of the fields that belong to it.
    Push = 19;
    /// Waits until stream `imm` has a beat.
    Wait = 20;
    /// Waits until stream `imm` has a beat, and takes it.
    Pop = 21;
    /// `d` = what port `imm` shows.
    In = 22;
    /// `d` = whether stream `imm` has a beat.
    Has = 23;
}

/// An instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub operation: Operation,
    /// The register that it writes.
    pub d: u8,
    /// The first that it reads.
    pub a: u8,
    /// The second.
    pub b: u8,
    /// A number.
    pub immediate: u16,
}

impl Instruction {
    /// As it lies in the program.
    pub fn encode(&self) -> u64 {
        let register = |r: u8, at: usize| {
            assert!(usize::from(r) < REGISTERS, "register {r}");
            u64::from(r) << at
        };
        (self.operation as u64) << OPERATION_AT
            | register(self.d, D_AT)
            | register(self.a, A_AT)
            | register(self.b, B_AT)
            | u64::from(self.immediate)
    }

    /// What a word says; `None` where there is no such operation.
    pub fn decode(word: u64) -> Option<Self> {
        let register = |at: usize| (word >> at & 31) as u8;
        let operation = *Operation::ALL.get((word >> OPERATION_AT) as usize)?;
        Some(Self { operation, d: register(D_AT), a: register(A_AT), b: register(B_AT), immediate: word as u16 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_at_their_numbers_and_words_come_back() {
        for (i, &operation) in Operation::ALL.iter().enumerate() {
            assert_eq!(operation as usize, i);
            let instruction = Instruction { operation, d: 31, a: 7, b: 16, immediate: 0xbeef };
            assert_eq!(Instruction::decode(instruction.encode()), Some(instruction));
            assert_eq!(instruction.encode() >> WORD_BITS, 0);
        }
        assert_eq!(Instruction::decode((Operation::ALL.len() as u64) << 31), None);
    }
}
