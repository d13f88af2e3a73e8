//! Lanes to memory channels and back. Siblings: `sim`, `tests/crossbar.rs`, `formal/crossbar.sv`.
//! Paper: SpAtten section IV-D, Table I (32x16 of addresses, 16x32 of data).
//! Why: a queue at each input keeps lanes apart, one at each output cuts the path; the arbiter in between is two isolations
//! of a lowest set bit, which carry chains do.
//! Differs from the paper: as many lanes as channels.

use crate::fifo::Fifo;
use crate::hdl::*;
use spatten_arch::ArchConfig;

/// Words waiting at an input.
pub const INPUT_DEPTH: usize = 4;

/// Hands words of `ports` inputs to `ports` outputs, each word to the one that it names.
///
/// Of the inputs whose oldest word goes to an output, the next one after the last that went there goes (round robin): no
/// input waits for more than `ports - 1` words of others. Words of one input to one output keep their order.
///
/// # Timing   a word is there 2 cycles after it is accepted; every cycle one word per input and output where the oldest words
/// of the inputs name different outputs. A word waits behind words of its own input that go elsewhere.
#[derive(LogicBlock)]
pub struct Crossbar {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, forgets all words.
    pub reset: Signal<In, Bit>,
    /// Words are offered.
    pub in_valid: Vec<Signal<In, Bit>>,
    /// They would be taken.
    pub in_ready: Vec<Signal<Out, Bit>>,
    /// The output that each goes to.
    pub in_to: Vec<Wire<In>>,
    /// The words.
    pub in_data: Vec<Wire<In>>,
    /// Words are there.
    pub out_valid: Vec<Signal<Out, Bit>>,
    /// They are taken.
    pub out_ready: Vec<Signal<In, Bit>>,
    /// The words.
    pub out_data: Vec<Wire<Out>>,
    ports: Param,
    bits: Param,
    inputs: Vec<Fifo>,
    to: Vec<Wire<Local>>,
    word: Vec<Wire<Local>>,
    asks: Vec<Wire<Local>>,
    asking: Vec<Wire<Local>>,
    after: Vec<Wire<Local>>,
    chosen: Vec<Wire<Local>>,
    /// Inputs after the last one that was chosen.
    behind: Vec<Reg>,
    select: Vec<Wire<Local>>,
    goes: Vec<Signal<Local, Bit>>,
    mixed: Vec<Wire<Local>>,
    outputs: Vec<Fifo>,
}

impl Crossbar {
    /// For the requests of a configuration: 32 bits of address and 16 of tag.
    pub fn of(config: &ArchConfig) -> Self {
        let mut crossbar = Self::new(config.channels, 48);
        crossbar.name = ModuleName::new("crossbar");
        crossbar
    }

    /// `ports` inputs and outputs of words of `bits`.
    pub fn new(ports: usize, bits: usize) -> Self {
        let port_bits = bits_for(ports - 1);
        Self {
            name: ModuleName::new(format!("crossbar_{ports}x{bits}")),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: vec_of(ports, Default::default),
            in_ready: vec_of(ports, Default::default),
            in_to: vec_of(ports, || Wire::unsigned(port_bits)),
            in_data: vec_of(ports, || Wire::unsigned(bits)),
            out_valid: vec_of(ports, Default::default),
            out_ready: vec_of(ports, Default::default),
            out_data: vec_of(ports, || Wire::unsigned(bits)),
            ports: Param::new(ports),
            bits: Param::new(bits),
            inputs: vec_of(ports, || Fifo::new(bits + port_bits, INPUT_DEPTH)),
            to: vec_of(ports, || Wire::unsigned(port_bits)),
            word: vec_of(ports, || Wire::unsigned(bits)),
            asks: vec_of(ports * ports, || Wire::unsigned(ports)),
            asking: vec_of(ports, || Wire::unsigned(ports)),
            after: vec_of(ports, || Wire::unsigned(ports)),
            chosen: vec_of(ports, || Wire::unsigned(ports)),
            behind: vec_of(ports, || Reg::unsigned(ports)),
            select: vec_of(ports * ports, || Wire::signed(1)),
            goes: vec_of(ports * ports, Default::default),
            mixed: vec_of(ports * ports, || Wire::unsigned(bits)),
            outputs: vec_of(ports, || Fifo::new(bits, 2)),
        }
    }
}

