//! Registers, doorbells, performance counters. Siblings: `sim`, `tests/csr.rs`; the map is `arch::registers`.
//! Why: the decoder is a loop over the map, so a register that is documented is there, and one that is there is documented. Writes
//! and reads are decoded while they are accepted, into one bit per register, so that neither the comparison of an address nor
//! the choice of a word shares its cycle with the other.
//! Differs from the paper: not in the paper; host interface.

mod counters;

use crate::hdl::*;
use counters::Counters;
use spatten_arch::ArchConfig;
use spatten_arch::registers::{self, ADDRESS_BITS, Counter, Kind, Register};

/// AXI4-Lite: the access was fine, or not.
pub const OKAY: u64 = 0;
/// There is no such register, it is not aligned, or it is only read.
pub const SLVERR: u64 = 2;

/// The registers of `arch::registers` as an AXI4-Lite slave (`PROT` has no port: it is not looked at).
///
/// Addresses are bytes of both pages, registers first. One write and one read at a time; a write's address and data may come
/// in any order. Strobes write bytes; a write without any changes nothing and rings nothing. What is refused is answered with
/// `SLVERR`, reads 0 and changes nothing. Reading the low half of a counter keeps its high half, which is what every high half
/// reads until the next low one.
///
/// `events` bits set bits of `interrupt_status`, also against a clear of the same cycle. `interrupt_line` is high as long as one of them
/// is enabled and not cleared. `interrupt_message` is high for a cycle when an enabled one happens, again or for the first time, or
/// one that has happened is enabled: what an MSI-X message is sent for.
///
/// `soft_reset` is high for the cycle after `command.reset` is written; with its end all values are as after reset but for
/// `scratch`, and counts are 0.
///
/// # Timing   an answer is there 2 cycles after the last of its address and data are accepted, and a read's word is that of the cycle
/// between. A value that is written is on its port from the cycle of the answer; a doorbell's `rung` is high in that cycle.
#[derive(LogicBlock)]
pub struct Csr {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous; forgets accesses too.
    pub reset: Signal<In, Bit>,
    /// Address of a write.
    pub aw_valid: Signal<In, Bit>,
    /// It would be taken.
    pub aw_ready: Signal<Out, Bit>,
    /// Byte.
    pub aw_address: Wire<In>,
    /// Data of a write.
    pub w_valid: Signal<In, Bit>,
    /// It would be taken.
    pub w_ready: Signal<Out, Bit>,
    /// A word.
    pub w_data: Wire<In>,
    /// Its bytes that are written.
    pub w_strobe: Wire<In>,
    /// A write is answered.
    pub b_valid: Signal<Out, Bit>,
    /// The answer is taken.
    pub b_ready: Signal<In, Bit>,
    /// `OKAY` or `SLVERR`.
    pub b_response: Wire<Out>,
    /// Address of a read.
    pub ar_valid: Signal<In, Bit>,
    /// It would be taken.
    pub ar_ready: Signal<Out, Bit>,
    /// Byte.
    pub ar_address: Wire<In>,
    /// A read is answered.
    pub r_valid: Signal<Out, Bit>,
    /// The answer is taken.
    pub r_ready: Signal<In, Bit>,
    /// The word.
    pub r_data: Wire<Out>,
    /// `OKAY` or `SLVERR`.
    pub r_response: Wire<Out>,

    /// `control.enable`
    pub enable: Signal<Out, Bit>,
    /// `command.reset`
    pub soft_reset: Signal<Out, Bit>,
    /// `command.clear_counters`
    pub clear_counters: Signal<Out, Bit>,
    /// Fields of `status`.
    pub status: Wire<In>,
    /// `error`
    pub error: Wire<In>,
    /// Host address of the ring of jobs.
    pub submission_base: Wire<Out>,
    /// log2 of its entries.
    pub submission_level: Wire<Out>,
    /// Jobs fetched.
    pub submission_head: Wire<In>,
    /// Jobs written.
    pub submission_tail: Wire<Out>,
    /// That was written again.
    pub submission_rung: Signal<Out, Bit>,
    /// Host address of the ring of completions.
    pub completion_base: Wire<Out>,
    /// log2 of its entries.
    pub completion_level: Wire<Out>,
    /// Completions written.
    pub completion_tail: Wire<In>,
    /// Completions read.
    pub completion_head: Wire<Out>,
    /// That was written again.
    pub completion_rung: Signal<Out, Bit>,
    /// Cycles of the longest selection.
    pub topk_longest: Wire<In>,
    /// What happens, as fields of `interrupt_status`.
    pub events: Wire<In>,
    /// Something enabled has happened.
    pub interrupt_line: Signal<Out, Bit>,
    /// Something enabled happens.
    pub interrupt_message: Signal<Out, Bit>,
    /// What is added to each counter.
    pub increment: Vec<Wire<In>>,

