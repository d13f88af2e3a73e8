//! Cumulative scores of tokens and heads. Siblings: `golden`, `sim`, `tests/importance_accumulator.rs`.
//! Paper: SpAtten sections III-A, III-B.
//! Why: one word of the memory is a beat of scores, so a row is added as fast as it comes. Commands are a stream of their
//! own that says how many rows belong to each, so what is read never depends on who was faster.
//! Differs from the paper: see `golden`; rows per token are counted here (for means), and sums can be read and loaded, so
//! that contexts can take turns.

pub mod heads;
pub mod rescale;

use crate::credits::Credits;
use crate::delay::Delay;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use crate::leaf::{LaneRam, Multiplier, ReadPort};
use heads::Heads;
use rescale::Rescale;
use spatten_arch::ArchConfig;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::format::{DECAY_FRACTION, Formats, SCALE_MANTISSA_BITS, VALUE_NORM_BITS, VALUE_NORM_FRACTION};

/// Bits of the number of rows that could see a token; more are held at the largest.
const ROW_BITS: usize = 24;
/// Bits of the sum of magnitudes of an output row.
const MAGNITUDE_BITS: usize = 24;
/// Cycles from a word to the same word of the next row, so that it is written before it is read again. Only rows of one or
/// two words wait for it.
const ROW_GAP: usize = 3;
/// Cycles in which everything inside comes to rest.
const DRAIN: usize = 15;
/// Beats of the queues of both readbacks.
const READS: [usize; 2] = [16, 4];

/// What the block is doing.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum State {
    /// Takes a command.
    Idle,
    /// Takes rows of scores and of outputs.
    Accumulate,
    /// Goes through the words of the memory, or through the heads.
    Sweep,
    /// Waits for what is inside.
    Drain,
    /// Reports.
    Done,
}

