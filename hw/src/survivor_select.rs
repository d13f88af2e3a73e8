//! Who survives a layer. Siblings: `golden` (`cascade`), `sim`, `tests/survivor_select.rs`.
//! Paper: SpAtten sections III-A, IV-B.
//! Why: a pin is one more bit at the top of a score, so that pinned tokens need no path of their own.
//! Differs from the paper: pins.
//!
//! ```text
//!  list ---> pins (by word) ----+        tokens (a copy per lane)
//!                               v            ^ place     v
//!  importance ------------> [top_k] ---------+-----> queue --> kept
//!  select -- k, or the pins --^
//! ```

use crate::credits::Credits;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use crate::leaf::{LaneRam, ReadPort};
use crate::top_k::TopK;
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;
use spatten_arch::layout::TOKEN_BITS;

/// Beats behind `top_k`.
const PLACES: usize = 4;

/// The `keep` most important tokens of a list, in its order; of equals, the first ones. Pinned tokens come before all others, and
/// all of them are kept.
///
/// | stream | field | holds |
/// | --- | --- | --- |
/// | `list` | `index`, `pinned`, `count`, `last` | the tokens that are there, ascending, and which of them are pinned |
/// | `select` | `keep`, `new_list` | how many to keep; where more are pinned, those |
/// | `in` | `importance`, `count`, `last` | the importance of each, in the same order: what `importance_accumulator` reads |
/// | `kept` | `index`, `place`, `count`, `last` | tokens that are kept, and their places in the list |
///
/// All beats but a row's last one are full; a list of none is a beat of none. Lanes of `kept` from `count` on show the list's first token.
/// A selection is taken when the one before is done; then its list, where it brings one (`new_list`); a list stays until
/// the next. Importance is taken when the list is there.
///
/// # Formats  `importance`: `token_importance` or `token_mean`, which have the same width
/// # Timing   that of [`TopK`] over one bit more, and 2 cycles
#[derive(LogicBlock)]
pub struct SurvivorSelect {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets the list and the selection.
    pub reset: Signal<In, Bit>,
    /// Tokens are offered.
    pub list_valid: Signal<In, Bit>,
    /// They would be taken.
    pub list_ready: Signal<Out, Bit>,
    /// The tokens.
    pub list_index: Vec<Wire<In>>,
    /// They are always kept.
    pub list_pinned: Vec<Signal<In, Bit>>,
    /// How many.
    pub list_count: Wire<In>,
    /// The list ends.
    pub list_last: Signal<In, Bit>,
    /// A selection is offered.
    pub select_valid: Signal<In, Bit>,
    /// It would be taken.
    pub select_ready: Signal<Out, Bit>,
    /// Tokens to keep.
    pub select_keep: Wire<In>,
    /// A list comes with it.
    pub select_new_list: Signal<In, Bit>,
    /// Importances are offered.
    pub in_valid: Signal<In, Bit>,
    /// They would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// The importances.
    pub in_importance: Vec<Wire<In>>,
    /// How many.
    pub in_count: Wire<In>,
    /// The list's last ones.
    pub in_last: Signal<In, Bit>,
    /// Tokens are there.
    pub kept_valid: Signal<Out, Bit>,
    /// They are taken.
    pub kept_ready: Signal<In, Bit>,
    /// The tokens.
    pub kept_index: Vec<Wire<Out>>,
    /// Their places in the list.
    pub kept_place: Vec<Wire<Out>>,
    /// How many.
    pub kept_count: Wire<Out>,
    /// The last ones.
    pub kept_last: Signal<Out, Bit>,
    lanes: Param,
    level: Param,
    importance_bits: Param,
    place_bits: Param,
    // The list.
    write: Signal<Local, Bit>,
    at: Reg,
    partial: Dff<Bit>,
    pinned: Reg,
    /// Pinned tokens of the beat, up to each lane.
    sum: Vec<Wire<Local>>,
    pins: LaneRam,
    tokens: Vec<LaneRam>,
    // The selection.
    busy: Dff<Bit>,
    /// Its list is not there; `top_k` does not know how many.
    waits: Dff<Bit>,
    asks: Dff<Bit>,
    /// Its importance has not all come.
    wants: Dff<Bit>,
    keep: Reg,
    begins: Signal<Local, Bit>,
    open: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    read_at: Reg,
    takes: Signal<Local, Bit>,
    top_k: TopK,
    // Places to tokens.
    moves: Signal<Local, Bit>,
    room: Credits,
    held: Dff<Bit>,
    held_tag: Reg,
    place: Vec<Reg>,
    lane_of: Vec<Wire<Local>>,
    /// By lane, then by lane of its word.
    found: Vec<Wire<Local>>,
    queue: LaneFifo,
}

