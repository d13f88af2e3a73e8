//! A query row to the requests for its keys.

use crate::hdl::*;

/// Asks for the words of the keys that a row sees, one per cycle, rows without a gap.
///
/// With W operands per word and D per key, a word is `W / D` keys, or a key is `D / W` words of `count` 1. An empty row asks for
/// one word, of which it takes no key. A beat with `row_release_values`, `row_again_keys` or `row_again_values` is no row: it asks
/// for nothing, but marks the head of keys where it releases them or they come again.
///
/// # Timing   a row's first request is offered in the cycle after the row is taken. The next beat is taken in the cycle of the
/// last request, if `open`; a beat that is no row leaves the cycle after it idle
#[derive(LogicBlock)]
pub struct RowIssue {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets the row.
    pub reset: Signal<In, Bit>,
    /// log2(head dimension) - 4.
    pub dim: Wire<In>,
    /// A beat may be taken.
    pub open: Signal<In, Bit>,
    /// A beat is offered.
    pub row_valid: Signal<In, Bit>,
    /// It would be taken.
    pub row_ready: Signal<Out, Bit>,
    /// Keys that the row sees.
    pub row_visible: Wire<In>,
    /// The row is the last one of the oldest head of keys.
    pub row_release_keys: Signal<In, Bit>,
    /// No row.
    pub row_release_values: Signal<In, Bit>,
    /// No row; the keys are added to.
    pub row_again_keys: Signal<In, Bit>,
    /// No row.
    pub row_again_values: Signal<In, Bit>,
    /// A beat is taken.
    pub taken: Signal<Out, Bit>,
    /// A request is there.
    pub read_valid: Signal<Out, Bit>,
    /// It is taken.
    pub read_ready: Signal<In, Bit>,
    /// Word of the head.
    pub read_address: Wire<Out>,
    /// Keys in it.
    pub read_count: Wire<Out>,
    /// The row's last word.
    pub read_last: Signal<Out, Bit>,
    /// The head's last request.
    pub read_release: Signal<Out, Bit>,
    /// Nothing is read.
    pub read_marker: Signal<Out, Bit>,
    /// The head is added to.
    pub read_again: Signal<Out, Bit>,
    /// By head dimension: log2 of the keys of a word, and of the words of a key.
    shared: Vec<Param>,
    wide: Vec<Param>,
    active: Dff<Bit>,
    at: Reg,
    final_word: Reg,
    tail: Reg,
    whole: Reg,
    releases: Dff<Bit>,
    marker: Dff<Bit>,
    again: Dff<Bit>,
    no_row: Signal<Local, Bit>,
    marks: Signal<Local, Bit>,
    is_last: Signal<Local, Bit>,
    free: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    preceding: Wire<Local>,
    /// Keys of a word, less one.
    mask: Wire<Local>,
    words_before: Wire<Local>,
}

impl RowIssue {
    /// For up to `keys` keys, in words of `lanes` times 16 operands, of which `words` are there.
    pub fn new(keys: usize, lanes: usize, words: usize) -> Self {
        let count = bits_for(lanes);
        let level = lanes.ilog2() as usize;
        Self {
            name: ModuleName::new(format!("row_issue_{keys}_{lanes}x{words}")),
            clock: Default::default(),
            reset: Default::default(),
            dim: Wire::unsigned(2),
            open: Default::default(),
            row_valid: Default::default(),
            row_ready: Default::default(),
            row_visible: Wire::unsigned(bits_for(keys)),
            row_release_keys: Default::default(),
            row_release_values: Default::default(),
            row_again_keys: Default::default(),
            row_again_values: Default::default(),
            taken: Default::default(),
            read_valid: Default::default(),
            read_ready: Default::default(),
            read_address: Wire::unsigned(bits_for(words - 1)),
            read_count: Wire::unsigned(count),
            read_last: Default::default(),
            read_release: Default::default(),
            read_marker: Default::default(),
            read_again: Default::default(),
            shared: (0..4).map(|dim| Param::new(level.saturating_sub(dim))).collect(),
            wide: (0..4usize).map(|dim| Param::new(dim.saturating_sub(level))).collect(),
            active: Default::default(),
            at: Reg::unsigned(bits_for(words - 1)),
            final_word: Reg::unsigned(bits_for(words - 1)),
            tail: Reg::unsigned(count),
            whole: Reg::unsigned(count),
            releases: Default::default(),
            marker: Default::default(),
            again: Default::default(),
            no_row: Default::default(),
            marks: Default::default(),
            is_last: Default::default(),
            free: Default::default(),
            accept: Default::default(),
            preceding: Wire::unsigned(bits_for(keys)),
            mask: Wire::unsigned(count),
            words_before: Wire::unsigned(bits_for(words - 1)),
        }
    }
}

impl Logic for RowIssue {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, active, at, final_word, tail, whole, releases, marker, again);
        self.is_last.next = self.at.q.val() == self.final_word.q.val();
        self.free.next = self.open.val() & (!self.active.q.val() | (self.read_ready.val() & self.is_last.val()));
        self.row_ready.next = self.free.val();
        self.accept.next = self.row_valid.val() & self.free.val();
        self.taken.next = self.accept.val();
        self.no_row.next = self.row_release_values.val() | self.row_again_keys.val() | self.row_again_values.val();
        self.marks.next = (self.row_release_values.val() & self.row_release_keys.val()) | self.row_again_keys.val();
        self.preceding.next = self.row_visible.val() - 1;
        self.mask.next = 0.into();
        self.words_before.next = 0.into();
        for d in 0..4 {
            if self.dim.val() == d {
                self.mask.next = ((1 << self.shared[d].val()) - 1).into();
                if self.wide[d].val() == 0 {
                    self.words_before.next = self.preceding.val() >> self.shared[d].val();
                } else {
                    self.words_before.next = (self.row_visible.val() << self.wide[d].val()) - 1;
                }
            }
        }
        if self.active.q.val() & self.read_ready.val() {
            self.at.d.next = self.at.q.val() + 1;
            self.active.d.next = !self.is_last.val();
        }
        if self.accept.val() {
            self.active.d.next = !self.no_row.val() | self.marks.val();
            self.marker.d.next = self.no_row.val();
            self.again.d.next = self.row_again_keys.val();
            self.at.d.next = 0.into();
            self.releases.d.next = self.row_release_keys.val() & !self.row_again_keys.val();
            self.whole.d.next = self.mask.val() + 1;
            self.tail.d.next = (self.preceding.val() & self.mask.val()) + 1;
            self.final_word.d.next = self.words_before.val();
            if !self.row_visible.val().any() | self.no_row.val() {
                self.final_word.d.next = 0.into();
                self.tail.d.next = 0.into();
            }
        }
        if self.reset.val() {
            self.active.d.next = false;
        }
        self.read_valid.next = self.active.q.val();
        self.read_address.next = self.at.q.val();
        self.read_last.next = self.is_last.val();
        self.read_release.next = self.is_last.val() & self.releases.q.val();
        self.read_marker.next = self.marker.q.val();
        self.read_again.next = self.again.q.val();
        self.read_count.next = self.whole.q.val();
        if self.is_last.val() {
            self.read_count.next = self.tail.q.val();
        }
    }
}