    // The map, in the order: values, events, commands, constants, inputs, counters.
    registers: Param,
    writable: Param,
    values: Param,
    event_registers: Param,
    commands: Param,
    constants: Param,
    inputs: Param,
    counts: Param,
    event_at: Param,
    command_at: Param,
    constant_at: Param,
    input_at: Param,
    count_at: Param,
    address: Vec<Param>,
    mask: Vec<Param>,
    initial: Vec<Param>,
    survives: Vec<Param>,
    constant: Vec<Param>,
    // Places of values, of commands (behind `command_at`) and of inputs.
    control: Param,
    enables: Param,
    submission_low: Param,
    submission_high: Param,
    submission_size: Param,
    submission_bell: Param,
    completion_low: Param,
    completion_high: Param,
    completion_size: Param,
    completion_bell: Param,
    command: Param,
    set: Param,
    status_input: Param,
    error_input: Param,
    head_input: Param,
    tail_input: Param,
    longest_input: Param,
    // Bits of `command`.
    reset_bit: Param,
    clear_bit: Param,

    // Write.
    aw_held: Dff<Bit>,
    w_held: Dff<Bit>,
    b_held: Dff<Bit>,
    b_failed: Dff<Bit>,
    write_hit: Vec<Dff<Bit>>,
    data: Reg,
    strobe: Reg,
    accept_aw: Signal<Local, Bit>,
    accept_w: Signal<Local, Bit>,
    go: Signal<Local, Bit>,
    lane: Vec<Wire<Local>>,
    strobes: Vec<Wire<Local>>,
    written: Wire<Local>,
    write_known: Vec<Signal<Local, Bit>>,
    // Read.
    reading: Dff<Bit>,
    r_held: Dff<Bit>,
    r_failed: Dff<Bit>,
    read_hit: Vec<Dff<Bit>>,
    word: Reg,
    accept_ar: Signal<Local, Bit>,
    words: Vec<Wire<Local>>,
    read: Vec<Wire<Local>>,
    read_known: Vec<Signal<Local, Bit>>,
    // Registers.
    value: Vec<Reg>,
    next_value: Vec<Wire<Local>>,
    input: Vec<Wire<Local>>,
    happened: Reg,
    next_happened: Wire<Local>,
    happens: Wire<Local>,
    cleared: Wire<Local>,
    sends: Wire<Local>,
    enabled: Wire<Local>,
    message_now: Dff<Bit>,
    commanded: Wire<Local>,
    soft_now: Dff<Bit>,
    clear: Dff<Bit>,
    rung: Vec<Dff<Bit>>,
    counters: Counters,
    high: Reg,
    next_high: Vec<Wire<Local>>,
}

