//! Row maximum, exponential, sum, reciprocal. Siblings: `golden`, `sim`, `tests/softmax.rs`.
//! Paper: SpAtten section IV-F, Fig. 12.
//! Why: three stages, each at another row at the same time, because a row's maximum is known only with its last logit and
//! its sum only with its last exponential. Rows lie one after the other in two rings of words instead of in fixed slots,
//! so short rows waste nothing and no stage waits for a slot.
//! Differs from the paper: see `golden`; and a row can be dropped after its sum is known (its LSBs are being fetched).
//!
//! ```text
//!  in -> [maximum]                        decision ----------------+
//!     \-> logits ring -> [exp] -> stored ring -----------------> [divide] -> out
//!                          \-> [accumulate] -> sum               /
//!                                          \-> [reciprocal] ----/
//! ```

pub mod accumulate;
pub mod divide;
pub mod exp;
pub mod maximum;

use crate::credits::Credits;
use crate::delay::Delay;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use crate::leaf::{LaneRam, ReadPort};
use accumulate::Accumulate;
use divide::{Divide, Reciprocal};
use exp::Exp;
use maximum::Maximum;
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;

/// Rows between intake and exponentials, and between exponentials and the last stage.
const ROWS: [usize; 2] = [16, 32];
/// Beats of finished scores.
const OUT: usize = 8;
/// Decisions that may wait.
const DECISIONS: usize = 4;
/// Smallest ring, in words, that holds what is in flight beside a row.
const SMALLEST_RING: usize = 64;

/// Softmax over rows of up to `keys_on_chip` logits, `softmax_lanes` per beat.
///
/// # Shapes   `in`: `ceil(n / lanes)` beats, all full but the last; an empty row is one beat with `count` 0. `sum`: one
/// beat per row, 0 for an empty one. `decision`: one beat per row, in order, at any time. `out`: as `in`, for rows whose
/// decision is to keep them; nothing for others. Lanes from `count` on are 0.
/// # Formats   `logit` -> `exp_sum`, `probability`, `importance_increment`
/// # Timing   with `w` beats per row and `k` = log2(lanes): a row every `w` cycles (one-beat rows: every cycle) as long as
/// each decision comes within `ring - w - k - 16` cycles of its sum (ring: two rows of the largest size, at least 64
/// beats; one-beat rows: within 14 - k cycles). A row alone whose last beat is accepted in cycle `t` has its sum in
/// `t + w + 2k + 13` and, with a decision accepted in `d`, its first scores in `max(t + w + 2k + 24, d + 7)`.
#[derive(LogicBlock)]
pub struct Softmax {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, forgets all rows.
    pub reset: Signal<In, Bit>,
    /// A beat of logits.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Logits.
    pub in_logits: Vec<Wire<In>>,
    /// How many of them, from lane 0.
    pub in_count: Wire<In>,
    /// The row ends.
    pub in_last: Signal<In, Bit>,
    /// A row's sum.
    pub sum_valid: Signal<Out, Bit>,
    /// It is taken.
    pub sum_ready: Signal<In, Bit>,
    /// The sum of exponentials.
    pub sum_sum: Wire<Out>,
    /// What becomes of a row.
    pub decision_valid: Signal<In, Bit>,
    /// It would be taken.
    pub decision_ready: Signal<Out, Bit>,
    /// Its scores go out; otherwise it is dropped.
    pub decision_keep: Signal<In, Bit>,
    /// A beat of scores.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Probabilities.
    pub out_probability: Vec<Wire<Out>>,
    /// The same, as importance.
    pub out_increment: Vec<Wire<Out>>,
    /// How many of them, from lane 0.
    pub out_count: Wire<Out>,
    /// The row ends.
    pub out_last: Signal<Out, Bit>,

    lanes: Param,
    smallest: Param,
    count_bits: Param,
    address_bits: Param,
    increment_shift: Param,
    exponent_bits: Param,
    ring: Param,
    /// Bits of the shift registers below that mark stages: stored exponentials, the end of the exponentials.
    stored_stage: Param,
    summed_stage: Param,
    scored_stage: Param,

