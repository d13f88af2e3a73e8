//! Runs jobs: a small machine with a program. Siblings: `sim`, `tests/controller.rs`; instructions are `arch::micro`, the program is
//! `arch::firmware`.
//! Paper: SpAtten section IV-A, Fig. 8 has a controller and does not describe it.
//! Why: see `arch::micro`. An instruction takes four cycles whatever it does, so nothing is forwarded, no path is long, and the time of
//! a program is the number of its instructions. What is long in a job is done by blocks that the program only starts.
//! Differs from the paper: see above.

use crate::hdl::*;
use crate::leaf::{BlockRom, Ram, ReadPort};
use spatten_arch::ArchConfig;
use spatten_arch::firmware;
use spatten_arch::micro::{
    A_AT, B_AT, COUNTER_BITS, D_AT, OPERATION_AT, Operation, REGISTER_BITS, REGISTERS, SCRATCH_WORDS, WORD_BITS,
};

/// What an instruction is in.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum State {
    /// The program is read; what the instruction before gave is written.
    Look,
    /// The instruction is there.
    Fetch,
    /// Its registers are read.
    Read,
    /// It is done, as soon as it can be.
    Execute,
}

/// A machine with a program.
///
/// `out`: fields of what is pushed, all streams' together; `push` stream i takes some of them, as who wires it says. `pop`
/// stream i says that a beat is there, whose fields are among `port`. A field changes only by an instruction, so what is offered
/// stays.
///
/// # Timing   an instruction takes 4 cycles, and those in which it waits for a stream; the first one's end 4 cycles after reset
#[derive(LogicBlock)]
pub struct Controller {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: begins the program. Fields are 0; registers and scratch memory keep what they hold.
    pub reset: Signal<In, Bit>,
    /// Fields of what is pushed.
    pub out: Vec<Wire<Out>>,
    /// A beat is offered, per stream.
    pub push_valid: Vec<Signal<Out, Bit>>,
    /// It is taken.
    pub push_ready: Vec<Signal<In, Bit>>,
    /// A beat is there, per stream.
    pub pop_valid: Vec<Signal<In, Bit>>,
    /// It is taken.
    pub pop_ready: Vec<Signal<Out, Bit>>,
    /// What the program may look at.
    pub port: Vec<Wire<In>>,
    outs: Param,
    pushes: Param,
    pops: Param,
    ports: Param,
    operation_at: Param,
    d_at: Param,
    a_at: Param,
    b_at: Param,
    low: Param,
    all: Param,
    op_subtract: Param,
    op_and: Param,
    op_or: Param,
    op_xor: Param,
    op_add_immediate: Param,
    op_shift_left: Param,
    op_shift_right: Param,
    op_field: Param,
    op_append: Param,
    op_load: Param,
    op_store: Param,
    op_if_equal: Param,
    op_if_different: Param,
    op_if_less: Param,
    op_if_not_less: Param,
    op_call: Param,
    op_return: Param,
    op_out: Param,
    op_push: Param,
    op_wait: Param,
    op_pop: Param,
    op_in: Param,
    op_has: Param,
    program: BlockRom,
    registers: Vec<Ram>,
    scratch: Ram,
    state: Dff<State>,
    counter: Reg,
    instruction: Reg,
    a: Reg,
    b: Reg,
    result: Reg,
    target: Reg,
    loads: Dff<Bit>,
    fields: Vec<Reg>,
    operation: Wire<Local>,
    immediate: Wire<Local>,
    number: Wire<Local>,
    a_number: Wire<Local>,
    b_number: Wire<Local>,
    executes: Signal<Local, Bit>,
    pushes_now: Signal<Local, Bit>,
    takes_now: Signal<Local, Bit>,
    waits_now: Signal<Local, Bit>,
    /// Of the streams up to this one: that which is meant would move.
    push_goes: Vec<Signal<Local, Bit>>,
    pop_there: Vec<Signal<Local, Bit>>,
    seen: Vec<Wire<Local>>,
    goes: Signal<Local, Bit>,
    amount: Wire<Local>,
    left: Wire<Local>,
    right: Wire<Local>,
    length: Wire<Local>,
    ones: Wire<Local>,
    mask: Wire<Local>,
    equal: Signal<Local, Bit>,
    less: Signal<Local, Bit>,
    jumps: Signal<Local, Bit>,
    written: Wire<Local>,
}