impl Csr {
    /// For a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let all = registers::all();
        let of = |wanted: fn(&Kind) -> bool| all.iter().filter(move |r| wanted(&r.kind)).collect::<Vec<&Register>>();
        let values = of(|kind| matches!(kind, Kind::Value));
        let events = of(|kind| matches!(kind, Kind::Event));
        let commands = of(|kind| matches!(kind, Kind::Command));
        let constants = of(|kind| matches!(kind, Kind::Constant(_)));
        let inputs = of(|kind| matches!(kind, Kind::Input));
        let counts = of(|kind| matches!(kind, Kind::CounterLow(_) | Kind::CounterHigh(_)));
        let order = [&values, &events, &commands, &constants, &inputs, &counts];
        assert_eq!(order.iter().map(|group| group.len()).sum::<usize>(), all.len(), "every register is of one kind");
        assert_eq!(events.len(), 1, "registers of events");
        // Where each group begins.
        let at = |group: usize| Param::new(order[..group].iter().map(|g| g.len()).sum());
        let every: Vec<&Register> = order.iter().flat_map(|group| group.iter().copied()).collect();
        let place = |group: &[&Register], register: Register| {
            let found = group.iter().position(|r| r.address() == register.address());
            Param::new(found.unwrap_or_else(|| panic!("{} is not of this kind", register.name)))
        };
        let params = |numbers: Vec<usize>| numbers.into_iter().map(Param::new).collect::<Vec<_>>();
        let constant = |r: &&Register| match r.kind {
            Kind::Constant(value) => value(config) as usize,
            _ => unreachable!("a group of constants"),
        };
        let bit = |register: Register, field: &str| Param::new(register.field(field).low as usize);
        let bits = |register: Register| (32 - register.mask().leading_zeros()) as usize;
        let event_bits = bits(*events[0]);
        Self {
            name: ModuleName::new("csr"),
            clock: Default::default(),
            reset: Default::default(),
            aw_valid: Default::default(),
            aw_ready: Default::default(),
            aw_address: Wire::unsigned(ADDRESS_BITS),
            w_valid: Default::default(),
            w_ready: Default::default(),
            w_data: Wire::unsigned(32),
            w_strobe: Wire::unsigned(4),
            b_valid: Default::default(),
            b_ready: Default::default(),
            b_response: Wire::unsigned(2),
            ar_valid: Default::default(),
            ar_ready: Default::default(),
            ar_address: Wire::unsigned(ADDRESS_BITS),
            r_valid: Default::default(),
            r_ready: Default::default(),
            r_data: Wire::unsigned(32),
            r_response: Wire::unsigned(2),
            enable: Default::default(),
            soft_reset: Default::default(),
            clear_counters: Default::default(),
            status: Wire::unsigned(bits(registers::STATUS)),
            error: Wire::unsigned(32),
            submission_base: Wire::unsigned(64),
            submission_level: Wire::unsigned(bits(registers::SUBMISSION_SIZE)),
            submission_head: Wire::unsigned(32),
            submission_tail: Wire::unsigned(32),
            submission_rung: Default::default(),
            completion_base: Wire::unsigned(64),
            completion_level: Wire::unsigned(bits(registers::COMPLETION_SIZE)),
            completion_tail: Wire::unsigned(32),
            completion_head: Wire::unsigned(32),
            completion_rung: Default::default(),
            topk_longest: Wire::unsigned(32),
            events: Wire::unsigned(event_bits),
            interrupt_line: Default::default(),
            interrupt_message: Default::default(),
            increment: vec_of(Counter::ALL.len(), || Wire::unsigned(Counter::increment_bits(config))),
            registers: Param::new(every.len()),
            writable: at(3),
            values: Param::new(values.len()),
            event_registers: Param::new(events.len()),
            commands: Param::new(commands.len()),
            constants: Param::new(constants.len()),
            inputs: Param::new(inputs.len()),
            counts: Param::new(Counter::ALL.len()),
            event_at: at(1),
            command_at: at(2),
            constant_at: at(3),
            input_at: at(4),
            count_at: at(5),
            address: params(every.iter().map(|r| r.address() as usize).collect()),
            mask: params(values.iter().map(|r| r.mask() as usize).collect()),
            initial: params(values.iter().map(|r| r.reset as usize).collect()),
            survives: params(values.iter().map(|r| usize::from(r.name == registers::SCRATCH.name)).collect()),
            constant: params(constants.iter().map(constant).collect()),
            control: place(&values, registers::CONTROL),
            enables: place(&values, registers::INTERRUPT_ENABLE),
            submission_low: place(&values, registers::SUBMISSION_BASE_LOW),
            submission_high: place(&values, registers::SUBMISSION_BASE_HIGH),
            submission_size: place(&values, registers::SUBMISSION_SIZE),
            submission_bell: place(&values, registers::SUBMISSION_TAIL),
            completion_low: place(&values, registers::COMPLETION_BASE_LOW),
            completion_high: place(&values, registers::COMPLETION_BASE_HIGH),
            completion_size: place(&values, registers::COMPLETION_SIZE),
            completion_bell: place(&values, registers::COMPLETION_HEAD),
            command: Param::new(at(2).val() + place(&commands, registers::COMMAND).val()),
            set: Param::new(at(2).val() + place(&commands, registers::INTERRUPT_SET).val()),
            status_input: place(&inputs, registers::STATUS),
            error_input: place(&inputs, registers::ERROR),
            head_input: place(&inputs, registers::SUBMISSION_HEAD),
            tail_input: place(&inputs, registers::COMPLETION_TAIL),
            longest_input: place(&inputs, registers::TOPK_LONGEST),
            reset_bit: bit(registers::COMMAND, "reset"),
            clear_bit: bit(registers::COMMAND, "clear_counters"),
            aw_held: Default::default(),
            w_held: Default::default(),
            b_held: Default::default(),
            b_failed: Default::default(),
            write_hit: vec_of(at(3).val(), Default::default),
            data: Reg::unsigned(32),
            strobe: Reg::unsigned(4),
            accept_aw: Default::default(),
            accept_w: Default::default(),
            go: Default::default(),
            lane: vec_of(4, || Wire::signed(1)),
            strobes: vec_of(4, || Wire::unsigned(32)),
            written: Wire::unsigned(32),
            write_known: vec_of(at(3).val(), Default::default),
            reading: Default::default(),
            r_held: Default::default(),
            r_failed: Default::default(),
            read_hit: vec_of(every.len(), Default::default),
            word: Reg::unsigned(32),
            accept_ar: Default::default(),
            words: vec_of(every.len(), || Wire::unsigned(32)),
            read: vec_of(every.len(), || Wire::unsigned(32)),
            read_known: vec_of(every.len(), Default::default),
            value: vec_of(values.len(), || Reg::unsigned(32)),
            next_value: vec_of(values.len(), || Wire::unsigned(32)),
            input: vec_of(inputs.len(), || Wire::unsigned(32)),
            happened: Reg::unsigned(event_bits),
            next_happened: Wire::unsigned(event_bits),
            happens: Wire::unsigned(event_bits),
            cleared: Wire::unsigned(event_bits),
            sends: Wire::unsigned(event_bits),
            enabled: Wire::unsigned(event_bits),
            message_now: Default::default(),
            commanded: Wire::unsigned(bits(registers::COMMAND)),
            soft_now: Default::default(),
            clear: Default::default(),
            rung: vec_of(2, Default::default),
            counters: Counters::new(config),
            high: Reg::unsigned(32),
            next_high: vec_of(Counter::ALL.len(), || Wire::unsigned(32)),
        }
    }
}

