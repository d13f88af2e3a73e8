//! Norms of the values beside the scores, for value-weighted importance.

use crate::credits::Credits;
use crate::halves::Halves;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use crate::leaf::{LaneRam, ReadPort};
use spatten_arch::format::VALUE_NORM_BITS;

/// Beats behind the memory.
const PLACES: usize = 4;

/// Gives every score the norm of its value, from a memory of two heads; or nothing, where scores are not `weighted`.
///
/// `mark` says, row for row, that a row comes (0) or that its head is done with (1). `write` beats hold the norms of a head in
/// key order.
///
/// # Shapes   beats of `increment` -> the same with `norm`
/// # Timing   one beat per cycle, offered two cycles after it is taken; a mark of a head takes one cycle
#[derive(LogicBlock)]
pub struct Norms {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets beats and norms.
    pub reset: Signal<In, Bit>,
    /// Norms count.
    pub weighted: Signal<In, Bit>,
    /// Norms are offered.
    pub write_valid: Signal<In, Bit>,
    /// They would be taken.
    pub write_ready: Signal<Out, Bit>,
    /// Norms.
    pub write_data: Vec<Wire<In>>,
    /// The head's last ones.
    pub write_last: Signal<In, Bit>,
    /// What comes next is known.
    pub mark_valid: Signal<In, Bit>,
    /// It is done.
    pub mark_done: Signal<Out, Bit>,
    /// The head is done with.
    pub mark_head: Signal<In, Bit>,
    /// A beat is offered.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Scores.
    pub in_increment: Vec<Wire<In>>,
    /// How many.
    pub in_count: Wire<In>,
    /// The row ends.
    pub in_last: Signal<In, Bit>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Scores.
    pub out_increment: Vec<Wire<Out>>,
    /// Norms of their values.
    pub out_norm: Vec<Wire<Out>>,
    /// How many.
    pub out_count: Wire<Out>,
    /// The row ends.
    pub out_last: Signal<Out, Bit>,
    /// Halves that may be read.
    pub full: Wire<Out>,
    lanes: Param,
    increment_bits: Param,
    words: Param,
    level: Param,
    halves: Halves,
    memory: LaneRam,
    write: Signal<Local, Bit>,
    write_at: Reg,
    read_at: Reg,
    known: Signal<Local, Bit>,
    open: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    marks: Signal<Local, Bit>,
    room: Credits,
    held: Dff<Bit>,
    increment: Vec<Reg>,
    tag: Reg,
    queue: LaneFifo,
    unused_scale: Signal<Local, Bit>,
    unused_adds: Signal<Local, Bit>,
}

impl Norms {
    /// For up to `keys` keys, `lanes` per beat.
    pub fn new(increment: usize, lanes: usize, keys: usize) -> Self {
        let (norm, count, words) = (VALUE_NORM_BITS as usize, bits_for(lanes), (keys / lanes).max(2));
        Self {
            name: ModuleName::new(format!("norms_{lanes}x{keys}")),
            clock: Default::default(),
            reset: Default::default(),
            weighted: Default::default(),
            write_valid: Default::default(),
            write_ready: Default::default(),
            write_data: vec_of(lanes, || Wire::unsigned(norm)),
            write_last: Default::default(),
            mark_valid: Default::default(),
            mark_done: Default::default(),
            mark_head: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_increment: vec_of(lanes, || Wire::unsigned(increment)),
            in_count: Wire::unsigned(count),
            in_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_increment: vec_of(lanes, || Wire::unsigned(increment)),
            out_norm: vec_of(lanes, || Wire::unsigned(norm)),
            out_count: Wire::unsigned(count),
            out_last: Default::default(),
            full: Wire::unsigned(2),
            lanes: Param::new(lanes),
            increment_bits: Param::new(increment),
            words: Param::new(words),
            level: Param::new(words.ilog2() as usize),
            halves: Default::default(),
            memory: LaneRam::new(lanes, norm, 2 * words, ReadPort::Registered),
            write: Default::default(),
            write_at: Reg::unsigned(bits_for(words - 1)),
            read_at: Reg::unsigned(bits_for(words - 1)),
            known: Default::default(),
            open: Default::default(),
            accept: Default::default(),
            marks: Default::default(),
            room: Credits::new(PLACES),
            held: Default::default(),
            increment: vec_of(lanes, || Reg::unsigned(increment)),
            tag: Reg::unsigned(count + 1),
            queue: LaneFifo::new(lanes, increment + norm, count + 1, PLACES),
            unused_scale: Default::default(),
            unused_adds: Default::default(),
        }
    }
}