    // Intake.
    ring_places: Credits,
    row_places: Credits,
    accept: Signal<Local, Bit>,
    accept_last: Signal<Local, Bit>,
    in_held: Dff<Bit>,
    last_held: Dff<Bit>,
    logits_held: Vec<Reg>,
    count_held: Reg,
    count_later: Delay,
    write_at: Reg,
    logits: LaneRam,
    maximum: Maximum,
    ends: Fifo,
    rows: Fifo,

    // Exponentials.
    stored_places: Reg,
    sum_places: Credits,
    scored_rows: Credits,
    row_end: Wire<Local>,
    row_count: Wire<Local>,
    row_maximum: Wire<Local>,
    read_at: Reg,
    issue: Signal<Local, Bit>,
    issue_last: Signal<Local, Bit>,
    beats: Reg,
    lasts: Reg,
    maximum_held: Reg,
    live_count: Reg,
    exps: Vec<Exp>,
    store_at: Reg,
    stored: LaneRam,
    accumulate: Accumulate,
    sums: Fifo,

    // Scores.
    pending: Fifo,
    pending_end: Wire<Local>,
    pending_count: Wire<Local>,
    reciprocal: Reciprocal,
    summed: Reg,
    divisors: Fifo,
    divisor_reciprocal: Wire<Local>,
    divisor_exponent: Wire<Local>,
    decisions: Fifo,
    decision_bit: Signal<Local, Bit>,
    out_places: Credits,
    score_at: Reg,
    decided: Signal<Local, Bit>,
    score: Signal<Local, Bit>,
    score_last: Signal<Local, Bit>,
    drop: Signal<Local, Bit>,
    retire: Signal<Local, Bit>,
    dropped: Wire<Local>,
    freed: Reg,
    scoring: Reg,
    reciprocal_held: Reg,
    exponent_held: Reg,
    tag: Wire<Local>,
    tags: Delay,
    divide: Divide,
    out: LaneFifo,
    out_tag: Wire<Local>,
    out_lane: Vec<Wire<Local>>,
}

