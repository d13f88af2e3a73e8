//! The queue at the end of a pipeline of lanes: [`Fifo`](crate::fifo::Fifo) with a port per lane and a tag beside them.

use crate::hdl::*;
use crate::leaf::{LaneRam, Ram, ReadPort};

/// First-word-fall-through queue of `depth` beats of `lanes` lanes and a tag.
///
/// Nothing refuses a beat: what feeds it counts places with [`Credits`](crate::credits::Credits).
///
/// # Timing   a beat written in cycle `t` is offered from `t + 1`; `out_valid` is a function of registers alone
#[derive(LogicBlock)]
pub struct LaneFifo {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, empties the queue.
    pub reset: Signal<In, Bit>,
    /// Writes a beat. There has to be a place.
    pub push: Signal<In, Bit>,
    /// Its lanes.
    pub in_data: Vec<Wire<In>>,
    /// What belongs to all of them.
    pub in_tag: Wire<In>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// The oldest beat.
    pub out_data: Vec<Wire<Out>>,
    /// Its tag.
    pub out_tag: Wire<Out>,
    /// A beat leaves.
    pub popped: Signal<Out, Bit>,
    lanes: Param,
    words: LaneRam,
    tags: Ram,
    head: Reg,
    tail: Reg,
    count: Reg,
    pop: Signal<Local, Bit>,
}

impl LaneFifo {
    /// A queue of `depth` beats.
    ///
    /// # Panics
    /// Where `depth` is not a power of two of at least 2.
    #[track_caller]
    pub fn new(lanes: usize, bits: usize, tag_bits: usize, depth: usize) -> Self {
        assert!(depth.is_power_of_two() && depth >= 2, "depth {depth} of a queue: pointers wrap at a power of two");
        let address = bits_for(depth - 1);
        Self {
            name: ModuleName::new(format!("lane_fifo_{lanes}x{bits}_{tag_bits}x{depth}")),
            clock: Default::default(),
            reset: Default::default(),
            push: Default::default(),
            in_data: vec_of(lanes, || Wire::unsigned(bits)),
            in_tag: Wire::unsigned(tag_bits),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(lanes, || Wire::unsigned(bits)),
            out_tag: Wire::unsigned(tag_bits),
            popped: Default::default(),
            lanes: Param::new(lanes),
            words: LaneRam::new(lanes, bits, depth, ReadPort::Direct),
            tags: Ram::new(tag_bits, depth, ReadPort::Direct),
            head: Reg::unsigned(address),
            tail: Reg::unsigned(address),
            count: Reg::unsigned(address + 1),
            pop: Default::default(),
        }
    }
}

impl Logic for LaneFifo {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, head, tail, count);
        clock!(self, clock, words, tags);
        self.pop.next = self.out_ready.val() & self.count.q.val().any();
        self.popped.next = self.pop.val();
        self.out_valid.next = self.count.q.val().any();
        self.words.write_enable.next = self.push.val();
        self.words.write_address.next = self.tail.q.val();
        self.words.read_address.next = self.head.q.val();
        self.tags.write_enable.next = self.push.val();
        self.tags.write_address.next = self.tail.q.val();
        self.tags.write_data.next = self.in_tag.val();
        self.tags.read_address.next = self.head.q.val();
        self.out_tag.next = self.tags.read_data.val();
        for i in 0..self.lanes.val() {
            self.words.write_data[i].next = self.in_data[i].val();
            self.out_data[i].next = self.words.read_data[i].val();
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