impl SurvivorSelect {
    /// At the size of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let (lanes, keys) = (config.softmax_lanes, config.keys_on_chip);
        let importance = Formats::new(config).token_importance.width() as usize;
        let words = (keys / lanes).max(2);
        let (word, place, count, lane) = (bits_for(words - 1), bits_for(keys - 1), bits_for(keys), bits_for(lanes));
        Self {
            name: ModuleName::new("survivor_select"),
            unused: Waiver::new("UNUSEDSIGNAL", "A pin has done its work when its token is kept."),
            clock: Default::default(),
            reset: Default::default(),
            list_valid: Default::default(),
            list_ready: Default::default(),
            list_index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            list_pinned: vec_of(lanes, Default::default),
            list_count: Wire::unsigned(lane),
            list_last: Default::default(),
            select_valid: Default::default(),
            select_ready: Default::default(),
            select_keep: Wire::unsigned(count),
            select_new_list: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_importance: vec_of(lanes, || Wire::unsigned(importance)),
            in_count: Wire::unsigned(lane),
            in_last: Default::default(),
            kept_valid: Default::default(),
            kept_ready: Default::default(),
            kept_index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            kept_place: vec_of(lanes, || Wire::unsigned(place)),
            kept_count: Wire::unsigned(lane),
            kept_last: Default::default(),
            lanes: Param::new(lanes),
            level: Param::new(lanes.ilog2() as usize),
            importance_bits: Param::new(importance),
            place_bits: Param::new(place),
            write: Default::default(),
            at: Reg::unsigned(word),
            partial: Default::default(),
            pinned: Reg::unsigned(count),
            sum: vec_of(lanes + 1, || Wire::unsigned(count)),
            pins: LaneRam::new(lanes, 1, words, ReadPort::Direct),
            tokens: vec_of(lanes, || LaneRam::new(lanes, TOKEN_BITS, words, ReadPort::Registered)),
            busy: Default::default(),
            waits: Default::default(),
            asks: Default::default(),
            wants: Default::default(),
            keep: Reg::unsigned(count),
            begins: Default::default(),
            open: Default::default(),
            ends: Default::default(),
            read_at: Reg::unsigned(word),
            takes: Default::default(),
            top_k: TopK::sized(importance + 1, lanes, keys),
            moves: Default::default(),
            room: Credits::new(PLACES),
            held: Default::default(),
            held_tag: Reg::unsigned(lane + 1),
            place: vec_of(lanes, || Reg::unsigned(place)),
            lane_of: vec_of(lanes, || Wire::unsigned(place)),
            found: vec_of(lanes * lanes, || Wire::unsigned(TOKEN_BITS)),
            queue: LaneFifo::new(lanes, TOKEN_BITS + place, lane + 1, PLACES),
        }
    }
}