impl Softmax {
    /// At the size of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let formats = Formats::new(config);
        let lanes = config.softmax_lanes;
        let levels = lanes.ilog2() as usize;
        let ring = Self::ring(config);
        let address = bits_for(ring - 1);
        let count = bits_for(lanes);
        let [logit, exp, stored, sum] =
            [&formats.logit, &formats.exp, &formats.exp_stored, &formats.exp_sum].map(|f| f.width() as usize);
        let [reciprocal, probability, increment] =
            [&formats.reciprocal, &formats.probability, &formats.importance_increment].map(|f| f.width() as usize);
        let exponent = divide::exponent_bits(sum);
        // A word leaves the logits' ring one cycle before `exp` sees it.
        let summed = Exp::LATENCY;
        Self {
            name: ModuleName::new(format!("softmax_{lanes}x{}", config.keys_on_chip)),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_logits: vec_of(lanes, || Wire::signed(logit)),
            in_count: Wire::unsigned(count),
            in_last: Default::default(),
            sum_valid: Default::default(),
            sum_ready: Default::default(),
            sum_sum: Wire::unsigned(sum),
            decision_valid: Default::default(),
            decision_ready: Default::default(),
            decision_keep: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_probability: vec_of(lanes, || Wire::unsigned(probability)),
            out_increment: vec_of(lanes, || Wire::unsigned(increment)),
            out_count: Wire::unsigned(count),
            out_last: Default::default(),

            lanes: Param::new(lanes),
            smallest: Param::new(1 << (logit - 1)),
            count_bits: Param::new(count),
            address_bits: Param::new(address),
            increment_shift: Param::new(probability),
            exponent_bits: Param::new(exponent),
            ring: Param::new(ring),
            stored_stage: Param::new(summed + 1),
            summed_stage: Param::new(summed),
            scored_stage: Param::new(Divide::LATENCY),

            ring_places: Credits::new(ring),
            row_places: Credits::new(ROWS[0]),
            accept: Default::default(),
            accept_last: Default::default(),
            in_held: Default::default(),
            last_held: Default::default(),
            logits_held: vec_of(lanes, || Reg::signed(logit)),
            count_held: Reg::unsigned(count),
            count_later: Delay::new(count, levels + 1),
            write_at: Reg::unsigned(address),
            logits: LaneRam::new(lanes, logit, ring, ReadPort::Registered),
            maximum: Maximum::new(lanes, logit),
            ends: Fifo::new(address, ROWS[0]),
            rows: Fifo::new(logit + count, ROWS[0]),

            stored_places: Reg::unsigned(address + 1),
            sum_places: Credits::new(ROWS[1]),
            scored_rows: Credits::new(ROWS[1]),
            row_end: Wire::unsigned(address),
            row_count: Wire::unsigned(count),
            row_maximum: Wire::signed(logit),
            read_at: Reg::unsigned(address),
            issue: Default::default(),
            issue_last: Default::default(),
            beats: Reg::unsigned(summed + 2),
            lasts: Reg::unsigned(summed + 2),
            maximum_held: Reg::signed(logit),
            live_count: Reg::unsigned(count),
            exps: vec_of(lanes, || Exp::new(logit)),
            store_at: Reg::unsigned(address),
            stored: LaneRam::new(lanes, stored, ring, ReadPort::Registered),
            accumulate: Accumulate::new(lanes, exp, sum),
            sums: Fifo::new(sum, ROWS[1]),

            pending: Fifo::new(address + count, ROWS[1]),
            pending_end: Wire::unsigned(address),
            pending_count: Wire::unsigned(count),
            reciprocal: Reciprocal::new(sum, exp - 1),
            summed: Reg::unsigned(Reciprocal::LATENCY),
            divisors: Fifo::new(reciprocal + exponent, ROWS[1]),
            divisor_reciprocal: Wire::unsigned(reciprocal),
            divisor_exponent: Wire::unsigned(exponent),
            decisions: Fifo::new(1, DECISIONS),
            decision_bit: Default::default(),
            out_places: Credits::new(OUT),
            score_at: Reg::unsigned(address),
            decided: Default::default(),
            score: Default::default(),
            score_last: Default::default(),
            drop: Default::default(),
            retire: Default::default(),
            dropped: Wire::unsigned(address),
            freed: Reg::unsigned(address + 1),
            scoring: Reg::unsigned(Divide::LATENCY + 1),
            reciprocal_held: Reg::unsigned(reciprocal),
            exponent_held: Reg::unsigned(exponent),
            tag: Wire::unsigned(count + 1),
            tags: Delay::new(count + 1, Divide::LATENCY + 1),
            divide: Divide::new(lanes, exponent),
            out: LaneFifo::new(lanes, probability + increment, count + 1, OUT),
            out_tag: Wire::unsigned(count + 1),
            out_lane: vec_of(lanes, || Wire::unsigned(probability + increment)),
        }
    }

    /// Beats that each of the two rings holds.
    fn ring(config: &ArchConfig) -> usize {
        (2 * config.keys_on_chip / config.softmax_lanes).max(SMALLEST_RING)
    }
}

