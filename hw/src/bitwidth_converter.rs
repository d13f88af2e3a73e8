//! Packed planes to operands. Siblings: `golden`, `sim`, `tests/bitwidth_converter.rs`.
//! Paper: SpAtten section IV-D.
//! Why: a beat of `elements` elements of n bits is n *granules* of `elements` bits, whatever n is, so all shifting is by
//! whole granules: words go into memories of one granule per column, a window of granules is read from any position by
//! giving each column its own row, and one selection per element is left for the bits. A shifter of single bits would
//! be `elements` times as deep.
//! Differs from the paper: operands are aligned to the top of the datapath (see `golden`); one converter per channel.

use crate::credits::Credits;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use crate::leaf::{Ram, ReadPort};
use spatten_arch::ArchConfig;

/// Elements per output beat of one converter.
pub const ELEMENTS: usize = 32;
/// Bits of a job's element count: all keys of a head at the largest head dimension.
pub const JOB_BITS: usize = 20;
/// Widest LSB plane.
pub const MAX_LSB_BITS: usize = 8;

/// Words of one plane, from which beats of any number of granules are taken.
///
/// # Timing   taken in cycle `t`, the fields of a beat are there in `t + 3`. A word accepted in `t` can be taken from
/// `t + 1`; every cycle takes a beat and accepts a word, unless `rows` words wait.
#[derive(LogicBlock)]
pub struct Plane {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, forgets all words.
    pub reset: Signal<In, Bit>,
    /// A word is offered.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// The word, element 0 at bit 0.
    pub in_data: Wire<In>,
    /// Granules that the next beat takes.
    pub need: Wire<In>,
    /// They are there.
    pub enough: Signal<Out, Bit>,
    /// Takes them.
    pub take: Signal<In, Bit>,
    /// With `take`: the rest of the word is dropped.
    pub finish: Signal<In, Bit>,
    /// With `take`: bits of an element, 0 for fields of 0.
    pub bits: Wire<In>,
    /// Elements, aligned to the top of `max_bits` with zeros below.
    pub fields: Vec<Wire<Out>>,
    granules: Param,
    granule: Param,
    elements: Param,
    max_bits: Param,
    level: Param,
    columns_all: Param,
    copies: Param,
    accept_up_to: Param,
    columns: Vec<Ram>,
    address: Vec<Wire<Local>>,
    tail: Reg,
    position: Reg,
    available: Reg,
    moved: Wire<Local>,
    left: Wire<Local>,
    push: Signal<Local, Bit>,
    pushed: Wire<Local>,
    word_at: Wire<Local>,
    fine: Wire<Local>,
    read: Vec<Reg>,
    fine_a: Reg,
    bits_a: Reg,
    turned: Vec<Wire<Local>>,
    joined: Vec<Wire<Local>>,
    window: Reg,
    is: Vec<Reg>,
    pick: Vec<Wire<Local>>,
    picked: Vec<Reg>,
}

impl Plane {
    /// Of elements of up to `max_bits` bits in words of `word_bits`.
    pub fn new(word_bits: usize, elements: usize, max_bits: usize) -> Self {
        let (granules, rows) = plane_size(word_bits, elements, max_bits);
        let level = granules.ilog2() as usize;
        // A column of memories is read at two rows where the window is longer than a word, and so on.
        let all = max_bits.div_ceil(granules) * granules;
        let row_bits = bits_for(rows - 1);
        Self {
            name: ModuleName::new(format!("plane_{word_bits}_to_{elements}x{max_bits}")),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: Wire::unsigned(word_bits),
            need: Wire::unsigned(bits_for(max_bits)),
            enough: Default::default(),
            take: Default::default(),
            finish: Default::default(),
            bits: Wire::unsigned(bits_for(max_bits)),
            fields: vec_of(elements, || Wire::unsigned(max_bits)),
            granules: Param::new(granules),
            granule: Param::new(elements),
            elements: Param::new(elements),
            max_bits: Param::new(max_bits),
            level: Param::new(level),
            columns_all: Param::new(all),
            copies: Param::new(all / granules),
            accept_up_to: Param::new((rows - 1) * granules),
            columns: vec_of(all, || Ram::new(elements, rows, ReadPort::Direct)),
            address: vec_of(all, || Wire::unsigned(row_bits)),
            tail: Reg::unsigned(row_bits),
            position: Reg::unsigned(row_bits + level),
            available: Reg::unsigned(bits_for(rows * granules)),
            moved: Wire::unsigned(row_bits + level),
            left: Wire::unsigned(bits_for(rows * granules)),
            push: Default::default(),
            pushed: Wire::unsigned(1),
            word_at: Wire::unsigned(row_bits),
            fine: Wire::unsigned(level.max(1)),
            read: vec_of(all, || Reg::unsigned(elements)),
            fine_a: Reg::unsigned(level.max(1)),
            bits_a: Reg::unsigned(bits_for(max_bits)),
            turned: vec_of((level + 1) * all, || Wire::unsigned(elements)),
            joined: vec_of(all, || Wire::unsigned(max_bits * elements)),
            window: Reg::unsigned(max_bits * elements),
            is: vec_of(max_bits, || Reg::signed(1)),
            pick: vec_of(elements * max_bits, || Wire::unsigned(max_bits)),
            picked: vec_of(elements, || Reg::unsigned(max_bits)),
        }
    }
}

