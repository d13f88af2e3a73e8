//! Double-buffered K SRAM. Siblings: `sim`, `tests/key_buffer.rs`.
//! Paper: SpAtten section IV-E, Table I (196 KB, double buffered).
//! Why: the next head streams in while this one is read, so each half has one owner at any time and says so itself: a
//! request waits until its half is full, a write until its half is free. Nobody else counts.
//! Differs from the paper: at D = 128 a head takes both halves (the paper sizes the SRAM for D = 64).

use crate::bitwidth_converter::ELEMENTS;
use crate::credits::Credits;
use crate::halves::Halves;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use crate::leaf::{LaneSum, Ram, ReadPort};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::{TOKEN_SCALE_BITS, TOKEN_SCALE_FRACTION};

/// Sizes of a buffer of operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferSize {
    /// Bits of an operand.
    pub bits: usize,
    /// Operands of a word that is read.
    pub word: usize,
    /// Operands of a beat that is written.
    pub beat: usize,
    /// Operands in both halves.
    pub operands: usize,
    /// Keys (or values) of a head.
    pub keys: usize,
    /// Keys of a word at the smallest head dimension: lanes of scales.
    pub lanes: usize,
}

impl BufferSize {
    /// Of `bytes` of SRAM in a configuration. Sizes that are no power of two are used up to the next smaller one, so that
    /// a half is an address bit.
    pub fn of(config: &ArchConfig, bytes: usize) -> Self {
        let (word, beat) = (config.multipliers, ELEMENTS * config.channels);
        let whole = 8 * bytes / config.datapath_bits as usize;
        let operands = (1 << whole.ilog2()).max(2 * word.max(beat));
        let lanes = word / HEAD_DIMS[0];
        Self { bits: config.datapath_bits as usize, word, beat, operands, keys: config.keys_on_chip, lanes }
    }

    /// Words of both halves.
    pub fn words(&self) -> usize {
        self.operands / self.word
    }
}

/// K of two heads (D <= 64) or of one (D = 128), with a scale per key.
///
/// `write` beats of one head follow each other from its first key on, `write_last` ends the head; in memory order, so that
/// word w holds operands `w * word..` of the head. `scale` beats likewise hold the scales of `lanes` keys each, if `scaled`.
/// A `read` request names a word of the oldest filled head; the one with `read_release` is the last of that head. One with
/// `read_marker` reads nothing. After one with `read_again` the head is incomplete: `add` beats, which hold the LSBs of its
/// operands from its first key on, are added to what it has, and with `add_last` it may be read again.
/// `dim` is log2(D) - 4; it and `scaled` change only while the buffer is empty and nothing is written for two cycles.
/// A head of more operands than a half (both halves at D = 128) overwrites itself, never the other half.
///
/// # Shapes   requests -> as many beats of `word` operands and `lanes` scales, in order. Scale lane i is that of the i-th key
/// of the word (of the key that the word is a part of, where D > word); further lanes mean nothing. Not `scaled`: all 1.0.
/// # Formats  `operand`, `token_scale` of `arch::format::Formats`
/// # Timing   a beat is there 3 cycles after its request; one request, one `write` and one `scale` beat per cycle. A half is read
/// from the cycle after its last write, and written from the cycle after its release: heads of F beats and R requests take
/// max(F, R) cycles each. One `add` beat per cycle, from the cycle after `read_again` on; none is written in the cycle after it.
/// The half is read again from the second cycle after the last of them.
#[derive(LogicBlock)]
pub struct KeyBuffer {
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
    /// The scales.
    pub scale_data: Wire<In>,
    /// The head's last ones.
    pub scale_last: Signal<In, Bit>,
    /// A request is offered.
    pub read_valid: Signal<In, Bit>,
    /// It would be taken.
    pub read_ready: Signal<Out, Bit>,
    /// A word of the head.
    pub read_address: Wire<In>,
    /// Keys in it; passed along.
    pub read_count: Wire<In>,
    /// The row's last word; passed along.
    pub read_last: Signal<In, Bit>,
    /// The head's last request.
    pub read_release: Signal<In, Bit>,
    /// Nothing is read.
    pub read_marker: Signal<In, Bit>,
    /// The head is added to before it is read again.
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
    /// Operands.
    pub out_data: Vec<Wire<Out>>,
    /// Scales.
    pub out_scale: Vec<Wire<Out>>,
    /// From the request.
    pub out_count: Wire<Out>,
    /// From the request.
    pub out_last: Signal<Out, Bit>,
    /// Halves that may be read.
    pub full: Wire<Out>,
    part_bits: Param,
    write_banks: Param,
    read_banks: Param,
    write_level: Param,
    read_level: Param,
    half_rows: Param,
    half_level: Param,
    scale_level: Param,
    scale_rows: Param,
    scale_bits: Param,
    one_scale: Param,
    lanes: Param,
    tag_bits: Param,
    halves: Halves,
    size: Reg,
    is_scaled: Dff<Bit>,
    write: Signal<Local, Bit>,
    scale: Signal<Local, Bit>,
    read: Signal<Local, Bit>,
    write_at: Reg,
    scale_at: Reg,
    write_row: Wire<Local>,
    read_row: Wire<Local>,
    add: Signal<Local, Bit>,
    add_at: Reg,
    add_row: Wire<Local>,
    // The beat that is added, and where it belongs.
    sum_data: Reg,
    sum_row: Reg,
    sum_part: Reg,
    sums: Vec<LaneSum>,
    reads: Signal<Local, Bit>,
    banks: Vec<Ram>,
    scales: Ram,
    room: Credits,
    valid_a: Dff<Bit>,
    valid_b: Dff<Bit>,
    // Which of several words read at once; not there where that is one.
    which: Vec<Reg>,
    choices: Param,
    segment: Reg,
    tag_a: Reg,
    tag_b: Reg,
    word: Vec<Reg>,
    found: Vec<Wire<Local>>,
    turned: Vec<Wire<Local>>,
    by: Vec<Param>,
    scale_b: Reg,
    queue: LaneFifo,
}