impl Logic for Csr {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, aw_held, w_held, b_held, b_failed, data, strobe, reading, r_held, r_failed, word);
        dff_setup!(self, clock, happened, message_now, soft_now, clear, high);
        self.counters.clock.next = self.clock.val();
        self.counters.reset.next = self.reset.val();
        self.counters.clear.next = self.clear.q.val() | self.soft_now.q.val();

        // Write: address and data are held until both are there, and nothing more is taken until the answer is.
        self.aw_ready.next = !self.aw_held.q.val() & !self.b_held.q.val();
        self.w_ready.next = !self.w_held.q.val() & !self.b_held.q.val();
        self.accept_aw.next = self.aw_valid.val() & !self.aw_held.q.val() & !self.b_held.q.val();
        self.accept_w.next = self.w_valid.val() & !self.w_held.q.val() & !self.b_held.q.val();
        self.go.next = self.aw_held.q.val() & self.w_held.q.val();
        self.b_valid.next = self.b_held.q.val();
        self.b_response.next = 0.into();
        if self.b_failed.q.val() {
            self.b_response.next = 2.into();
        }
        if self.accept_aw.val() {
            self.aw_held.d.next = true;
        }
        if self.accept_w.val() {
            self.w_held.d.next = true;
            self.data.d.next = self.w_data.val();
            self.strobe.d.next = self.w_strobe.val();
        }
        for j in 0..self.writable.val() {
            self.write_hit[j].clock.next = self.clock.val();
            self.write_hit[j].d.next = self.write_hit[j].q.val();
            if self.accept_aw.val() {
                self.write_hit[j].d.next = self.aw_address.val() == self.address[j].val();
            }
            if j == 0 {
                self.write_known[0].next = self.write_hit[0].q.val();
            } else {
                self.write_known[j].next = self.write_known[j - 1].val() | self.write_hit[j].q.val();
            }
        }
        if self.go.val() {
            self.aw_held.d.next = false;
            self.w_held.d.next = false;
            self.b_held.d.next = true;
            self.b_failed.d.next = !self.write_known[self.writable.val() - 1].val();
        }
        if self.b_held.q.val() & self.b_ready.val() {
            self.b_held.d.next = false;
        }
        for k in 0..4 {
            self.lane[k].next = self.strobe.q.val().get_bit(k).into();
            if k == 0 {
                self.strobes[0].next = self.lane[0].val() & 255;
            } else {
                self.strobes[k].next = self.strobes[k - 1].val() | ((self.lane[k].val() & 255) << (8 * k));
            }
        }
        self.written.next = 0.into();
        if self.go.val() {
            self.written.next = self.strobes[3].val();
        }

        // Read: the register is found, then its word taken.
        self.ar_ready.next = !self.reading.q.val() & !self.r_held.q.val();
        self.accept_ar.next = self.ar_valid.val() & !self.reading.q.val() & !self.r_held.q.val();
        self.reading.d.next = self.accept_ar.val();
        self.r_valid.next = self.r_held.q.val();
        self.r_data.next = self.word.q.val();
        self.r_response.next = 0.into();
        if self.r_failed.q.val() {
            self.r_response.next = 2.into();
        }
        for j in 0..self.registers.val() {
            self.read_hit[j].clock.next = self.clock.val();
            self.read_hit[j].d.next = self.ar_address.val() == self.address[j].val();
            if j == 0 {
                self.read[0].next = 0.into();
                self.read_known[0].next = self.read_hit[0].q.val();
                if self.read_hit[0].q.val() {
                    self.read[0].next = self.words[0].val();
                }
            } else {
                self.read[j].next = self.read[j - 1].val();
                self.read_known[j].next = self.read_known[j - 1].val() | self.read_hit[j].q.val();
                if self.read_hit[j].q.val() {
                    self.read[j].next = self.read[j - 1].val() | self.words[j].val();
                }
            }
        }
        if self.reading.q.val() {
            self.r_held.d.next = true;
            self.word.d.next = self.read[self.registers.val() - 1].val();
            self.r_failed.d.next = !self.read_known[self.registers.val() - 1].val();
        }
        if self.r_held.q.val() & self.r_ready.val() {
            self.r_held.d.next = false;
        }

        // What a read finds.
        for v in 0..self.values.val() {
            self.words[v].next = self.value[v].q.val();
        }
        for e in 0..self.event_registers.val() {
            self.words[self.event_at.val() + e].next = self.happened.q.val();
        }
        for c in 0..self.commands.val() {
            self.words[self.command_at.val() + c].next = 0.into();
        }
        for c in 0..self.constants.val() {
            self.words[self.constant_at.val() + c].next = self.constant[c].val().into();
        }
        for i in 0..self.inputs.val() {
            self.words[self.input_at.val() + i].next = self.input[i].val();
        }
        for c in 0..self.counts.val() {
            self.counters.increment[c].next = self.increment[c].val();
            self.words[self.count_at.val() + 2 * c].next = self.counters.count[c].val();
            self.words[self.count_at.val() + 2 * c + 1].next = self.high.q.val();
            if c == 0 {
                self.next_high[0].next = self.high.q.val();
                if self.read_hit[self.count_at.val()].q.val() {
                    self.next_high[0].next = self.counters.count[0].val() >> 32;
                }
            } else {
                self.next_high[c].next = self.next_high[c - 1].val();
                if self.read_hit[self.count_at.val() + 2 * c].q.val() {
                    self.next_high[c].next = self.counters.count[c].val() >> 32;
                }
            }
        }
        if self.reading.q.val() {
            self.high.d.next = self.next_high[self.counts.val() - 1].val();
        }

        // Values.
        for v in 0..self.values.val() {
            self.value[v].clock.next = self.clock.val();
            self.next_value[v].next = self.value[v].q.val();
            if self.write_hit[v].q.val() {
                self.next_value[v].next = ((self.value[v].q.val() & !self.written.val())
                    | (self.data.q.val() & self.written.val()))
                    & self.mask[v].val();
            }
            self.value[v].d.next = self.next_value[v].val();
            if (self.survives[v].val() == 0) & self.soft_now.q.val() {
                self.value[v].d.next = self.initial[v].val().into();
            }
            if self.reset.val() {
                self.value[v].d.next = self.initial[v].val().into();
            }
        }
        self.enable.next = self.value[self.control.val()].q.val().get_bit(0);
        self.submission_base.next =
            self.value[self.submission_low.val()].q.val() | (self.value[self.submission_high.val()].q.val() << 32);
        self.completion_base.next =
            self.value[self.completion_low.val()].q.val() | (self.value[self.completion_high.val()].q.val() << 32);
        self.submission_level.next = self.value[self.submission_size.val()].q.val();
        self.completion_level.next = self.value[self.completion_size.val()].q.val();
        self.submission_tail.next = self.value[self.submission_bell.val()].q.val();
        self.completion_head.next = self.value[self.completion_bell.val()].q.val();
        for d in 0..2 {
            self.rung[d].clock.next = self.clock.val();
        }
        self.rung[0].d.next = self.written.val().any() & self.write_hit[self.submission_bell.val()].q.val();
        self.rung[1].d.next = self.written.val().any() & self.write_hit[self.completion_bell.val()].q.val();
        self.submission_rung.next = self.rung[0].q.val();
        self.completion_rung.next = self.rung[1].q.val();

        // Inputs.
        self.input[self.status_input.val()].next = self.status.val();
        self.input[self.error_input.val()].next = self.error.val();
        self.input[self.head_input.val()].next = self.submission_head.val();
        self.input[self.tail_input.val()].next = self.completion_tail.val();
        self.input[self.longest_input.val()].next = self.topk_longest.val();

        // Commands.
        self.commanded.next = 0.into();
        if self.write_hit[self.command.val()].q.val() {
            self.commanded.next = self.data.q.val() & self.written.val();
        }
        self.soft_now.d.next = self.commanded.val().get_bit(self.reset_bit.val());
        self.clear.d.next = self.commanded.val().get_bit(self.clear_bit.val());
        self.soft_reset.next = self.soft_now.q.val();
        self.clear_counters.next = self.clear.q.val();

        // Events.
        self.happens.next = self.events.val();
        if self.write_hit[self.set.val()].q.val() {
            self.happens.next = self.events.val() | (self.data.q.val() & self.written.val());
        }
        self.cleared.next = 0.into();
        if self.write_hit[self.event_at.val()].q.val() {
            self.cleared.next = self.data.q.val() & self.written.val();
        }
        self.next_happened.next = (self.happened.q.val() & !self.cleared.val()) | self.happens.val();
        self.happened.d.next = self.next_happened.val();
        self.enabled.next = self.next_value[self.enables.val()].val() & !self.value[self.enables.val()].q.val();
        self.sends.next = (self.happens.val() & self.next_value[self.enables.val()].val())
            | (self.next_happened.val() & self.enabled.val());
        self.message_now.d.next = self.sends.val().any();
        self.interrupt_message.next = self.message_now.q.val();
        self.interrupt_line.next = (self.happened.q.val() & self.value[self.enables.val()].q.val()).any();

        if self.soft_now.q.val() {
            self.happened.d.next = 0.into();
            self.message_now.d.next = false;
        }
        if self.reset.val() {
            self.aw_held.d.next = false;
            self.w_held.d.next = false;
            self.b_held.d.next = false;
            self.reading.d.next = false;
            self.r_held.d.next = false;
            self.soft_now.d.next = false;
            self.clear.d.next = false;
            self.rung[0].d.next = false;
            self.rung[1].d.next = false;
            self.happened.d.next = 0.into();
            self.message_now.d.next = false;
            self.high.d.next = 0.into();
        }
    }
}