/// How many there are of everything that a program may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Fields.
    pub outs: usize,
    /// Streams that are pushed.
    pub pushes: usize,
    /// Streams that are popped.
    pub pops: usize,
    /// Ports.
    pub ports: usize,
}

impl Controller {
    /// As in a chip.
    pub fn of(config: &ArchConfig) -> Self {
        let sizes = Sizes {
            outs: firmware::fields(config),
            pushes: firmware::Push::ALL.len(),
            pops: firmware::Pop::ALL.len(),
            ports: firmware::ports(config),
        };
        Self::new("firmware", firmware::program(config), sizes)
    }

    /// With a program (`micro::Assembler::finish`) called `program_name`.
    pub fn new(program_name: &str, program: Vec<u64>, sizes: Sizes) -> Self {
        let register = bits_for(REGISTERS - 1);
        let op = |operation: Operation| Param::new(operation as usize);
        Self {
            name: ModuleName::new("controller"),
            unused: Waiver::new("UNUSEDSIGNAL", "Not every instruction uses all bits of its fields."),
            clock: Default::default(),
            reset: Default::default(),
            out: vec_of(sizes.outs, || Wire::unsigned(REGISTER_BITS)),
            push_valid: vec_of(sizes.pushes, Default::default),
            push_ready: vec_of(sizes.pushes, Default::default),
            pop_valid: vec_of(sizes.pops, Default::default),
            pop_ready: vec_of(sizes.pops, Default::default),
            port: vec_of(sizes.ports, || Wire::unsigned(REGISTER_BITS)),
            outs: Param::new(sizes.outs),
            pushes: Param::new(sizes.pushes),
            pops: Param::new(sizes.pops),
            ports: Param::new(sizes.ports),
            operation_at: Param::new(OPERATION_AT),
            d_at: Param::new(D_AT),
            a_at: Param::new(A_AT),
            b_at: Param::new(B_AT),
            low: Param::new(6),
            all: Param::new(usize::MAX),
            op_subtract: op(Operation::Subtract),
            op_and: op(Operation::And),
            op_or: op(Operation::Or),
            op_xor: op(Operation::Xor),
            op_add_immediate: op(Operation::AddImmediate),
            op_shift_left: op(Operation::ShiftLeft),
            op_shift_right: op(Operation::ShiftRight),
            op_field: op(Operation::Field),
            op_append: op(Operation::Append),
            op_load: op(Operation::Load),
            op_store: op(Operation::Store),
            op_if_equal: op(Operation::IfEqual),
            op_if_different: op(Operation::IfDifferent),
            op_if_less: op(Operation::IfLess),
            op_if_not_less: op(Operation::IfNotLess),
            op_call: op(Operation::Call),
            op_return: op(Operation::Return),
            op_out: op(Operation::Out),
            op_push: op(Operation::Push),
            op_wait: op(Operation::Wait),
            op_pop: op(Operation::Pop),
            op_in: op(Operation::In),
            op_has: op(Operation::Has),
            program: BlockRom::new(program_name, program, WORD_BITS),
            registers: vec_of(2, || Ram::new(REGISTER_BITS, REGISTERS, ReadPort::Direct)),
            scratch: Ram::new(REGISTER_BITS, SCRATCH_WORDS, ReadPort::Registered),
            state: Default::default(),
            counter: Reg::unsigned(COUNTER_BITS),
            instruction: Reg::unsigned(WORD_BITS),
            a: Reg::unsigned(REGISTER_BITS),
            b: Reg::unsigned(REGISTER_BITS),
            result: Reg::unsigned(REGISTER_BITS),
            target: Reg::unsigned(register),
            loads: Default::default(),
            fields: vec_of(sizes.outs, || Reg::unsigned(REGISTER_BITS)),
            operation: Wire::unsigned(WORD_BITS - OPERATION_AT),
            immediate: Wire::signed(16),
            number: Wire::unsigned(16),
            a_number: Wire::unsigned(register),
            b_number: Wire::unsigned(register),
            executes: Default::default(),
            pushes_now: Default::default(),
            takes_now: Default::default(),
            waits_now: Default::default(),
            push_goes: vec_of(sizes.pushes, Default::default),
            pop_there: vec_of(sizes.pops, Default::default),
            seen: vec_of(sizes.ports, word),
            goes: Default::default(),
            amount: Wire::unsigned(6),
            left: word(),
            right: word(),
            length: Wire::unsigned(6),
            ones: word(),
            mask: word(),
            equal: Default::default(),
            less: Default::default(),
            jumps: Default::default(),
            written: word(),
        }
    }
}

