//! Closes the gaps in a stream, order kept. Siblings: `golden`, `sim`, `tests/zero_eliminator.rs`; proofs: `tests/formal.rs`.
//! Paper: SpAtten section IV-C, Fig. 10: prefix sum of the gaps, then log2(P) levels of shifts.
//! Why: beats without gaps (`compact_only`) are what the paper draws. What reads a stream of them wants full beats, so the
//! default block packs: it turns each beat by as many lanes as are left over from the ones before it, and merges.
//! Differs from the paper: registers after every second level, and the packer.

mod packer;
mod shift_network;

pub use packer::Packer;
pub use shift_network::ShiftNetwork;

use crate::credits::Credits;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;

/// One beat out per beat in: the shift network, and a queue at its end.
///
/// # Shapes   `data [P]`, `keep [P]` -> `data [P]`, the kept lanes first; lanes from `count` on hold anything
/// # Timing   one beat per cycle; a beat accepted in cycle `t` is offered from `t + CompactOnly::latency(P)`. Under
/// back-pressure as many beats are inside as the queue has places ([`CompactOnly::places`])
#[derive(LogicBlock)]
pub struct CompactOnly {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets what is inside.
    pub reset: Signal<In, Bit>,
    /// A beat is offered.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Lanes.
    pub in_data: Vec<Wire<In>>,
    /// Which of them stay.
    pub in_keep: Vec<Signal<In, Bit>>,
    /// The row ends.
    pub in_last: Signal<In, Bit>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// The kept lanes.
    pub out_data: Vec<Wire<Out>>,
    /// How many.
    pub out_count: Wire<Out>,
    /// The row ends.
    pub out_last: Signal<Out, Bit>,
    lanes: Param,
    credits: Credits,
    network: ShiftNetwork,
    queue: LaneFifo,
    take: Signal<Local, Bit>,
}

impl CompactOnly {
    /// For beats of `lanes` lanes of `bits`.
    ///
    /// # Panics
    /// Where `lanes` is not a power of two.
    #[track_caller]
    pub fn new(lanes: usize, bits: usize) -> Self {
        let (count, places) = (bits_for(lanes), Self::places(lanes));
        Self {
            name: ModuleName::new(format!("compact_only_{lanes}x{bits}")),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: vec_of(lanes, || Wire::unsigned(bits)),
            in_keep: vec_of(lanes, Default::default),
            in_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(lanes, || Wire::unsigned(bits)),
            out_count: Wire::unsigned(count),
            out_last: Default::default(),
            lanes: Param::new(lanes),
            credits: Credits::new(places),
            network: ShiftNetwork::new(lanes, bits),
            queue: LaneFifo::new(lanes, bits, count + 1, places),
            take: Default::default(),
        }
    }

    /// Cycles from a beat in to the same beat offered.
    pub fn latency(lanes: usize) -> usize {
        ShiftNetwork::latency(lanes) + 1
    }

    /// Beats that fit inside.
    pub fn places(lanes: usize) -> usize {
        (Self::latency(lanes) + 1).next_power_of_two()
    }
}

impl Logic for CompactOnly {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, credits, network, queue);
        self.credits.reset.next = self.reset.val();
        self.network.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();
        self.in_ready.next = self.credits.available.val();
        self.take.next = self.in_valid.val() & self.credits.available.val();
        self.credits.take.next = self.take.val();
        self.credits.give.next = self.queue.popped.val();
        self.network.in_valid.next = self.take.val();
        self.network.in_last.next = self.in_last.val();
        self.queue.push.next = self.network.out_valid.val();
        self.queue.in_tag.next = (self.network.out_count.val() << 1) | self.network.out_last.val();
        for i in 0..self.lanes.val() {
            self.network.in_data[i].next = self.in_data[i].val();
            self.network.in_keep[i].next = self.in_keep[i].val();
            self.queue.in_data[i].next = self.network.out_data[i].val();
            self.out_data[i].next = self.queue.out_data[i].val();
        }
        self.out_valid.next = self.queue.out_valid.val();
        self.out_count.next = self.queue.out_tag.val() >> 1;
        self.out_last.next = self.queue.out_tag.val().get_bit(0);
        self.queue.out_ready.next = self.out_ready.val();
    }
}

