//! The paper's selection engine. Siblings: `golden`, `sim` and `tests/quick_select.rs`.
//! Paper: SpAtten section IV-B, Algorithm 3, Fig. 9: candidates stream past a pivot through two comparator arrays and two
//! zero eliminators into two queues, larger ones to the right, smaller ones to the left; equal ones are counted.
//! Why: the paper's engine as a baseline; `docs/decisions/0011-topk-engine.md` compares it.
//! Differs from the paper: `size(FIFO_R) + num_eq < target` in the first test (as printed it never ends for k = n). The queues
//! are banks of memory, because a pivot that is drawn from all candidates must be read from the middle of a queue.

mod side;

use crate::hdl::*;
use crate::leaf::Multiplier;
use side::Side;
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;
use spatten_arch::lfsr;

/// What the engine is doing.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum State {
    /// Takes a row and its k.
    Load,
    /// Knows both.
    Begin,
    /// Multiplies the candidates with the random number.
    Draw,
    /// Addresses the pivot.
    Pivot,
    /// Addresses the candidates, a word per cycle.
    Stream,
    /// The last word is on its way.
    Drain,
    /// All candidates are counted.
    Decide,
    /// Offers the answer.
    Done,
}

/// Finds the k-th largest score of a row, and how many of its equals to keep.
///
/// | stream | field | holds |
/// | --- | --- | --- |
/// | `in` | `scores` | up to `lanes` scores; all beats of a row but the last are full |
/// | | `count` | how many; 0 in the one beat of an empty row |
/// | | `last` | the row ends |
/// | `k` | `count` | how many to keep, one beat per row; more than the row has keeps all |
/// | `out` | `score` | the k-th largest; all ones where nothing is kept |
/// | | `equal` | scores equal to it that are kept (the first ones); 0 where nothing is kept |
/// | | `passes` | passes over candidates |
///
/// # Shapes   `scores [n]`, `n <= keys`; one row at a time
/// # Timing   a row whose passes see `c_1 = n, c_2, ...` candidates takes `max(1, ceil(n / lanes)) + 1` cycles and
/// `ceil(c_p / lanes) + QuickSelect::pass_cycles(lanes)` per pass from its first beat to the cycle before its answer; the next row's first beat is taken
/// in the cycle after the answer is. `golden::quick_select` says which passes: pivots come from `arch::lfsr`, whose state
/// goes on from row to row.
#[derive(LogicBlock)]
pub struct QuickSelect {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets the row and starts the generator anew.
    pub reset: Signal<In, Bit>,
    /// A beat is offered.
    pub in_valid: Signal<In, Bit>,
    /// A beat would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Its scores.
    pub in_scores: Vec<Wire<In>>,
    /// How many.
    pub in_count: Wire<In>,
    /// The row ends.
    pub in_last: Signal<In, Bit>,
    /// A k is offered.
    pub k_valid: Signal<In, Bit>,
    /// A k would be taken.
    pub k_ready: Signal<Out, Bit>,
    /// Scores to keep.
    pub k_count: Wire<In>,
    /// An answer is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// The k-th largest.
    pub out_score: Wire<Out>,
    /// Equals to keep.
    pub out_equal: Wire<Out>,
    /// Passes that it took.
    pub out_passes: Wire<Out>,
    lanes: Param,
    levels: Param,
    taps: Param,
    seed: Param,
    nothing: Param,
    /// Level of each node in the tree that picks a lane.
    level: Vec<Param>,
    state: Dff<State>,
    loaded: Dff<Bit>,
    k_known: Dff<Bit>,
    /// Candidates; while a row arrives, its scores so far.
    count: Reg,
    target: Reg,
    score: Reg,
    passes: Reg,
    /// Candidates are in the right queue.
    right_is_source: Dff<Bit>,
    generator: Reg,
    generated: Wire<Local>,
    draw: Multiplier,
    drawn: Wire<Local>,
    /// The rest of the product; the name tells Verilator.
    drawn_unused: Wire<Local>,
    lane: Reg,
    pivot_read: Dff<Bit>,
    pivot_held: Dff<Bit>,
    choice: Vec<Wire<Local>>,
    pivot: Reg,
    word: Reg,
    /// Candidates not yet addressed.
    left_over: Reg,
    last_word: Signal<Local, Bit>,
    /// The last word of the pass on its way.
    last: Vec<Dff<Bit>>,
    drain: Param,
    addressed: Vec<Dff<Bit>>,
    valid: Vec<Dff<Bit>>,
    held: Vec<Reg>,
    larger: Vec<Dff<Bit>>,
    smaller: Vec<Dff<Bit>>,
    compared: Vec<Reg>,
    take_beat: Signal<Local, Bit>,
    take_k: Signal<Local, Bit>,
    too_few: Signal<Local, Bit>,
    found: Signal<Local, Bit>,
    /// Candidates that are not among the `target` largest: more smaller ones than these, and the answer is among them.
    spare: Reg,
    left: Side,
    right: Side,
}

