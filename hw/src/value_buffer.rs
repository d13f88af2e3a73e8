//! Double-buffered V SRAM. Siblings: `sim`, `tests/value_buffer.rs`.
//! Paper: SpAtten section IV-G, Table I (196 KB, double buffered).
//! Why: the kept values of a row lie anywhere, so the SRAM is one bank per 16 operands and every bank has its own address.
//! Rows are not brought back into the order of the request: a sum of products does not ask for it, and a crossbar of whole
//! rows would be the largest block of the chip. Their weights, 13 bits each, are moved to where the rows come out instead.
//! Differs from the paper: at D = 128 a head takes both halves (the paper sizes the SRAM for D = 64).

use crate::credits::Credits;
use crate::halves::Halves;
use crate::hdl::*;
use crate::key_buffer::BufferSize;
use crate::lane_fifo::LaneFifo;
use crate::leaf::{LaneSum, Ram, ReadPort};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::{Formats, TOKEN_SCALE_BITS, TOKEN_SCALE_FRACTION};

/// V of two heads (D <= 64) or of one (D = 128), with a scale per row.
///
/// `write` as in [`KeyBuffer`](crate::key_buffer::KeyBuffer). A `scale` beat holds the scales of the rows of one word, in its
/// low lanes, if `scaled`. With word W and lanes L = W / 16, a word holds R = max(1, W / D) rows, and a row takes
/// P = max(1, D / W) words. A `read` request names up to R rows of the oldest filled head in its low lanes (`read_row`), each
/// with a weight. Row r comes out in place r mod R: rows of a request that share a place come one after the other.
/// `read_last` ends a sum, `read_release` the head. `read_again` and `add`, `dim` and `scaled` as in `KeyBuffer`.
///
/// # Shapes   a request -> beats of `word` operands, and for each of its R places a weight and a scale. Places without a row
/// have weight 0 (their operands are some row's) and their scale means nothing. A request of no rows gives one such beat.
/// `out_last` stands with the last beat of a request that has `read_last`; at D > W, `out_part` counts the words of a row.
/// # Formats  `operand`, `probability`, `token_scale` of `arch::format::Formats`
/// # Timing   P * max over places of rows that share it (at least 1) cycles per request, 1 where no two do: consecutive rows
/// never do. The first beat is there 8 cycles after its request. The first request of a head is taken at
/// least 6 cycles after the last of the head before; LSBs are added from the 6th cycle after `read_again`.
#[derive(LogicBlock)]
pub struct ValueBuffer {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, empties the buffer.
    pub reset: Signal<In, Bit>,
    /// log2(head dimension) - 4.
    pub dim: Wire<In>,
    /// There are scales.
    pub scaled: Signal<In, Bit>,
    /// Operands are offered.
    pub write_valid: Signal<In, Bit>,
    /// They would be taken.
    pub write_ready: Signal<Out, Bit>,
    /// The operands.
    pub write_data: Wire<In>,
    /// The head's last beat.
    pub write_last: Signal<In, Bit>,
    /// Scales are offered.
    pub scale_valid: Signal<In, Bit>,
    /// They would be taken.
    pub scale_ready: Signal<Out, Bit>,
    /// The scales of a word's rows.
    pub scale_data: Vec<Wire<In>>,
    /// The head's last ones.
    pub scale_last: Signal<In, Bit>,
    /// A request is offered.
    pub read_valid: Signal<In, Bit>,
    /// It would be taken.
    pub read_ready: Signal<Out, Bit>,
    /// Rows of the head.
    pub read_row: Vec<Wire<In>>,
    /// Their weights.
    pub read_weight: Vec<Wire<In>>,
    /// How many.
    pub read_count: Wire<In>,
    /// The last ones of a sum.
    pub read_last: Signal<In, Bit>,
    /// The last ones of the head.
    pub read_release: Signal<In, Bit>,
    /// The last ones before the head is added to.
    pub read_again: Signal<In, Bit>,
    /// LSBs are offered.
    pub add_valid: Signal<In, Bit>,
    /// They would be taken.
    pub add_ready: Signal<Out, Bit>,
    /// The LSBs.
    pub add_data: Wire<In>,
    /// The head's last ones.
    pub add_last: Signal<In, Bit>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Operands, 16 per lane.
    pub out_data: Vec<Wire<Out>>,
    /// Weight of the row in each place.
    pub out_weight: Vec<Wire<Out>>,
    /// Its scale.
    pub out_scale: Vec<Wire<Out>>,
    /// Which word of the row.
    pub out_part: Wire<Out>,
    /// The sum's last beat.
    pub out_last: Signal<Out, Bit>,
    /// Halves that may be read.
    pub full: Wire<Out>,
    lanes: Param,
    lane_level: Param,
    lane_bits: Param,
    one_scale: Param,
    weight_bits: Param,
    write_banks: Param,
    write_level: Param,
    parts: Param,
    part_level: Param,
    beat_lanes: Param,
    half_words: Param,
    half_level: Param,
    half_rows: Param,
    half_row_level: Param,
    choices: Param,
    others: Param,
    halves: Halves,
    room: Credits,
    size: Reg,
    wide: Reg,
    shared: Reg,
    is_scaled: Dff<Bit>,
    write: Signal<Local, Bit>,
    scale: Signal<Local, Bit>,
    write_at: Reg,
    scale_at: Reg,
    write_row: Wire<Local>,
    scale_row: Wire<Local>,
    add: Signal<Local, Bit>,
    add_at: Reg,
    add_row: Wire<Local>,
    // The beat that is added, and where it belongs.
    sum_data: Reg,
    sum_row: Reg,
    sum_part: Reg,
    sums: Vec<LaneSum>,
    // P: a request as it came.
    p_valid: Dff<Bit>,
    p_row: Vec<Reg>,
    p_weight: Vec<Reg>,
    p_count: Reg,
    p_last: Dff<Bit>,
    p_release: Dff<Bit>,
    p_again: Dff<Bit>,
    accept: Signal<Local, Bit>,
    draining: Dff<Bit>,
    place: Vec<Wire<Local>>,
    // S: the request that is served. Of the pairs of lanes (i, j), i < j, those that share a place.
    s_valid: Dff<Bit>,
    s_word: Vec<Reg>,
    s_place: Vec<Reg>,
    s_weight: Vec<Reg>,
    s_pending: Vec<Dff<Bit>>,
    s_pair: Vec<Dff<Bit>>,
    s_last: Dff<Bit>,
    s_release: Dff<Bit>,
    s_again: Dff<Bit>,
    s_part: Reg,
    blocked: Vec<Signal<Local, Bit>>,
    stuck: Vec<Signal<Local, Bit>>,
    waiting: Vec<Signal<Local, Bit>>,
    one_bit: Wire<Local>,
    all_lanes: Wire<Local>,
    final_part: Signal<Local, Bit>,
    pass: Signal<Local, Bit>,
    done: Signal<Local, Bit>,
    load: Signal<Local, Bit>,
    // G: lanes that go at once.
    g_valid: Dff<Bit>,
    g_word: Vec<Reg>,
    g_place: Vec<Reg>,
    g_weight: Vec<Reg>,
    g_go: Vec<Dff<Bit>>,
    g_part: Reg,
    g_last: Dff<Bit>,
    g_release: Dff<Bit>,
    g_again: Dff<Bit>,
    hit: Vec<Wire<Local>>,
    to_word: Vec<Wire<Local>>,
    to_weight: Vec<Wire<Local>>,
    // A: words and weights by place.
    a_valid: Dff<Bit>,
    a_word: Vec<Reg>,
    a_weight: Vec<Reg>,
    a_part: Reg,
    a_last: Dff<Bit>,
    a_release: Dff<Bit>,
    a_again: Dff<Bit>,
    bank_word: Vec<Wire<Local>>,
    // B: rows of the memories.
    b_valid: Dff<Bit>,
    b_row: Vec<Reg>,
    b_scale_row: Vec<Reg>,
    b_choice: Vec<Reg>,
    b_weight: Vec<Reg>,
    b_part: Reg,
    b_last: Dff<Bit>,
    b_release: Dff<Bit>,
    b_again: Dff<Bit>,
    banks: Vec<Ram>,
    scales: Vec<Ram>,
    // C: what the memories say.
    c_valid: Dff<Bit>,
    c_weight: Vec<Reg>,
    c_choice: Vec<Reg>,
    c_part: Reg,
    c_last: Dff<Bit>,
    found: Vec<Wire<Local>>,
    // D: the beat.
    d_valid: Dff<Bit>,
    d_data: Vec<Reg>,
    d_weight: Vec<Reg>,
    d_scale: Vec<Reg>,
    d_tag: Reg,
    data_queue: LaneFifo,
    weight_queue: LaneFifo,
}

