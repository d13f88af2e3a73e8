//! How many keys a row sees, how many values it keeps, and how many rows a layer has.

use super::SHARE_BITS;
use crate::hdl::*;
use crate::leaf::{Ram, ReadPort};
use spatten_arch::config::MAX_HEADS;
use spatten_arch::descriptor::ValueKeep;
use spatten_arch::layout::TOKEN_BITS;

/// How far a layer is.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum State {
    /// There is none.
    Idle,
    /// Multiplies the share with the number of keys.
    Multiply,
    /// Counts rows of heads.
    Count,
    /// Offers their sum.
    Report,
    /// Reads a key and a query.
    Read,
    /// Compares them.
    Compare,
}

/// Keys that each row sees: all, or where `causal`, those up to its own token.
///
/// Both lists are ascending, so one walk along both gives the counts of all rows; each key that is passed adds `share` to
/// the values that are kept. A row that is known is read with `row`.
///
/// # Formats  `share` and the result as in `arch::descriptor::ValueKeep`
/// # Timing   not causal: all rows are known after as many cycles as a count of keys has bits. Causal: then a cycle per head, and two
/// per key and row. `visible` and `keep` are those of the `row` of the cycle before
#[derive(LogicBlock)]
pub struct Visible {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets the layer.
    pub reset: Signal<In, Bit>,
    /// Word that is read of the list of keys.
    pub key_address: Wire<Out>,
    /// What it has at that of the cycle before.
    pub keys: Vec<Wire<In>>,
    /// Word that is read of the list of queries.
    pub query_address: Wire<Out>,
    /// What it has at that of the cycle before.
    pub queries: Vec<Wire<In>>,
    /// Tokens of the lists of keys and of queries.
    pub counts: Vec<Wire<In>>,
    /// Begins a layer.
    pub start: Signal<In, Bit>,
    /// Rows see the keys up to their own token.
    pub causal: Signal<In, Bit>,
    /// Token of query row 0.
    pub first_row: Wire<In>,
    /// Share of the visible keys whose values are kept.
    pub share: Wire<In>,
    /// Query heads.
    pub heads: Wire<In>,
    /// Those that are computed.
    pub mask: Wire<In>,
    /// No layer is being prepared.
    pub idle: Signal<Out, Bit>,
    /// The layer's rows over all heads are known.
    pub total_valid: Signal<Out, Bit>,
    /// That is taken.
    pub total_ready: Signal<In, Bit>,
    /// How many.
    pub total_rows: Wire<Out>,
    /// Rows that are known.
    pub known: Wire<Out>,
    /// A row that is known.
    pub row: Wire<In>,
    /// Keys that it sees.
    pub visible: Wire<Out>,
    /// Values that it keeps.
    pub keep: Wire<Out>,
    lanes: Param,
    level: Param,
    count_bits: Param,
    round_up: Param,
    fraction: Param,
    state: Dff<State>,
    /// One step of the multiplication is left when it is 1.
    steps: Reg,
    first_steps: Param,
    factor: Reg,
    shifted: Reg,
    sum: Reg,
    head: Reg,
    left: Reg,
    total: Reg,
    key_at: Reg,
    query_at: Reg,
    known_now: Reg,
    key: Wire<Local>,
    query: Wire<Local>,
    /// By lane.
    key_of: Vec<Wire<Local>>,
    query_of: Vec<Wire<Local>>,
    key_lane: Wire<Local>,
    query_lane: Wire<Local>,
    sees: Signal<Local, Bit>,
    writes: Signal<Local, Bit>,
    kept: Wire<Local>,
    results: Ram,
    everything: Signal<Local, Bit>,
    all_visible: Reg,
    all_keep: Reg,
}

impl Visible {
    /// For lists of up to `keys` tokens in words of `lanes`.
    pub fn new(lanes: usize, keys: usize) -> Self {
        let words = super::words(lanes, keys);
        let (word, count) = (bits_for(words - 1), bits_for(keys));
        let fraction = ValueKeep::FRACTION as usize;
        Self {
            name: ModuleName::new(format!("visible_{lanes}x{keys}")),
            unused: Waiver::new("UNUSEDSIGNAL", "Of one lane, no lane is chosen."),
            clock: Default::default(),
            reset: Default::default(),
            key_address: Wire::unsigned(word),
            keys: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            query_address: Wire::unsigned(word),
            queries: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            counts: vec_of(2, || Wire::unsigned(count)),
            start: Default::default(),
            causal: Default::default(),
            first_row: Wire::unsigned(TOKEN_BITS),
            share: Wire::unsigned(SHARE_BITS),
            heads: Wire::unsigned(bits_for(MAX_HEADS)),
            mask: Wire::unsigned(MAX_HEADS),
            idle: Default::default(),
            total_valid: Default::default(),
            total_ready: Default::default(),
            total_rows: Wire::unsigned(super::ROW_BITS),
            known: Wire::unsigned(count),
            row: Wire::unsigned(bits_for(keys - 1)),
            visible: Wire::unsigned(count),
            keep: Wire::unsigned(count),
            lanes: Param::new(lanes),
            level: Param::new(lanes.ilog2() as usize),
            count_bits: Param::new(count),
            round_up: Param::new((1 << fraction) - 1),
            fraction: Param::new(fraction),
            state: Default::default(),
            steps: Reg::unsigned(bits_for(count)),
            first_steps: Param::new(count),
            factor: Reg::unsigned(count),
            shifted: Reg::unsigned(SHARE_BITS + count),
            sum: Reg::unsigned(SHARE_BITS + count),
            head: Reg::unsigned(bits_for(MAX_HEADS)),
            left: Reg::unsigned(MAX_HEADS),
            total: Reg::unsigned(super::ROW_BITS),
            key_at: Reg::unsigned(count),
            query_at: Reg::unsigned(count),
            known_now: Reg::unsigned(count),
            key: Wire::unsigned(TOKEN_BITS),
            query: Wire::unsigned(TOKEN_BITS),
            key_of: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            query_of: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            key_lane: Wire::unsigned(count),
            query_lane: Wire::unsigned(count),
            sees: Default::default(),
            writes: Default::default(),
            kept: Wire::unsigned(count),
            results: Ram::new(2 * count, keys, ReadPort::Registered),
            everything: Default::default(),
            all_visible: Reg::unsigned(count),
            all_keep: Reg::unsigned(count),
        }
    }
}