/// Granules per word, and words held: the most that a window can touch and one more, so that a word is accepted in every
/// cycle in which one is used up.
///
/// # Panics
/// Where a word is not a power of two of granules.
#[track_caller]
pub fn plane_size(word_bits: usize, elements: usize, max_bits: usize) -> (usize, usize) {
    let granules = word_bits / elements;
    assert!(
        granules.is_power_of_two() && granules * elements == word_bits,
        "words of {word_bits} bits for beats of {elements} elements: expected a power of two as ratio"
    );
    let touched = (granules - 1 + max_bits).div_ceil(granules);
    (granules, (touched + 1).next_power_of_two())
}

impl Logic for Plane {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, tail, position, available, fine_a, bits_a, window);
        self.in_ready.next = self.available.q.val() <= self.accept_up_to.val();
        self.push.next = self.in_valid.val() & (self.available.q.val() <= self.accept_up_to.val());
        self.pushed.next = self.push.val().into();
        self.enough.next = self.available.q.val() >= self.need.val();
        // Positions and amounts are in granules; the end of a job goes on to the next word.
        self.moved.next = self.position.q.val() + self.need.val();
        self.left.next = self.available.q.val() - self.need.val();
        if self.take.val() {
            if self.finish.val() {
                self.position.d.next =
                    ((self.moved.val() + (self.granules.val() - 1)) >> self.level.val()) << self.level.val();
                self.available.d.next = ((self.left.val() >> self.level.val()) << self.level.val())
                    + (self.pushed.val() << self.level.val());
            } else {
                self.position.d.next = self.moved.val();
                self.available.d.next = self.left.val() + (self.pushed.val() << self.level.val());
            }
        } else {
            self.available.d.next = self.available.q.val() + (self.pushed.val() << self.level.val());
        }
        self.tail.d.next = self.tail.q.val() + self.push.val();
        // First stage: column c of copy q holds a granule of word `word_at + q`, or of the next where it lies before the
        // first one of the window.
        self.word_at.next = self.position.q.val() >> self.level.val();
        self.fine.next = self.position.q.val() & (self.granules.val() - 1);
        for q in 0..self.copies.val() {
            for c in 0..self.granules.val() {
                self.address[q * self.granules.val() + c].next = self.word_at.val() + q;
                if (c < self.granules.val() - 1) & (self.fine.val() > c) {
                    self.address[q * self.granules.val() + c].next = self.word_at.val() + q + 1;
                }
                self.columns[q * self.granules.val() + c].clock.next = self.clock.val();
                self.columns[q * self.granules.val() + c].write_enable.next = self.push.val();
                self.columns[q * self.granules.val() + c].write_address.next = self.tail.q.val();
                self.columns[q * self.granules.val() + c].write_data.next =
                    self.in_data.val() >> (c * self.granule.val());
                self.columns[q * self.granules.val() + c].read_address.next =
                    self.address[q * self.granules.val() + c].val();
                self.read[q * self.granules.val() + c].clock.next = self.clock.val();
                self.read[q * self.granules.val() + c].d.next =
                    self.columns[q * self.granules.val() + c].read_data.val();
            }
        }
        self.fine_a.d.next = self.fine.val();
        self.bits_a.d.next = self.bits.val();
        // Second stage: rotate each copy so that its first granule is column 0, and join them.
        for i in 0..self.columns_all.val() {
            self.turned[i].next = self.read[i].q.val();
        }
        for s in 0..self.level.val() {
            for i in 0..self.columns_all.val() {
                if self.fine_a.q.val().get_bit(s) {
                    self.turned[(s + 1) * self.columns_all.val() + i].next = self.turned[s * self.columns_all.val()
                        + (i / self.granules.val()) * self.granules.val()
                        + (i + (1 << s)) % self.granules.val()]
                    .val();
                } else {
                    self.turned[(s + 1) * self.columns_all.val() + i].next =
                        self.turned[s * self.columns_all.val() + i].val();
                }
            }
        }
        for j in 0..self.columns_all.val() {
            if j == 0 {
                self.joined[j].next = self.turned[self.level.val() * self.columns_all.val()].val();
            } else {
                self.joined[j].next = self.joined[j - 1].val()
                    | (self.turned[self.level.val() * self.columns_all.val() + j].val() << (j * self.granule.val()));
            }
        }
        self.window.d.next = self.joined[self.columns_all.val() - 1].val();
        for j in 0..self.max_bits.val() {
            self.is[j].clock.next = self.clock.val();
            self.is[j].d.next = (self.bits_a.q.val() == j + 1).into();
        }
        // Third stage: the field of every element, for every width, one of which is chosen.
        for i in 0..self.elements.val() {
            for j in 0..self.max_bits.val() {
                if j == 0 {
                    self.pick[i * self.max_bits.val()].next =
                        ((self.window.q.val() >> i) << (self.max_bits.val() - 1)) & self.is[j].q.val();
                } else {
                    self.pick[i * self.max_bits.val() + j].next = self.pick[i * self.max_bits.val() + j - 1].val()
                        | (((self.window.q.val() >> (i * (j + 1))) << (self.max_bits.val() - 1 - j))
                            & self.is[j].q.val());
                }
            }
            self.picked[i].clock.next = self.clock.val();
            self.picked[i].d.next = self.pick[i * self.max_bits.val() + self.max_bits.val() - 1].val();
            self.fields[i].next = self.picked[i].q.val();
        }
        if self.reset.val() {
            self.tail.d.next = 0.into();
            self.position.d.next = 0.into();
            self.available.d.next = 0.into();
        }
    }
}

