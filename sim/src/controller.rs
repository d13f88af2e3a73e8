//! Runs jobs, in time: the machine of `arch::micro`. Siblings: `hw`, `tests/controller.rs`.

use spatten_arch::micro::{COUNTER_BITS, Instruction, Operation, REGISTERS, SCRATCH_WORDS};

/// Cycles before an instruction is executed.
const BEFORE: u8 = 3;

/// The block; see `hw::controller` for the streams.
#[derive(Debug, Clone)]
pub struct Controller {
    program: Vec<Instruction>,
    counter: usize,
    /// Cycles until the instruction is executed.
    wait: u8,
    registers: [u64; REGISTERS],
    scratch: Vec<u64>,
    fields: Vec<u64>,
}

impl Controller {
    /// As after reset, with everything 0.
    ///
    /// # Panics
    /// Where a word of the program is no instruction, or there are not a power of two of them.
    #[track_caller]
    pub fn new(program: &[u64], outs: usize) -> Self {
        assert!(program.len().is_power_of_two(), "{} instructions", program.len());
        let decode = |&word: &u64| Instruction::decode(word).unwrap_or_else(|| panic!("{word:#x} is no instruction"));
        Self {
            program: program.iter().map(decode).collect(),
            counter: 0,
            wait: BEFORE,
            registers: [0; REGISTERS],
            scratch: vec![0; SCRATCH_WORDS],
            fields: vec![0; outs],
        }
    }

    fn at(&self) -> &Instruction {
        &self.program[self.counter % self.program.len()]
    }

    fn executes(&self, operation: Operation) -> Option<usize> {
        let now = self.at();
        (self.wait == 0 && now.operation == operation).then_some(now.immediate.into())
    }

    /// Stream that is offered a beat.
    pub fn push(&self) -> Option<usize> {
        self.executes(Operation::Push)
    }

    /// Stream from which a beat would be taken.
    pub fn pop(&self) -> Option<usize> {
        self.executes(Operation::Pop)
    }

    /// Stream of which a beat is waited for, whether or not it is taken.
    pub fn waits(&self) -> Option<usize> {
        self.executes(Operation::Wait).or(self.pop())
    }

    /// Stream of which it matters in this cycle whether it has a beat.
    pub fn asks(&self) -> Option<usize> {
        self.executes(Operation::Has).or(self.waits())
    }

    /// Port that is looked at in this cycle.
    pub fn looks(&self) -> Option<usize> {
        self.executes(Operation::In)
    }

    /// A field of what is pushed.
    pub fn field(&self, number: usize) -> u64 {
        self.fields[number]
    }

    /// Number of the instruction, for messages.
    pub fn counter(&self) -> usize {
        self.counter
    }

    /// One rising edge. `taken`: the stream that is offered a beat takes it. `there`: the stream of [`asks`](Self::asks) has a beat.
    /// `port`: what that of [`looks`](Self::looks) shows.
    pub fn clock(&mut self, taken: bool, there: bool, port: u64) {
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        let Instruction { operation, d, a, b, immediate } = *self.at();
        let (a, b, n) = (self.registers[usize::from(a)], self.registers[usize::from(b)], usize::from(immediate));
        let waits = match operation {
            Operation::Push => !taken,
            Operation::Wait | Operation::Pop => !there,
            _ => false,
        };
        if waits {
            return;
        }
        let shift = b.wrapping_add(n as u64) as u32 & 63;
        let scratch = a.wrapping_add(n as u64) as usize % SCRATCH_WORDS;
        let following = self.counter + 1;
        let jump = |goes: bool| if goes { n } else { following };
        let mut next = following;
        let mut result = a.wrapping_add(b);
        match operation {
            Operation::Add | Operation::Push | Operation::Wait | Operation::Pop => {}
            Operation::Subtract => result = a.wrapping_sub(b),
            Operation::And => result = a & b,
            Operation::Or => result = a | b,
            Operation::Xor => result = a ^ b,
            Operation::AddImmediate => result = a.wrapping_add_signed((immediate as i16).into()),
            Operation::ShiftLeft => result = a << shift,
            Operation::ShiftRight => result = a >> shift,
            Operation::Field => result = a >> shift & u64::MAX >> (63 - (n >> 6 & 63)),
            Operation::Append => result = a << 16 | n as u64,
            Operation::Load => result = self.scratch[scratch],
            Operation::Store => self.scratch[scratch] = b,
            Operation::IfEqual => next = jump(a == b),
            Operation::IfDifferent => next = jump(a != b),
            Operation::IfLess => next = jump(a < b),
            Operation::IfNotLess => next = jump(a >= b),
            Operation::Call => {
                result = following as u64;
                next = n;
            }
            Operation::Return => next = a as usize,
            Operation::Out => self.fields[n] = a,
            Operation::In => result = port,
            Operation::Has => result = there.into(),
        }
        if d != 0 {
            self.registers[usize::from(d)] = result;
        }
        self.counter = next % (1 << COUNTER_BITS);
        self.wait = BEFORE;
    }
}
