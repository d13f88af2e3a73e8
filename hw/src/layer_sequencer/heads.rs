//! Heads that are computed, one after another, with the addresses of what belongs to them.

use super::{BASES, FACTOR_BITS, HEAD_BITS};
use crate::fifo::Fifo;
use crate::hdl::*;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::content::Content;
use spatten_arch::layout::ADDRESS_BITS;

/// Heads that are known ahead.
const PLACES: usize = 4;
/// Bits of what is fetched for a head, without its addresses.
const FETCH_BITS: usize = 3 + HEAD_BITS + FACTOR_BITS;

/// Goes through all heads, takes a `factor` of each, and gives those that are computed on two streams: with what is fetched for
/// it (`fetch`), and with what its rows need (`rows`).
///
/// `first`: no head before it shares its keys and values. `ends`: no head after it does. `closes`: it is the layer's last one.
///
/// # Timing   a head per cycle, as long as factors come and both streams have places; one is there a cycle after the next one was found
#[derive(LogicBlock)]
pub struct Heads {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets all heads.
    pub reset: Signal<In, Bit>,
    /// Begins a layer.
    pub start: Signal<In, Bit>,
    /// Query heads.
    pub heads: Wire<In>,
    /// Query heads that share keys and values.
    pub group: Wire<In>,
    /// Those that are computed.
    pub mask: Wire<In>,
    /// Addresses of head 0, by `arch::content`; then that of outputs.
    pub base: Vec<Wire<In>>,
    /// From one head to the next.
    pub stride: Vec<Wire<In>>,
    /// A head's factors are offered.
    pub factor_valid: Signal<In, Bit>,
    /// They would be taken.
    pub factor_ready: Signal<Out, Bit>,
    /// From products to logits.
    pub factor_logit: Wire<In>,
    /// From outputs to head importance.
    pub factor_importance: Wire<In>,
    /// A head is there.
    pub fetch_valid: Signal<Out, Bit>,
    /// It is taken.
    pub fetch_ready: Signal<In, Bit>,
    /// The first one of these keys and values.
    pub fetch_first: Signal<Out, Bit>,
    /// The last one of these keys and values.
    pub fetch_ends: Signal<Out, Bit>,
    /// The layer's last one.
    pub fetch_closes: Signal<Out, Bit>,
    /// Its number.
    pub fetch_head: Wire<Out>,
    /// Its factor.
    pub fetch_logit: Wire<Out>,
    /// Its addresses.
    pub fetch_base: Vec<Wire<Out>>,
    /// A head is there.
    pub rows_valid: Signal<Out, Bit>,
    /// It is taken.
    pub rows_ready: Signal<In, Bit>,
    /// Its number.
    pub rows_head: Wire<Out>,
    /// Its factor.
    pub rows_importance: Wire<Out>,
    /// Address of its outputs.
    pub rows_base: Wire<Out>,
    /// The last one of these keys and values.
    pub rows_ends: Signal<Out, Bit>,
    /// The layer's last one.
    pub rows_closes: Signal<Out, Bit>,
    bases: Param,
    outputs: Param,
    head_bits: Param,
    factor_bits: Param,
    fetch_bits: Param,
    address_bits: Param,
    /// By address: it follows query heads.
    of_queries: Vec<Param>,
    running: Dff<Bit>,
    number: Reg,
    in_group: Reg,
    left: Reg,
    seen: Dff<Bit>,
    at: Vec<Reg>,
    pending: Dff<Bit>,
    pending_first: Dff<Bit>,
    pending_number: Reg,
    pending_logit: Reg,
    pending_importance: Reg,
    pending_at: Vec<Reg>,
    passed_all: Signal<Local, Bit>,
    alive: Signal<Local, Bit>,
    room: Signal<Local, Bit>,
    open: Signal<Local, Bit>,
    step: Signal<Local, Bit>,
    found: Signal<Local, Bit>,
    push: Signal<Local, Bit>,
    group_ends: Signal<Local, Bit>,
    first: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    closes_bit: Wire<Local>,
    ends_bit: Wire<Local>,
    joined: Vec<Wire<Local>>,
    fetches: Fifo,
    rows: Fifo,
}