/// How a job's planes become operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitCode {
    /// `arch::plan::Split::Floor`.
    Floor = 0,
    /// `arch::plan::Split::Mid`.
    Mid = 1,
    /// `arch::plan::Split::Balanced`.
    Balanced = 2,
}

/// Operands of one channel's planes.
///
/// A job says how many elements follow and how they are packed. `msb` gives `ceil(elements * msb_bits / word_bits)` words,
/// `lsb` likewise and none where `job_lsb_bits` is 0 or `job_first` says that the MSBs are all there is. So a job may be a
/// whole plane or one row of it whose last word is padded. Where `first` stands, `lsb_bits` still is the width of the
/// missing LSBs. `msb_bits` is 1..=datapath_bits, `lsb_bits` 0..=8 (less than datapath_bits), their sum at most datapath_bits.
///
/// # Shapes   a job of n elements -> ceil(n / 32) beats of 32 lanes; the last beat's lanes from `out_count` on are 0. A job
/// of 0 elements gives none.
/// # Formats  planes as `golden::bitwidth_converter::pack` -> `arch::format::Formats::operand`; a sum that does not fit, which
/// no quantiser produces, wraps
/// # Timing   a job of n elements takes max(ceil(n / 32), words of `msb`, words of `lsb`) cycles, jobs without gaps; the first
/// beat is there 9 cycles after its job is accepted, 6 after the word that completes it
#[derive(LogicBlock)]
pub struct BitwidthConverter {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, forgets jobs and words.
    pub reset: Signal<In, Bit>,
    /// A job is offered.
    pub job_valid: Signal<In, Bit>,
    /// It would be taken.
    pub job_ready: Signal<Out, Bit>,
    /// Elements of the job.
    pub job_elements: Wire<In>,
    /// Bits of an element in `msb`.
    pub job_msb_bits: Wire<In>,
    /// Bits of an element in `lsb`.
    pub job_lsb_bits: Wire<In>,
    /// [`SplitCode`].
    pub job_split: Wire<In>,
    /// MSBs only.
    pub job_first: Signal<In, Bit>,
    /// A word of the MSB plane is offered.
    pub msb_valid: Signal<In, Bit>,
    /// It would be taken.
    pub msb_ready: Signal<Out, Bit>,
    /// The word.
    pub msb_data: Wire<In>,
    /// A word of the LSB plane is offered.
    pub lsb_valid: Signal<In, Bit>,
    /// It would be taken.
    pub lsb_ready: Signal<Out, Bit>,
    /// The word.
    pub lsb_data: Wire<In>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Operands.
    pub out_data: Vec<Wire<Out>>,
    /// How many.
    pub out_count: Wire<Out>,
    /// The job's last beat.
    pub out_last: Signal<Out, Bit>,
    elements: Param,
    level: Param,
    bits: Param,
    low_bits: Param,
    // Fields of a beat's description in its queue.
    low_need_at: Param,
    high_bits_at: Param,
    low_bits_at: Param,
    count_at: Param,
    half_at: Param,
    signed_at: Param,
    last_at: Param,
    // A job, beat by beat.
    left: Reg,
    high_bits: Reg,
    lower_bits: Reg,
    half: Dff<Bit>,
    balanced: Dff<Bit>,
    final_beat: Signal<Local, Bit>,
    describe: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    places: Credits,
    // Its granules: count * bits / elements, rounded up, in two steps.
    d_valid: Dff<Bit>,
    d_count: Reg,
    d_high_bits: Reg,
    d_lower_bits: Reg,
    d_half: Reg,
    d_signed: Reg,
    d_last: Reg,
    part: Vec<Wire<Local>>,
    e_valid: Dff<Bit>,
    e_part: Vec<Reg>,
    e_count: Reg,
    e_high_bits: Reg,
    e_lower_bits: Reg,
    e_half: Reg,
    e_signed: Reg,
    e_last: Reg,
    high_sum: Wire<Local>,
    low_sum: Wire<Local>,
    beats: Fifo,
    beat: Wire<Local>,
    issue: Signal<Local, Bit>,
    high_plane: Plane,
    low_plane: Plane,
    room: Credits,
    // What goes along with the fields.
    valid_a: Dff<Bit>,
    valid_b: Dff<Bit>,
    valid_c: Dff<Bit>,
    valid_d: Dff<Bit>,
    shift_a: Reg,
    shift_b: Reg,
    shift_c: Reg,
    half_a: Dff<Bit>,
    half_b: Dff<Bit>,
    half_c: Dff<Bit>,
    signed_a: Dff<Bit>,
    signed_b: Dff<Bit>,
    signed_c: Dff<Bit>,
    count_a: Reg,
    count_b: Reg,
    tag_c: Reg,
    tag_d: Reg,
    last_a: Dff<Bit>,
    last_b: Dff<Bit>,
    keep: Vec<Reg>,
    low_field: Vec<Wire<Local>>,
    high_d: Vec<Reg>,
    low_d: Vec<Reg>,
    queue: LaneFifo,
}