/// A stream without its gaps: full beats of the kept lanes, in order.
///
/// Only the last beat of a row is partial; of a row in which nothing is kept, it is empty.
///
/// # Shapes   beats of `data [P]`, `keep [P]`, `last` -> beats of `data [P]`, `count`, `last`; lanes from `count` on are 0
/// # Timing   one beat per cycle, and one cycle more after a row's last beat where that and what is left over (up to a full
/// beat: it might be the last one) are more than one beat. What ends a beat in cycle `t` is offered from
/// `t + ZeroEliminator::latency(P)`; what is left over at the end of a row, one cycle later. Under back-pressure the packer
/// takes nothing while all of its places ([`Packer::places`]) are taken, and as many beats wait before it as the first queue
/// has places ([`CompactOnly::places`])
#[derive(LogicBlock)]
pub struct ZeroEliminator {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets what is inside.
    pub reset: Signal<In, Bit>,
    /// A beat is offered.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Lanes.
    pub in_data: Vec<Wire<In>>,
    /// Which of them stay.
    pub in_keep: Vec<Signal<In, Bit>>,
    /// The row ends.
    pub in_last: Signal<In, Bit>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// The kept lanes.
    pub out_data: Vec<Wire<Out>>,
    /// How many: all but in the last beat of a row.
    pub out_count: Wire<Out>,
    /// The row ends.
    pub out_last: Signal<Out, Bit>,
    lanes: Param,
    compact: CompactOnly,
    packer: Packer,
}

impl ZeroEliminator {
    /// For beats of `lanes` lanes of `bits`.
    ///
    /// # Panics
    /// Where `lanes` is not a power of two.
    #[track_caller]
    pub fn new(lanes: usize, bits: usize) -> Self {
        Self {
            name: ModuleName::new("zero_eliminator"),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: vec_of(lanes, || Wire::unsigned(bits)),
            in_keep: vec_of(lanes, Default::default),
            in_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(lanes, || Wire::unsigned(bits)),
            out_count: Wire::unsigned(bits_for(lanes)),
            out_last: Default::default(),
            lanes: Param::new(lanes),
            compact: CompactOnly::new(lanes, bits),
            packer: Packer::new(lanes, bits),
        }
    }

    /// One beat out per beat in, without packing.
    #[track_caller]
    pub fn compact_only(lanes: usize, bits: usize) -> CompactOnly {
        CompactOnly::new(lanes, bits)
    }

    /// Cycles from a beat in to the beat that it fills or ends.
    pub fn latency(lanes: usize) -> usize {
        CompactOnly::latency(lanes) + Packer::latency(lanes)
    }
}

impl Logic for ZeroEliminator {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, compact, packer);
        self.compact.reset.next = self.reset.val();
        self.packer.reset.next = self.reset.val();
        self.in_ready.next = self.compact.in_ready.val();
        self.compact.in_valid.next = self.in_valid.val();
        self.compact.in_last.next = self.in_last.val();
        self.packer.in_valid.next = self.compact.out_valid.val();
        self.packer.in_count.next = self.compact.out_count.val();
        self.packer.in_last.next = self.compact.out_last.val();
        self.compact.out_ready.next = self.packer.in_ready.val();
        for i in 0..self.lanes.val() {
            self.compact.in_data[i].next = self.in_data[i].val();
            self.compact.in_keep[i].next = self.in_keep[i].val();
            self.packer.in_data[i].next = self.compact.out_data[i].val();
            self.out_data[i].next = self.packer.out_data[i].val();
        }
        self.out_valid.next = self.packer.out_valid.val();
        self.out_count.next = self.packer.out_count.val();
        self.out_last.next = self.packer.out_last.val();
        self.packer.out_ready.next = self.out_ready.val();
    }
}
