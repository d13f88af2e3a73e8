//! A row arrives: its scores are counted by their first digit, and that of the k-th largest is chosen.

use super::counts::{DigitChoice, DigitCounts};
use crate::hdl::*;

/// What the stage does.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum Arrival {
    /// Takes beats.
    Open,
    /// The last beat is on its way into the counts.
    Drain,
    /// Counts are complete and are compared with k, where that is there.
    Compare,
    /// The digit is chosen.
    Choose,
    /// The row is for the later passes.
    Offer,
}

/// Cycles from the last beat to complete counts, less one.
const DRAIN: usize = 2;

/// The first pass.
///
/// # Timing   with the last beat taken in cycle `t` and k in cycle `y`, the row is offered from `max(t + 6, y + 4)`; the
/// next row's first beat is taken one cycle after the row is
#[derive(LogicBlock)]
pub struct FirstPass {
    name: ModuleName,
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_ready: Signal<Out, Bit>,
    /// First digits of the scores.
    pub in_digit: Vec<Wire<In>>,
    pub in_count: Wire<In>,
    pub in_last: Signal<In, Bit>,
    pub k_valid: Signal<In, Bit>,
    pub k_ready: Signal<Out, Bit>,
    pub k_count: Wire<In>,
    /// A beat is taken: word `word` of the row in memory half `bank`.
    pub took: Signal<Out, Bit>,
    pub word: Wire<Out>,
    pub bank: Wire<Out>,
    /// The row has its first digit.
    pub offers: Signal<Out, Bit>,
    pub taken: Signal<In, Bit>,
    pub digit: Wire<Out>,
    /// Scores above those with that digit.
    pub above: Wire<Out>,
    /// k, at most the scores of the row.
    pub k_of_row: Wire<Out>,
    /// Its last word, and the scores in that.
    pub last_word: Wire<Out>,
    pub tail: Wire<Out>,
    lanes: Param,
    drain: Param,
    counts_bins: Param,
    arrival: Dff<Arrival>,
    take: Signal<Local, Bit>,
    waits: Reg,
    starts: Dff<Bit>,
    half: Reg,
    next_word: Reg,
    last: Reg,
    in_last_word: Reg,
    total: Reg,
    k_known: Dff<Bit>,
    k_settled: Dff<Bit>,
    k: Reg,
    limited_k: Reg,
    valid: Dff<Bit>,
    opens: Dff<Bit>,
    held: Vec<Reg>,
    there: Vec<Dff<Bit>>,
    counts: DigitCounts,
    choice: DigitChoice,
    found: Reg,
    found_above: Reg,
}

impl FirstPass {
    pub fn new(digit_bits: usize, lanes: usize, keys: usize) -> Self {
        let (total, count) = (bits_for(keys), bits_for(lanes));
        let word = bits_for((keys / lanes).max(2) - 1);
        let bins = (1 << digit_bits) - 1;
        Self {
            name: ModuleName::new(format!("first_pass_{digit_bits}x{lanes}x{keys}")),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_digit: vec_of(lanes, || Wire::unsigned(digit_bits)),
            in_count: Wire::unsigned(count),
            in_last: Default::default(),
            k_valid: Default::default(),
            k_ready: Default::default(),
            k_count: Wire::unsigned(total),
            took: Default::default(),
            word: Wire::unsigned(word),
            bank: Wire::unsigned(1),
            offers: Default::default(),
            taken: Default::default(),
            digit: Wire::unsigned(digit_bits),
            above: Wire::unsigned(total),
            k_of_row: Wire::unsigned(total),
            last_word: Wire::unsigned(word),
            tail: Wire::unsigned(count),
            lanes: Param::new(lanes),
            drain: Param::new(DRAIN),
            counts_bins: Param::new(bins),
            arrival: Default::default(),
            take: Default::default(),
            waits: Reg::unsigned(bits_for(DRAIN)),
            starts: Default::default(),
            half: Reg::unsigned(1),
            next_word: Reg::unsigned(word),
            last: Reg::unsigned(word),
            in_last_word: Reg::unsigned(count),
            total: Reg::unsigned(total),
            k_known: Default::default(),
            k_settled: Default::default(),
            k: Reg::unsigned(total),
            limited_k: Reg::unsigned(total),
            valid: Default::default(),
            opens: Default::default(),
            held: vec_of(lanes, || Reg::unsigned(digit_bits)),
            there: vec_of(lanes, Default::default),
            counts: DigitCounts::new(digit_bits, lanes, total),
            choice: DigitChoice::new(digit_bits, total),
            found: Reg::unsigned(bits_for(bins)),
            found_above: Reg::unsigned(total),
        }
    }
}

