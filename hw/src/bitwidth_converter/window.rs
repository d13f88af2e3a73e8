//! Words to chunks: the first part of `bitwidth_converter`.

use crate::hdl::*;
use crate::leaf::{Ram, ReadPort};

/// Words that wait, and a window of granules read from any position in them.
///
/// A chunk begins right behind the one before, or (`fresh`) in the next word that no chunk has touched, behind `skip` granules.
///
/// # Timing   taken in cycle `t`, the fields of a chunk are there in `t + 4`. A word accepted in `t` can be taken from
/// `t + 1`; every cycle takes a chunk and accepts a word, unless `rows - 1` words wait
#[derive(LogicBlock)]
pub(super) struct Window {
    name: ModuleName,
    pub(super) clock: Signal<In, Clock>,
    pub(super) reset: Signal<In, Bit>,
    pub(super) in_valid: Signal<In, Bit>,
    pub(super) in_ready: Signal<Out, Bit>,
    /// Granule 0 in the lowest bits.
    pub(super) in_data: Wire<In>,
    /// The next chunk begins in a new word,
    pub(super) fresh: Signal<In, Bit>,
    /// behind so many granules of it.
    pub(super) skip: Wire<In>,
    /// New words that it touches.
    pub(super) words: Wire<In>,
    /// They are there.
    pub(super) enough: Signal<Out, Bit>,
    /// Takes it.
    pub(super) take: Signal<In, Bit>,
    /// With `take`: its granules, 0 for fields of 0.
    pub(super) bits: Wire<In>,
    /// Its elements, aligned to the top of `max_bits` with zeros below.
    pub(super) fields: Vec<Wire<Out>>,
    granules: Param,
    granule: Param,
    elements: Param,
    max_bits: Param,
    level: Param,
    columns_all: Param,
    copies: Param,
    most: Param,
    columns: Vec<Ram>,
    address: Vec<Wire<Local>>,
    push: Signal<Local, Bit>,
    tail: Reg,
    /// Words that no chunk has touched, and the row of the first of them.
    held: Reg,
    next: Reg,
    /// Where the chunk before ended within the word before that.
    ended: Reg,
    from: Wire<Local>,
    row_a: Reg,
    fine_a: Reg,
    bits_a: Reg,
    read: Vec<Reg>,
    fine_b: Reg,
    bits_b: Reg,
    turned: Vec<Wire<Local>>,
    joined: Vec<Wire<Local>>,
    window: Reg,
    is: Vec<Reg>,
    pick: Vec<Wire<Local>>,
    picked: Vec<Reg>,
}

/// Granules per word; words that a chunk may touch; words held: two more, so that while a chunk waits for its last word
/// another is accepted, and the word in which the chunk before ended stays.
///
/// # Panics
/// Where a word is not a power of two of granules.
#[track_caller]
pub(super) fn window_size(word_bits: usize, elements: usize, max_bits: usize) -> (usize, usize, usize) {
    let granules = word_bits / elements;
    assert!(
        granules.is_power_of_two() && granules * elements == word_bits,
        "words of {word_bits} bits for chunks of {elements} elements: expected a power of two as ratio"
    );
    let touched = (granules - 1 + max_bits).div_ceil(granules);
    (granules, touched, (touched + 2).next_power_of_two())
}