impl Logic for SurvivorSelect {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, at, partial, pinned, busy, waits, asks, wants, keep, read_at, held, held_tag);
        clock!(self, clock, pins, top_k, room, queue);
        self.top_k.reset.next = self.reset.val();
        self.room.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();

        // The list.
        self.list_ready.next = self.waits.q.val();
        self.write.next = self.list_valid.val() & self.waits.q.val();
        self.sum[0].next = self.pinned.q.val();
        if !self.partial.q.val() {
            self.sum[0].next = 0.into();
        }
        for i in 0..self.lanes.val() {
            self.pins.write_data[i].next = self.list_pinned[i].val().into();
            self.sum[i + 1].next = self.sum[i].val();
            if self.list_pinned[i].val() & (self.list_count.val() > i) {
                self.sum[i + 1].next = self.sum[i].val() + 1;
            }
        }
        self.pins.write_enable.next = self.write.val();
        self.pins.write_address.next = self.at.q.val();
        self.pins.read_address.next = self.read_at.q.val();
        if self.write.val() {
            self.at.d.next = self.at.q.val() + 1;
            self.partial.d.next = true;
            self.pinned.d.next = self.sum[self.lanes.val()].val();
            if self.list_last.val() {
                self.at.d.next = 0.into();
                self.partial.d.next = false;
                self.waits.d.next = false;
            }
        }

        // The selection.
        self.select_ready.next = !self.busy.q.val();
        self.begins.next = self.select_valid.val() & !self.busy.q.val();
        self.top_k.k_valid.next = self.asks.q.val() & !self.waits.q.val();
        self.top_k.k_count.next = self.keep.q.val();
        if self.keep.q.val() < self.pinned.q.val() {
            self.top_k.k_count.next = self.pinned.q.val();
        }
        if !self.waits.q.val() & self.top_k.k_ready.val() {
            self.asks.d.next = false;
        }
        self.open.next = self.wants.q.val() & !self.waits.q.val() & self.top_k.in_ready.val();
        self.in_ready.next = self.open.val();
        self.takes.next = self.in_valid.val() & self.open.val();
        self.top_k.in_valid.next = self.takes.val();
        self.top_k.in_count.next = self.in_count.val();
        self.top_k.in_last.next = self.in_last.val();
        if self.takes.val() {
            self.read_at.d.next = self.read_at.q.val() + 1;
            if self.in_last.val() {
                self.read_at.d.next = 0.into();
                self.wants.d.next = false;
            }
        }
        if self.ends.val() {
            self.busy.d.next = false;
        }
        if self.begins.val() {
            self.busy.d.next = true;
            self.asks.d.next = true;
            self.wants.d.next = true;
            self.waits.d.next = self.select_new_list.val();
            self.keep.d.next = self.select_keep.val();
        }

        // Places to tokens.
        self.top_k.out_ready.next = self.room.available.val();
        self.moves.next = self.top_k.out_valid.val() & self.room.available.val();
        self.room.take.next = self.moves.val();
        self.room.give.next = self.queue.popped.val();
        self.held.d.next = self.moves.val();
        self.held_tag.d.next = (self.top_k.out_count.val() << 1) | self.top_k.out_last.val();
        self.queue.push.next = self.held.q.val();
        self.queue.in_tag.next = self.held_tag.q.val();
        for i in 0..self.lanes.val() {
            self.top_k.in_scores[i].next =
                (self.pins.read_data[i].val() << self.importance_bits.val()) | self.in_importance[i].val();
            self.tokens[i].clock.next = self.clock.val();
            self.tokens[i].write_enable.next = self.write.val();
            self.tokens[i].write_address.next = self.at.q.val();
            self.tokens[i].read_address.next = self.top_k.out_index[i].val() >> self.level.val();
            self.place[i].clock.next = self.clock.val();
            self.place[i].d.next = self.top_k.out_index[i].val();
            self.lane_of[i].next = self.place[i].q.val() & (self.lanes.val() - 1);
            for j in 0..self.lanes.val() {
                self.tokens[i].write_data[j].next = self.list_index[j].val();
                if j == 0 {
                    self.found[i * self.lanes.val()].next = self.tokens[i].read_data[0].val();
                } else {
                    self.found[i * self.lanes.val() + j].next = self.found[i * self.lanes.val() + j - 1].val();
                    if self.lane_of[i].val() == j {
                        self.found[i * self.lanes.val() + j].next = self.tokens[i].read_data[j].val();
                    }
                }
            }
            self.queue.in_data[i].next = (self.found[i * self.lanes.val() + self.lanes.val() - 1].val()
                << self.place_bits.val())
                | self.place[i].q.val();
            self.kept_place[i].next = self.queue.out_data[i].val();
            self.kept_index[i].next = self.queue.out_data[i].val() >> self.place_bits.val();
        }
        self.kept_valid.next = self.queue.out_valid.val();
        self.queue.out_ready.next = self.kept_ready.val();
        self.kept_count.next = self.queue.out_tag.val() >> 1;
        self.kept_last.next = self.queue.out_tag.val().get_bit(0);
        self.ends.next = self.queue.popped.val() & self.queue.out_tag.val().get_bit(0);
        if self.reset.val() {
            self.at.d.next = 0.into();
            self.partial.d.next = false;
            self.pinned.d.next = 0.into();
            self.busy.d.next = false;
            self.waits.d.next = false;
            self.asks.d.next = false;
            self.wants.d.next = false;
            self.read_at.d.next = 0.into();
            self.held.d.next = false;
        }
    }
}