impl ValueBuffer {
    /// For a configuration.
    pub fn of(config: &ArchConfig) -> Self {
        let weight = Formats::new(config).probability.width() as usize;
        Self::new(BufferSize::of(config, config.value_buffer_bytes), weight)
    }

    /// Of any size whose numbers are powers of two.
    ///
    /// # Panics
    /// Where they are not, or a beat is less than a bank.
    #[track_caller]
    pub fn new(size: BufferSize, weight_bits: usize) -> Self {
        let BufferSize { bits, word, beat, operands, keys, lanes } = size;
        assert!(
            [word, beat, operands, keys, lanes].iter().all(|n| n.is_power_of_two()) && beat >= HEAD_DIMS[0],
            "{size:?}: a buffer's sizes are powers of two, beats at least {}",
            HEAD_DIMS[0]
        );
        let (write_banks, parts) = ((beat / word).max(1), (word / beat).max(1));
        let (words, lane_bits, scale) = (size.words(), HEAD_DIMS[0] * bits, TOKEN_SCALE_BITS as usize);
        let rows = words / write_banks;
        let choices = if write_banks > 1 { lanes } else { 0 };
        let [word_bits, row_bits, key_bits, place_bits] = [words - 1, rows - 1, keys - 1, lanes - 1].map(bits_for);
        let number = |n: usize| Param::new(n);
        let level = |n: usize| Param::new(n.ilog2() as usize);
        let regs = |n: usize, bits: usize| vec_of(n, || Reg::unsigned(bits));
        Self {
            name: ModuleName::new("value_buffer"),
            clock: Default::default(),
            reset: Default::default(),
            dim: Wire::unsigned(2),
            scaled: Default::default(),
            write_valid: Default::default(),
            write_ready: Default::default(),
            write_data: Wire::unsigned(beat * bits),
            write_last: Default::default(),
            scale_valid: Default::default(),
            scale_ready: Default::default(),
            scale_data: vec_of(lanes, || Wire::unsigned(scale)),
            scale_last: Default::default(),
            read_valid: Default::default(),
            read_ready: Default::default(),
            read_row: vec_of(lanes, || Wire::unsigned(key_bits)),
            read_weight: vec_of(lanes, || Wire::unsigned(weight_bits)),
            read_count: Wire::unsigned(bits_for(lanes)),
            read_last: Default::default(),
            read_release: Default::default(),
            read_again: Default::default(),
            add_valid: Default::default(),
            add_ready: Default::default(),
            add_data: Wire::unsigned(beat * bits),
            add_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(lanes, || Wire::unsigned(lane_bits)),
            out_weight: vec_of(lanes, || Wire::unsigned(weight_bits)),
            out_scale: vec_of(lanes, || Wire::unsigned(scale)),
            out_part: Wire::unsigned(3),
            out_last: Default::default(),
            full: Wire::unsigned(2),
            lanes: number(lanes),
            lane_level: level(lanes),
            lane_bits: number(lane_bits),
            one_scale: number(1 << TOKEN_SCALE_FRACTION),
            weight_bits: number(weight_bits),
            write_banks: number(write_banks),
            write_level: level(write_banks),
            parts: number(parts),
            part_level: level(parts),
            beat_lanes: number((beat / HEAD_DIMS[0]).min(lanes)),
            half_words: number(words / 2),
            half_level: level(words / 2),
            half_rows: number(rows / 2),
            half_row_level: level(rows / 2),
            choices: number(choices),
            others: number(lanes - 1),
            halves: Default::default(),
            room: Credits::new(8),
            size: Reg::unsigned(2),
            wide: Reg::unsigned(2),
            shared: Reg::unsigned(2),
            is_scaled: Default::default(),
            write: Default::default(),
            scale: Default::default(),
            write_at: Reg::unsigned(bits_for(operands / beat - 1)),
            scale_at: Reg::unsigned(word_bits),
            write_row: Wire::unsigned(row_bits),
            scale_row: Wire::unsigned(word_bits),
            add: Default::default(),
            add_at: Reg::unsigned(bits_for(operands / beat - 1)),
            add_row: Wire::unsigned(row_bits),
            sum_data: Reg::unsigned(beat * bits),
            sum_row: Reg::unsigned(row_bits),
            sum_part: Reg::unsigned(bits_for(parts - 1)),
            sums: vec_of(write_banks * lanes, || LaneSum::new(HEAD_DIMS[0], bits)),
            p_valid: Default::default(),
            p_row: regs(lanes, key_bits),
            p_weight: regs(lanes, weight_bits),
            p_count: Reg::unsigned(bits_for(lanes)),
            p_last: Default::default(),
            p_release: Default::default(),
            p_again: Default::default(),
            accept: Default::default(),
            draining: Default::default(),
            place: vec_of(lanes, || Wire::unsigned(place_bits)),
            s_valid: Default::default(),
            s_word: regs(lanes, word_bits),
            s_place: regs(lanes, place_bits),
            s_weight: regs(lanes, weight_bits),
            s_pending: vec_of(lanes, Default::default),
            s_pair: vec_of(lanes * (lanes - 1) / 2, Default::default),
            s_last: Default::default(),
            s_release: Default::default(),
            s_again: Default::default(),
            s_part: Reg::unsigned(3),
            blocked: vec_of((lanes - 1) * (lanes - 1), Default::default),
            stuck: vec_of(lanes, Default::default),
            waiting: vec_of(lanes, Default::default),
            one_bit: Wire::unsigned(4),
            all_lanes: Wire::unsigned(place_bits),
            final_part: Default::default(),
            pass: Default::default(),
            done: Default::default(),
            load: Default::default(),
            g_valid: Default::default(),
            g_word: regs(lanes, word_bits),
            g_place: regs(lanes, place_bits),
            g_weight: regs(lanes, weight_bits),
            g_go: vec_of(lanes, Default::default),
            g_part: Reg::unsigned(3),
            g_last: Default::default(),
            g_release: Default::default(),
            g_again: Default::default(),
            hit: vec_of(lanes * lanes, || Wire::signed(1)),
            to_word: vec_of(lanes * lanes, || Wire::unsigned(word_bits)),
            to_weight: vec_of(lanes * lanes, || Wire::unsigned(weight_bits)),
            a_valid: Default::default(),
            a_word: regs(lanes, word_bits),
            a_weight: regs(lanes, weight_bits),
            a_part: Reg::unsigned(3),
            a_last: Default::default(),
            a_release: Default::default(),
            a_again: Default::default(),
            bank_word: vec_of(lanes, || Wire::unsigned(word_bits)),
            b_valid: Default::default(),
            b_row: regs(lanes, row_bits),
            b_scale_row: regs(lanes, word_bits),
            b_choice: regs(choices, bits_for(write_banks - 1)),
            b_weight: regs(lanes, weight_bits),
            b_part: Reg::unsigned(3),
            b_last: Default::default(),
            b_release: Default::default(),
            b_again: Default::default(),
            banks: vec_of(write_banks * lanes, || Ram::new(lane_bits, rows, ReadPort::Registered)),
            scales: vec_of(lanes, || Ram::new(scale, words, ReadPort::Registered)),
            c_valid: Default::default(),
            c_weight: regs(lanes, weight_bits),
            c_choice: regs(choices, bits_for(write_banks - 1)),
            c_part: Reg::unsigned(3),
            c_last: Default::default(),
            found: vec_of(write_banks * lanes, || Wire::unsigned(lane_bits)),
            d_valid: Default::default(),
            d_data: regs(lanes, lane_bits),
            d_weight: regs(lanes, weight_bits),
            d_scale: regs(lanes, scale),
            d_tag: Reg::unsigned(4),
            data_queue: LaneFifo::new(lanes, lane_bits, 4, 8),
            weight_queue: LaneFifo::new(lanes, weight_bits + scale, 1, 8),
        }
    }
}

