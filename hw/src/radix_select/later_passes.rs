//! A row is read again for each digit but the first.

use super::counts::{DigitChoice, DigitCounts};
use crate::hdl::*;
use crate::leaf::LaneRam;
use crate::ram::ReadPort;
use spatten_arch::radix::{DIGIT_BITS, digits};

/// What the stage does.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum State {
    /// Waits for a row.
    Idle,
    /// Reads a word of the row per cycle.
    Read,
    /// The words are on their way into the counts.
    Settle,
    /// Offers the answer.
    Done,
}

/// Cycles between two passes in which no word is read: the digit is chosen while the first word is on its way.
const GAP: usize = 4;
/// Cycles after the last word's address in which the last digit is chosen.
const SETTLE: usize = 7;

/// Memory of two rows, and the passes.
///
/// # Timing   a row of `m` words taken in cycle `t` has its answer in `t + 1 + later * (m + GAP) + 3`; the next row is
/// taken in the cycle in which the answer is
#[derive(LogicBlock)]
pub struct LaterPasses {
    name: ModuleName,
    unused: Vec<Waiver>,
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// Rows arrive.
    pub write_enable: Signal<In, Bit>,
    pub write_bank: Wire<In>,
    pub write_word: Wire<In>,
    pub write_data: Vec<Wire<In>>,
    /// A row is there with its first digit.
    pub offered: Signal<In, Bit>,
    pub takes: Signal<Out, Bit>,
    pub bank: Wire<In>,
    pub digit: Wire<In>,
    pub first_above: Wire<In>,
    pub k: Wire<In>,
    pub row_last: Wire<In>,
    pub row_tail: Wire<In>,
    pub out_valid: Signal<Out, Bit>,
    pub out_ready: Signal<In, Bit>,
    pub out_score: Wire<Out>,
    pub out_equal: Wire<Out>,
    lanes: Param,
    words: Param,
    later: Param,
    low_bits: Param,
    digit_bits: Param,
    bins: Param,
    gap: Param,
    settle: Param,
    delay: Param,
    rows: LaneRam,
    state: Dff<State>,
    load: Signal<Local, Bit>,
    half: Reg,
    last: Reg,
    tail: Reg,
    row_k: Reg,
    pass: Reg,
    address: Reg,
    waits: Reg,
    /// Digits found, at their places in the score, and how many of the later ones.
    score: Reg,
    found: Reg,
    /// The last of them.
    newest: Reg,
    above: Reg,
    /// The digits before the newest.
    older: Reg,
    one: Wire<Local>,
    reads: Signal<Local, Bit>,
    /// A word on its way: read, held, split into digits.
    valid: Vec<Dff<Bit>>,
    opens: Vec<Dff<Bit>>,
    ends: Vec<Dff<Bit>>,
    word: Vec<Reg>,
    newest_part: Vec<Wire<Local>>,
    digit_part: Vec<Wire<Local>>,
    agrees: Vec<Dff<Bit>>,
    word_newest: Vec<Reg>,
    word_digit: Vec<Reg>,
    counts: DigitCounts,
    choice: DigitChoice,
}

