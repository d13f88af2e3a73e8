//! Behind either selection engine: passes what is larger than the threshold, and as many equals as are still needed.

use crate::credits::Credits;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use crate::leaf::LaneRam;
use crate::prefix_sum::PrefixNetwork;
use crate::ram::{Ram, ReadPort};
use crate::zero_eliminator::{Packer, ShiftNetwork};

/// Rows that fit into the row memory: one is filtered, one is in the later passes, one arrives; the fourth makes it a
/// power of two.
const ROWS: usize = 4;

/// Cycles from a word's address to the marks of what is larger and what is equal.
const COMPARE: usize = 3;

/// Keeps a copy of each row until its threshold is known, then streams what passes.
///
/// Whoever feeds it must not begin a row while three wait for their threshold; an engine that holds fewer rows never does.
///
/// # Timing   a threshold is taken where no row is being filtered; its row's `m` words enter in the `m` cycles after it (more
/// where the output is not taken). The beat that the word of cycle `t` ends is offered from `t + Filter::latency(P)`
#[derive(LogicBlock)]
pub struct Filter {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets all rows.
    pub reset: Signal<In, Bit>,
    /// The engine takes a beat.
    pub row_taken: Signal<In, Bit>,
    /// Its scores.
    pub row_scores: Vec<Wire<In>>,
    /// How many.
    pub row_count: Wire<In>,
    /// The row ends.
    pub row_last: Signal<In, Bit>,
    /// The engine's answer is there.
    pub threshold_valid: Signal<In, Bit>,
    /// It would be taken.
    pub threshold_ready: Signal<Out, Bit>,
    /// The k-th largest score.
    pub threshold_score: Wire<In>,
    /// Scores equal to it that pass.
    pub threshold_equal: Wire<In>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Score and index (above it).
    pub out_data: Vec<Wire<Out>>,
    /// How many.
    pub out_count: Wire<Out>,
    /// The row ends.
    pub out_last: Signal<Out, Bit>,
    lanes: Param,
    words: Param,
    bits: Param,
    count_bits: Param,
    level_bits: Param,
    /// Registers from a word's address to the zero eliminator.
    stages: Param,
    count_stages: Param,
    marks: Param,
    rows: LaneRam,
    ends_of_rows: Ram,
    /// Arriving.
    write_row: Reg,
    write_word: Reg,
    /// Being filtered.
    busy: Dff<Bit>,
    read_row: Reg,
    read_word: Reg,
    last_word: Reg,
    row_tail: Reg,
    score: Reg,
    equal: Reg,
    issue: Signal<Local, Bit>,
    at_end: Signal<Local, Bit>,
    tail_of_row: Wire<Local>,
    /// What goes with a word.
    valid: Vec<Dff<Bit>>,
    starts: Vec<Dff<Bit>>,
    ends: Vec<Dff<Bit>>,
    word: Vec<Reg>,
    word_equal: Vec<Reg>,
    word_score: Vec<Reg>,
    word_tail: Vec<Reg>,
    data: Vec<Reg>,
    there: Vec<Signal<Local, Bit>>,
    larger: Vec<Dff<Bit>>,
    same: Vec<Dff<Bit>>,
    equals: PrefixNetwork,
    /// Equals that still pass.
    left: Reg,
    allowed: Wire<Local>,
    keep: Vec<Dff<Bit>>,
    credits: Credits,
    network: ShiftNetwork,
    queue: LaneFifo,
    /// Whether beats are filled: one packer or none.
    packed: Param,
    packers: Vec<Packer>,
}

