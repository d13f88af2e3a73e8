//! Programs from calls: one method per instruction, labels for places.

use super::{COUNTER_BITS, Instruction, Operation};

/// A place in a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(usize);

/// A program as it grows.
#[derive(Debug, Clone, Default)]
pub struct Assembler {
    words: Vec<Instruction>,
    /// Where each label is.
    places: Vec<Option<usize>>,
    /// Instructions whose immediate is a label.
    jumps: Vec<(usize, Label)>,
}

macro_rules! three {
    ($($(#[doc = $doc:literal])* $method:ident $operation:ident;)*) => { $(
        $(#[doc = $doc])*
        pub fn $method(&mut self, d: u8, a: u8, b: u8) {
            self.put(Operation::$operation, d, a, b, 0);
        }
    )* };
}

macro_rules! branches {
    ($($(#[doc = $doc:literal])* $method:ident $operation:ident;)*) => { $(
        $(#[doc = $doc])*
        pub fn $method(&mut self, a: u8, b: u8, to: Label) {
            self.jumps.push((self.words.len(), to));
            self.put(Operation::$operation, 0, a, b, 0);
        }
    )* };
}

impl Assembler {
    /// Appends an instruction.
    pub fn put(&mut self, operation: Operation, d: u8, a: u8, b: u8, immediate: u16) {
        self.words.push(Instruction { operation, d, a, b, immediate });
    }

    /// A label that is not anywhere yet.
    pub fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// Puts a label here.
    ///
    /// # Panics
    /// Where it is somewhere already.
    #[track_caller]
    pub fn here(&mut self, label: Label) {
        let place = &mut self.places[label.0];
        assert!(place.is_none(), "a label is in one place");
        *place = Some(self.words.len());
    }

    /// A label that is here.
    pub fn begin(&mut self) -> Label {
        let label = self.label();
        self.here(label);
        label
    }

    three! {
        /// `d = a + b`
        add Add;
        /// `d = a - b`
        sub Subtract;
        /// `d = a & b`
        and And;
        /// `d = a | b`
        or Or;
        /// `d = a ^ b`
        xor Xor;
        /// `d = a << b mod 64`
        shift_left_by ShiftLeft;
        /// `d = a >> b mod 64`
        shift_right_by ShiftRight;
    }

    branches! {
        /// Goes to `to` where `a == b`.
        if_equal IfEqual;
        /// Goes to `to` where `a != b`.
        if_different IfDifferent;
        /// Goes to `to` where `a < b`.
        if_less IfLess;
        /// Goes to `to` where `a >= b`.
        if_not_less IfNotLess;
    }

    /// Goes to `to`.
    pub fn jump(&mut self, to: Label) {
        self.if_equal(0, 0, to);
    }

    /// `d = a + n`
    pub fn add_n(&mut self, d: u8, a: u8, n: i16) {
        self.put(Operation::AddImmediate, d, a, 0, n as u16);
    }

    /// `d = a`
    pub fn copy(&mut self, d: u8, a: u8) {
        self.add_n(d, a, 0);
    }

    /// `d = n`
    pub fn set(&mut self, d: u8, n: u64) {
        let parts = [n >> 48, n >> 32 & 0xffff, n >> 16 & 0xffff, n & 0xffff];
        let first = parts.iter().position(|&part| part != 0).unwrap_or(3);
        for (i, &part) in parts.iter().enumerate().skip(first) {
            self.put(Operation::Append, d, if i == first { 0 } else { d }, 0, part as u16);
        }
    }

    /// `d = a << n`
    pub fn shift_left(&mut self, d: u8, a: u8, n: u16) {
        self.put(Operation::ShiftLeft, d, a, 0, n);
    }

    /// `d = a >> n`
    pub fn shift_right(&mut self, d: u8, a: u8, n: u16) {
        self.put(Operation::ShiftRight, d, a, 0, n);
    }

    /// `d` = `bits` bits of `a` from bit `low` on
    ///
    /// # Panics
    /// Where a register does not have them.
    #[track_caller]
    pub fn field(&mut self, d: u8, a: u8, low: u32, bits: u32) {
        assert!((1..=64).contains(&bits) && low < 64, "bits {low}.. of a register, {bits} of them");
        self.put(Operation::Field, d, a, 0, (low | (bits - 1) << 6) as u16);
    }

    /// `d = scratch[a + n]`
    pub fn load(&mut self, d: u8, a: u8, n: usize) {
        self.put(Operation::Load, d, a, 0, n as u16);
    }

    /// `scratch[a + n] = b`
    pub fn store(&mut self, a: u8, n: usize, b: u8) {
        self.put(Operation::Store, 0, a, b, n as u16);
    }

    /// `d` = the next instruction; goes to `to`.
    pub fn call(&mut self, d: u8, to: Label) {
        self.jumps.push((self.words.len(), to));
        self.put(Operation::Call, d, 0, 0, 0);
    }

    /// Goes to `a`.
    pub fn give_back(&mut self, a: u8) {
        self.put(Operation::Return, 0, a, 0, 0);
    }

    /// Field `n` of what is pushed = `a`.
    pub fn out(&mut self, n: usize, a: u8) {
        self.put(Operation::Out, 0, a, 0, n as u16);
    }

    /// Offers stream `n` a beat.
    pub fn push(&mut self, n: usize) {
        self.put(Operation::Push, 0, 0, 0, n as u16);
    }

    /// Waits for a beat of stream `n`.
    pub fn wait(&mut self, n: usize) {
        self.put(Operation::Wait, 0, 0, 0, n as u16);
    }

    /// Takes a beat of stream `n`.
    pub fn pop(&mut self, n: usize) {
        self.put(Operation::Pop, 0, 0, 0, n as u16);
    }

    /// `d` = what port `n` shows.
    pub fn input(&mut self, d: u8, n: usize) {
        self.put(Operation::In, d, 0, 0, n as u16);
    }

    /// `d` = whether stream `n` has a beat.
    pub fn has(&mut self, d: u8, n: usize) {
        self.put(Operation::Has, d, 0, 0, n as u16);
    }

    /// Instructions so far.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The program, filled up to a power of two with jumps to 0.
    ///
    /// # Panics
    /// Where a label that is jumped to is nowhere, or there is no room.
    #[track_caller]
    pub fn finish(mut self) -> Vec<u64> {
        for (at, label) in std::mem::take(&mut self.jumps) {
            let place =
                self.places[label.0].unwrap_or_else(|| panic!("instruction {at} jumps to a label that is nowhere"));
            self.words[at].immediate = place as u16;
        }
        assert!(self.words.len() <= 1 << COUNTER_BITS, "{} instructions", self.words.len());
        let jump = Instruction { operation: Operation::IfEqual, d: 0, a: 0, b: 0, immediate: 0 };
        let room = self.words.len().next_power_of_two().max(2);
        self.words.resize(room, jump);
        self.words.iter().map(Instruction::encode).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_places_and_numbers_take_as_few_instructions_as_they_can() {
        let mut a = Assembler::default();
        let end = a.label();
        let start = a.begin();
        a.set(1, 0);
        a.set(1, 0x12_3456);
        a.jump(end);
        a.jump(start);
        a.here(end);
        assert_eq!(a.len(), 5);
        let words: Vec<_> = a.finish().into_iter().map(|w| Instruction::decode(w).unwrap()).collect();
        assert_eq!(words.len(), 8);
        assert_eq!((words[3].immediate, words[4].immediate), (5, 0));
        assert_eq!((words[1].a, words[1].immediate, words[2].a, words[2].immediate), (0, 0x12, 1, 0x3456));
    }

    #[test]
    #[should_panic(expected = "nowhere")]
    fn a_label_that_is_nowhere_is_found() {
        let mut a = Assembler::default();
        let label = a.label();
        a.jump(label);
        a.finish();
    }
}