/// Importance of tokens (a word of the memory is a beat) and of heads.
///
/// # Commands   one after the other, each with one beat of `done`. `op` 0: add `rows` rows of `in` (times their norms where
/// `weighted`) and `head_rows` rows of `head`. 1: clear, 2: decay by `gamma`, 3: read (as a mean where `mean`), 4: load the
/// first `count` tokens in whole words, or heads where `heads` (1 or more of them; they do not decay and have no mean).
/// # Shapes   `in`: rows as `softmax` gives them. `load`, `read`: `max(1, ceil(count / lanes))` beats. `head_load`,
/// `head_read`: `count` beats
/// # Formats   `importance_increment`, `value_norm` -> `token_importance`, `token_mean`; `head_importance`
/// # Timing   a row of `w` beats every max(w, 3) cycles; a row of outputs per cycle; a word (a head) per cycle of clear,
/// decay, read and load. A command takes 18 cycles beside: 1 to be taken, 1 to see the end of rows (not of words), 16 to
/// come to rest. A word read in cycle `t` is offered in `t + 15`, a head in `t + 2`.
#[derive(LogicBlock)]
pub struct ImportanceAccumulator {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous; forgets commands, and clears nothing.
    pub reset: Signal<In, Bit>,
    /// A command.
    pub command_valid: Signal<In, Bit>,
    /// It would be taken.
    pub command_ready: Signal<Out, Bit>,
    /// Which.
    pub command_op: Wire<In>,
    /// It is about heads.
    pub command_heads: Signal<In, Bit>,
    /// Increments are multiplied by norms.
    pub command_weighted: Signal<In, Bit>,
    /// Importances are divided by their rows.
    pub command_mean: Signal<In, Bit>,
    /// Tokens or heads.
    pub command_count: Wire<In>,
    /// Rows of scores.
    pub command_rows: Wire<In>,
    /// Rows of outputs.
    pub command_head_rows: Wire<In>,
    /// Decay factor.
    pub command_gamma: Wire<In>,
    /// A beat of scores.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Scores.
    pub in_increment: Vec<Wire<In>>,
    /// Norms of the values.
    pub in_norm: Vec<Wire<In>>,
    /// How many of them, from lane 0.
    pub in_count: Wire<In>,
    /// The row ends.
    pub in_last: Signal<In, Bit>,
    /// A row of outputs.
    pub head_valid: Signal<In, Bit>,
    /// It would be taken.
    pub head_ready: Signal<Out, Bit>,
    /// Its head.
    pub head_head: Wire<In>,
    /// Sum of its magnitudes.
    pub head_magnitude: Wire<In>,
    /// Factor to the unit of head importance.
    pub head_mantissa: Wire<In>,
    /// Right shift after it.
    pub head_shift: Wire<In>,
    /// A word to load.
    pub load_valid: Signal<In, Bit>,
    /// It would be taken.
    pub load_ready: Signal<Out, Bit>,
    /// Importances.
    pub load_importance: Vec<Wire<In>>,
    /// Rows that could see them.
    pub load_rows: Vec<Wire<In>>,
    /// A head to load.
    pub head_load_valid: Signal<In, Bit>,
    /// It would be taken.
    pub head_load_ready: Signal<Out, Bit>,
    /// Its importance.
    pub head_load_importance: Wire<In>,
    /// A word that was read.
    pub read_valid: Signal<Out, Bit>,
    /// It is taken.
    pub read_ready: Signal<In, Bit>,
    /// Importances, or means.
    pub read_importance: Vec<Wire<Out>>,
    /// Rows that could see them.
    pub read_rows: Vec<Wire<Out>>,
    /// How many of them, from lane 0. Lanes from there on hold what the memory holds.
    pub read_count: Wire<Out>,
    /// The last word.
    pub read_last: Signal<Out, Bit>,
    /// A head that was read.
    pub head_read_valid: Signal<Out, Bit>,
    /// It is taken.
    pub head_read_ready: Signal<In, Bit>,
    /// Its importance.
    pub head_read_importance: Wire<Out>,
    /// The last head.
    pub head_read_last: Signal<Out, Bit>,
    /// A command is done, and all that it wrote is written.
    pub done_valid: Signal<Out, Bit>,
    /// It is taken.
    pub done_ready: Signal<In, Bit>,
    /// Sums of tokens that were cut at the largest number.
    pub done_token_saturations: Wire<Out>,
    /// The same of heads.
    pub done_head_saturations: Wire<Out>,

    lanes: Param,
    levels: Param,
    lane_mask: Param,
    norm_fraction: Param,
    norm_rounding: Param,
    norm_middle: Param,
    norm_half: Param,
    bits: Param,
    cap: Param,
    rows_cap: Param,
    gap: Param,
    drain: Param,
    add_stage: Param,
    read_stage: Param,

    // Commands.
    state: Dff<State>,
    idle: Signal<Local, Bit>,
    accumulating: Signal<Local, Bit>,
    sweeping: Signal<Local, Bit>,
    heads_held: Dff<Bit>,
    weighted: Dff<Bit>,
    mean: Dff<Bit>,
    some: Dff<Bit>,
    clears: Dff<Bit>,
    decays: Dff<Bit>,
    reads: Dff<Bit>,
    loads: Dff<Bit>,
    gamma: Reg,
    rows_left: Reg,
    head_rows_left: Reg,
    last_at: Reg,
    tail: Reg,
    resting: Reg,
    count_less: Wire<Local>,

    // Rows.
    row_ready: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    accept_head: Signal<Local, Bit>,
    row_at: Reg,
    begins: Dff<Bit>,
    pause: Reg,
    adds: Reg,
    add_at: Reg,
    add_at_later: Delay,
    live: Vec<Signal<Local, Bit>>,
    lives: Vec<Reg>,
    masked: Vec<Wire<Local>>,
    increments: Vec<Delay>,
    products: Vec<Multiplier>,
    product: Vec<Wire<Local>>,
    increment: Vec<Reg>,

