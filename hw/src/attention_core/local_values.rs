//! Local value pruning: which values of a row are multiplied.
//!
//! ```text
//!  in -+-> [top_k] x engines, in turn -+-> out
//!      +-> queue (nothing is pruned) --+
//!      +-> order: whose row is next ---+
//! ```

use crate::credits::Credits;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use crate::top_k::TopK;

/// Rows between the fork and the end of the selection.
const ORDER: usize = 16;
/// Beats of rows that are not pruned.
const BYPASS: usize = 4;

/// Sends rows through the selection engines in turn, past them where everything is kept, and brings them back in order.
///
/// `route` says, row for row, what to do with it; a `route` with `marker` belongs to no row and comes out as a beat of its own,
/// with `again` where it has `all`.
///
/// # Shapes   a beat of scores -> a beat of what is kept of it, `index` and `score`; of a row with `all`, everything
/// # Timing   one beat per cycle past the engines, offered one cycle after it is accepted; a marker likewise. With E engines, rows
/// of n scores follow each other every `TopK::period(n) / E` cycles
#[derive(LogicBlock)]
pub struct LocalValues {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets all rows.
    pub reset: Signal<In, Bit>,
    /// What to do with the next row is known.
    pub route_valid: Signal<In, Bit>,
    /// It is done.
    pub route_done: Signal<Out, Bit>,
    /// No row.
    pub route_marker: Signal<In, Bit>,
    /// Everything is kept.
    pub route_all: Signal<In, Bit>,
    /// How many are kept otherwise.
    pub route_keep: Wire<In>,
    /// A beat is offered.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Its scores.
    pub in_scores: Vec<Wire<In>>,
    /// How many.
    pub in_count: Wire<In>,
    /// The row ends.
    pub in_last: Signal<In, Bit>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Places in the row.
    pub out_index: Vec<Wire<Out>>,
    /// Scores.
    pub out_score: Vec<Wire<Out>>,
    /// How many.
    pub out_count: Wire<Out>,
    /// The row ends.
    pub out_last: Signal<Out, Bit>,
    /// The beat is a marker.
    pub out_marker: Signal<Out, Bit>,
    /// A marker that had `all`.
    pub out_again: Signal<Out, Bit>,
    lanes: Param,
    bits: Param,
    engines: Param,
    marker: Param,
    again: Param,
    level: Param,
    engine: Vec<TopK>,
    turn: Reg,
    begun: Dff<Bit>,
    at: Reg,
    places: Credits,
    bypass: LaneFifo,
    order: Fifo,
    source: Wire<Local>,
    engine_open: Vec<Signal<Local, Bit>>,
    order_open: Signal<Local, Bit>,
    open: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    marks: Signal<Local, Bit>,
    valid: Signal<Local, Bit>,
    last: Signal<Local, Bit>,
    takes: Signal<Local, Bit>,
}

impl LocalValues {
    /// For rows of up to `keys` scores of `bits`, `lanes` per beat.
    pub fn new(bits: usize, lanes: usize, keys: usize, engines: usize) -> Self {
        let (index, count) = (bits_for(keys - 1), bits_for(lanes));
        Self {
            name: ModuleName::new(format!("local_values_{bits}x{lanes}x{keys}_{engines}")),
            unused: Waiver::new(
                "UNUSEDSIGNAL",
                "A queue has credits; the upper places of the last word are not there.",
            ),
            clock: Default::default(),
            reset: Default::default(),
            route_valid: Default::default(),
            route_done: Default::default(),
            route_marker: Default::default(),
            route_all: Default::default(),
            route_keep: Wire::unsigned(bits_for(keys)),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_scores: vec_of(lanes, || Wire::unsigned(bits)),
            in_count: Wire::unsigned(count),
            in_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_index: vec_of(lanes, || Wire::unsigned(index)),
            out_score: vec_of(lanes, || Wire::unsigned(bits)),
            out_count: Wire::unsigned(count),
            out_last: Default::default(),
            out_marker: Default::default(),
            out_again: Default::default(),
            lanes: Param::new(lanes),
            bits: Param::new(bits),
            engines: Param::new(engines),
            marker: Param::new(engines + 1),
            again: Param::new(engines + 2),
            level: Param::new(lanes.ilog2() as usize),
            engine: vec_of(engines, || TopK::aligned(bits, lanes, keys)),
            turn: Reg::unsigned(bits_for(engines - 1)),
            begun: Default::default(),
            at: Reg::unsigned(index),
            places: Credits::new(BYPASS),
            bypass: LaneFifo::new(lanes, index + bits, count + 1, BYPASS),
            order: Fifo::new(bits_for(engines + 2), ORDER),
            source: Wire::unsigned(bits_for(engines + 2)),
            engine_open: vec_of(engines + 1, Default::default),
            order_open: Default::default(),
            open: Default::default(),
            accept: Default::default(),
            marks: Default::default(),
            valid: Default::default(),
            last: Default::default(),
            takes: Default::default(),
        }
    }
}

