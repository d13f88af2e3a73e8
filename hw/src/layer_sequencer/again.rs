//! Which rows are computed again.

use super::HEAD_BITS;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::leaf::{Ram, ReadPort};
use spatten_arch::config::MAX_HEADS;

/// Verdicts that nobody has taken.
const VERDICTS: usize = 4;
/// Rows that wait to be fetched, and to be computed: as many may be on their way from memory.
const FETCHES: usize = 4;
const ROWS: usize = 16;
/// Most rows of a word of the map.
const WORD: usize = 32;

/// What the walk along the map does.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum State {
    /// Nothing.
    Idle,
    /// Asks for a word.
    Read,
    /// Takes it.
    Look,
    /// Gives its rows, the lowest first.
    Give,
}

/// Keeps a bit per row of the heads that share keys and values, and gives those that are set: to what fetches and to what computes.
///
/// `issued` counts the rows whose `verdict` is to come; none is taken before its row. When there is none left (`settled`), it is known whether `any` is flat,
/// and `most`, the highest index of such a row. `go` gives them, head by head in ascending order, each stream with `last` at the end.
/// Verdicts go on as `refetched`; `last` if they come where `closing` says that no row of the layer follows.
///
/// # Timing   a verdict is offered again in the cycle after; a row per cycle, and three cycles for each word of up to 32 rows
#[derive(LogicBlock)]
pub struct Again {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets all rows.
    pub reset: Signal<In, Bit>,
    /// Begins a layer.
    pub start: Signal<In, Bit>,
    /// Rows of a head.
    pub count: Wire<In>,
    /// Heads that are computed.
    pub mask: Wire<In>,
    /// A row was issued.
    pub issued: Signal<In, Bit>,
    /// No row of the layer follows.
    pub closing: Signal<In, Bit>,
    /// A row is decided.
    pub verdict_valid: Signal<In, Bit>,
    /// That would be taken.
    pub verdict_ready: Signal<Out, Bit>,
    /// Its index.
    pub verdict_index: Wire<In>,
    /// Its head.
    pub verdict_head: Wire<In>,
    /// It is flat.
    pub verdict_flat: Signal<In, Bit>,
    /// The same for the outside.
    pub refetched_valid: Signal<Out, Bit>,
    /// That is taken.
    pub refetched_ready: Signal<In, Bit>,
    /// Its index.
    pub refetched_index: Wire<Out>,
    /// Its head.
    pub refetched_head: Wire<Out>,
    /// It is flat.
    pub refetched_flat: Signal<Out, Bit>,
    /// The layer's last one.
    pub refetched_last: Signal<Out, Bit>,
    /// Flat rows of the layer so far.
    pub total: Wire<Out>,
    /// All rows that were issued are decided.
    pub settled: Signal<Out, Bit>,
    /// Some are flat.
    pub any: Signal<Out, Bit>,
    /// The highest index of those.
    pub most: Wire<Out>,
    /// Gives the flat rows.
    pub go: Signal<In, Bit>,
    /// A row to fetch.
    pub fetch_valid: Signal<Out, Bit>,
    /// It is taken.
    pub fetch_ready: Signal<In, Bit>,
    /// Its index.
    pub fetch_index: Wire<Out>,
    /// Its head.
    pub fetch_head: Wire<Out>,
    /// The last one.
    pub fetch_last: Signal<Out, Bit>,
    /// A row to compute.
    pub row_valid: Signal<Out, Bit>,
    /// It is taken.
    pub row_ready: Signal<In, Bit>,
    /// Its index.
    pub row_index: Wire<Out>,
    /// Its head.
    pub row_head: Wire<Out>,
    /// The last one.
    pub row_last: Signal<Out, Bit>,
    index_bits: Param,
    head_bits: Param,
    level: Param,
    rows_of_word: Param,
    words_level: Param,
    accept: Signal<Local, Bit>,
    flat: Wire<Local>,
    ends: Wire<Local>,
    verdicts: Fifo,
    flat_total: Reg,
    pending: Reg,
    /// Some row of the heads at hand is flat: the first, the last, and the highest index.
    found: Dff<Bit>,
    first_head: Reg,
    first_index: Reg,
    final_head: Reg,
    final_index: Reg,
    highest: Reg,
    /// Bits of the word so far.
    bits: Reg,
    so_far: Wire<Local>,
    map: Ram,
    state: Dff<State>,
    head: Reg,
    at: Reg,
    final_word: Wire<Local>,
    word: Reg,
    lowest: Wire<Local>,
    index: Wire<Local>,
    is_last: Wire<Local>,
    gives: Signal<Local, Bit>,
    fetches: Fifo,
    rows: Fifo,
}