impl Heads {
    /// Of any configuration.
    pub fn new() -> Self {
        let number = bits_for(MAX_HEADS);
        let of_queries = |i: usize| Content::ALL.get(i).is_none_or(|content| content.of_queries());
        Self {
            name: ModuleName::new("layer_heads"),
            clock: Default::default(),
            reset: Default::default(),
            start: Default::default(),
            heads: Wire::unsigned(number),
            group: Wire::unsigned(number),
            mask: Wire::unsigned(MAX_HEADS),
            base: vec_of(BASES, || Wire::unsigned(ADDRESS_BITS)),
            stride: vec_of(BASES, || Wire::unsigned(ADDRESS_BITS)),
            factor_valid: Default::default(),
            factor_ready: Default::default(),
            factor_logit: Wire::unsigned(FACTOR_BITS),
            factor_importance: Wire::unsigned(FACTOR_BITS),
            fetch_valid: Default::default(),
            fetch_ready: Default::default(),
            fetch_first: Default::default(),
            fetch_ends: Default::default(),
            fetch_closes: Default::default(),
            fetch_head: Wire::unsigned(HEAD_BITS),
            fetch_logit: Wire::unsigned(FACTOR_BITS),
            fetch_base: vec_of(BASES - 1, || Wire::unsigned(ADDRESS_BITS)),
            rows_valid: Default::default(),
            rows_ready: Default::default(),
            rows_head: Wire::unsigned(HEAD_BITS),
            rows_importance: Wire::unsigned(FACTOR_BITS),
            rows_base: Wire::unsigned(ADDRESS_BITS),
            rows_ends: Default::default(),
            rows_closes: Default::default(),
            bases: Param::new(BASES),
            outputs: Param::new(BASES - 1),
            head_bits: Param::new(HEAD_BITS),
            factor_bits: Param::new(FACTOR_BITS),
            fetch_bits: Param::new(FETCH_BITS),
            address_bits: Param::new(ADDRESS_BITS),
            of_queries: (0..BASES).map(|i| Param::new(usize::from(of_queries(i)))).collect(),
            running: Default::default(),
            number: Reg::unsigned(number),
            in_group: Reg::unsigned(number),
            left: Reg::unsigned(MAX_HEADS),
            seen: Default::default(),
            at: vec_of(BASES, || Reg::unsigned(ADDRESS_BITS)),
            pending: Default::default(),
            pending_first: Default::default(),
            pending_number: Reg::unsigned(HEAD_BITS),
            pending_logit: Reg::unsigned(FACTOR_BITS),
            pending_importance: Reg::unsigned(FACTOR_BITS),
            pending_at: vec_of(BASES, || Reg::unsigned(ADDRESS_BITS)),
            passed_all: Default::default(),
            alive: Default::default(),
            room: Default::default(),
            open: Default::default(),
            step: Default::default(),
            found: Default::default(),
            push: Default::default(),
            group_ends: Default::default(),
            first: Default::default(),
            ends: Default::default(),
            closes_bit: Wire::unsigned(1),
            ends_bit: Wire::unsigned(1),
            joined: (0..BASES).map(|i| Wire::unsigned(FETCH_BITS + i * ADDRESS_BITS)).collect(),
            fetches: Fifo::new(FETCH_BITS + (BASES - 1) * ADDRESS_BITS, PLACES),
            rows: Fifo::new(2 + HEAD_BITS + FACTOR_BITS + ADDRESS_BITS, PLACES),
        }
    }
}