impl Logic for ValueBuffer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, size, wide, shared, is_scaled, write_at, scale_at, draining);
        dff_setup!(self, clock, p_valid, p_count, p_last, p_release, s_valid, s_last, s_release, s_part);
        dff_setup!(self, clock, g_valid, g_part, g_last, g_release, a_valid, a_part, a_last, a_release);
        dff_setup!(self, clock, b_valid, b_part, b_last, b_release, c_valid, c_part, c_last, d_valid, d_tag);
        dff_setup!(self, clock, add_at, sum_data, sum_row, sum_part, p_again, s_again, g_again, a_again, b_again);
        clock!(self, clock, halves, room, data_queue, weight_queue);
        self.halves.reset.next = self.reset.val();
        self.room.reset.next = self.reset.val();
        self.data_queue.reset.next = self.reset.val();
        self.weight_queue.reset.next = self.reset.val();
        self.halves.whole.next = self.dim.val() == 3;
        self.halves.scaled.next = self.scaled.val();
        self.full.next = self.halves.full.val();
        self.is_scaled.d.next = self.scaled.val();
        // A row shares a word with others (2^shared lanes each), or is 2^wide words.
        self.size.d.next = self.dim.val();
        self.shared.d.next = self.dim.val();
        self.wide.d.next = 0.into();
        if (self.lane_level.val() < 3) & (self.dim.val() > self.lane_level.val()) {
            self.shared.d.next = self.lane_level.val().into();
            self.wide.d.next = self.dim.val() - self.lane_level.val();
        }

        // Writing, as in the key buffer.
        self.write_ready.next = self.halves.data_open.val();
        self.write.next = self.write_valid.val() & self.halves.data_open.val();
        self.halves.data_ends.next = self.write.val() & self.write_last.val();
        self.scale_ready.next = self.halves.scale_open.val();
        self.scale.next = self.scale_valid.val() & self.halves.scale_open.val();
        self.halves.scale_ends.next = self.scale.val() & self.scale_last.val();
        if self.write.val() {
            self.write_at.d.next = self.write_at.q.val() + 1;
            if self.write_last.val() {
                self.write_at.d.next = 0.into();
            }
        }
        if self.scale.val() {
            self.scale_at.d.next = self.scale_at.q.val() + 1;
            if self.scale_last.val() {
                self.scale_at.d.next = 0.into();
            }
        }
        if self.size.q.val() == 3 {
            self.write_row.next = self.write_at.q.val() >> self.part_level.val();
            self.scale_row.next = self.scale_at.q.val();
            self.add_row.next = self.add_at.q.val() >> self.part_level.val();
        } else {
            self.write_row.next = ((self.write_at.q.val() >> self.part_level.val()) & (self.half_rows.val() - 1))
                | (self.halves.write_half.val() << self.half_row_level.val());
            self.scale_row.next = (self.scale_at.q.val() & (self.half_words.val() - 1))
                | (self.halves.write_half.val() << self.half_level.val());
            self.add_row.next = ((self.add_at.q.val() >> self.part_level.val()) & (self.half_rows.val() - 1))
                | (self.halves.read_half.val() << self.half_row_level.val());
        }
        // Adding, as in the key buffer.
        self.add_ready.next = self.halves.add_open.val();
        self.add.next = self.add_valid.val() & self.halves.add_open.val();
        self.halves.add.next = self.add.val();
        self.halves.add_last.next = self.add_last.val();
        if self.add.val() {
            self.add_at.d.next = self.add_at.q.val() + 1;
            if self.add_last.val() {
                self.add_at.d.next = 0.into();
            }
        }
        self.sum_data.d.next = self.add_data.val();
        self.sum_row.d.next = self.add_row.val();
        self.sum_part.d.next = self.add_at.q.val() & (self.parts.val() - 1);
        for l in 0..self.lanes.val() {
            for w in 0..self.write_banks.val() {
                self.banks[w * self.lanes.val() + l].clock.next = self.clock.val();
                self.banks[w * self.lanes.val() + l].write_address.next = self.write_row.val();
                self.banks[w * self.lanes.val() + l].read_address.next = self.b_row[l].q.val();
                if self.halves.add_open.val() {
                    self.banks[w * self.lanes.val() + l].read_address.next = self.add_row.val();
                }
                self.sums[w * self.lanes.val() + l].a.next = self.banks[w * self.lanes.val() + l].read_data.val();
                for q in 0..self.parts.val() {
                    if (q * self.beat_lanes.val() < l + 1) & (l < (q + 1) * self.beat_lanes.val()) {
                        self.banks[w * self.lanes.val() + l].write_enable.next =
                            self.write.val() & ((self.write_at.q.val() & (self.parts.val() - 1)) == q);
                        self.banks[w * self.lanes.val() + l].write_data.next = self.write_data.val()
                            >> ((w * self.lanes.val() + l - q * self.beat_lanes.val()) * self.lane_bits.val());
                        self.sums[w * self.lanes.val() + l].b.next = self.sum_data.q.val()
                            >> ((w * self.lanes.val() + l - q * self.beat_lanes.val()) * self.lane_bits.val());
                        if self.halves.sums.val() {
                            self.banks[w * self.lanes.val() + l].write_enable.next = self.sum_part.q.val() == q;
                            self.banks[w * self.lanes.val() + l].write_address.next = self.sum_row.q.val();
                            self.banks[w * self.lanes.val() + l].write_data.next =
                                self.sums[w * self.lanes.val() + l].sum.val();
                        }
                    }
                }
            }
            self.scales[l].clock.next = self.clock.val();
            self.scales[l].write_enable.next = self.scale.val();
            self.scales[l].write_address.next = self.scale_row.val();
            self.scales[l].write_data.next = self.scale_data[l].val();
            self.scales[l].read_address.next = self.b_scale_row[l].q.val();
        }

        // P. Nothing is accepted between a head's last request and its last read, so there is one half to read from.
        self.load.next = self.p_valid.q.val() & (!self.s_valid.q.val() | self.done.val());
        self.read_ready.next =
            self.halves.read_open.val() & !self.draining.q.val() & (!self.p_valid.q.val() | self.load.val());
        self.accept.next = self.read_valid.val()
            & self.halves.read_open.val()
            & !self.draining.q.val()
            & (!self.p_valid.q.val() | self.load.val());
        if self.load.val() {
            self.p_valid.d.next = false;
        }
        if self.b_valid.q.val() & (self.b_release.q.val() | self.b_again.q.val()) {
            self.draining.d.next = false;
        }
        if self.accept.val() {
            self.p_valid.d.next = true;
            self.p_count.d.next = self.read_count.val();
            self.p_last.d.next = self.read_last.val();
            self.p_release.d.next = self.read_release.val();
            self.p_again.d.next = self.read_again.val();
            self.draining.d.next = self.read_release.val() | self.read_again.val();
        }

        // S. A lane goes where no lane before it goes to the same place.
        self.final_part.next = (self.s_part.q.val() + 1) == (self.one_bit.val() << self.wide.q.val());
        self.pass.next = self.s_valid.q.val() & self.room.available.val();
        self.done.next = self.pass.val() & self.final_part.val() & !self.waiting[self.lanes.val() - 1].val();
        self.one_bit.next = 1.into();
        self.all_lanes.next = (self.lanes.val() - 1).into();
        if self.pass.val() {
            self.s_part.d.next = self.s_part.q.val() + 1;
            if self.final_part.val() {
                self.s_part.d.next = 0.into();
            }
        }
        if self.done.val() {
            self.s_valid.d.next = false;
        }
        if self.load.val() {
            self.s_valid.d.next = true;
            self.s_last.d.next = self.p_last.q.val();
            self.s_release.d.next = self.p_release.q.val();
            self.s_again.d.next = self.p_again.q.val();
        }
        self.room.take.next = self.pass.val();
        self.room.give.next = self.data_queue.popped.val();
        for j in 0..self.lanes.val() {
            self.p_row[j].clock.next = self.clock.val();
            self.p_row[j].d.next = self.p_row[j].q.val();
            self.p_weight[j].clock.next = self.clock.val();
            self.p_weight[j].d.next = self.p_weight[j].q.val();
            if self.accept.val() {
                self.p_row[j].d.next = self.read_row[j].val();
                self.p_weight[j].d.next = self.read_weight[j].val();
            }
            self.place[j].next = self.p_row[j].q.val() & (self.all_lanes.val() >> self.shared.q.val());
            self.s_word[j].clock.next = self.clock.val();
            self.s_word[j].d.next = self.s_word[j].q.val();
            self.s_place[j].clock.next = self.clock.val();
            self.s_place[j].d.next = self.s_place[j].q.val();
            self.s_weight[j].clock.next = self.clock.val();
            self.s_weight[j].d.next = self.s_weight[j].q.val();
            self.s_pending[j].clock.next = self.clock.val();
            self.s_pending[j].d.next = self.s_pending[j].q.val();
            if j == 0 {
                self.stuck[0].next = false;
                self.waiting[0].next = false;
            } else {
                self.waiting[j].next = self.waiting[j - 1].val() | (self.s_pending[j].q.val() & self.stuck[j].val());
            }
            if self.pass.val() & self.final_part.val() {
                self.s_pending[j].d.next = self.s_pending[j].q.val() & self.stuck[j].val();
            }
            if self.load.val() {
                self.s_word[j].d.next =
                    ((self.p_row[j].q.val() << self.shared.q.val()) >> self.lane_level.val()) << self.wide.q.val();
                self.s_place[j].d.next = self.place[j].val();
                self.s_weight[j].d.next = self.p_weight[j].q.val();
                self.s_pending[j].d.next = self.p_count.q.val() > j;
            }
            self.g_go[j].clock.next = self.clock.val();
            self.g_go[j].d.next = self.s_pending[j].q.val() & !self.stuck[j].val();
            self.g_word[j].clock.next = self.clock.val();
            self.g_word[j].d.next = self.s_word[j].q.val() | self.s_part.q.val();
            self.g_place[j].clock.next = self.clock.val();
            self.g_place[j].d.next = self.s_place[j].q.val();
            self.g_weight[j].clock.next = self.clock.val();
            self.g_weight[j].d.next = self.s_weight[j].q.val();
        }
        // Lane j + 1 waits for the lanes up to j that share its place.
        for j in 0..self.others.val() {
            for i in 0..self.others.val() {
                if i < j + 1 {
                    self.s_pair[(j * (j + 1)) / 2 + i].clock.next = self.clock.val();
                    self.s_pair[(j * (j + 1)) / 2 + i].d.next = self.s_pair[(j * (j + 1)) / 2 + i].q.val();
                    if self.load.val() {
                        self.s_pair[(j * (j + 1)) / 2 + i].d.next = self.place[i].val() == self.place[j + 1].val();
                    }
                    if i == 0 {
                        self.blocked[j * self.others.val()].next =
                            self.s_pending[0].q.val() & self.s_pair[(j * (j + 1)) / 2].q.val();
                    } else {
                        self.blocked[j * self.others.val() + i].next = self.blocked[j * self.others.val() + i - 1]
                            .val()
                            | (self.s_pending[i].q.val() & self.s_pair[(j * (j + 1)) / 2 + i].q.val());
                    }
                } else {
                    self.blocked[j * self.others.val() + i].next = self.blocked[j * self.others.val() + i - 1].val();
                }
            }
            self.stuck[j + 1].next = self.blocked[j * self.others.val() + self.others.val() - 1].val();
        }
        self.g_valid.d.next = self.pass.val();
        self.g_part.d.next = self.s_part.q.val();
        self.g_last.d.next = self.s_last.q.val() & self.done.val();
        self.g_release.d.next = self.s_release.q.val() & self.done.val();
        self.g_again.d.next = self.s_again.q.val() & self.done.val();

        // G, A: from lanes to places, from places to banks.
        for s in 0..self.lanes.val() {
            for j in 0..self.lanes.val() {
                self.hit[s * self.lanes.val() + j].next =
                    (self.g_go[j].q.val() & (self.g_place[j].q.val() == s)).into();
                if j == 0 {
                    self.to_word[s * self.lanes.val()].next =
                        self.g_word[0].q.val() & self.hit[s * self.lanes.val()].val();
                    self.to_weight[s * self.lanes.val()].next =
                        self.g_weight[0].q.val() & self.hit[s * self.lanes.val()].val();
                } else {
                    self.to_word[s * self.lanes.val() + j].next = self.to_word[s * self.lanes.val() + j - 1].val()
                        | (self.g_word[j].q.val() & self.hit[s * self.lanes.val() + j].val());
                    self.to_weight[s * self.lanes.val() + j].next = self.to_weight[s * self.lanes.val() + j - 1].val()
                        | (self.g_weight[j].q.val() & self.hit[s * self.lanes.val() + j].val());
                }
            }
            self.a_word[s].clock.next = self.clock.val();
            self.a_word[s].d.next = self.to_word[s * self.lanes.val() + self.lanes.val() - 1].val();
            self.a_weight[s].clock.next = self.clock.val();
            self.a_weight[s].d.next = self.to_weight[s * self.lanes.val() + self.lanes.val() - 1].val();
            self.bank_word[s].next = self.a_word[s].q.val();
            for e in 0..4 {
                if (e > 0) & (e < self.lane_level.val() + 1) & (self.shared.q.val() == e) {
                    self.bank_word[s].next = self.a_word[s >> e].q.val();
                }
            }
            self.b_row[s].clock.next = self.clock.val();
            self.b_scale_row[s].clock.next = self.clock.val();
            if self.size.q.val() == 3 {
                self.b_row[s].d.next = self.bank_word[s].val() >> self.write_level.val();
                self.b_scale_row[s].d.next = self.a_word[s].q.val() >> self.wide.q.val();
            } else {
                self.b_row[s].d.next = ((self.bank_word[s].val() >> self.write_level.val())
                    & (self.half_rows.val() - 1))
                    | (self.halves.read_half.val() << self.half_row_level.val());
                self.b_scale_row[s].d.next = ((self.a_word[s].q.val() >> self.wide.q.val())
                    & (self.half_words.val() - 1))
                    | (self.halves.read_half.val() << self.half_level.val());
            }
            self.b_weight[s].clock.next = self.clock.val();
            self.b_weight[s].d.next = self.a_weight[s].q.val();
            self.c_weight[s].clock.next = self.clock.val();
            self.c_weight[s].d.next = self.b_weight[s].q.val();
        }
        for s in 0..self.choices.val() {
            self.b_choice[s].clock.next = self.clock.val();
            self.b_choice[s].d.next = self.bank_word[s].val() & (self.write_banks.val() - 1);
            self.c_choice[s].clock.next = self.clock.val();
            self.c_choice[s].d.next = self.b_choice[s].q.val();
        }
        self.a_valid.d.next = self.g_valid.q.val();
        self.a_part.d.next = self.g_part.q.val();
        self.a_last.d.next = self.g_last.q.val();
        self.a_release.d.next = self.g_release.q.val();
        self.a_again.d.next = self.g_again.q.val();
        self.b_valid.d.next = self.a_valid.q.val();
        self.b_part.d.next = self.a_part.q.val();
        self.b_last.d.next = self.a_last.q.val();
        self.b_release.d.next = self.a_release.q.val();
        self.b_again.d.next = self.a_again.q.val();
        self.halves.freed.next = self.b_valid.q.val() & self.b_release.q.val();
        self.halves.again.next = self.b_valid.q.val() & self.b_again.q.val();

        // C, D.
        self.c_valid.d.next = self.b_valid.q.val();
        self.c_part.d.next = self.b_part.q.val();
        self.c_last.d.next = self.b_last.q.val();
        self.d_valid.d.next = self.c_valid.q.val();
        self.d_tag.d.next = (self.c_part.q.val() << 1) | self.c_last.q.val();
        for l in 0..self.lanes.val() {
            for w in 0..self.write_banks.val() {
                if w == 0 {
                    self.found[l].next = self.banks[l].read_data.val();
                } else {
                    self.found[w * self.lanes.val() + l].next = self.found[(w - 1) * self.lanes.val() + l].val();
                    if self.c_choice[l].q.val() == w {
                        self.found[w * self.lanes.val() + l].next =
                            self.banks[w * self.lanes.val() + l].read_data.val();
                    }
                }
            }
            self.d_data[l].clock.next = self.clock.val();
            self.d_data[l].d.next = self.found[(self.write_banks.val() - 1) * self.lanes.val() + l].val();
            self.d_weight[l].clock.next = self.clock.val();
            self.d_weight[l].d.next = self.c_weight[l].q.val();
            self.d_scale[l].clock.next = self.clock.val();
            self.d_scale[l].d.next = self.scales[l].read_data.val();
            self.data_queue.in_data[l].next = self.d_data[l].q.val();
            self.weight_queue.in_data[l].next =
                self.d_weight[l].q.val() | (self.d_scale[l].q.val() << self.weight_bits.val());
            self.out_data[l].next = self.data_queue.out_data[l].val();
            self.out_weight[l].next = self.weight_queue.out_data[l].val();
            self.out_scale[l].next = self.weight_queue.out_data[l].val() >> self.weight_bits.val();
            if !self.is_scaled.q.val() {
                self.out_scale[l].next = self.one_scale.val().into();
            }
        }
        self.data_queue.push.next = self.d_valid.q.val();
        self.data_queue.in_tag.next = self.d_tag.q.val();
        self.data_queue.out_ready.next = self.out_ready.val();
        self.weight_queue.push.next = self.d_valid.q.val();
        self.weight_queue.in_tag.next = 0.into();
        self.weight_queue.out_ready.next = self.out_ready.val();
        self.out_valid.next = self.data_queue.out_valid.val();
        self.out_part.next = self.data_queue.out_tag.val() >> 1;
        self.out_last.next = self.data_queue.out_tag.val().get_bit(0);
        if self.reset.val() {
            self.write_at.d.next = 0.into();
            self.scale_at.d.next = 0.into();
            self.add_at.d.next = 0.into();
            self.draining.d.next = false;
            self.p_valid.d.next = false;
            self.s_valid.d.next = false;
            self.s_part.d.next = 0.into();
            self.g_valid.d.next = false;
            self.a_valid.d.next = false;
            self.b_valid.d.next = false;
            self.c_valid.d.next = false;
            self.d_valid.d.next = false;
        }
    }
}