impl KeyBuffer {
    /// For a configuration.
    pub fn of(config: &ArchConfig) -> Self {
        Self::new("key_buffer", BufferSize::of(config, config.key_buffer_bytes))
    }

    /// Of any size whose numbers are powers of two.
    ///
    /// # Panics
    /// Where they are not.
    #[track_caller]
    pub fn new(name: &str, size: BufferSize) -> Self {
        let BufferSize { bits, word, beat, operands, keys, lanes } = size;
        assert!(
            [word, beat, operands, keys, lanes].iter().all(|n| n.is_power_of_two()),
            "{size:?}: a buffer's sizes are powers of two"
        );
        let (write_banks, read_banks) = ((beat / word).max(1), (word / beat).max(1));
        let choices = usize::from(write_banks > 1);
        let part = word.min(beat);
        let rows = operands / word.max(beat);
        let scale_rows = 2 * (keys / lanes).max(1);
        let level = |n: usize| Param::new(n.ilog2() as usize);
        let scale = TOKEN_SCALE_BITS as usize;
        let tag_bits = bits_for(lanes) + 1;
        Self {
            name: ModuleName::new(name),
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
            scale_data: Wire::unsigned(lanes * scale),
            scale_last: Default::default(),
            read_valid: Default::default(),
            read_ready: Default::default(),
            read_address: Wire::unsigned(bits_for(size.words() - 1)),
            read_count: Wire::unsigned(bits_for(lanes)),
            read_last: Default::default(),
            read_release: Default::default(),
            read_marker: Default::default(),
            read_again: Default::default(),
            add_valid: Default::default(),
            add_ready: Default::default(),
            add_data: Wire::unsigned(beat * bits),
            add_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(read_banks, || Wire::unsigned(part * bits)),
            out_scale: vec_of(lanes, || Wire::unsigned(scale)),
            out_count: Wire::unsigned(bits_for(lanes)),
            out_last: Default::default(),
            full: Wire::unsigned(2),
            part_bits: Param::new(part * bits),
            write_banks: Param::new(write_banks),
            read_banks: Param::new(read_banks),
            write_level: level(write_banks),
            read_level: level(read_banks),
            half_rows: Param::new(rows / 2),
            half_level: level(rows / 2),
            scale_level: level(scale_rows / 2),
            scale_rows: Param::new(scale_rows / 2),
            scale_bits: Param::new(scale),
            one_scale: Param::new(1 << TOKEN_SCALE_FRACTION),
            lanes: Param::new(lanes),
            tag_bits: Param::new(tag_bits),
            halves: Default::default(),
            size: Reg::unsigned(2),
            is_scaled: Default::default(),
            write: Default::default(),
            scale: Default::default(),
            read: Default::default(),
            write_at: Reg::unsigned(bits_for(operands / beat - 1)),
            scale_at: Reg::unsigned(bits_for(scale_rows / 2)),
            write_row: Wire::unsigned(bits_for(rows - 1)),
            read_row: Wire::unsigned(bits_for(rows - 1)),
            add: Default::default(),
            add_at: Reg::unsigned(bits_for(operands / beat - 1)),
            add_row: Wire::unsigned(bits_for(rows - 1)),
            sum_data: Reg::unsigned(beat * bits),
            sum_row: Reg::unsigned(bits_for(rows - 1)),
            sum_part: Reg::unsigned(bits_for(read_banks - 1)),
            sums: vec_of(write_banks * read_banks, || LaneSum::new(part, bits)),
            reads: Default::default(),
            banks: vec_of(write_banks * read_banks, || Ram::new(part * bits, rows, ReadPort::Registered)),
            scales: Ram::new(lanes * scale, scale_rows, ReadPort::Registered),
            room: Credits::new(4),
            valid_a: Default::default(),
            valid_b: Default::default(),
            which: vec_of(choices, || Reg::unsigned(bits_for(write_banks - 1))),
            choices: Param::new(choices),
            segment: Reg::unsigned(3),
            tag_a: Reg::unsigned(tag_bits),
            tag_b: Reg::unsigned(tag_bits),
            word: vec_of(read_banks, || Reg::unsigned(part * bits)),
            found: vec_of(read_banks * write_banks, || Wire::unsigned(part * bits)),
            turned: vec_of(4, || Wire::unsigned(lanes * scale)),
            by: [lanes / 8, lanes / 4, lanes / 2].map(|by| Param::new(by * scale)).into(),
            scale_b: Reg::unsigned(lanes * scale),
            queue: LaneFifo::new(read_banks, part * bits, tag_bits + lanes * scale, 4),
        }
    }
}