impl QuickSelect {
    /// For rows of up to `keys` scores of `bits`, `lanes` per cycle.
    ///
    /// # Panics
    /// Where `lanes` is not a power of two that divides `keys`, or there are more than 2^16 keys.
    #[track_caller]
    pub fn new(bits: usize, lanes: usize, keys: usize) -> Self {
        assert!(
            lanes.is_power_of_two() && keys.is_multiple_of(lanes) && (1..=1 << 16).contains(&keys),
            "{lanes} lanes, {keys} keys: lanes are a power of two that divides the keys"
        );
        let levels = lanes.ilog2() as usize;
        let (total, word) = (bits_for(keys), bits_for((keys / lanes).max(2) - 1));
        // The candidates are counted in the fifth cycle after the last word's address; the pivot is read two cycles after that,
        // and may be in that word.
        let drain = 4.max(Side::latency(lanes));
        let mut level = vec![];
        for l in 0..levels {
            level.extend((0..lanes >> (l + 1)).map(|_| Param::new(l)));
        }
        Self {
            name: ModuleName::new(format!("quick_select_{lanes}x{bits}_{keys}")),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_scores: vec_of(lanes, || Wire::unsigned(bits)),
            in_count: Wire::unsigned(bits_for(lanes)),
            in_last: Default::default(),
            k_valid: Default::default(),
            k_ready: Default::default(),
            k_count: Wire::unsigned(total),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_score: Wire::unsigned(bits),
            out_equal: Wire::unsigned(total),
            out_passes: Wire::unsigned(total),
            lanes: Param::new(lanes),
            levels: Param::new(levels),
            taps: Param::new(lfsr::TAPS as usize),
            seed: Param::new(lfsr::RESET as usize),
            nothing: Param::new(usize::try_from((1u64 << bits) - 1).expect("64-bit host")),
            level,
            state: Default::default(),
            loaded: Default::default(),
            k_known: Default::default(),
            count: Reg::unsigned(total),
            target: Reg::unsigned(total),
            score: Reg::unsigned(bits),
            passes: Reg::unsigned(total),
            right_is_source: Default::default(),
            generator: Reg::unsigned(32),
            generated: Wire::unsigned(32),
            // Both factors are unsigned: a zero above each.
            draw: Multiplier::new(17, total + 1),
            drawn: Wire::unsigned(bits_for(keys - 1)),
            drawn_unused: Wire::unsigned(17 + total + 1),
            lane: Reg::unsigned(levels.max(1)),
            pivot_read: Default::default(),
            pivot_held: Default::default(),
            choice: vec_of(2 * lanes - 1, || Wire::unsigned(bits)),
            pivot: Reg::unsigned(bits),
            word: Reg::unsigned(word),
            left_over: Reg::unsigned(total),
            last_word: Default::default(),
            last: vec_of(drain, Default::default),
            drain: Param::new(drain),
            addressed: vec_of(lanes, Default::default),
            valid: vec_of(lanes, Default::default),
            held: vec_of(lanes, || Reg::unsigned(bits)),
            larger: vec_of(lanes, Default::default),
            smaller: vec_of(lanes, Default::default),
            compared: vec_of(lanes, || Reg::unsigned(bits)),
            take_beat: Default::default(),
            take_k: Default::default(),
            too_few: Default::default(),
            found: Default::default(),
            spare: Reg::unsigned(total),
            left: Side::new(bits, lanes, keys),
            right: Side::new(bits, lanes, keys),
        }
    }

    /// Cycles of a pass beside its beats: two to draw and read the pivot, the rest until the last beat is counted and stored.
    /// 7 up to 4 lanes, 9 up to 16.
    pub fn pass_cycles(lanes: usize) -> usize {
        3 + 4.max(Side::latency(lanes))
    }