impl Again {
    /// For heads of up to `keys` rows.
    pub fn new(keys: usize) -> Self {
        let (count, index, word) = (bits_for(keys), bits_for(keys - 1), WORD.min(keys));
        let words = keys / word;
        let name = HEAD_BITS + index;
        Self {
            name: ModuleName::new(format!("layer_again_{keys}")),
            clock: Default::default(),
            reset: Default::default(),
            start: Default::default(),
            count: Wire::unsigned(count),
            mask: Wire::unsigned(MAX_HEADS),
            issued: Default::default(),
            closing: Default::default(),
            verdict_valid: Default::default(),
            verdict_ready: Default::default(),
            verdict_index: Wire::unsigned(index),
            verdict_head: Wire::unsigned(HEAD_BITS),
            verdict_flat: Default::default(),
            refetched_valid: Default::default(),
            refetched_ready: Default::default(),
            refetched_index: Wire::unsigned(index),
            refetched_head: Wire::unsigned(HEAD_BITS),
            refetched_flat: Default::default(),
            refetched_last: Default::default(),
            total: Wire::unsigned(super::ROW_BITS),
            settled: Default::default(),
            any: Default::default(),
            most: Wire::unsigned(index),
            go: Default::default(),
            fetch_valid: Default::default(),
            fetch_ready: Default::default(),
            fetch_index: Wire::unsigned(index),
            fetch_head: Wire::unsigned(HEAD_BITS),
            fetch_last: Default::default(),
            row_valid: Default::default(),
            row_ready: Default::default(),
            row_index: Wire::unsigned(index),
            row_head: Wire::unsigned(HEAD_BITS),
            row_last: Default::default(),
            index_bits: Param::new(index),
            head_bits: Param::new(HEAD_BITS),
            level: Param::new(word.ilog2() as usize),
            rows_of_word: Param::new(word),
            words_level: Param::new(words.ilog2() as usize),
            accept: Default::default(),
            flat: Wire::unsigned(1),
            ends: Wire::unsigned(1),
            verdicts: Fifo::new(name + 2, VERDICTS),
            flat_total: Reg::unsigned(super::ROW_BITS),
            pending: Reg::unsigned(super::ROW_BITS),
            found: Default::default(),
            first_head: Reg::unsigned(HEAD_BITS),
            first_index: Reg::unsigned(index),
            final_head: Reg::unsigned(HEAD_BITS),
            final_index: Reg::unsigned(index),
            highest: Reg::unsigned(index),
            bits: Reg::unsigned(word),
            so_far: Wire::unsigned(word),
            map: Ram::new(word, MAX_HEADS * words, ReadPort::Registered),
            state: Default::default(),
            head: Reg::unsigned(HEAD_BITS),
            at: Reg::unsigned(bits_for(words - 1)),
            final_word: Wire::unsigned(bits_for(words - 1)),
            word: Reg::unsigned(word),
            lowest: Wire::unsigned(bits_for(word - 1)),
            index: Wire::unsigned(index),
            is_last: Wire::unsigned(1),
            gives: Default::default(),
            fetches: Fifo::new(name + 1, FETCHES),
            rows: Fifo::new(name + 1, ROWS),
        }
    }
}