impl BitwidthConverter {
    /// For one channel of a configuration.
    pub fn of(config: &ArchConfig) -> Self {
        Self::new(8 * config.channel_bytes, ELEMENTS, config.datapath_bits as usize)
    }

    /// Words of `word_bits` to beats of `elements` operands of `bits`.
    ///
    /// # Panics
    /// Where `elements` is not a power of two, or `word_bits` is not a power of two times as many.
    #[track_caller]
    pub fn new(word_bits: usize, elements: usize, bits: usize) -> Self {
        assert!(elements.is_power_of_two(), "{elements} elements per beat: expected a power of two");
        let low_bits = MAX_LSB_BITS.min(bits - 1);
        let count_bits = bits_for(elements);
        let width = [bits, low_bits].map(bits_for);
        let mut at = 0;
        let mut field = |bits: usize| {
            at += bits;
            Param::new(at - bits)
        };
        let (_, low_need_at, high_bits_at, low_bits_at) =
            (field(width[0]), field(width[1]), field(width[0]), field(width[1]));
        let (count_at, half_at, signed_at, last_at) = (field(count_bits), field(1), field(1), field(1));
        let product = count_bits + width[0];
        Self {
            name: ModuleName::new("bitwidth_converter"),
            clock: Default::default(),
            reset: Default::default(),
            job_valid: Default::default(),
            job_ready: Default::default(),
            job_elements: Wire::unsigned(JOB_BITS),
            job_msb_bits: Wire::unsigned(width[0]),
            job_lsb_bits: Wire::unsigned(width[1]),
            job_split: Wire::unsigned(2),
            job_first: Default::default(),
            msb_valid: Default::default(),
            msb_ready: Default::default(),
            msb_data: Wire::unsigned(word_bits),
            lsb_valid: Default::default(),
            lsb_ready: Default::default(),
            lsb_data: Wire::unsigned(word_bits),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(elements, || Wire::unsigned(bits)),
            out_count: Wire::unsigned(count_bits),
            out_last: Default::default(),
            elements: Param::new(elements),
            level: Param::new(elements.ilog2() as usize),
            bits: Param::new(bits),
            low_bits: Param::new(low_bits),
            low_need_at,
            high_bits_at,
            low_bits_at,
            count_at,
            half_at,
            signed_at,
            last_at,
            left: Reg::unsigned(JOB_BITS),
            high_bits: Reg::unsigned(width[0]),
            lower_bits: Reg::unsigned(width[1]),
            half: Default::default(),
            balanced: Default::default(),
            final_beat: Default::default(),
            describe: Default::default(),
            accept: Default::default(),
            places: Credits::new(4),
            d_valid: Default::default(),
            d_count: Reg::unsigned(count_bits),
            d_high_bits: Reg::unsigned(width[0]),
            d_lower_bits: Reg::unsigned(width[1]),
            d_half: Reg::unsigned(1),
            d_signed: Reg::unsigned(1),
            d_last: Reg::unsigned(1),
            part: vec_of(10, || Wire::unsigned(product)),
            e_valid: Default::default(),
            e_part: vec_of(4, || Reg::unsigned(product)),
            e_count: Reg::unsigned(count_bits),
            e_high_bits: Reg::unsigned(width[0]),
            e_lower_bits: Reg::unsigned(width[1]),
            e_half: Reg::unsigned(1),
            e_signed: Reg::unsigned(1),
            e_last: Reg::unsigned(1),
            high_sum: Wire::unsigned(width[0]),
            low_sum: Wire::unsigned(width[1]),
            beats: Fifo::new(at, 4),
            beat: Wire::unsigned(at),
            issue: Default::default(),
            high_plane: Plane::new(word_bits, elements, bits),
            low_plane: Plane::new(word_bits, elements, low_bits),
            room: Credits::new(8),
            valid_a: Default::default(),
            valid_b: Default::default(),
            valid_c: Default::default(),
            valid_d: Default::default(),
            shift_a: Reg::unsigned(width[0]),
            shift_b: Reg::unsigned(width[0]),
            shift_c: Reg::unsigned(width[0]),
            half_a: Default::default(),
            half_b: Default::default(),
            half_c: Default::default(),
            signed_a: Default::default(),
            signed_b: Default::default(),
            signed_c: Default::default(),
            count_a: Reg::unsigned(count_bits),
            count_b: Reg::unsigned(count_bits),
            tag_c: Reg::unsigned(count_bits + 1),
            tag_d: Reg::unsigned(count_bits + 1),
            last_a: Default::default(),
            last_b: Default::default(),
            keep: vec_of(elements, || Reg::signed(1)),
            low_field: vec_of(elements, || Wire::signed(bits + 1)),
            high_d: vec_of(elements, || Reg::unsigned(bits)),
            low_d: vec_of(elements, || Reg::unsigned(bits)),
            queue: LaneFifo::new(elements, bits, count_bits + 1, 8),
        }
    }
}