impl LaterPasses {
    pub fn new(bits: usize, lanes: usize, keys: usize) -> Self {
        let digits = digits(bits as u32);
        let (first, later, digit) = (digits[0] as usize, digits.len() - 1, DIGIT_BITS as usize);
        let (total, count, words) = (bits_for(keys), bits_for(lanes), (keys / lanes).max(2));
        let (address, newest) = (bits_for(words - 1), first.max(digit));
        // From the address to the choice.
        let delay = SETTLE;
        Self {
            name: ModuleName::new(format!("later_passes_{bits}x{lanes}x{keys}")),
            unused: (later..2)
                .map(|_| Waiver::new("UNUSEDSIGNAL", "With one later digit, none is older than the newest."))
                .collect(),
            clock: Default::default(),
            reset: Default::default(),
            write_enable: Default::default(),
            write_bank: Wire::unsigned(1),
            write_word: Wire::unsigned(address),
            write_data: vec_of(lanes, || Wire::unsigned(bits)),
            offered: Default::default(),
            takes: Default::default(),
            bank: Wire::unsigned(1),
            digit: Wire::unsigned(first),
            first_above: Wire::unsigned(total),
            k: Wire::unsigned(total),
            row_last: Wire::unsigned(address),
            row_tail: Wire::unsigned(count),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_score: Wire::unsigned(bits),
            out_equal: Wire::unsigned(total),
            lanes: Param::new(lanes),
            words: Param::new(words),
            later: Param::new(later),
            low_bits: Param::new(bits - first),
            digit_bits: Param::new(digit),
            bins: Param::new((1 << digit) - 1),
            gap: Param::new(GAP),
            settle: Param::new(SETTLE),
            delay: Param::new(delay),
            rows: LaneRam::new(lanes, bits, 2 * words, ReadPort::Registered),
            state: Default::default(),
            load: Default::default(),
            half: Reg::unsigned(1),
            last: Reg::unsigned(address),
            tail: Reg::unsigned(count),
            row_k: Reg::unsigned(total),
            pass: Reg::unsigned(bits_for(later)),
            address: Reg::unsigned(address),
            waits: Reg::unsigned(bits_for(SETTLE)),
            score: Reg::unsigned(bits),
            found: Reg::unsigned(bits_for(later)),
            newest: Reg::unsigned(newest),
            above: Reg::unsigned(total),
            older: Reg::unsigned(bits),
            one: Wire::unsigned(1),
            reads: Default::default(),
            valid: vec_of(3, Default::default),
            opens: vec_of(3, Default::default),
            ends: vec_of(delay, Default::default),
            word: vec_of(lanes, || Reg::unsigned(bits)),
            newest_part: vec_of(lanes, || Wire::unsigned(newest)),
            digit_part: vec_of(lanes, || Wire::unsigned(digit)),
            agrees: vec_of(lanes, Default::default),
            word_newest: vec_of(lanes, || Reg::unsigned(newest)),
            word_digit: vec_of(lanes, || Reg::unsigned(digit)),
            counts: DigitCounts::new(digit, lanes, total),
            choice: DigitChoice::new(digit, total),
        }
    }
}