impl Logic for Softmax {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, in_held, last_held, count_held, write_at);
        dff_setup!(self, clock, stored_places, read_at, beats, lasts, maximum_held, live_count, store_at);
        dff_setup!(self, clock, summed, score_at, freed, scoring, reciprocal_held, exponent_held);
        clock!(self, clock, ring_places, row_places, count_later, maximum, ends, rows, logits, stored);
        clock!(self, clock, sum_places, scored_rows, accumulate, sums);
        clock!(self, clock, pending, reciprocal, divisors, decisions, out_places, tags, divide, out);
        self.ring_places.reset.next = self.reset.val();
        self.row_places.reset.next = self.reset.val();
        self.maximum.reset.next = self.reset.val();
        self.ends.reset.next = self.reset.val();
        self.rows.reset.next = self.reset.val();
        self.sum_places.reset.next = self.reset.val();
        self.scored_rows.reset.next = self.reset.val();
        self.accumulate.reset.next = self.reset.val();
        self.sums.reset.next = self.reset.val();
        self.pending.reset.next = self.reset.val();
        self.divisors.reset.next = self.reset.val();
        self.decisions.reset.next = self.reset.val();
        self.out_places.reset.next = self.reset.val();
        self.out.reset.next = self.reset.val();

        // Intake: into the ring, and to the maximum.
        self.in_ready.next = self.ring_places.available.val() & self.row_places.available.val();
        self.accept.next = self.in_valid.val() & self.ring_places.available.val() & self.row_places.available.val();
        self.accept_last.next = self.accept.val() & self.in_last.val();
        self.ring_places.take.next = self.accept.val();
        self.ring_places.give.next = self.issue.val();
        self.row_places.take.next = self.accept_last.val();
        self.row_places.give.next = self.issue_last.val();
        self.in_held.d.next = self.accept.val();
        self.last_held.d.next = self.in_last.val();
        self.count_held.d.next = self.in_count.val();
        self.maximum.valid.next = self.in_held.q.val();
        self.maximum.last.next = self.last_held.q.val();
        for i in 0..self.lanes.val() {
            self.logits_held[i].clock.next = self.clock.val();
            self.logits_held[i].d.next = self.in_logits[i].val();
            if self.in_count.val() <= i {
                self.logits_held[i].d.next = self.smallest.val().into();
            }
            self.maximum.logits[i].next = self.logits_held[i].q.val();
            self.logits.write_data[i].next = self.logits_held[i].q.val();
        }
        self.logits.write_enable.next = self.in_held.q.val();
        self.logits.write_address.next = self.write_at.q.val();
        self.logits.read_address.next = self.read_at.q.val();
        self.write_at.d.next = self.write_at.q.val() + self.in_held.q.val();
        // Where a row ends is known before its maximum, and waits for it.
        self.ends.in_valid.next = self.in_held.q.val() & self.last_held.q.val();
        self.ends.in_data.next = self.write_at.q.val();
        self.ends.out_ready.next = self.issue_last.val();
        self.count_later.early.next = self.count_held.q.val();
        self.rows.in_valid.next = self.maximum.done.val();
        self.rows.in_data.next = (self.maximum.maximum.val() << self.count_bits.val()) | self.count_later.late.val();
        self.rows.out_ready.next = self.issue_last.val();

        // Exponentials: a word of the ring per cycle, as long as there are places for what comes of it.
        self.row_end.next = self.ends.out_data.val();
        self.row_count.next = self.rows.out_data.val();
        self.row_maximum.next = self.rows.out_data.val() >> self.count_bits.val();
        self.issue.next = self.rows.out_valid.val()
            & self.stored_places.q.val().any()
            & self.sum_places.available.val()
            & self.scored_rows.available.val();
        self.issue_last.next = self.issue.val() & (self.read_at.q.val() == self.row_end.val());
        self.read_at.d.next = self.read_at.q.val() + self.issue.val();
        self.beats.d.next = (self.beats.q.val() << 1) | self.issue.val();
        self.lasts.d.next = (self.lasts.q.val() << 1) | self.issue_last.val();
        self.maximum_held.d.next = self.row_maximum.val();
        self.live_count.d.next = self.lanes.val().into();
        if self.issue_last.val() {
            self.live_count.d.next = self.row_count.val();
        }
        self.accumulate.valid.next = self.beats.q.val().get_bit(self.summed_stage.val());
        self.accumulate.last.next = self.lasts.q.val().get_bit(self.summed_stage.val());
        for i in 0..self.lanes.val() {
            self.exps[i].clock.next = self.clock.val();
            self.exps[i].maximum.next = self.maximum_held.q.val();
            self.exps[i].logit.next = self.logits.read_data[i].val();
            self.exps[i].live.next = self.live_count.q.val() > i;
            self.accumulate.exponentials[i].next = self.exps[i].exponential.val();
            self.stored.write_data[i].next = self.exps[i].stored.val();
            self.divide.stored[i].next = self.stored.read_data[i].val();
        }
        self.stored.write_enable.next = self.beats.q.val().get_bit(self.stored_stage.val());
        self.stored.write_address.next = self.store_at.q.val();
        self.stored.read_address.next = self.score_at.q.val();
        self.store_at.d.next = self.store_at.q.val() + self.beats.q.val().get_bit(self.stored_stage.val());
        self.sum_places.take.next = self.issue_last.val();
        self.sum_places.give.next = self.sums.out_valid.val() & self.sum_ready.val();
        self.scored_rows.take.next = self.issue_last.val();
        self.scored_rows.give.next = self.retire.val();
        self.stored_places.d.next = self.stored_places.q.val() + self.freed.q.val() - self.issue.val();
        // The stored exponentials lie where the logits lay.
        self.pending.in_valid.next = self.issue_last.val();
        self.pending.in_data.next = (self.row_end.val() << self.count_bits.val()) | self.row_count.val();
        self.pending.out_ready.next = self.retire.val();
        self.sums.in_valid.next = self.accumulate.done.val();
        self.sums.in_data.next = self.accumulate.sum.val();
        self.sums.out_ready.next = self.sum_ready.val();
        self.sum_valid.next = self.sums.out_valid.val();
        self.sum_sum.next = self.sums.out_data.val();

        // Scores: a word of the second ring per cycle, once the row's divisor and its decision are there.
        self.reciprocal.number.next = self.accumulate.sum.val();
        self.summed.d.next = (self.summed.q.val() << 1) | self.accumulate.done.val();
        self.divisors.in_valid.next = self.summed.q.val().get_bit(4);
        self.divisors.in_data.next =
            (self.reciprocal.reciprocal.val() << self.exponent_bits.val()) | self.reciprocal.exponent.val();
        self.divisors.out_ready.next = self.retire.val();
        self.divisor_exponent.next = self.divisors.out_data.val();
        self.divisor_reciprocal.next = self.divisors.out_data.val() >> self.exponent_bits.val();
        self.decisions.in_valid.next = self.decision_valid.val();
        self.decisions.in_data.next = self.decision_keep.val().into();
        self.decisions.out_ready.next = self.retire.val();
        self.decision_ready.next = self.decisions.in_ready.val();
        self.pending_count.next = self.pending.out_data.val();
        self.pending_end.next = self.pending.out_data.val() >> self.count_bits.val();
        self.decided.next = self.divisors.out_valid.val() & self.decisions.out_valid.val();
        self.decision_bit.next = self.decisions.out_data.val().any();
        self.score.next = self.decided.val() & self.decision_bit.val() & self.out_places.available.val();
        self.score_last.next = self.score_at.q.val() == self.pending_end.val();
        self.drop.next = self.decided.val() & !self.decision_bit.val();
        self.retire.next = self.drop.val() | (self.score.val() & self.score_last.val());
        self.dropped.next = self.pending_end.val() - self.score_at.q.val();
        self.freed.d.next = 0.into();
        if self.score.val() {
            self.score_at.d.next = self.score_at.q.val() + 1;
            self.freed.d.next = 1.into();
        } else if self.drop.val() {
            self.score_at.d.next = self.pending_end.val() + 1;
            self.freed.d.next = self.dropped.val() + 1;
        }
        self.out_places.take.next = self.score.val();
        self.out_places.give.next = self.out.popped.val();
        self.scoring.d.next = (self.scoring.q.val() << 1) | self.score.val();
        self.reciprocal_held.d.next = self.divisor_reciprocal.val();
        self.exponent_held.d.next = self.divisor_exponent.val();
        self.divide.reciprocal.next = self.reciprocal_held.q.val();
        self.divide.exponent.next = self.exponent_held.q.val();
        self.tag.next = (self.lanes.val() << 1).into();
        if self.score_last.val() {
            self.tag.next = (self.pending_count.val() << 1) | 1;
        }
        self.tags.early.next = self.tag.val();
        self.out.push.next = self.scoring.q.val().get_bit(self.scored_stage.val());
        self.out.in_tag.next = self.tags.late.val();
        self.out.out_ready.next = self.out_ready.val();
        self.out_valid.next = self.out.out_valid.val();
        self.out_tag.next = self.out.out_tag.val();
        self.out_count.next = self.out_tag.val() >> 1;
        self.out_last.next = self.out_tag.val().get_bit(0);
        for i in 0..self.lanes.val() {
            self.out.in_data[i].next =
                (self.divide.increment[i].val() << self.increment_shift.val()) | self.divide.probability[i].val();
            self.out_lane[i].next = self.out.out_data[i].val();
            self.out_probability[i].next = self.out_lane[i].val();
            self.out_increment[i].next = self.out_lane[i].val() >> self.increment_shift.val();
        }

        if self.reset.val() {
            self.in_held.d.next = false;
            self.write_at.d.next = 0.into();
            self.read_at.d.next = 0.into();
            self.store_at.d.next = 0.into();
            self.score_at.d.next = 0.into();
            self.stored_places.d.next = self.ring.val().into();
            self.freed.d.next = 0.into();
            self.beats.d.next = 0.into();
            self.lasts.d.next = 0.into();
            self.summed.d.next = 0.into();
            self.scoring.d.next = 0.into();
        }
    }
}