impl Logic for Again {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, flat_total, pending, found, first_head, first_index, final_head, final_index, highest);
        dff_setup!(self, clock, bits, state, head, at, word);
        clock!(self, clock, verdicts, map, fetches, rows);
        self.verdicts.reset.next = self.reset.val();
        self.fetches.reset.next = self.reset.val();
        self.rows.reset.next = self.reset.val();

        // Verdicts: into the map, and on.
        self.verdict_ready.next = self.verdicts.in_ready.val() & self.pending.q.val().any();
        self.accept.next = self.verdict_valid.val() & self.verdicts.in_ready.val() & self.pending.q.val().any();
        self.flat.next = self.verdict_flat.val().into();
        self.ends.next = (self.closing.val() & (self.pending.q.val() == 1)).into();
        self.verdicts.in_valid.next = self.accept.val();
        self.verdicts.in_data.next = (((self.verdict_head.val() << self.index_bits.val()) | self.verdict_index.val())
            << 2)
            | (self.ends.val() << 1)
            | self.flat.val();
        self.refetched_valid.next = self.verdicts.out_valid.val();
        self.verdicts.out_ready.next = self.refetched_ready.val();
        self.refetched_flat.next = self.verdicts.out_data.val().get_bit(0);
        self.refetched_last.next = self.verdicts.out_data.val().get_bit(1);
        self.refetched_index.next = self.verdicts.out_data.val() >> 2;
        self.refetched_head.next = self.verdicts.out_data.val() >> (self.index_bits.val() + 2);
        self.total.next = self.flat_total.q.val();
        self.settled.next = !self.pending.q.val().any();
        self.any.next = self.found.q.val();
        self.most.next = self.highest.q.val();
        self.pending.d.next = self.pending.q.val() + self.issued.val() - self.accept.val();
        self.so_far.next = self.flat.val() << (self.verdict_index.val() & (self.rows_of_word.val() - 1));
        if (self.verdict_index.val() & (self.rows_of_word.val() - 1)).any() {
            self.so_far.next =
                self.bits.q.val() | (self.flat.val() << (self.verdict_index.val() & (self.rows_of_word.val() - 1)));
        }
        self.map.write_enable.next = self.accept.val();
        self.map.write_address.next =
            (self.verdict_head.val() << self.words_level.val()) | (self.verdict_index.val() >> self.level.val());
        self.map.write_data.next = self.so_far.val();
        if self.go.val() {
            self.found.d.next = false;
            self.highest.d.next = 0.into();
        }
        if self.accept.val() {
            self.bits.d.next = self.so_far.val();
        }
        if self.accept.val() & self.verdict_flat.val() {
            self.flat_total.d.next = self.flat_total.q.val() + 1;
            self.found.d.next = true;
            self.final_head.d.next = self.verdict_head.val();
            self.final_index.d.next = self.verdict_index.val();
            if !self.found.q.val() {
                self.first_head.d.next = self.verdict_head.val();
                self.first_index.d.next = self.verdict_index.val();
            }
            if self.verdict_index.val() > self.highest.q.val() {
                self.highest.d.next = self.verdict_index.val();
            }
        }
        if self.start.val() {
            self.flat_total.d.next = 0.into();
        }

        // The walk. Heads that are not computed have no words.
        self.map.read_address.next = (self.head.q.val() << self.words_level.val()) | self.at.q.val();
        self.final_word.next = (self.count.val() - 1) >> self.level.val();
        self.lowest.next = 0.into();
        for i in 0..self.rows_of_word.val() {
            if self.word.q.val().get_bit(self.rows_of_word.val() - 1 - i) {
                self.lowest.next = (self.rows_of_word.val() - 1 - i).into();
            }
        }
        self.index.next = (self.at.q.val() << self.level.val()) | self.lowest.val();
        self.is_last.next =
            ((self.head.q.val() == self.final_head.q.val()) & (self.index.val() == self.final_index.q.val())).into();
        self.gives.next = (self.state.q.val() == State::Give)
            & self.word.q.val().any()
            & self.fetches.in_ready.val()
            & self.rows.in_ready.val();
        self.fetches.in_valid.next = self.gives.val();
        self.fetches.in_data.next =
            (((self.head.q.val() << self.index_bits.val()) | self.index.val()) << 1) | self.is_last.val();
        self.rows.in_valid.next = self.gives.val();
        self.rows.in_data.next =
            (((self.head.q.val() << self.index_bits.val()) | self.index.val()) << 1) | self.is_last.val();
        self.fetch_valid.next = self.fetches.out_valid.val();
        self.fetches.out_ready.next = self.fetch_ready.val();
        self.fetch_last.next = self.fetches.out_data.val().get_bit(0);
        self.fetch_index.next = self.fetches.out_data.val() >> 1;
        self.fetch_head.next = self.fetches.out_data.val() >> (self.index_bits.val() + 1);
        self.row_valid.next = self.rows.out_valid.val();
        self.rows.out_ready.next = self.row_ready.val();
        self.row_last.next = self.rows.out_data.val().get_bit(0);
        self.row_index.next = self.rows.out_data.val() >> 1;
        self.row_head.next = self.rows.out_data.val() >> (self.index_bits.val() + 1);
        match self.state.q.val() {
            State::Idle => {
                if self.go.val() {
                    self.head.d.next = self.first_head.q.val();
                    self.at.d.next = self.first_index.q.val() >> self.level.val();
                    self.state.d.next = State::Read;
                }
            }
            State::Read => {
                self.state.d.next = State::Look;
            }
            State::Look => {
                self.word.d.next = 0.into();
                if (self.mask.val() >> self.head.q.val()).get_bit(0) {
                    self.word.d.next = self.map.read_data.val();
                }
                self.state.d.next = State::Give;
            }
            State::Give => {
                if self.gives.val() {
                    self.word.d.next = self.word.q.val() & (self.word.q.val() - 1);
                    if self.is_last.val().any() {
                        self.state.d.next = State::Idle;
                    }
                }
                if !self.word.q.val().any() {
                    self.state.d.next = State::Read;
                    self.at.d.next = self.at.q.val() + 1;
                    if self.at.q.val() == self.final_word.val() {
                        self.at.d.next = 0.into();
                        self.head.d.next = self.head.q.val() + 1;
                    }
                }
            }
        }
        if self.reset.val() {
            self.state.d.next = State::Idle;
            self.pending.d.next = 0.into();
            self.flat_total.d.next = 0.into();
            self.found.d.next = false;
            self.highest.d.next = 0.into();
        }
    }
}