impl Logic for FirstPass {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            arrival,
            waits,
            starts,
            half,
            next_word,
            last,
            in_last_word,
            total,
            k_known,
            k_settled,
            k,
            limited_k,
            valid,
            opens,
            found,
            found_above
        );
        clock!(self, clock, counts, choice);

        self.in_ready.next = self.arrival.q.val() == Arrival::Open;
        self.take.next = self.in_valid.val() & (self.arrival.q.val() == Arrival::Open);
        self.offers.next = self.arrival.q.val() == Arrival::Offer;
        match self.arrival.q.val() {
            Arrival::Open => {
                if self.in_valid.val() & self.in_last.val() {
                    self.arrival.d.next = Arrival::Drain;
                    self.waits.d.next = self.drain.val().into();
                }
            }
            Arrival::Drain => {
                self.waits.d.next = self.waits.q.val() - 1;
                if self.waits.q.val() == 0 {
                    self.arrival.d.next = Arrival::Compare;
                }
            }
            Arrival::Compare => {
                if self.k_settled.q.val() {
                    self.arrival.d.next = Arrival::Choose;
                }
            }
            Arrival::Choose => {
                self.arrival.d.next = Arrival::Offer;
            }
            Arrival::Offer => {
                if self.taken.val() {
                    self.arrival.d.next = Arrival::Open;
                }
            }
        }

        if self.take.val() {
            self.starts.d.next = false;
            self.next_word.d.next = self.next_word.q.val() + 1;
            self.last.d.next = self.next_word.q.val();
            self.in_last_word.d.next = self.in_count.val();
            self.total.d.next = self.total.q.val() + self.in_count.val();
        }

        // k may come before or after the row; it is limited to the row when both are complete.
        self.k_ready.next = !self.k_known.q.val();
        if self.k_valid.val() & !self.k_known.q.val() {
            self.k.d.next = self.k_count.val();
            self.k_known.d.next = true;
        }
        self.k_settled.d.next = self.k_known.q.val();
        self.limited_k.d.next = self.k.q.val();
        if self.k.q.val() > self.total.q.val() {
            self.limited_k.d.next = self.total.q.val();
        }

        if self.reset.val() | ((self.arrival.q.val() == Arrival::Offer) & self.taken.val()) {
            self.starts.d.next = true;
            self.next_word.d.next = 0.into();
            self.total.d.next = 0.into();
            self.k_known.d.next = false;
            self.k_settled.d.next = false;
            self.half.d.next = !self.half.q.val();
        }
        if self.reset.val() {
            self.arrival.d.next = Arrival::Open;
            self.half.d.next = 0.into();
        }

        self.valid.d.next = self.take.val();
        self.opens.d.next = self.starts.q.val();
        self.counts.valid.next = self.valid.q.val();
        self.counts.starts.next = self.opens.q.val();
        self.counts.base.next = 0.into();
        for i in 0..self.lanes.val() {
            self.held[i].clock.next = self.clock.val();
            self.there[i].clock.next = self.clock.val();
            self.held[i].d.next = self.in_digit[i].val();
            self.there[i].d.next = self.in_count.val() > i;
            self.counts.digit[i].next = self.held[i].q.val();
            self.counts.candidate[i].next = self.there[i].q.val();
        }
        for b in 0..self.counts_bins.val() {
            self.choice.counts[b].next = self.counts.counts[b].val();
        }
        self.choice.base.next = 0.into();
        self.choice.k.next = self.limited_k.q.val();
        if self.arrival.q.val() == Arrival::Choose {
            self.found.d.next = self.choice.digit.val();
            self.found_above.d.next = self.choice.above.val();
        }

        self.took.next = self.take.val();
        self.word.next = self.next_word.q.val();
        self.bank.next = self.half.q.val();
        self.digit.next = self.found.q.val();
        self.above.next = self.found_above.q.val();
        self.k_of_row.next = self.limited_k.q.val();
        self.last_word.next = self.last.q.val();
        self.tail.next = self.in_last_word.q.val();
    }
}