impl Filter {
    /// For rows of up to `keys` scores of `bits`, `lanes` per cycle. Not `packed`, a beat is what is kept of a word.
    #[track_caller]
    pub fn new(bits: usize, lanes: usize, keys: usize, packed: bool) -> Self {
        let kind = if packed { "" } else { "_aligned" };
        let (total, count, words) = (bits_for(keys), bits_for(lanes), (keys / lanes).max(2));
        let (address, index) = (bits_for(words - 1), bits_for(keys - 1));
        let count_stages = PrefixNetwork::latency(lanes);
        let stages = COMPARE + count_stages + 1;
        let places = Self::places(lanes);
        Self {
            name: ModuleName::new(format!("top_k_filter{kind}_{bits}x{lanes}x{keys}")),
            clock: Default::default(),
            reset: Default::default(),
            row_taken: Default::default(),
            row_scores: vec_of(lanes, || Wire::unsigned(bits)),
            row_count: Wire::unsigned(count),
            row_last: Default::default(),
            threshold_valid: Default::default(),
            threshold_ready: Default::default(),
            threshold_score: Wire::unsigned(bits),
            threshold_equal: Wire::unsigned(total),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(lanes, || Wire::unsigned(bits + index)),
            out_count: Wire::unsigned(count),
            out_last: Default::default(),
            lanes: Param::new(lanes),
            words: Param::new(words),
            bits: Param::new(bits),
            count_bits: Param::new(count),
            level_bits: Param::new(lanes.ilog2() as usize),
            stages: Param::new(stages),
            count_stages: Param::new(count_stages),
            marks: Param::new(count_stages + 1),
            rows: LaneRam::new(lanes, bits, ROWS * words, ReadPort::Registered),
            ends_of_rows: Ram::new(address + count, ROWS, ReadPort::Direct),
            write_row: Reg::unsigned(bits_for(ROWS - 1)),
            write_word: Reg::unsigned(address),
            busy: Default::default(),
            read_row: Reg::unsigned(bits_for(ROWS - 1)),
            read_word: Reg::unsigned(address),
            last_word: Reg::unsigned(address),
            row_tail: Reg::unsigned(count),
            score: Reg::unsigned(bits),
            equal: Reg::unsigned(total),
            issue: Default::default(),
            at_end: Default::default(),
            tail_of_row: Wire::unsigned(count),
            valid: vec_of(stages, Default::default),
            starts: vec_of(stages - 1, Default::default),
            ends: vec_of(stages, Default::default),
            word: vec_of(stages, || Reg::unsigned(address)),
            word_equal: vec_of(stages - 1, || Reg::unsigned(total)),
            word_score: vec_of(COMPARE - 1, || Reg::unsigned(bits)),
            word_tail: vec_of(COMPARE - 1, || Reg::unsigned(count)),
            data: vec_of((stages - 1) * lanes, || Reg::unsigned(bits)),
            there: vec_of(lanes, Default::default),
            larger: vec_of((count_stages + 1) * lanes, Default::default),
            same: vec_of((count_stages + 1) * lanes, Default::default),
            equals: PrefixNetwork::new(lanes),
            left: Reg::unsigned(total),
            allowed: Wire::unsigned(total),
            keep: vec_of(lanes, Default::default),
            credits: Credits::new(places),
            network: ShiftNetwork::new(lanes, bits + index),
            queue: LaneFifo::new(lanes, bits + index, count + 1, places),
            packed: Param::new(packed.into()),
            packers: vec_of(packed.into(), || Packer::new(lanes, bits + index)),
        }
    }

    /// Cycles from the address of a word to its kept lanes before the packer.
    fn compact_latency(lanes: usize) -> usize {
        COMPARE + PrefixNetwork::latency(lanes) + 1 + ShiftNetwork::latency(lanes) + 1
    }

    fn places(lanes: usize) -> usize {
        (Self::compact_latency(lanes) + 1).next_power_of_two()
    }

    /// Cycles from the address of a word to the beat that it ends.
    pub fn latency(lanes: usize) -> usize {
        Self::compact_latency(lanes) + Packer::latency(lanes)
    }
}