impl Window {
    /// Of elements of up to `max_bits` bits in words of `word_bits`.
    pub(super) fn new(word_bits: usize, elements: usize, max_bits: usize) -> Self {
        let (granules, touched, rows) = window_size(word_bits, elements, max_bits);
        let level = granules.ilog2() as usize;
        // A column is read at two rows where the window is longer than a word, and so on.
        let all = max_bits.div_ceil(granules) * granules;
        let row_bits = bits_for(rows - 1);
        let fine = level.max(1);
        Self {
            name: ModuleName::new(format!("chunk_window_{word_bits}_to_{elements}x{max_bits}")),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: Wire::unsigned(word_bits),
            fresh: Default::default(),
            skip: Wire::unsigned(fine),
            words: Wire::unsigned(bits_for(touched)),
            enough: Default::default(),
            take: Default::default(),
            bits: Wire::unsigned(bits_for(max_bits)),
            fields: vec_of(elements, || Wire::unsigned(max_bits)),
            granules: Param::new(granules),
            granule: Param::new(elements),
            elements: Param::new(elements),
            max_bits: Param::new(max_bits),
            level: Param::new(level),
            columns_all: Param::new(all),
            copies: Param::new(all / granules),
            most: Param::new(rows - 1),
            columns: vec_of(all, || Ram::new(elements, rows, ReadPort::Direct)),
            address: vec_of(all, || Wire::unsigned(row_bits)),
            push: Default::default(),
            tail: Reg::unsigned(row_bits),
            held: Reg::unsigned(row_bits),
            next: Reg::unsigned(row_bits),
            ended: Reg::unsigned(fine),
            from: Wire::unsigned(fine),
            row_a: Reg::unsigned(row_bits),
            fine_a: Reg::unsigned(fine),
            bits_a: Reg::unsigned(bits_for(max_bits)),
            read: vec_of(all, || Reg::unsigned(elements)),
            fine_b: Reg::unsigned(fine),
            bits_b: Reg::unsigned(bits_for(max_bits)),
            turned: vec_of((level + 1) * all, || Wire::unsigned(elements)),
            joined: vec_of(all, || Wire::unsigned(max_bits * elements)),
            window: Reg::unsigned(max_bits * elements),
            is: vec_of(max_bits, || Reg::signed(1)),
            pick: vec_of(elements * max_bits, || Wire::unsigned(max_bits)),
            picked: vec_of(elements, || Reg::unsigned(max_bits)),
        }
    }
}

impl Logic for Window {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, tail, held, next, ended, row_a, fine_a, bits_a, fine_b, bits_b, window);
        self.in_ready.next = self.held.q.val() < self.most.val();
        self.push.next = self.in_valid.val() & (self.held.q.val() < self.most.val());
        self.tail.d.next = self.tail.q.val() + self.push.val();
        self.enough.next = self.held.q.val() >= self.words.val();

        // The word in which the chunk before ended is the one before `next`.
        self.from.next = self.ended.q.val();
        self.row_a.d.next = self.next.q.val() - 1;
        if self.fresh.val() {
            self.from.next = self.skip.val();
            self.row_a.d.next = self.next.q.val();
        }
        self.fine_a.d.next = self.from.val();
        self.bits_a.d.next = self.bits.val();
        self.held.d.next = self.held.q.val() + self.push.val();
        if self.take.val() {
            self.held.d.next = self.held.q.val() - self.words.val() + self.push.val();
            self.next.d.next = self.next.q.val() + self.words.val();
            self.ended.d.next = (self.from.val() + self.bits.val()) & (self.granules.val() - 1);
        }

        // Second stage: column c of copy q holds a granule of row `row_a + q`, or of the next where it lies before the
        // first one of the window. Rows that were just given up are not written before the next cycle.
        for q in 0..self.copies.val() {
            for c in 0..self.granules.val() {
                self.address[q * self.granules.val() + c].next = self.row_a.q.val() + q;
                if (c < self.granules.val() - 1) & (self.fine_a.q.val() > c) {
                    self.address[q * self.granules.val() + c].next = self.row_a.q.val() + q + 1;
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
        self.fine_b.d.next = self.fine_a.q.val();
        self.bits_b.d.next = self.bits_a.q.val();

        // Third stage: rotate each copy so that its first granule is column 0, and join them.
        for i in 0..self.columns_all.val() {
            self.turned[i].next = self.read[i].q.val();
        }
        for s in 0..self.level.val() {
            for i in 0..self.columns_all.val() {
                if self.fine_b.q.val().get_bit(s) {
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
            self.is[j].d.next = (self.bits_b.q.val() == j + 1).into();
        }

        // Fourth stage: the field of every element, for every width, one of which is chosen.
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
            self.held.d.next = 0.into();
            self.next.d.next = 0.into();
        }
    }
}