impl Logic for BitwidthConverter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, left, high_bits, lower_bits, half, balanced);
        dff_setup!(self, clock, d_valid, d_count, d_high_bits, d_lower_bits, d_half, d_signed, d_last);
        dff_setup!(self, clock, e_valid, e_count, e_high_bits, e_lower_bits, e_half, e_signed, e_last);
        dff_setup!(self, clock, valid_a, valid_b, valid_c, valid_d, shift_a, shift_b, shift_c, half_a, half_b, half_c);
        dff_setup!(self, clock, signed_a, signed_b, signed_c, count_a, count_b, tag_c, tag_d, last_a, last_b);
        clock!(self, clock, places, beats, high_plane, low_plane, room, queue);
        self.places.reset.next = self.reset.val();
        self.beats.reset.next = self.reset.val();
        self.high_plane.reset.next = self.reset.val();
        self.low_plane.reset.next = self.reset.val();
        self.room.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();

        // A job is followed by the next one in the cycle after its last beat is described.
        self.final_beat.next = self.left.q.val() <= self.elements.val();
        self.describe.next = self.left.q.val().any() & self.places.available.val();
        self.job_ready.next = !self.left.q.val().any() | (self.final_beat.val() & self.places.available.val());
        self.accept.next =
            self.job_valid.val() & (!self.left.q.val().any() | (self.final_beat.val() & self.places.available.val()));
        if self.describe.val() {
            self.left.d.next = self.left.q.val() - self.elements.val();
            if self.final_beat.val() {
                self.left.d.next = 0.into();
            }
        }
        if self.accept.val() {
            self.left.d.next = self.job_elements.val();
            self.high_bits.d.next = self.job_msb_bits.val();
            self.lower_bits.d.next = self.job_lsb_bits.val();
            self.half.d.next = false;
            self.balanced.d.next = self.job_split.val() == 2;
            if self.job_first.val() {
                self.lower_bits.d.next = 0.into();
                self.half.d.next = self.job_lsb_bits.val().any() & (self.job_split.val() == 1);
            }
        }
        self.d_valid.d.next = self.describe.val();
        self.d_count.d.next = self.elements.val().into();
        if self.final_beat.val() {
            self.d_count.d.next = self.left.q.val();
        }
        self.d_last.d.next = self.final_beat.val().into();
        self.d_high_bits.d.next = self.high_bits.q.val();
        self.d_lower_bits.d.next = self.lower_bits.q.val();
        self.d_half.d.next = self.half.q.val().into();
        self.d_signed.d.next = self.balanced.q.val().into();
        for i in 0..5 {
            self.part[i].next = 0.into();
            self.part[i + 5].next = 0.into();
            // Bits above the width are 0.
            if ((self.d_high_bits.q.val() >> i) & 1).any() {
                self.part[i].next = self.d_count.q.val() << i;
            }
            if ((self.d_lower_bits.q.val() >> i) & 1).any() {
                self.part[i + 5].next = self.d_count.q.val() << i;
            }
        }
        for i in 0..4 {
            self.e_part[i].clock.next = self.clock.val();
        }
        self.e_part[0].d.next = self.part[0].val() + self.part[1].val() + (self.elements.val() - 1);
        self.e_part[1].d.next = self.part[2].val() + self.part[3].val() + self.part[4].val();
        self.e_part[2].d.next = self.part[5].val() + self.part[6].val() + (self.elements.val() - 1);
        self.e_part[3].d.next = self.part[7].val() + self.part[8].val() + self.part[9].val();
        self.e_valid.d.next = self.d_valid.q.val();
        self.e_count.d.next = self.d_count.q.val();
        self.e_last.d.next = self.d_last.q.val();
        self.e_high_bits.d.next = self.d_high_bits.q.val();
        self.e_lower_bits.d.next = self.d_lower_bits.q.val();
        self.e_half.d.next = self.d_half.q.val();
        self.e_signed.d.next = self.d_signed.q.val();
        self.high_sum.next = (self.e_part[0].q.val() + self.e_part[1].q.val()) >> self.level.val();
        self.low_sum.next = (self.e_part[2].q.val() + self.e_part[3].q.val()) >> self.level.val();
        self.beats.in_valid.next = self.e_valid.q.val();
        self.beats.in_data.next = self.high_sum.val()
            | (self.low_sum.val() << self.low_need_at.val())
            | (self.e_high_bits.q.val() << self.high_bits_at.val())
            | (self.e_lower_bits.q.val() << self.low_bits_at.val())
            | (self.e_count.q.val() << self.count_at.val())
            | (self.e_half.q.val() << self.half_at.val())
            | (self.e_signed.q.val() << self.signed_at.val())
            | (self.e_last.q.val() << self.last_at.val());
        self.places.take.next = self.describe.val();
        self.places.give.next = self.issue.val();

        // A beat is taken from both planes at once.
        self.beat.next = self.beats.out_data.val();
        self.issue.next = self.beats.out_valid.val()
            & self.high_plane.enough.val()
            & self.low_plane.enough.val()
            & self.room.available.val();
        self.beats.out_ready.next =
            self.high_plane.enough.val() & self.low_plane.enough.val() & self.room.available.val();
        self.room.take.next = self.issue.val();
        self.room.give.next = self.queue.popped.val();
        self.msb_ready.next = self.high_plane.in_ready.val();
        self.high_plane.in_valid.next = self.msb_valid.val();
        self.high_plane.in_data.next = self.msb_data.val();
        self.high_plane.need.next = self.beat.val();
        self.high_plane.bits.next = self.beat.val() >> self.high_bits_at.val();
        self.high_plane.take.next = self.issue.val();
        self.high_plane.finish.next = self.beat.val().get_bit(self.last_at.val());
        self.lsb_ready.next = self.low_plane.in_ready.val();
        self.low_plane.in_valid.next = self.lsb_valid.val();
        self.low_plane.in_data.next = self.lsb_data.val();
        self.low_plane.need.next = self.beat.val() >> self.low_need_at.val();
        self.low_plane.bits.next = self.beat.val() >> self.low_bits_at.val();
        self.low_plane.take.next = self.issue.val();
        self.low_plane.finish.next = self.beat.val().get_bit(self.last_at.val());

        self.valid_a.d.next = self.issue.val();
        self.valid_b.d.next = self.valid_a.q.val();
        self.valid_c.d.next = self.valid_b.q.val();
        self.valid_d.d.next = self.valid_c.q.val();
        self.shift_a.d.next = self.beat.val() >> self.high_bits_at.val();
        self.shift_b.d.next = self.shift_a.q.val();
        self.shift_c.d.next = self.shift_b.q.val();
        self.half_a.d.next = self.beat.val().get_bit(self.half_at.val());
        self.half_b.d.next = self.half_a.q.val();
        self.half_c.d.next = self.half_b.q.val();
        self.signed_a.d.next = self.beat.val().get_bit(self.signed_at.val());
        self.signed_b.d.next = self.signed_a.q.val();
        self.signed_c.d.next = self.signed_b.q.val();
        self.count_a.d.next = self.beat.val() >> self.count_at.val();
        self.count_b.d.next = self.count_a.q.val();
        self.last_a.d.next = self.beat.val().get_bit(self.last_at.val());
        self.last_b.d.next = self.last_a.q.val();
        self.tag_c.d.next = (self.count_b.q.val() << 1) | self.last_b.q.val();
        self.tag_d.d.next = self.tag_c.q.val();
        for i in 0..self.elements.val() {
            self.keep[i].clock.next = self.clock.val();
            self.keep[i].d.next = (self.count_b.q.val() > i).into();
            // The LSB field directly below the sign of the operand; there it is shifted below the MSB field.
            self.low_field[i].next = self.low_plane.fields[i].val() << (self.bits.val() - self.low_bits.val());
            if self.signed_c.q.val() & self.low_plane.fields[i].val().get_bit(self.low_bits.val() - 1) {
                self.low_field[i].next = (self.low_plane.fields[i].val() << (self.bits.val() - self.low_bits.val()))
                    | (1 << self.bits.val());
            }
            if self.half_c.q.val() {
                self.low_field[i].next = (1 << (self.bits.val() - 1)).into();
            }
            self.high_d[i].clock.next = self.clock.val();
            self.high_d[i].d.next = self.high_plane.fields[i].val() & self.keep[i].q.val();
            self.low_d[i].clock.next = self.clock.val();
            self.low_d[i].d.next = (self.low_field[i].val() >> self.shift_c.q.val()) & self.keep[i].q.val();
            self.queue.in_data[i].next = self.high_d[i].q.val() + self.low_d[i].q.val();
            self.out_data[i].next = self.queue.out_data[i].val();
        }
        self.queue.push.next = self.valid_d.q.val();
        self.queue.in_tag.next = self.tag_d.q.val();
        self.queue.out_ready.next = self.out_ready.val();
        self.out_valid.next = self.queue.out_valid.val();
        self.out_count.next = self.queue.out_tag.val() >> 1;
        self.out_last.next = self.queue.out_tag.val().get_bit(0);
        if self.reset.val() {
            self.left.d.next = 0.into();
            self.d_valid.d.next = false;
            self.e_valid.d.next = false;
            self.valid_a.d.next = false;
            self.valid_b.d.next = false;
            self.valid_c.d.next = false;
            self.valid_d.d.next = false;
        }
    }
}