impl Logic for Visible {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state,
            steps,
            factor,
            shifted,
            sum,
            head,
            left,
            total,
            key_at,
            query_at,
            known_now,
            all_visible,
            all_keep
        );
        clock!(self, clock, results);
        self.key_address.next = self.key_at.q.val() >> self.level.val();
        self.query_address.next = self.query_at.q.val() >> self.level.val();
        self.key_lane.next = self.key_at.q.val() & (self.lanes.val() - 1);
        self.query_lane.next = self.query_at.q.val() & (self.lanes.val() - 1);
        for i in 0..self.lanes.val() {
            if i == 0 {
                self.key_of[0].next = self.keys[0].val();
                self.query_of[0].next = self.queries[0].val();
            } else {
                self.key_of[i].next = self.key_of[i - 1].val();
                self.query_of[i].next = self.query_of[i - 1].val();
                if self.key_lane.val() == i {
                    self.key_of[i].next = self.keys[i].val();
                }
                if self.query_lane.val() == i {
                    self.query_of[i].next = self.queries[i].val();
                }
            }
        }
        self.key.next = self.key_of[self.lanes.val() - 1].val();
        self.query.next = self.query_of[self.lanes.val() - 1].val() + self.first_row.val();
        self.sees.next = (self.key_at.q.val() < self.counts[0].val()) & (self.key.val() <= self.query.val());
        self.writes.next = (self.state.q.val() == State::Compare) & !self.sees.val();
        self.kept.next = (self.sum.q.val() + self.round_up.val()) >> self.fraction.val();
        self.results.write_enable.next = self.writes.val();
        self.results.write_address.next = self.query_at.q.val();
        self.results.write_data.next = (self.kept.val() << self.count_bits.val()) | self.key_at.q.val();
        self.results.read_address.next = self.row.val();
        self.everything.next = !self.causal.val();
        self.visible.next = self.results.read_data.val();
        self.keep.next = self.results.read_data.val() >> self.count_bits.val();
        if self.everything.val() {
            self.visible.next = self.all_visible.q.val();
            self.keep.next = self.all_keep.q.val();
        }
        self.known.next = self.known_now.q.val();
        self.idle.next = self.state.q.val() == State::Idle;
        self.total_valid.next = self.state.q.val() == State::Report;
        self.total_rows.next = self.total.q.val();

        match self.state.q.val() {
            State::Idle => {
                if self.start.val() {
                    self.state.d.next = State::Multiply;
                    self.steps.d.next = self.first_steps.val().into();
                    self.factor.d.next = self.counts[0].val();
                    self.shifted.d.next = self.share.val();
                    self.sum.d.next = 0.into();
                    self.known_now.d.next = 0.into();
                }
            }
            State::Multiply => {
                self.steps.d.next = self.steps.q.val() - 1;
                self.factor.d.next = self.factor.q.val() >> 1;
                self.shifted.d.next = self.shifted.q.val() << 1;
                if self.factor.q.val().get_bit(0) {
                    self.sum.d.next = self.sum.q.val() + self.shifted.q.val();
                }
                if self.steps.q.val() == 0 {
                    self.state.d.next = State::Count;
                    self.all_visible.d.next = self.counts[0].val();
                    self.all_keep.d.next = self.kept.val();
                    self.head.d.next = 0.into();
                    self.left.d.next = self.mask.val();
                    self.total.d.next = 0.into();
                    if self.everything.val() {
                        self.known_now.d.next = self.counts[1].val();
                    }
                }
            }
            State::Count => {
                self.head.d.next = self.head.q.val() + 1;
                self.left.d.next = self.left.q.val() >> 1;
                if self.left.q.val().get_bit(0) {
                    self.total.d.next = self.total.q.val() + self.counts[1].val();
                }
                if self.head.q.val() == self.heads.val() {
                    self.state.d.next = State::Report;
                }
            }
            State::Report => {
                self.sum.d.next = 0.into();
                self.key_at.d.next = 0.into();
                self.query_at.d.next = 0.into();
                if self.total_ready.val() {
                    self.state.d.next = State::Idle;
                    if self.causal.val() & self.counts[1].val().any() {
                        self.state.d.next = State::Read;
                    }
                }
            }
            State::Read => {
                self.state.d.next = State::Compare;
            }
            State::Compare => {
                self.state.d.next = State::Read;
                if self.sees.val() {
                    self.key_at.d.next = self.key_at.q.val() + 1;
                    self.sum.d.next = self.sum.q.val() + self.share.val();
                } else {
                    self.query_at.d.next = self.query_at.q.val() + 1;
                    self.known_now.d.next = self.query_at.q.val() + 1;
                    if (self.query_at.q.val() + 1) == self.counts[1].val() {
                        self.state.d.next = State::Idle;
                    }
                }
            }
        }
        if self.reset.val() {
            self.state.d.next = State::Idle;
            self.known_now.d.next = 0.into();
        }
    }
}