    // Sweeps.
    step: Signal<Local, Bit>,
    step_read: Signal<Local, Bit>,
    step_last: Signal<Local, Bit>,
    at: Reg,
    at_later: Delay,
    read_places: Credits,
    head_places: Credits,
    reading: Reg,
    tag: Wire<Local>,
    tags: Delay,
    rescales: Vec<Rescale>,
    rows_later: Vec<Delay>,

    // The memory.
    words: LaneRam,
    word: Vec<Wire<Local>>,
    word_held: Vec<Reg>,
    sum_read: Vec<Wire<Local>>,
    rows_read: Vec<Wire<Local>>,
    old: Vec<Reg>,
    old_rows: Vec<Reg>,
    write: Dff<Bit>,
    write_at: Reg,
    sum: Vec<Wire<Local>>,
    updated: Vec<Wire<Local>>,
    new_rows: Vec<Wire<Local>>,
    cut: Vec<Dff<Bit>>,
    cuts: Vec<Wire<Local>>,
    token_saturations: Reg,
    head_saturations: Reg,
    read_queue: LaneFifo,
    read_tag: Wire<Local>,
    read_word: Vec<Wire<Local>>,

    // Heads.
    heads: Heads,
    head_step: Signal<Local, Bit>,
    head_reading: Dff<Bit>,
    head_last: Dff<Bit>,
    head_queue: Fifo,
}