impl Logic for Crossbar {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self.ports.val() {
            self.inputs[i].clock.next = self.clock.val();
            self.inputs[i].reset.next = self.reset.val();
            self.inputs[i].in_valid.next = self.in_valid[i].val();
            self.inputs[i].in_data.next = self.in_data[i].val() | (self.in_to[i].val() << self.bits.val());
            self.in_ready[i].next = self.inputs[i].in_ready.val();
            self.word[i].next = self.inputs[i].out_data.val();
            self.to[i].next = self.inputs[i].out_data.val() >> self.bits.val();
        }
        for o in 0..self.ports.val() {
            // Bit i: input i has a word for this output.
            for i in 0..self.ports.val() {
                if i == 0 {
                    self.asks[o * self.ports.val()].next =
                        (self.inputs[0].out_valid.val() & (self.to[0].val() == o)).into();
                } else {
                    self.asks[o * self.ports.val() + i].next = self.asks[o * self.ports.val() + i - 1].val();
                    if self.inputs[i].out_valid.val() & (self.to[i].val() == o) {
                        self.asks[o * self.ports.val() + i].next =
                            self.asks[o * self.ports.val() + i - 1].val() | (1 << i);
                    }
                }
            }
            self.asking[o].next = self.asks[o * self.ports.val() + self.ports.val() - 1].val();
            self.after[o].next = self.asking[o].val() & self.behind[o].q.val();
            // x & -x is the lowest set bit of x.
            self.chosen[o].next = 0.into();
            if self.outputs[o].in_ready.val() {
                if self.after[o].val().any() {
                    self.chosen[o].next = self.after[o].val() & -self.after[o].val();
                } else {
                    self.chosen[o].next = self.asking[o].val() & -self.asking[o].val();
                }
            }
            self.behind[o].clock.next = self.clock.val();
            self.behind[o].d.next = self.behind[o].q.val();
            if self.chosen[o].val().any() {
                self.behind[o].d.next = -(self.chosen[o].val() << 1);
            }
            if self.reset.val() {
                self.behind[o].d.next = 0.into();
            }
            for i in 0..self.ports.val() {
                self.select[o * self.ports.val() + i].next = self.chosen[o].val().get_bit(i).into();
                if i == 0 {
                    self.mixed[o * self.ports.val()].next =
                        self.word[0].val() & self.select[o * self.ports.val()].val();
                } else {
                    self.mixed[o * self.ports.val() + i].next = self.mixed[o * self.ports.val() + i - 1].val()
                        | (self.word[i].val() & self.select[o * self.ports.val() + i].val());
                }
                if o == 0 {
                    self.goes[i].next = self.chosen[0].val().get_bit(i);
                } else {
                    self.goes[o * self.ports.val() + i].next =
                        self.goes[(o - 1) * self.ports.val() + i].val() | self.chosen[o].val().get_bit(i);
                }
            }
            self.outputs[o].clock.next = self.clock.val();
            self.outputs[o].reset.next = self.reset.val();
            self.outputs[o].in_valid.next = self.chosen[o].val().any();
            self.outputs[o].in_data.next = self.mixed[o * self.ports.val() + self.ports.val() - 1].val();
            self.outputs[o].out_ready.next = self.out_ready[o].val();
            self.out_valid[o].next = self.outputs[o].out_valid.val();
            self.out_data[o].next = self.outputs[o].out_data.val();
        }
        for i in 0..self.ports.val() {
            self.inputs[i].out_ready.next = self.goes[(self.ports.val() - 1) * self.ports.val() + i].val();
        }
    }
}