impl Logic for LaterPasses {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, state, half, last, tail, row_k, pass, address, waits, score, found, newest, above, older
        );
        clock!(self, clock, rows, counts, choice);

        self.reads.next = self.state.q.val() == State::Read;
        self.out_valid.next = self.state.q.val() == State::Done;
        self.out_score.next = self.score.q.val();
        self.out_equal.next = self.row_k.q.val() - self.above.q.val();
        self.load.next = self.offered.val()
            & ((self.state.q.val() == State::Idle) | ((self.state.q.val() == State::Done) & self.out_ready.val()));
        self.takes.next = self.load.val();

        match self.state.q.val() {
            State::Idle => {}
            State::Read => {
                self.address.d.next = self.address.q.val() + 1;
                if self.address.q.val() == self.last.q.val() {
                    self.state.d.next = State::Settle;
                    self.waits.d.next = (self.settle.val() - 1).into();
                    if self.pass.q.val() + 1 != self.later.val() {
                        self.waits.d.next = (self.gap.val() - 1).into();
                    }
                }
            }
            State::Settle => {
                self.waits.d.next = self.waits.q.val() - 1;
                if self.waits.q.val() == 0 {
                    self.state.d.next = State::Done;
                    if self.pass.q.val() + 1 != self.later.val() {
                        self.state.d.next = State::Read;
                        self.address.d.next = 0.into();
                        self.pass.d.next = self.pass.q.val() + 1;
                    }
                }
            }
            State::Done => {
                if self.out_ready.val() {
                    self.state.d.next = State::Idle;
                }
            }
        }

        // A digit is chosen.
        if self.ends[self.delay.val() - 1].q.val() {
            self.newest.d.next = self.choice.digit.val();
            self.above.d.next = self.choice.above.val();
            self.found.d.next = self.found.q.val() + 1;
            for q in 0..self.later.val() {
                if self.found.q.val() == q {
                    self.score.d.next = self.score.q.val()
                        | (self.choice.digit.val() << (self.digit_bits.val() * (self.later.val() - 1 - q)));
                }
            }
        }
        if self.load.val() {
            self.state.d.next = State::Read;
            self.half.d.next = self.bank.val();
            self.last.d.next = self.row_last.val();
            self.tail.d.next = self.row_tail.val();
            self.row_k.d.next = self.k.val();
            self.pass.d.next = 0.into();
            self.address.d.next = 0.into();
            self.score.d.next = self.digit.val() << self.low_bits.val();
            self.found.d.next = 0.into();
            self.newest.d.next = self.digit.val();
            self.above.d.next = self.first_above.val();
        }
        if self.reset.val() {
            self.state.d.next = State::Idle;
        }

        self.rows.write_enable.next = self.write_enable.val();
        self.rows.write_address.next = self.write_bank.val() * self.words.val() + self.write_word.val();
        self.rows.read_address.next = self.half.q.val() * self.words.val() + self.address.q.val();

        for t in 0..3 {
            self.valid[t].clock.next = self.clock.val();
            self.opens[t].clock.next = self.clock.val();
            if t == 0 {
                self.valid[t].d.next = self.reads.val();
                self.opens[t].d.next = self.address.q.val() == 0;
            } else {
                self.valid[t].d.next = self.valid[t - 1].q.val();
                self.opens[t].d.next = self.opens[t - 1].q.val();
            }
        }
        for t in 0..self.delay.val() {
            self.ends[t].clock.next = self.clock.val();
            if t == 0 {
                self.ends[t].d.next =
                    self.reads.val() & (self.address.q.val() == self.last.q.val()) & !self.reset.val();
            } else {
                self.ends[t].d.next = self.ends[t - 1].q.val() & !self.reset.val();
            }
        }

        // Digits before the newest one decide while that is still being chosen.
        self.one.next = 1.into();
        self.older.d.next = 0.into();
        for q in 1..self.later.val() {
            if self.pass.q.val() == q {
                self.older.d.next = -(self.one.val() << (self.digit_bits.val() * (self.later.val() + 1 - q)));
            }
        }
        for i in 0..self.lanes.val() {
            self.rows.write_data[i].next = self.write_data[i].val();
            self.word[i].clock.next = self.clock.val();
            self.word[i].d.next = self.rows.read_data[i].val();
            self.newest_part[i].next = self.word[i].q.val() >> self.low_bits.val();
            self.digit_part[i].next = self.word[i].q.val() >> (self.digit_bits.val() * (self.later.val() - 1));
            for q in 1..self.later.val() {
                if self.pass.q.val() == q {
                    self.newest_part[i].next =
                        (self.word[i].q.val() >> (self.digit_bits.val() * (self.later.val() - q))) & self.bins.val();
                    self.digit_part[i].next =
                        self.word[i].q.val() >> (self.digit_bits.val() * (self.later.val() - 1 - q));
                }
            }
            self.agrees[i].clock.next = self.clock.val();
            self.agrees[i].d.next = !((self.word[i].q.val() ^ self.score.q.val()) & self.older.q.val()).any()
                & (!self.ends[1].q.val() | (self.tail.q.val() > i));
            self.word_newest[i].clock.next = self.clock.val();
            self.word_newest[i].d.next = self.newest_part[i].val();
            self.word_digit[i].clock.next = self.clock.val();
            self.word_digit[i].d.next = self.digit_part[i].val();
            self.counts.digit[i].next = self.word_digit[i].q.val();
            self.counts.candidate[i].next =
                self.agrees[i].q.val() & (self.word_newest[i].q.val() == self.newest.q.val());
        }
        self.counts.valid.next = self.valid[2].q.val();
        self.counts.starts.next = self.opens[2].q.val();
        self.counts.base.next = self.above.q.val();
        self.choice.base.next = self.above.q.val();
        self.choice.k.next = self.row_k.q.val();
        for b in 0..self.bins.val() {
            self.choice.counts[b].next = self.counts.counts[b].val();
        }
    }
}