impl ImportanceAccumulator {
    /// At the size of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let formats = Formats::new(config);
        let (lanes, keys) = (config.softmax_lanes, config.keys_on_chip);
        let count = bits_for(lanes);
        let words = (keys / lanes).max(2);
        let word_at = bits_for(words - 1);
        let at = word_at.max(bits_for(MAX_HEADS - 1));
        let counts = bits_for(keys.max(MAX_HEADS));
        let [increment, importance, head] =
            [&formats.importance_increment, &formats.token_importance, &formats.head_importance]
                .map(|f| f.width() as usize);
        let (norm, weighted) = (VALUE_NORM_BITS as usize, formats.weighted_increment.width() as usize);
        let gamma = DECAY_FRACTION as usize + 1;
        let word = importance + ROW_BITS;
        let saturations = ROW_BITS + bits_for(keys - 1);
        let head_at = bits_for(MAX_HEADS - 1);
        Self {
            name: ModuleName::new(format!("importance_accumulator_{lanes}x{keys}")),
            unused: Waiver::new(
                "UNUSEDSIGNAL",
                "Queues have credits and need no `in_ready`; bits that rounding drops.",
            ),
            clock: Default::default(),
            reset: Default::default(),
            command_valid: Default::default(),
            command_ready: Default::default(),
            command_op: Wire::unsigned(3),
            command_heads: Default::default(),
            command_weighted: Default::default(),
            command_mean: Default::default(),
            command_count: Wire::unsigned(counts),
            command_rows: Wire::unsigned(ROW_BITS),
            command_head_rows: Wire::unsigned(ROW_BITS),
            command_gamma: Wire::unsigned(gamma),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_increment: vec_of(lanes, || Wire::unsigned(increment)),
            in_norm: vec_of(lanes, || Wire::unsigned(norm)),
            in_count: Wire::unsigned(count),
            in_last: Default::default(),
            head_valid: Default::default(),
            head_ready: Default::default(),
            head_head: Wire::unsigned(head_at),
            head_magnitude: Wire::unsigned(MAGNITUDE_BITS),
            head_mantissa: Wire::unsigned(SCALE_MANTISSA_BITS as usize),
            head_shift: Wire::unsigned(6),
            load_valid: Default::default(),
            load_ready: Default::default(),
            load_importance: vec_of(lanes, || Wire::unsigned(importance)),
            load_rows: vec_of(lanes, || Wire::unsigned(ROW_BITS)),
            head_load_valid: Default::default(),
            head_load_ready: Default::default(),
            head_load_importance: Wire::unsigned(head),
            read_valid: Default::default(),
            read_ready: Default::default(),
            read_importance: vec_of(lanes, || Wire::unsigned(importance)),
            read_rows: vec_of(lanes, || Wire::unsigned(ROW_BITS)),
            read_count: Wire::unsigned(count),
            read_last: Default::default(),
            head_read_valid: Default::default(),
            head_read_ready: Default::default(),
            head_read_importance: Wire::unsigned(head),
            head_read_last: Default::default(),
            done_valid: Default::default(),
            done_ready: Default::default(),
            done_token_saturations: Wire::unsigned(saturations),
            done_head_saturations: Wire::unsigned(ROW_BITS),

            lanes: Param::new(lanes),
            levels: Param::new(lanes.ilog2() as usize),
            lane_mask: Param::new(lanes - 1),
            norm_fraction: Param::new(VALUE_NORM_FRACTION as usize),
            norm_rounding: Param::new(1 << (VALUE_NORM_FRACTION - 1)),
            norm_middle: Param::new(norm - 1),
            norm_half: Param::new(1 << (norm - 1)),
            bits: Param::new(importance),
            cap: Param::new((1 << importance) - 1),
            rows_cap: Param::new((1 << ROW_BITS) - 1),
            gap: Param::new(ROW_GAP - 1),
            drain: Param::new(DRAIN),
            add_stage: Param::new(1),
            read_stage: Param::new(Rescale::LATENCY + 1),

            state: Default::default(),
            idle: Default::default(),
            accumulating: Default::default(),
            sweeping: Default::default(),
            heads_held: Default::default(),
            weighted: Default::default(),
            mean: Default::default(),
            some: Default::default(),
            clears: Default::default(),
            decays: Default::default(),
            reads: Default::default(),
            loads: Default::default(),
            gamma: Reg::unsigned(gamma),
            rows_left: Reg::unsigned(ROW_BITS),
            head_rows_left: Reg::unsigned(ROW_BITS),
            last_at: Reg::unsigned(at),
            tail: Reg::unsigned(count),
            resting: Reg::unsigned(bits_for(DRAIN)),
            count_less: Wire::unsigned(counts),

            row_ready: Default::default(),
            accept: Default::default(),
            accept_head: Default::default(),
            row_at: Reg::unsigned(word_at),
            begins: Default::default(),
            pause: Reg::unsigned(2),
            adds: Reg::unsigned(2),
            add_at: Reg::unsigned(word_at),
            add_at_later: Delay::new(word_at, 1),
            live: vec_of(lanes, Default::default),
            lives: vec_of(lanes, || Reg::unsigned(3)),
            masked: vec_of(lanes, || Wire::unsigned(increment)),
            increments: vec_of(lanes, || Delay::new(increment, 2)),
            products: vec_of(lanes, || Multiplier::new(increment + 1, norm)),
            product: vec_of(lanes, || Wire::unsigned(increment + norm)),
            increment: vec_of(lanes, || Reg::unsigned(weighted)),

            step: Default::default(),
            step_read: Default::default(),
            step_last: Default::default(),
            at: Reg::unsigned(at),
            at_later: Delay::new(word_at, Rescale::LATENCY + 2),
            read_places: Credits::new(READS[0]),
            head_places: Credits::new(READS[1]),
            reading: Reg::unsigned(Rescale::LATENCY + 2),
            tag: Wire::unsigned(count + 1),
            tags: Delay::new(count + 1, Rescale::LATENCY + 2),
            rescales: vec_of(lanes, || Rescale::new(importance, ROW_BITS)),
            rows_later: vec_of(lanes, || Delay::new(ROW_BITS, Rescale::LATENCY)),

            words: LaneRam::new(lanes, word, words, ReadPort::Registered),
            word: vec_of(lanes, || Wire::unsigned(word)),
            word_held: vec_of(lanes, || Reg::unsigned(word)),
            sum_read: vec_of(lanes, || Wire::unsigned(importance)),
            rows_read: vec_of(lanes, || Wire::unsigned(ROW_BITS)),
            old: vec_of(lanes, || Reg::unsigned(importance)),
            old_rows: vec_of(lanes, || Reg::unsigned(ROW_BITS)),
            write: Default::default(),
            write_at: Reg::unsigned(word_at),
            sum: vec_of(lanes, || Wire::unsigned(importance + 1)),
            updated: vec_of(lanes, || Wire::unsigned(importance)),
            new_rows: vec_of(lanes, || Wire::unsigned(ROW_BITS)),
            cut: vec_of(lanes, Default::default),
            cuts: vec_of(lanes + 1, || Wire::unsigned(count)),
            token_saturations: Reg::unsigned(saturations),
            head_saturations: Reg::unsigned(ROW_BITS),
            read_queue: LaneFifo::new(lanes, word, count + 1, READS[0]),
            read_tag: Wire::unsigned(count + 1),
            read_word: vec_of(lanes, || Wire::unsigned(word)),

            heads: Heads::new(MAX_HEADS, MAGNITUDE_BITS, head),
            head_step: Default::default(),
            head_reading: Default::default(),
            head_last: Default::default(),
            head_queue: Fifo::new(head + 1, READS[1]),
        }
    }
}