impl Logic for Norms {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, write_at, read_at, held, tag);
        clock!(self, clock, halves, memory, room, queue);
        self.halves.reset.next = self.reset.val();
        self.room.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();
        self.halves.whole.next = false;
        self.halves.scaled.next = false;
        self.halves.scale_ends.next = false;
        self.halves.again.next = false;
        self.halves.add.next = false;
        self.halves.add_last.next = false;
        self.unused_scale.next = self.halves.scale_open.val();
        self.unused_adds.next = self.halves.add_open.val() | self.halves.sums.val();
        self.full.next = self.halves.full.val();

        self.write_ready.next = self.halves.data_open.val();
        self.write.next = self.write_valid.val() & self.halves.data_open.val();
        self.halves.data_ends.next = self.write.val() & self.write_last.val();
        if self.write.val() {
            self.write_at.d.next = self.write_at.q.val() + 1;
            if self.write_last.val() {
                self.write_at.d.next = 0.into();
            }
        }
        self.memory.write_enable.next = self.write.val();
        self.memory.write_address.next = self.write_at.q.val() | (self.halves.write_half.val() << self.level.val());
        self.memory.read_address.next = self.read_at.q.val() | (self.halves.read_half.val() << self.level.val());

        self.known.next = self.mark_valid.val() & (!self.weighted.val() | self.halves.read_open.val());
        self.open.next = self.known.val() & !self.mark_head.val() & self.room.available.val();
        self.in_ready.next = self.open.val();
        self.accept.next = self.in_valid.val() & self.open.val();
        self.marks.next = self.known.val() & self.mark_head.val();
        self.mark_done.next = self.marks.val() | (self.accept.val() & self.in_last.val());
        self.halves.freed.next = self.marks.val() & self.weighted.val();
        if self.accept.val() {
            self.read_at.d.next = self.read_at.q.val() + 1;
            if self.in_last.val() {
                self.read_at.d.next = 0.into();
            }
        }
        self.room.take.next = self.accept.val();
        self.room.give.next = self.queue.popped.val();
        self.held.d.next = self.accept.val();
        self.tag.d.next = (self.in_count.val() << 1) | self.in_last.val();
        self.queue.push.next = self.held.q.val();
        self.queue.in_tag.next = self.tag.q.val();
        self.queue.out_ready.next = self.out_ready.val();
        for i in 0..self.lanes.val() {
            self.memory.write_data[i].next = self.write_data[i].val();
            self.increment[i].clock.next = self.clock.val();
            self.increment[i].d.next = self.in_increment[i].val();
            self.queue.in_data[i].next =
                (self.memory.read_data[i].val() << self.increment_bits.val()) | self.increment[i].q.val();
            self.out_increment[i].next = self.queue.out_data[i].val();
            self.out_norm[i].next = self.queue.out_data[i].val() >> self.increment_bits.val();
        }
        self.out_valid.next = self.queue.out_valid.val();
        self.out_count.next = self.queue.out_tag.val() >> 1;
        self.out_last.next = self.queue.out_tag.val().get_bit(0);
        if self.reset.val() {
            self.write_at.d.next = 0.into();
            self.read_at.d.next = 0.into();
            self.held.d.next = false;
        }
    }
}