impl Logic for Heads {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            running,
            number,
            in_group,
            left,
            seen,
            pending,
            pending_first,
            pending_number,
            pending_logit,
            pending_importance
        );
        clock!(self, clock, fetches, rows);
        self.fetches.reset.next = self.reset.val();
        self.rows.reset.next = self.reset.val();

        self.passed_all.next = self.number.q.val() == self.heads.val();
        self.alive.next = self.left.q.val().get_bit(0);
        self.room.next = self.fetches.in_ready.val() & self.rows.in_ready.val();
        self.open.next = self.running.q.val()
            & !self.passed_all.val()
            & (!(self.alive.val() & self.pending.q.val()) | self.room.val());
        self.factor_ready.next = self.open.val();
        self.step.next = self.open.val() & self.factor_valid.val();
        self.found.next = self.step.val() & self.alive.val();
        self.first.next = !self.seen.q.val();
        // What is known of the head before when the next one is found, or none is.
        self.push.next = self.pending.q.val()
            & (self.found.val() | (self.running.q.val() & self.passed_all.val() & self.room.val()));
        self.ends.next = self.passed_all.val() | self.first.val();
        self.group_ends.next = (self.in_group.q.val() + 1) == self.group.val();

        if self.push.val() {
            self.pending.d.next = false;
        }
        if self.running.q.val() & self.passed_all.val() & (self.room.val() | !self.pending.q.val()) {
            self.running.d.next = false;
        }
        if self.step.val() {
            self.number.d.next = self.number.q.val() + 1;
            self.left.d.next = self.left.q.val() >> 1;
            self.in_group.d.next = self.in_group.q.val() + 1;
            if self.alive.val() {
                self.seen.d.next = true;
                self.pending.d.next = true;
                self.pending_first.d.next = self.first.val();
                self.pending_number.d.next = self.number.q.val();
                self.pending_logit.d.next = self.factor_logit.val();
                self.pending_importance.d.next = self.factor_importance.val();
            }
            if self.group_ends.val() {
                self.in_group.d.next = 0.into();
                self.seen.d.next = false;
            }
        }
        for i in 0..self.bases.val() {
            self.at[i].clock.next = self.clock.val();
            self.pending_at[i].clock.next = self.clock.val();
            self.at[i].d.next = self.at[i].q.val();
            self.pending_at[i].d.next = self.pending_at[i].q.val();
            if self.step.val() & ((self.of_queries[i].val() == 1) | self.group_ends.val()) {
                self.at[i].d.next = self.at[i].q.val() + self.stride[i].val();
            }
            if self.found.val() {
                self.pending_at[i].d.next = self.at[i].q.val();
            }
            if self.start.val() {
                self.at[i].d.next = self.base[i].val();
            }
        }
        if self.start.val() {
            self.running.d.next = true;
            self.number.d.next = 0.into();
            self.in_group.d.next = 0.into();
            self.left.d.next = self.mask.val();
            self.seen.d.next = false;
        }

        self.closes_bit.next = self.passed_all.val().into();
        self.ends_bit.next = self.ends.val().into();
        self.joined[0].next = (((self.pending_logit.q.val() << self.head_bits.val()) | self.pending_number.q.val())
            << 3)
            | (self.ends_bit.val() << 2)
            | (self.closes_bit.val() << 1)
            | self.pending_first.q.val();
        for i in 0..self.outputs.val() {
            self.joined[i + 1].next = self.joined[i].val()
                | (self.pending_at[i].q.val() << (self.fetch_bits.val() + i * self.address_bits.val()));
            self.fetch_base[i].next =
                self.fetches.out_data.val() >> (self.fetch_bits.val() + i * self.address_bits.val());
        }
        self.fetches.in_valid.next = self.push.val();
        self.fetches.in_data.next = self.joined[self.outputs.val()].val();
        self.fetch_valid.next = self.fetches.out_valid.val();
        self.fetches.out_ready.next = self.fetch_ready.val();
        self.fetch_first.next = self.fetches.out_data.val().get_bit(0);
        self.fetch_closes.next = self.fetches.out_data.val().get_bit(1);
        self.fetch_ends.next = self.fetches.out_data.val().get_bit(2);
        self.fetch_head.next = self.fetches.out_data.val() >> 3;
        self.fetch_logit.next = self.fetches.out_data.val() >> (3 + self.head_bits.val());

        self.rows.in_valid.next = self.push.val();
        self.rows.in_data.next = (self.pending_at[self.outputs.val()].q.val()
            << (2 + self.head_bits.val() + self.factor_bits.val()))
            | (self.pending_importance.q.val() << (2 + self.head_bits.val()))
            | (self.pending_number.q.val() << 2)
            | (self.closes_bit.val() << 1)
            | self.ends.val();
        self.rows_valid.next = self.rows.out_valid.val();
        self.rows.out_ready.next = self.rows_ready.val();
        self.rows_ends.next = self.rows.out_data.val().get_bit(0);
        self.rows_closes.next = self.rows.out_data.val().get_bit(1);
        self.rows_head.next = self.rows.out_data.val() >> 2;
        self.rows_importance.next = self.rows.out_data.val() >> (2 + self.head_bits.val());
        self.rows_base.next = self.rows.out_data.val() >> (2 + self.head_bits.val() + self.factor_bits.val());
        if self.reset.val() {
            self.running.d.next = false;
            self.pending.d.next = false;
        }
    }
}