impl Logic for ImportanceAccumulator {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, heads_held, weighted, mean, some, clears, decays, reads, loads, gamma);
        dff_setup!(self, clock, rows_left, head_rows_left, last_at, tail, resting, row_at, begins, pause, adds, add_at);
        dff_setup!(self, clock, at, reading, write, write_at, token_saturations, head_saturations);
        dff_setup!(self, clock, head_reading, head_last);
        clock!(
            self,
            clock,
            add_at_later,
            at_later,
            read_places,
            head_places,
            tags,
            words,
            read_queue,
            heads,
            head_queue
        );
        self.read_places.reset.next = self.reset.val();
        self.head_places.reset.next = self.reset.val();
        self.read_queue.reset.next = self.reset.val();
        self.heads.reset.next = self.reset.val();
        self.head_queue.reset.next = self.reset.val();

        // Commands.
        self.idle.next = self.state.q.val() == State::Idle;
        self.accumulating.next = self.state.q.val() == State::Accumulate;
        self.sweeping.next = self.state.q.val() == State::Sweep;
        self.command_ready.next = self.idle.val();
        self.done_valid.next = self.state.q.val() == State::Done;
        self.done_token_saturations.next = self.token_saturations.q.val();
        self.done_head_saturations.next = self.head_saturations.q.val();
        self.count_less.next = self.command_count.val() - 1;
        if self.idle.val() {
            self.heads_held.d.next = self.command_heads.val();
            self.weighted.d.next = self.command_weighted.val();
            self.mean.d.next = self.command_mean.val();
            self.some.d.next = self.command_count.val().any();
            self.clears.d.next = self.command_op.val() == 1;
            self.decays.d.next = self.command_op.val() == 2;
            self.reads.d.next = self.command_op.val() == 3;
            self.loads.d.next = self.command_op.val() == 4;
            self.gamma.d.next = self.command_gamma.val();
            self.rows_left.d.next = self.command_rows.val();
            self.head_rows_left.d.next = self.command_head_rows.val();
            self.last_at.d.next = 0.into();
            self.tail.d.next = 0.into();
            if self.command_count.val().any() {
                self.last_at.d.next = self.count_less.val() >> self.levels.val();
                self.tail.d.next = (self.count_less.val() & self.lane_mask.val()) + 1;
                if self.command_heads.val() {
                    self.last_at.d.next = self.count_less.val();
                }
            }
        }
        if self.accept.val() & self.in_last.val() {
            self.rows_left.d.next = self.rows_left.q.val() - 1;
        }
        if self.accept_head.val() {
            self.head_rows_left.d.next = self.head_rows_left.q.val() - 1;
        }
        match self.state.q.val() {
            State::Idle => {
                if self.command_valid.val() {
                    self.state.d.next = State::Sweep;
                    if !self.command_op.val().any() {
                        self.state.d.next = State::Accumulate;
                    }
                }
            }
            State::Accumulate => {
                if !self.rows_left.q.val().any() & !self.head_rows_left.q.val().any() {
                    self.state.d.next = State::Drain;
                }
            }
            State::Sweep => {
                if self.step_last.val() {
                    self.state.d.next = State::Drain;
                }
            }
            State::Drain => {
                if !self.resting.q.val().any() {
                    self.state.d.next = State::Done;
                }
            }
            State::Done => {
                if self.done_ready.val() {
                    self.state.d.next = State::Idle;
                }
            }
        }
        self.resting.d.next = self.drain.val().into();
        if self.state.q.val() == State::Drain {
            self.resting.d.next = self.resting.q.val() - 1;
        }

        // Rows: increments, times norms, to the memory. A row does not begin before it can follow the one before without
        // reading a word that is still to be written.
        self.row_ready.next =
            self.accumulating.val() & self.rows_left.q.val().any() & (!self.begins.q.val() | !self.pause.q.val().any());
        self.in_ready.next = self.row_ready.val();
        self.accept.next = self.in_valid.val() & self.row_ready.val();
        if self.pause.q.val().any() {
            self.pause.d.next = self.pause.q.val() - 1;
        }
        if self.accept.val() {
            self.row_at.d.next = self.row_at.q.val() + 1;
            if self.in_last.val() {
                self.row_at.d.next = 0.into();
                if self.begins.q.val() {
                    self.pause.d.next = self.gap.val().into();
                } else if self.row_at.q.val() == 1 {
                    self.pause.d.next = (self.gap.val() - 1).into();
                }
            }
            self.begins.d.next = self.in_last.val();
        }
        self.adds.d.next = (self.adds.q.val() << 1) | self.accept.val();
        self.add_at.d.next = self.row_at.q.val();
        self.add_at_later.early.next = self.add_at.q.val();
        for i in 0..self.lanes.val() {
            self.lives[i].clock.next = self.clock.val();
            self.increments[i].clock.next = self.clock.val();
            self.products[i].clock.next = self.clock.val();
            self.increment[i].clock.next = self.clock.val();
            self.live[i].next = self.in_count.val() > i;
            self.lives[i].d.next = (self.lives[i].q.val() << 1) | self.live[i].val();
            self.masked[i].next = 0.into();
            if self.live[i].val() {
                self.masked[i].next = self.in_increment[i].val();
            }
            self.increments[i].early.next = self.masked[i].val();
            self.products[i].a.next = self.masked[i].val();
            // Half of the range less: a norm without sign does not fit the multiplier.
            self.products[i].b.next = self.in_norm[i].val() - self.norm_half.val();
            self.product[i].next = self.products[i].product.val()
                + (self.increments[i].late.val() << self.norm_middle.val())
                + self.norm_rounding.val();
            self.increment[i].d.next = self.increments[i].late.val();
            if self.weighted.q.val() {
                self.increment[i].d.next = self.product[i].val() >> self.norm_fraction.val();
            }
        }

        // Sweeps: a word, or a head, per cycle.
        self.step_read.next = self.reads.q.val() & self.read_places.available.val() & !self.heads_held.q.val();
        self.step.next = self.sweeping.val()
            & !self.heads_held.q.val()
            & (self.clears.q.val()
                | self.decays.q.val()
                | self.step_read.val()
                | (self.loads.q.val() & self.load_valid.val()));
        self.head_step.next = self.sweeping.val()
            & self.heads_held.q.val()
            & (self.clears.q.val()
                | self.decays.q.val()
                | (self.reads.q.val() & self.head_places.available.val())
                | (self.loads.q.val() & self.head_load_valid.val()));
        self.load_ready.next = self.sweeping.val() & self.loads.q.val() & !self.heads_held.q.val();
        self.head_load_ready.next = self.sweeping.val() & self.loads.q.val() & self.heads_held.q.val();
        self.step_last.next = (self.step.val() | self.head_step.val()) & (self.at.q.val() == self.last_at.q.val());
        if self.step.val() | self.head_step.val() {
            self.at.d.next = self.at.q.val() + 1;
        }
        if self.idle.val() {
            self.at.d.next = 0.into();
        }
        self.at_later.early.next = self.at.q.val();
        self.reading.d.next =
            (self.reading.q.val() << 1) | (self.step.val() & (self.reads.q.val() | self.decays.q.val()));
        self.tag.next = (self.lanes.val() << 1).into();
        if self.at.q.val() == self.last_at.q.val() {
            self.tag.next = (self.tail.q.val() << 1) | 1;
        }
        self.tags.early.next = self.tag.val();
        self.read_places.take.next = self.step.val() & self.reads.q.val();
        self.read_places.give.next = self.read_queue.popped.val();

        // The memory: everything is written as an old value and an increment.
        self.words.read_address.next = self.add_at.q.val();
        if self.sweeping.val() {
            self.words.read_address.next = self.at.q.val();
        }
        self.write.d.next = self.adds.q.val().get_bit(self.add_stage.val());
        self.write_at.d.next = self.add_at_later.late.val();
        if !self.accumulating.val() & !self.adds.q.val().any() {
            self.write_at.d.next = self.at.q.val();
            self.write.d.next = self.step.val() & self.some.q.val() & (self.clears.q.val() | self.loads.q.val());
            if self.decays.q.val() {
                self.write_at.d.next = self.at_later.late.val();
                self.write.d.next = self.reading.q.val().get_bit(self.read_stage.val()) & self.some.q.val();
            }
        }
        self.words.write_enable.next = self.write.q.val();
        self.words.write_address.next = self.write_at.q.val();
        self.cuts[0].next = 0.into();
        for i in 0..self.lanes.val() {
            self.word_held[i].clock.next = self.clock.val();
            self.old[i].clock.next = self.clock.val();
            self.old_rows[i].clock.next = self.clock.val();
            self.cut[i].clock.next = self.clock.val();
            self.rescales[i].clock.next = self.clock.val();
            self.rows_later[i].clock.next = self.clock.val();
            self.word[i].next = self.words.read_data[i].val();
            self.word_held[i].d.next = self.word[i].val();
            self.sum_read[i].next = self.word_held[i].q.val();
            self.rows_read[i].next = self.word_held[i].q.val() >> self.bits.val();
            self.rescales[i].mean.next = self.mean.q.val() & self.reads.q.val();
            self.rescales[i].decay.next = self.decays.q.val();
            self.rescales[i].gamma.next = self.gamma.q.val();
            self.rescales[i].importance.next = self.sum_read[i].val();
            self.rescales[i].rows.next = self.rows_read[i].val();
            self.rows_later[i].early.next = self.rows_read[i].val();
            self.old[i].d.next = self.word[i].val();
            self.old_rows[i].d.next = self.word[i].val() >> self.bits.val();
            if self.clears.q.val() {
                self.old[i].d.next = 0.into();
                self.old_rows[i].d.next = 0.into();
            } else if self.decays.q.val() {
                self.old[i].d.next = self.rescales[i].result.val();
                self.old_rows[i].d.next = self.rows_later[i].late.val();
            } else if self.loads.q.val() {
                self.old[i].d.next = self.load_importance[i].val();
                self.old_rows[i].d.next = self.load_rows[i].val();
            }
            self.sum[i].next = self.old[i].q.val();
            self.new_rows[i].next = self.old_rows[i].q.val();
            if self.lives[i].q.val().get_bit(2) & !self.clears.q.val() & !self.decays.q.val() & !self.loads.q.val() {
                self.sum[i].next = self.old[i].q.val() + self.increment[i].q.val();
                if self.old_rows[i].q.val() < self.rows_cap.val() {
                    self.new_rows[i].next = self.old_rows[i].q.val() + 1;
                }
            }
            self.updated[i].next = self.sum[i].val();
            if self.sum[i].val().get_bit(self.bits.val()) {
                self.updated[i].next = self.cap.val().into();
            }
            self.words.write_data[i].next = (self.new_rows[i].val() << self.bits.val()) | self.updated[i].val();
            self.cut[i].d.next = self.write.q.val() & self.sum[i].val().get_bit(self.bits.val());
            self.cuts[i + 1].next = self.cuts[i].val() + self.cut[i].q.val();
            self.read_queue.in_data[i].next =
                (self.rows_later[i].late.val() << self.bits.val()) | self.rescales[i].result.val();
            self.read_word[i].next = self.read_queue.out_data[i].val();
            self.read_importance[i].next = self.read_word[i].val();
            self.read_rows[i].next = self.read_word[i].val() >> self.bits.val();
        }
        self.token_saturations.d.next = self.token_saturations.q.val() + self.cuts[self.lanes.val()].val();
        self.head_saturations.d.next = self.head_saturations.q.val() + self.heads.saturated.val();
        if self.idle.val() {
            self.token_saturations.d.next = 0.into();
            self.head_saturations.d.next = 0.into();
        }
        self.read_queue.push.next = self.reading.q.val().get_bit(self.read_stage.val()) & self.reads.q.val();
        self.read_queue.in_tag.next = self.tags.late.val();
        self.read_queue.out_ready.next = self.read_ready.val();
        self.read_valid.next = self.read_queue.out_valid.val();
        self.read_tag.next = self.read_queue.out_tag.val();
        self.read_count.next = self.read_tag.val() >> 1;
        self.read_last.next = self.read_tag.val().get_bit(0);

        // Heads.
        self.head_ready.next = self.accumulating.val() & self.head_rows_left.q.val().any();
        self.accept_head.next = self.head_valid.val() & self.accumulating.val() & self.head_rows_left.q.val().any();
        self.heads.valid.next = self.accept_head.val();
        self.heads.head.next = self.head_head.val();
        self.heads.magnitude.next = self.head_magnitude.val();
        self.heads.mantissa.next = self.head_mantissa.val();
        self.heads.shift.next = self.head_shift.val();
        self.heads.direct.next = self.sweeping.val();
        self.heads.set.next = self.head_step.val() & self.some.q.val() & (self.clears.q.val() | self.loads.q.val());
        self.heads.at.next = self.at.q.val();
        self.heads.load.next = 0.into();
        if self.loads.q.val() {
            self.heads.load.next = self.head_load_importance.val();
        }
        self.head_reading.d.next = self.head_step.val() & self.reads.q.val();
        self.head_last.d.next = self.step_last.val();
        self.head_places.take.next = self.head_step.val() & self.reads.q.val();
        self.head_places.give.next = self.head_queue.out_valid.val() & self.head_read_ready.val();
        self.head_queue.in_valid.next = self.head_reading.q.val();
        self.head_queue.in_data.next = (self.heads.value.val() << 1) | self.head_last.q.val();
        self.head_queue.out_ready.next = self.head_read_ready.val();
        self.head_read_valid.next = self.head_queue.out_valid.val();
        self.head_read_importance.next = self.head_queue.out_data.val() >> 1;
        self.head_read_last.next = self.head_queue.out_data.val().get_bit(0);

        if self.reset.val() {
            self.state.d.next = State::Idle;
            self.row_at.d.next = 0.into();
            self.begins.d.next = true;
            self.pause.d.next = 0.into();
            self.adds.d.next = 0.into();
            self.write.d.next = false;
            self.reading.d.next = 0.into();
            self.head_reading.d.next = false;
        }
    }
}