    /// For local value pruning: probabilities.
    pub fn of(config: &ArchConfig) -> Self {
        Self::new(Formats::new(config).probability.width() as usize, config.topk_lanes, config.keys_on_chip)
    }
}

impl Logic for QuickSelect {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, loaded, k_known, count, target, score, passes, right_is_source, generator);
        dff_setup!(self, clock, lane, pivot_read, pivot_held, pivot, word, left_over, spare);
        clock!(self, clock, draw, left, right);
        for i in 0..self.lanes.val() {
            self.addressed[i].clock.next = self.clock.val();
            self.valid[i].clock.next = self.clock.val();
            self.held[i].clock.next = self.clock.val();
            self.larger[i].clock.next = self.clock.val();
            self.smaller[i].clock.next = self.clock.val();
            self.compared[i].clock.next = self.clock.val();
        }
        for i in 0..self.drain.val() {
            self.last[i].clock.next = self.clock.val();
        }

        // A row goes to the right queue as it is.
        self.in_ready.next = (self.state.q.val() == State::Load) & !self.loaded.q.val();
        self.k_ready.next = (self.state.q.val() == State::Load) & !self.k_known.q.val();
        self.take_beat.next = self.in_valid.val() & (self.state.q.val() == State::Load) & !self.loaded.q.val();
        self.take_k.next = self.k_valid.val() & (self.state.q.val() == State::Load) & !self.k_known.q.val();
        self.left.load_word.next = 0.into();
        self.right.load_word.next = self.count.q.val() >> self.levels.val();
        for i in 0..self.lanes.val() {
            self.left.load[i].next = false;
            self.left.load_scores[i].next = 0.into();
            self.right.load[i].next = self.take_beat.val() & (self.in_count.val() > i);
            self.right.load_scores[i].next = self.in_scores[i].val();
        }

        // index = high half of (16 random bits * candidates), in the cycle after next.
        self.generated.next = self.generator.q.val() >> 1;
        if self.generator.q.val().get_bit(0) {
            self.generated.next = (self.generator.q.val() >> 1) ^ self.taps.val();
        }
        self.draw.a.next = self.generated.val() >> 16;
        self.draw.b.next = self.count.q.val();
        self.drawn.next = self.draw.product.val() >> 16;
        self.drawn_unused.next = self.draw.product.val();

        // Read, hold, compare.
        self.left.read_word.next = self.word.q.val();
        self.right.read_word.next = self.word.q.val();
        if self.state.q.val() == State::Pivot {
            self.left.read_word.next = self.drawn.val() >> self.levels.val();
            self.right.read_word.next = self.drawn.val() >> self.levels.val();
        }
        self.last_word.next = self.left_over.q.val() <= self.lanes.val();
        for i in 0..self.lanes.val() {
            self.addressed[i].d.next = (self.state.q.val() == State::Stream) & (self.left_over.q.val() > i);
            self.valid[i].d.next = self.addressed[i].q.val();
            self.held[i].d.next = self.left.read[i].val();
            if self.right_is_source.q.val() {
                self.held[i].d.next = self.right.read[i].val();
            }
            self.larger[i].d.next = self.valid[i].q.val() & (self.held[i].q.val() > self.pivot.q.val());
            self.smaller[i].d.next = self.valid[i].q.val() & (self.held[i].q.val() < self.pivot.q.val());
            self.compared[i].d.next = self.held[i].q.val();
            self.left.keep[i].next = self.smaller[i].q.val();
            self.left.scores[i].next = self.compared[i].q.val();
            self.right.keep[i].next = self.larger[i].q.val();
            self.right.scores[i].next = self.compared[i].q.val();
        }
        self.last[0].d.next = (self.state.q.val() == State::Stream) & self.last_word.val();
        for i in 1..self.drain.val() {
            self.last[i].d.next = self.last[i - 1].q.val();
        }
        self.left.reset.next = self.reset.val();
        self.right.reset.next = self.reset.val();
        self.left.clear.next = self.state.q.val() == State::Pivot;
        self.right.clear.next = self.state.q.val() == State::Pivot;

        // The pivot is one lane of the word that its address names.
        self.pivot_read.d.next = self.state.q.val() == State::Pivot;
        self.pivot_held.d.next = self.pivot_read.q.val();
        for i in 0..self.lanes.val() {
            self.choice[i].next = self.held[i].q.val();
        }
        for i in 0..(self.lanes.val() - 1) {
            self.choice[self.lanes.val() + i].next = self.choice[2 * i].val();
            if self.lane.q.val().get_bit(self.level[i].val()) {
                self.choice[self.lanes.val() + i].next = self.choice[2 * i + 1].val();
            }
        }
        if self.pivot_held.q.val() {
            self.pivot.d.next = self.choice[2 * self.lanes.val() - 2].val();
        }

        // size(right) + equal < target, as a comparison without a sum before it.
        self.too_few.next = self.left.total.val() > self.spare.q.val();
        self.found.next = self.right.total.val() < self.target.q.val();

        self.out_valid.next = self.state.q.val() == State::Done;
        self.out_score.next = self.score.q.val();
        self.out_equal.next = self.target.q.val();
        self.out_passes.next = self.passes.q.val();

        match self.state.q.val() {
            State::Load => {
                if self.take_beat.val() {
                    self.count.d.next = self.count.q.val() + self.in_count.val();
                    self.loaded.d.next = self.in_last.val();
                }
                if self.take_k.val() {
                    self.target.d.next = self.k_count.val();
                    self.k_known.d.next = true;
                }
                if (self.loaded.q.val() | (self.take_beat.val() & self.in_last.val()))
                    & (self.k_known.q.val() | self.take_k.val())
                {
                    self.state.d.next = State::Begin;
                }
                self.passes.d.next = 0.into();
                self.score.d.next = self.nothing.val().into();
                self.right_is_source.d.next = true;
            }
            State::Begin => {
                self.state.d.next = State::Draw;
                if self.count.q.val() < self.target.q.val() {
                    self.target.d.next = self.count.q.val();
                }
                if !self.count.q.val().any() | !self.target.q.val().any() {
                    self.target.d.next = 0.into();
                    self.state.d.next = State::Done;
                }
            }
            State::Draw => {
                self.generator.d.next = self.generated.val();
                self.passes.d.next = self.passes.q.val() + 1;
                self.state.d.next = State::Pivot;
            }
            State::Pivot => {
                self.lane.d.next = self.drawn.val();
                self.spare.d.next = self.count.q.val() - self.target.q.val();
                self.word.d.next = 0.into();
                self.left_over.d.next = self.count.q.val();
                self.state.d.next = State::Stream;
            }
            State::Stream => {
                self.word.d.next = self.word.q.val() + 1;
                self.left_over.d.next = self.left_over.q.val() - self.lanes.val();
                if self.last_word.val() {
                    self.state.d.next = State::Drain;
                }
            }
            State::Drain => {
                if self.last[self.drain.val() - 1].q.val() {
                    self.state.d.next = State::Decide;
                }
            }
            State::Decide => {
                self.state.d.next = State::Draw;
                if self.too_few.val() {
                    self.target.d.next = self.left.total.val() - self.spare.q.val();
                    self.count.d.next = self.left.total.val();
                    self.draw.b.next = self.left.total.val();
                    self.right_is_source.d.next = false;
                } else if self.found.val() {
                    self.target.d.next = self.target.q.val() - self.right.total.val();
                    self.score.d.next = self.pivot.q.val();
                    self.state.d.next = State::Done;
                } else {
                    self.count.d.next = self.right.total.val();
                    self.draw.b.next = self.right.total.val();
                    self.right_is_source.d.next = true;
                }
            }
            State::Done => {
                if self.out_ready.val() {
                    self.loaded.d.next = false;
                    self.k_known.d.next = false;
                    self.count.d.next = 0.into();
                    self.state.d.next = State::Load;
                }
            }
        }

        if self.reset.val() {
            self.state.d.next = State::Load;
            self.loaded.d.next = false;
            self.k_known.d.next = false;
            self.count.d.next = 0.into();
            self.generator.d.next = self.seed.val().into();
            for i in 0..self.drain.val() {
                self.last[i].d.next = false;
            }
            for i in 0..self.lanes.val() {
                self.addressed[i].d.next = false;
                self.valid[i].d.next = false;
                self.larger[i].d.next = false;
                self.smaller[i].d.next = false;
            }
        }
    }
}