impl Logic for KeyBuffer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, size, is_scaled, write_at, scale_at, valid_a, valid_b, segment, tag_a, tag_b);
        dff_setup!(self, clock, scale_b, add_at, sum_data, sum_row, sum_part);
        clock!(self, clock, halves, scales, room, queue);
        self.halves.reset.next = self.reset.val();
        self.room.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();
        self.size.d.next = self.dim.val();
        self.is_scaled.d.next = self.scaled.val();
        self.halves.whole.next = self.dim.val() == 3;
        self.halves.scaled.next = self.scaled.val();
        self.full.next = self.halves.full.val();

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
        self.read_ready.next = self.halves.read_open.val() & self.room.available.val();
        self.read.next = self.read_valid.val() & self.halves.read_open.val() & self.room.available.val();
        self.halves.freed.next = self.read.val() & self.read_release.val();
        self.halves.again.next = self.read.val() & self.read_again.val();
        self.reads.next = self.read.val() & !self.read_marker.val();
        self.room.take.next = self.reads.val();
        self.room.give.next = self.queue.popped.val();
        if self.size.q.val() == 3 {
            self.write_row.next = self.write_at.q.val() >> self.read_level.val();
            self.read_row.next = self.read_address.val() >> self.write_level.val();
            self.add_row.next = self.add_at.q.val() >> self.read_level.val();
        } else {
            self.write_row.next = ((self.write_at.q.val() >> self.read_level.val()) & (self.half_rows.val() - 1))
                | (self.halves.write_half.val() << self.half_level.val());
            self.read_row.next = ((self.read_address.val() >> self.write_level.val()) & (self.half_rows.val() - 1))
                | (self.halves.read_half.val() << self.half_level.val());
            self.add_row.next = ((self.add_at.q.val() >> self.read_level.val()) & (self.half_rows.val() - 1))
                | (self.halves.read_half.val() << self.half_level.val());
        }
        // What is there is read in one cycle and written with what is added in the next; nothing else is read meanwhile.
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
        if self.halves.add_open.val() {
            self.read_row.next = self.add_row.val();
        }
        self.sum_data.d.next = self.add_data.val();
        self.sum_row.d.next = self.add_row.val();
        self.sum_part.d.next = self.add_at.q.val() & (self.read_banks.val() - 1);
        // Narrow beats fill one part of a word after the other, wide beats several words at once.
        for r in 0..self.read_banks.val() {
            for w in 0..self.write_banks.val() {
                self.banks[r * self.write_banks.val() + w].clock.next = self.clock.val();
                self.banks[r * self.write_banks.val() + w].write_enable.next =
                    self.write.val() & ((self.write_at.q.val() & (self.read_banks.val() - 1)) == r);
                self.banks[r * self.write_banks.val() + w].write_address.next = self.write_row.val();
                self.banks[r * self.write_banks.val() + w].write_data.next =
                    self.write_data.val() >> (w * self.part_bits.val());
                self.sums[r * self.write_banks.val() + w].a.next =
                    self.banks[r * self.write_banks.val() + w].read_data.val();
                self.sums[r * self.write_banks.val() + w].b.next = self.sum_data.q.val() >> (w * self.part_bits.val());
                if self.halves.sums.val() {
                    self.banks[r * self.write_banks.val() + w].write_enable.next = self.sum_part.q.val() == r;
                    self.banks[r * self.write_banks.val() + w].write_address.next = self.sum_row.q.val();
                    self.banks[r * self.write_banks.val() + w].write_data.next =
                        self.sums[r * self.write_banks.val() + w].sum.val();
                }
                self.banks[r * self.write_banks.val() + w].read_address.next = self.read_row.val();
                if w == 0 {
                    self.found[r * self.write_banks.val()].next =
                        self.banks[r * self.write_banks.val()].read_data.val();
                } else {
                    self.found[r * self.write_banks.val() + w].next =
                        self.found[r * self.write_banks.val() + w - 1].val();
                    if self.which[0].q.val() == w {
                        self.found[r * self.write_banks.val() + w].next =
                            self.banks[r * self.write_banks.val() + w].read_data.val();
                    }
                }
            }
            self.word[r].clock.next = self.clock.val();
            self.word[r].d.next = self.found[r * self.write_banks.val() + self.write_banks.val() - 1].val();
            self.queue.in_data[r].next = self.word[r].q.val();
            self.out_data[r].next = self.queue.out_data[r].val();
        }
        self.scales.write_enable.next = self.scale.val();
        self.scales.write_address.next = (self.scale_at.q.val() & (self.scale_rows.val() - 1))
            | (self.halves.write_half.val() << self.scale_level.val());
        self.scales.write_data.next = self.scale_data.val();
        // A row of scales belongs to D / 16 words.
        self.scales.read_address.next = ((self.read_address.val() >> self.size.q.val()) & (self.scale_rows.val() - 1))
            | (self.halves.read_half.val() << self.scale_level.val());

        self.valid_a.d.next = self.reads.val();
        for i in 0..self.choices.val() {
            self.which[i].clock.next = self.clock.val();
            self.which[i].d.next = self.read_address.val() & (self.write_banks.val() - 1);
        }
        self.segment.d.next = (self.read_address.val() << 3) >> self.size.q.val();
        self.tag_a.d.next = (self.read_count.val() << 1) | self.read_last.val();
        self.turned[0].next = self.scales.read_data.val();
        for i in 0..3 {
            self.turned[i + 1].next = self.turned[i].val();
            if self.segment.q.val().get_bit(i) {
                self.turned[i + 1].next = self.turned[i].val() >> self.by[i].val();
            }
        }
        self.valid_b.d.next = self.valid_a.q.val();
        self.scale_b.d.next = self.turned[3].val();
        self.tag_b.d.next = self.tag_a.q.val();
        self.queue.push.next = self.valid_b.q.val();
        self.queue.in_tag.next = (self.scale_b.q.val() << self.tag_bits.val()) | self.tag_b.q.val();
        self.queue.out_ready.next = self.out_ready.val();
        self.out_valid.next = self.queue.out_valid.val();
        for i in 0..self.lanes.val() {
            self.out_scale[i].next = self.queue.out_tag.val() >> (self.tag_bits.val() + i * self.scale_bits.val());
            if !self.is_scaled.q.val() {
                self.out_scale[i].next = self.one_scale.val().into();
            }
        }
        self.out_count.next = self.queue.out_tag.val() >> 1;
        self.out_last.next = self.queue.out_tag.val().get_bit(0);
        if self.reset.val() {
            self.write_at.d.next = 0.into();
            self.scale_at.d.next = 0.into();
            self.add_at.d.next = 0.into();
            self.valid_a.d.next = false;
            self.valid_b.d.next = false;
        }
    }
}
