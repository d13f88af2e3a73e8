//! Valid/ready queue of a beat of lanes: `fifo` with one memory per lane, so that a block need not pack its lanes into a
//! word and take them apart again. Part of blocks that hand out lanes; its model is that of `fifo`.

use crate::hdl::*;
use crate::leaf::{Ram, ReadPort};

/// First-word-fall-through queue of `depth` beats of `lanes` numbers and a tag.
///
/// # Timing   as [`crate::fifo::Fifo`]
#[derive(LogicBlock)]
pub struct LaneFifo {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, empties the queue.
    pub reset: Signal<In, Bit>,
    /// A beat is offered.
    pub in_valid: Signal<In, Bit>,
    /// A beat would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Its lanes.
    pub in_data: Vec<Wire<In>>,
    /// What goes with all of them.
    pub in_tag: Wire<In>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Lanes of the oldest beat.
    pub out_data: Vec<Wire<Out>>,
    /// Its tag.
    pub out_tag: Wire<Out>,
    depth: Param,
    lanes: Param,
    words: Vec<Ram>,
    tags: Ram,
    head: Reg,
    tail: Reg,
    count: Reg,
    push: Signal<Local, Bit>,
    pop: Signal<Local, Bit>,
}

impl LaneFifo {
    /// A queue of `depth` beats of `lanes` numbers of `bits` and a tag of `tag_bits`.
    ///
    /// # Panics
    /// Where `depth` is not a power of two of at least 2.
    #[track_caller]
    pub fn new(lanes: usize, bits: usize, tag_bits: usize, depth: usize) -> Self {
        assert!(depth.is_power_of_two() && depth >= 2, "depth {depth} of a queue: pointers wrap at a power of two");
        let address = bits_for(depth - 1);
        Self {
            name: ModuleName::new(format!("lane_fifo_{lanes}x{bits}_{tag_bits}_x{depth}")),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: vec_of(lanes, || Wire::unsigned(bits)),
            in_tag: Wire::unsigned(tag_bits),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(lanes, || Wire::unsigned(bits)),
            out_tag: Wire::unsigned(tag_bits),
            depth: Param::new(depth),
            lanes: Param::new(lanes),
            words: vec_of(lanes, || Ram::new(bits, depth, ReadPort::Direct)),
            tags: Ram::new(tag_bits, depth, ReadPort::Direct),
            head: Reg::unsigned(address),
            tail: Reg::unsigned(address),
            count: Reg::unsigned(address + 1),
            push: Default::default(),
            pop: Default::default(),
        }
    }
}

impl Logic for LaneFifo {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, head, tail, count);
        clock!(self, clock, tags);
        self.in_ready.next = self.count.q.val() < self.depth.val();
        self.out_valid.next = self.count.q.val().any();
        self.push.next = self.in_valid.val() & (self.count.q.val() < self.depth.val());
        self.pop.next = self.out_ready.val() & self.count.q.val().any();
        self.tags.write_enable.next = self.push.val();
        self.tags.write_address.next = self.tail.q.val();
        self.tags.write_data.next = self.in_tag.val();
        self.tags.read_address.next = self.head.q.val();
        self.out_tag.next = self.tags.read_data.val();
        for i in 0..self.lanes.val() {
            self.words[i].clock.next = self.clock.val();
            self.words[i].write_enable.next = self.push.val();
            self.words[i].write_address.next = self.tail.q.val();
            self.words[i].write_data.next = self.in_data[i].val();
            self.words[i].read_address.next = self.head.q.val();
            self.out_data[i].next = self.words[i].read_data.val();
        }
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