impl Logic for LocalValues {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, turn, begun, at);
        clock!(self, clock, places, bypass, order);
        self.places.reset.next = self.reset.val();
        self.bypass.reset.next = self.reset.val();
        self.order.reset.next = self.reset.val();

        // The first beat of a row takes its place in the order, so that it can leave before its last one is here.
        self.order_open.next = self.begun.q.val() | self.order.in_ready.val();
        self.engine_open[0].next = false;
        for e in 0..self.engines.val() {
            self.engine_open[e + 1].next = self.engine_open[e].val()
                | ((self.turn.q.val() == e)
                    & self.engine[e].in_ready.val()
                    & (self.begun.q.val() | self.engine[e].k_ready.val()));
        }
        self.open.next = self.route_valid.val()
            & !self.route_marker.val()
            & self.order_open.val()
            & ((self.route_all.val() & self.places.available.val())
                | (!self.route_all.val() & self.engine_open[self.engines.val()].val()));
        self.in_ready.next = self.open.val();
        self.accept.next = self.in_valid.val() & self.open.val();
        self.marks.next = self.route_valid.val() & self.route_marker.val() & self.order.in_ready.val();
        self.route_done.next = self.marks.val() | (self.accept.val() & self.in_last.val());
        self.order.in_valid.next = self.marks.val() | (self.accept.val() & !self.begun.q.val());
        self.order.in_data.next = self.turn.q.val();
        if self.route_marker.val() {
            self.order.in_data.next = self.marker.val().into();
            if self.route_all.val() {
                self.order.in_data.next = self.again.val().into();
            }
        } else if self.route_all.val() {
            self.order.in_data.next = self.engines.val().into();
        }
        if self.accept.val() {
            self.begun.d.next = !self.in_last.val();
            self.at.d.next = self.at.q.val() + 1;
            if self.in_last.val() {
                self.at.d.next = 0.into();
                if !self.route_all.val() {
                    self.turn.d.next = self.turn.q.val() + 1;
                    if self.turn.q.val() == (self.engines.val() - 1) {
                        self.turn.d.next = 0.into();
                    }
                }
            }
        }
        for e in 0..self.engines.val() {
            self.engine[e].clock.next = self.clock.val();
            self.engine[e].reset.next = self.reset.val();
            self.engine[e].in_valid.next = self.accept.val() & !self.route_all.val() & (self.turn.q.val() == e);
            self.engine[e].in_count.next = self.in_count.val();
            self.engine[e].in_last.next = self.in_last.val();
            self.engine[e].k_valid.next =
                self.accept.val() & !self.route_all.val() & (self.turn.q.val() == e) & !self.begun.q.val();
            self.engine[e].k_count.next = self.route_keep.val();
            self.engine[e].out_ready.next =
                self.out_ready.val() & self.order.out_valid.val() & (self.source.val() == e);
            for i in 0..self.lanes.val() {
                self.engine[e].in_scores[i].next = self.in_scores[i].val();
            }
        }
        self.places.take.next = self.accept.val() & self.route_all.val();
        self.places.give.next = self.bypass.popped.val();
        self.bypass.push.next = self.accept.val() & self.route_all.val();
        self.bypass.in_tag.next = (self.in_count.val() << 1) | self.in_last.val();
        self.bypass.out_ready.next =
            self.out_ready.val() & self.order.out_valid.val() & (self.source.val() == self.engines.val());
        for i in 0..self.lanes.val() {
            self.bypass.in_data[i].next =
                (((self.at.q.val() << self.level.val()) | i) << self.bits.val()) | self.in_scores[i].val();
        }

        // The oldest row, from where it is.
        self.source.next = self.order.out_data.val();
        self.valid.next = true;
        self.last.next = true;
        self.out_count.next = 0.into();
        if self.source.val() == self.engines.val() {
            self.valid.next = self.bypass.out_valid.val();
            self.last.next = self.bypass.out_tag.val().get_bit(0);
            self.out_count.next = self.bypass.out_tag.val() >> 1;
        }
        for e in 0..self.engines.val() {
            if self.source.val() == e {
                self.valid.next = self.engine[e].out_valid.val();
                self.last.next = self.engine[e].out_last.val();
                self.out_count.next = self.engine[e].out_count.val();
            }
        }
        for i in 0..self.lanes.val() {
            self.out_score[i].next = self.bypass.out_data[i].val();
            self.out_index[i].next = self.bypass.out_data[i].val() >> self.bits.val();
            for e in 0..self.engines.val() {
                if self.source.val() == e {
                    self.out_score[i].next = self.engine[e].out_score[i].val();
                    self.out_index[i].next = self.engine[e].out_index[i].val();
                }
            }
        }
        self.out_last.next = self.last.val();
        self.out_marker.next = (self.source.val() == self.marker.val()) | (self.source.val() == self.again.val());
        self.out_again.next = self.source.val() == self.again.val();
        self.out_valid.next = self.order.out_valid.val() & self.valid.val();
        self.takes.next = self.order.out_valid.val() & self.valid.val() & self.out_ready.val();
        self.order.out_ready.next = self.takes.val() & self.last.val();
        if self.reset.val() {
            self.turn.d.next = 0.into();
            self.begun.d.next = false;
            self.at.d.next = 0.into();
        }
    }
}