impl Logic for Filter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, write_row, write_word, busy, read_row, read_word, last_word, row_tail, score, equal, left
        );
        clock!(self, clock, rows, ends_of_rows, equals, credits, network, queue);
        self.credits.reset.next = self.reset.val();
        self.network.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();

        // A row arrives.
        self.rows.write_enable.next = self.row_taken.val();
        self.rows.write_address.next = self.write_row.q.val() * self.words.val() + self.write_word.q.val();
        self.ends_of_rows.write_enable.next = self.row_taken.val() & self.row_last.val();
        self.ends_of_rows.write_address.next = self.write_row.q.val();
        self.ends_of_rows.write_data.next = (self.write_word.q.val() << self.count_bits.val()) | self.row_count.val();
        if self.row_taken.val() {
            self.write_word.d.next = self.write_word.q.val() + 1;
            if self.row_last.val() {
                self.write_word.d.next = 0.into();
                self.write_row.d.next = self.write_row.q.val() + 1;
            }
        }

        // A row is read again.
        self.threshold_ready.next = !self.busy.q.val();
        self.issue.next = self.busy.q.val() & self.credits.available.val();
        self.at_end.next = self.read_word.q.val() == self.last_word.q.val();
        self.rows.read_address.next = self.read_row.q.val() * self.words.val() + self.read_word.q.val();
        self.ends_of_rows.read_address.next = self.read_row.q.val();
        self.tail_of_row.next = self.ends_of_rows.read_data.val();
        if self.issue.val() {
            self.read_word.d.next = self.read_word.q.val() + 1;
            if self.at_end.val() {
                self.busy.d.next = false;
                self.read_row.d.next = self.read_row.q.val() + 1;
            }
        }
        if !self.busy.q.val() {
            self.score.d.next = self.threshold_score.val();
            self.equal.d.next = self.threshold_equal.val();
            self.last_word.d.next = self.ends_of_rows.read_data.val() >> self.count_bits.val();
            self.row_tail.d.next = self.tail_of_row.val();
            self.read_word.d.next = 0.into();
            self.busy.d.next = self.threshold_valid.val();
        }
        if self.reset.val() {
            self.write_row.d.next = 0.into();
            self.write_word.d.next = 0.into();
            self.read_row.d.next = 0.into();
            self.busy.d.next = false;
        }

        for t in 0..self.stages.val() {
            self.valid[t].clock.next = self.clock.val();
            self.ends[t].clock.next = self.clock.val();
            self.word[t].clock.next = self.clock.val();
            if t == 0 {
                self.valid[t].d.next = self.issue.val() & !self.reset.val();
                self.ends[t].d.next = self.at_end.val();
                self.word[t].d.next = self.read_word.q.val();
            } else {
                self.valid[t].d.next = self.valid[t - 1].q.val() & !self.reset.val();
                self.ends[t].d.next = self.ends[t - 1].q.val();
                self.word[t].d.next = self.word[t - 1].q.val();
            }
        }
        for t in 1..self.stages.val() {
            self.starts[t - 1].clock.next = self.clock.val();
            self.word_equal[t - 1].clock.next = self.clock.val();
            if t == 1 {
                self.starts[t - 1].d.next = self.read_word.q.val() == 0;
                self.word_equal[t - 1].d.next = self.equal.q.val();
            } else {
                self.starts[t - 1].d.next = self.starts[t - 2].q.val();
                self.word_equal[t - 1].d.next = self.word_equal[t - 2].q.val();
            }
        }
        for t in 0..2 {
            self.word_score[t].clock.next = self.clock.val();
            self.word_tail[t].clock.next = self.clock.val();
            if t == 0 {
                self.word_score[t].d.next = self.score.q.val();
                self.word_tail[t].d.next = self.row_tail.q.val();
            } else {
                self.word_score[t].d.next = self.word_score[t - 1].q.val();
                self.word_tail[t].d.next = self.word_tail[t - 1].q.val();
            }
        }

        // What is larger, what is equal, and which of the equals still pass.
        for i in 0..self.lanes.val() {
            self.rows.write_data[i].next = self.row_scores[i].val();
            for t in 1..self.stages.val() {
                self.data[(t - 1) * self.lanes.val() + i].clock.next = self.clock.val();
                if t == 1 {
                    self.data[i].d.next = self.rows.read_data[i].val();
                } else {
                    self.data[(t - 1) * self.lanes.val() + i].d.next =
                        self.data[(t - 2) * self.lanes.val() + i].q.val();
                }
            }
            self.there[i].next = !self.ends[1].q.val() | (self.word_tail[1].q.val() > i);
            for t in 0..self.marks.val() {
                self.larger[t * self.lanes.val() + i].clock.next = self.clock.val();
                self.same[t * self.lanes.val() + i].clock.next = self.clock.val();
                if t == 0 {
                    self.larger[i].d.next = self.there[i].val() & (self.data[i].q.val() > self.word_score[1].q.val());
                    self.same[i].d.next = self.there[i].val() & (self.data[i].q.val() == self.word_score[1].q.val());
                } else {
                    self.larger[t * self.lanes.val() + i].d.next = self.larger[(t - 1) * self.lanes.val() + i].q.val();
                    self.same[t * self.lanes.val() + i].d.next = self.same[(t - 1) * self.lanes.val() + i].q.val();
                }
            }
            self.equals.marked[i].next = self.same[i].q.val();
            self.keep[i].clock.next = self.clock.val();
            self.keep[i].d.next = self.larger[self.count_stages.val() * self.lanes.val() + i].q.val()
                | (self.same[self.count_stages.val() * self.lanes.val() + i].q.val()
                    & (self.equals.below[i].val() < self.allowed.val()));
        }
        self.allowed.next = self.left.q.val();
        if self.starts[self.stages.val() - 2].q.val() {
            self.allowed.next = self.word_equal[self.stages.val() - 2].q.val();
        }
        if self.valid[self.stages.val() - 2].q.val() {
            self.left.d.next = self.allowed.val() - self.equals.total.val();
            if self.allowed.val() < self.equals.total.val() {
                self.left.d.next = 0.into();
            }
        }

        // Gaps are closed and beats filled.
        self.credits.take.next = self.issue.val();
        self.credits.give.next = self.queue.popped.val();
        self.network.in_valid.next = self.valid[self.stages.val() - 1].q.val();
        self.network.in_last.next = self.ends[self.stages.val() - 1].q.val();
        self.queue.push.next = self.network.out_valid.val();
        self.queue.in_tag.next = (self.network.out_count.val() << 1) | self.network.out_last.val();
        for i in 0..self.lanes.val() {
            self.network.in_keep[i].next = self.keep[i].q.val();
            self.network.in_data[i].next = self.data[(self.stages.val() - 2) * self.lanes.val() + i].q.val()
                | (i << self.bits.val())
                | (self.word[self.stages.val() - 1].q.val() << (self.bits.val() + self.level_bits.val()));
            self.queue.in_data[i].next = self.network.out_data[i].val();
        }
        if self.packed.val() == 0 {
            self.out_valid.next = self.queue.out_valid.val();
            self.out_count.next = self.queue.out_tag.val() >> 1;
            self.out_last.next = self.queue.out_tag.val().get_bit(0);
            self.queue.out_ready.next = self.out_ready.val();
            for i in 0..self.lanes.val() {
                self.out_data[i].next = self.queue.out_data[i].val();
            }
        } else {
            for p in 0..self.packed.val() {
                self.packers[p].clock.next = self.clock.val();
                self.packers[p].reset.next = self.reset.val();
                self.packers[p].in_valid.next = self.queue.out_valid.val();
                self.packers[p].in_count.next = self.queue.out_tag.val() >> 1;
                self.packers[p].in_last.next = self.queue.out_tag.val().get_bit(0);
                self.queue.out_ready.next = self.packers[p].in_ready.val();
                self.out_valid.next = self.packers[p].out_valid.val();
                self.out_count.next = self.packers[p].out_count.val();
                self.out_last.next = self.packers[p].out_last.val();
                self.packers[p].out_ready.next = self.out_ready.val();
                for i in 0..self.lanes.val() {
                    self.packers[p].in_data[i].next = self.queue.out_data[i].val();
                    self.out_data[i].next = self.packers[p].out_data[i].val();
                }
            }
        }
    }
}