fn word() -> Wire<Local> {
    Wire::unsigned(REGISTER_BITS)
}

impl Logic for Controller {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, counter, instruction, a, b, result, target, loads);
        clock!(self, clock, program, scratch);

        // What the instruction says.
        self.program.index.next = self.counter.q.val();
        self.operation.next = self.instruction.q.val() >> self.operation_at.val();
        self.immediate.next = self.instruction.q.val();
        self.number.next = self.instruction.q.val();
        self.a_number.next = self.instruction.q.val() >> self.a_at.val();
        self.b_number.next = self.instruction.q.val() >> self.b_at.val();
        self.executes.next = self.state.q.val() == State::Execute;

        // Registers; what a load gives comes from the memory in the cycle in which it is written.
        self.written.next = self.result.q.val();
        if self.loads.q.val() {
            self.written.next = self.scratch.read_data.val();
        }
        for i in 0..2 {
            self.registers[i].clock.next = self.clock.val();
            self.registers[i].write_enable.next = (self.state.q.val() == State::Look) & self.target.q.val().any();
            self.registers[i].write_address.next = self.target.q.val();
            self.registers[i].write_data.next = self.written.val();
        }
        self.registers[0].read_address.next = self.a_number.val();
        self.registers[1].read_address.next = self.b_number.val();
        self.scratch.write_enable.next = self.executes.val() & (self.operation.val() == self.op_store.val());
        self.scratch.write_address.next = self.a.q.val() + self.number.val();
        self.scratch.write_data.next = self.b.q.val();
        self.scratch.read_address.next = self.a.q.val() + self.number.val();

        // Streams.
        self.pushes_now.next = self.executes.val() & (self.operation.val() == self.op_push.val());
        self.takes_now.next = self.executes.val() & (self.operation.val() == self.op_pop.val());
        self.waits_now.next =
            self.takes_now.val() | (self.executes.val() & (self.operation.val() == self.op_wait.val()));
        for i in 0..self.pushes.val() {
            self.push_valid[i].next = self.pushes_now.val() & (self.number.val() == i);
            self.push_goes[i].next = self.push_ready[i].val() & (self.number.val() == i);
            if i > 0 {
                self.push_goes[i].next =
                    self.push_goes[i - 1].val() | (self.push_ready[i].val() & (self.number.val() == i));
            }
        }
        for i in 0..self.pops.val() {
            self.pop_ready[i].next = self.takes_now.val() & (self.number.val() == i);
            self.pop_there[i].next = self.pop_valid[i].val() & (self.number.val() == i);
            if i > 0 {
                self.pop_there[i].next =
                    self.pop_there[i - 1].val() | (self.pop_valid[i].val() & (self.number.val() == i));
            }
        }
        self.goes.next = self.executes.val()
            & (!self.pushes_now.val() | self.push_goes[self.pushes.val() - 1].val())
            & (!self.waits_now.val() | self.pop_there[self.pops.val() - 1].val());
        for i in 0..self.ports.val() {
            self.seen[i].next = 0.into();
            if self.number.val() == i {
                self.seen[i].next = self.port[i].val();
            }
            if i > 0 {
                self.seen[i].next = self.seen[i - 1].val();
                if self.number.val() == i {
                    self.seen[i].next = self.port[i].val();
                }
            }
        }
        for i in 0..self.outs.val() {
            self.fields[i].clock.next = self.clock.val();
            self.fields[i].d.next = self.fields[i].q.val();
            if self.executes.val() & (self.operation.val() == self.op_out.val()) & (self.number.val() == i) {
                self.fields[i].d.next = self.a.q.val();
            }
            if self.reset.val() {
                self.fields[i].d.next = 0.into();
            }
            self.out[i].next = self.fields[i].q.val();
        }

        // What it gives.
        self.amount.next = self.b.q.val() + self.number.val();
        self.left.next = self.a.q.val() << self.amount.val();
        self.right.next = self.a.q.val() >> self.amount.val();
        self.length.next = self.number.val() >> self.low.val();
        self.ones.next = self.all.val().into();
        self.mask.next = self.ones.val() >> (!self.length.val() & 63);
        self.equal.next = self.a.q.val() == self.b.q.val();
        self.less.next = self.a.q.val() < self.b.q.val();
        self.jumps.next = ((self.operation.val() == self.op_if_equal.val()) & self.equal.val())
            | ((self.operation.val() == self.op_if_different.val()) & !self.equal.val())
            | ((self.operation.val() == self.op_if_less.val()) & self.less.val())
            | ((self.operation.val() == self.op_if_not_less.val()) & !self.less.val())
            | (self.operation.val() == self.op_call.val());
        self.result.d.next = self.a.q.val() + self.b.q.val();
        if self.operation.val() == self.op_subtract.val() {
            self.result.d.next = self.a.q.val() - self.b.q.val();
        }
        if self.operation.val() == self.op_and.val() {
            self.result.d.next = self.a.q.val() & self.b.q.val();
        }
        if self.operation.val() == self.op_or.val() {
            self.result.d.next = self.a.q.val() | self.b.q.val();
        }
        if self.operation.val() == self.op_xor.val() {
            self.result.d.next = self.a.q.val() ^ self.b.q.val();
        }
        if self.operation.val() == self.op_add_immediate.val() {
            self.result.d.next = self.a.q.val() + self.immediate.val();
        }
        if self.operation.val() == self.op_shift_left.val() {
            self.result.d.next = self.left.val();
        }
        if self.operation.val() == self.op_shift_right.val() {
            self.result.d.next = self.right.val();
        }
        if self.operation.val() == self.op_field.val() {
            self.result.d.next = self.right.val() & self.mask.val();
        }
        if self.operation.val() == self.op_append.val() {
            self.result.d.next = (self.a.q.val() << 16) + self.number.val();
        }
        if self.operation.val() == self.op_call.val() {
            self.result.d.next = self.counter.q.val() + 1;
        }
        if self.operation.val() == self.op_in.val() {
            self.result.d.next = self.seen[self.ports.val() - 1].val();
        }
        if self.operation.val() == self.op_has.val() {
            self.result.d.next = self.pop_there[self.pops.val() - 1].val().into();
        }
        self.loads.d.next = self.operation.val() == self.op_load.val();

        match self.state.q.val() {
            State::Look => {
                self.state.d.next = State::Fetch;
            }
            State::Fetch => {
                self.instruction.d.next = self.program.word.val();
                self.state.d.next = State::Read;
            }
            State::Read => {
                self.a.d.next = 0.into();
                self.b.d.next = 0.into();
                if self.a_number.val().any() {
                    self.a.d.next = self.registers[0].read_data.val();
                }
                if self.b_number.val().any() {
                    self.b.d.next = self.registers[1].read_data.val();
                }
                self.state.d.next = State::Execute;
            }
            State::Execute => {
                if self.goes.val() {
                    self.state.d.next = State::Look;
                    self.target.d.next = self.instruction.q.val() >> self.d_at.val();
                    self.counter.d.next = self.counter.q.val() + 1;
                    if self.jumps.val() {
                        self.counter.d.next = self.number.val();
                    }
                    if self.operation.val() == self.op_return.val() {
                        self.counter.d.next = self.a.q.val();
                    }
                }
            }
        }
        if self.reset.val() {
            self.state.d.next = State::Look;
            self.counter.d.next = 0.into();
            self.target.d.next = 0.into();
        }
    }
}
