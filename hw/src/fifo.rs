//! Valid/ready queue. Siblings: `golden` (a `VecDeque` in its test), `sim`, `tests/fifo.rs`.
//! Paper: SpAtten section IV-D (64- and 128-deep FIFOs between fetcher, multipliers and softmax).
//! Differs from the paper: nothing.

use crate::hdl::*;
use crate::leaf::{Ram, ReadPort};

/// First-word-fall-through queue of `depth` words.
///
/// # Timing   a word accepted in cycle `t` is offered from `t + 1`. `in_ready` and `out_valid` are functions of registers
/// alone: a full queue accepts nothing in the cycle in which a word leaves.
#[derive(LogicBlock)]
pub struct Fifo {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, empties the queue.
    pub reset: Signal<In, Bit>,
    /// A word is offered.
    pub in_valid: Signal<In, Bit>,
    /// A word would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// The word.
    pub in_data: Wire<In>,
    /// A word is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// The oldest word.
    pub out_data: Wire<Out>,
    depth: Param,
    words: Ram,
    head: Reg,
    tail: Reg,
    count: Reg,
    push: Signal<Local, Bit>,
    pop: Signal<Local, Bit>,
}

impl Fifo {
    /// A queue of `depth` words of `bits`.
    ///
    /// # Panics
    /// Where `depth` is not a power of two of at least 2.
    #[track_caller]
    pub fn new(bits: usize, depth: usize) -> Self {
        assert!(depth.is_power_of_two() && depth >= 2, "depth {depth} of a queue: pointers wrap at a power of two");
        let address = bits_for(depth - 1);
        Self {
            name: ModuleName::new(format!("fifo_{bits}x{depth}")),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: Wire::unsigned(bits),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: Wire::unsigned(bits),
            depth: Param::new(depth),
            words: Ram::new(bits, depth, ReadPort::Direct),
            head: Reg::unsigned(address),
            tail: Reg::unsigned(address),
            count: Reg::unsigned(address + 1),
            push: Default::default(),
            pop: Default::default(),
        }
    }
}

impl Logic for Fifo {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, head, tail, count);
        self.words.clock.next = self.clock.val();
        self.in_ready.next = self.count.q.val() < self.depth.val();
        self.out_valid.next = self.count.q.val().any();
        self.push.next = self.in_valid.val() & (self.count.q.val() < self.depth.val());
        self.pop.next = self.out_ready.val() & self.count.q.val().any();
        self.words.write_enable.next = self.push.val();
        self.words.write_address.next = self.tail.q.val();
        self.words.write_data.next = self.in_data.val();
        self.words.read_address.next = self.head.q.val();
        self.out_data.next = self.words.read_data.val();
        self.tail.d.next = self.tail.q.val() + self.push.val();
        self.head.d.next = self.head.q.val() + self.pop.val();
        self.count.d.next = self.count.q.val() + self.push.val() - self.pop.val();
        if self.reset.val() {
            self.tail.d.next = 0.into();
            self.head.d.next = 0.into();
            self.count.d.next = 0.into();
        }
    }
}
