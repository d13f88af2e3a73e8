//! Query scales ahead of their queries.

use crate::credits::Credits;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::leaf::{Ram, ReadPort};

/// Words behind the memory: the cycles from request to queue, and one.
const PLACES: usize = 4;

/// A queue of `depth` words in block RAM, and of [`PLACES`] behind it.
///
/// # Timing   a word accepted in cycle `t` is offered from `t + 3`, one per cycle
#[derive(LogicBlock)]
pub(super) struct ScaleStore {
    name: ModuleName,
    pub(super) clock: Signal<In, Clock>,
    /// Synchronous: empties the queue.
    pub(super) reset: Signal<In, Bit>,
    pub(super) in_valid: Signal<In, Bit>,
    pub(super) in_ready: Signal<Out, Bit>,
    pub(super) in_data: Wire<In>,
    pub(super) out_valid: Signal<Out, Bit>,
    pub(super) out_ready: Signal<In, Bit>,
    pub(super) out_data: Wire<Out>,
    depth: Param,
    words: Ram,
    head: Reg,
    tail: Reg,
    count: Reg,
    push: Signal<Local, Bit>,
    read: Signal<Local, Bit>,
    popped: Signal<Local, Bit>,
    arrives: Dff<Bit>,
    room: Credits,
    queue: Fifo,
    unused_ready: Signal<Local, Bit>,
}

impl ScaleStore {
    /// Of words of `bits`.
    ///
    /// # Panics
    /// Where `depth` is not a power of two of at least 2.
    #[track_caller]
    pub(super) fn new(bits: usize, depth: usize) -> Self {
        assert!(depth.is_power_of_two() && depth >= 2, "depth {depth} of a store: pointers wrap at a power of two");
        let address = bits_for(depth - 1);
        Self {
            name: ModuleName::new(format!("scale_store_{bits}x{depth}")),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: Wire::unsigned(bits),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: Wire::unsigned(bits),
            depth: Param::new(depth),
            words: Ram::new(bits, depth, ReadPort::Registered),
            head: Reg::unsigned(address),
            tail: Reg::unsigned(address),
            count: Reg::unsigned(address + 1),
            push: Default::default(),
            read: Default::default(),
            popped: Default::default(),
            arrives: Default::default(),
            room: Credits::new(PLACES),
            queue: Fifo::new(bits, PLACES),
            unused_ready: Default::default(),
        }
    }
}

impl Logic for ScaleStore {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, head, tail, count, arrives);
        clock!(self, clock, words, room, queue);
        self.room.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();
        self.in_ready.next = self.count.q.val() < self.depth.val();
        self.push.next = self.in_valid.val() & (self.count.q.val() < self.depth.val());
        self.read.next = self.count.q.val().any() & self.room.available.val();
        self.words.write_enable.next = self.push.val();
        self.words.write_address.next = self.tail.q.val();
        self.words.write_data.next = self.in_data.val();
        self.words.read_address.next = self.head.q.val();
        self.room.take.next = self.read.val();
        self.arrives.d.next = self.read.val();
        // A place was kept for it.
        self.queue.in_valid.next = self.arrives.q.val();
        self.unused_ready.next = self.queue.in_ready.val();
        self.queue.in_data.next = self.words.read_data.val();
        self.out_valid.next = self.queue.out_valid.val();
        self.out_data.next = self.queue.out_data.val();
        self.popped.next = self.queue.out_valid.val() & self.out_ready.val();
        self.queue.out_ready.next = self.popped.val();
        self.room.give.next = self.popped.val();
        self.tail.d.next = self.tail.q.val() + self.push.val();
        self.head.d.next = self.head.q.val() + self.read.val();
        self.count.d.next = self.count.q.val() + self.push.val() - self.read.val();
        if self.reset.val() {
            self.tail.d.next = 0.into();
            self.head.d.next = 0.into();
            self.count.d.next = 0.into();
            self.arrives.d.next = false;
        }
    }
}
