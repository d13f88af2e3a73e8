//! One pass: how many scores are at or above each digit, and which digit that makes the k-th largest's.

use crate::hdl::*;

/// Lanes that are counted before the first register.
const GROUP: usize = 4;

/// Counts, for every digit but 0, the candidates whose digit is at least that one.
///
/// # Timing   a beat of cycle `t` is in the counts from `t + 3`
#[derive(LogicBlock)]
pub struct DigitCounts {
    name: ModuleName,
    pub clock: Signal<In, Clock>,
    /// A beat is there.
    pub valid: Signal<In, Bit>,
    /// The first of its row: counts start from `base`.
    pub starts: Signal<In, Bit>,
    /// Scores above all candidates; used two cycles after the first beat.
    pub base: Wire<In>,
    pub digit: Vec<Wire<In>>,
    pub candidate: Vec<Signal<In, Bit>>,
    /// `counts[b]` scores are at or above digit `b + 1`.
    pub counts: Vec<Wire<Out>>,
    bins: Param,
    lanes: Param,
    groups: Param,
    size: Param,
    hot: Vec<Reg>,
    part: Vec<Reg>,
    sum: Vec<Wire<Local>>,
    from: Vec<Wire<Local>>,
    count: Vec<Reg>,
    counted: Dff<Bit>,
    summed: Dff<Bit>,
    counted_starts: Dff<Bit>,
    summed_starts: Dff<Bit>,
}

impl DigitCounts {
    /// For digits of `digit_bits`, counts of `total_bits`.
    pub fn new(digit_bits: usize, lanes: usize, total_bits: usize) -> Self {
        let bins = (1 << digit_bits) - 1;
        let size = lanes.min(GROUP);
        let groups = lanes / size;
        Self {
            name: ModuleName::new(format!("digit_counts_{digit_bits}x{lanes}x{total_bits}")),
            clock: Default::default(),
            valid: Default::default(),
            starts: Default::default(),
            base: Wire::unsigned(total_bits),
            digit: vec_of(lanes, || Wire::unsigned(digit_bits)),
            candidate: vec_of(lanes, Default::default),
            counts: vec_of(bins, || Wire::unsigned(total_bits)),
            bins: Param::new(bins),
            lanes: Param::new(lanes),
            groups: Param::new(groups),
            size: Param::new(size),
            hot: vec_of(bins * lanes, || Reg::unsigned(1)),
            part: vec_of(bins * groups, || Reg::unsigned(bits_for(size))),
            sum: vec_of(bins * groups, || Wire::unsigned(bits_for(lanes))),
            from: vec_of(bins, || Wire::unsigned(total_bits)),
            count: vec_of(bins, || Reg::unsigned(total_bits)),
            counted: Default::default(),
            summed: Default::default(),
            counted_starts: Default::default(),
            summed_starts: Default::default(),
        }
    }
}

impl Logic for DigitCounts {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, counted, summed, counted_starts, summed_starts);
        self.counted.d.next = self.valid.val();
        self.counted_starts.d.next = self.starts.val();
        self.summed.d.next = self.counted.q.val();
        self.summed_starts.d.next = self.counted_starts.q.val();
        for b in 0..self.bins.val() {
            for i in 0..self.lanes.val() {
                self.hot[b * self.lanes.val() + i].clock.next = self.clock.val();
                self.hot[b * self.lanes.val() + i].d.next =
                    (self.candidate[i].val() & (self.digit[i].val() > b)).into();
            }
            for g in 0..self.groups.val() {
                self.part[b * self.groups.val() + g].clock.next = self.clock.val();
                if self.size.val() == 4 {
                    self.part[b * self.groups.val() + g].d.next = self.hot[b * self.lanes.val() + 4 * g].q.val()
                        + self.hot[b * self.lanes.val() + 4 * g + 1].q.val()
                        + self.hot[b * self.lanes.val() + 4 * g + 2].q.val()
                        + self.hot[b * self.lanes.val() + 4 * g + 3].q.val();
                } else if self.size.val() == 2 {
                    self.part[b * self.groups.val() + g].d.next =
                        self.hot[b * self.lanes.val()].q.val() + self.hot[b * self.lanes.val() + 1].q.val();
                } else {
                    self.part[b * self.groups.val() + g].d.next = self.hot[b * self.lanes.val()].q.val();
                }
                if g == 0 {
                    self.sum[b * self.groups.val()].next = self.part[b * self.groups.val()].q.val();
                } else {
                    self.sum[b * self.groups.val() + g].next =
                        self.sum[b * self.groups.val() + g - 1].val() + self.part[b * self.groups.val() + g].q.val();
                }
            }
            self.from[b].next = self.count[b].q.val();
            if self.summed_starts.q.val() {
                self.from[b].next = self.base.val();
            }
            self.count[b].clock.next = self.clock.val();
            self.count[b].d.next = self.count[b].q.val();
            if self.summed.q.val() {
                self.count[b].d.next =
                    self.from[b].val() + self.sum[b * self.groups.val() + self.groups.val() - 1].val();
            }
            self.counts[b].next = self.count[b].q.val();
        }
    }
}

/// The highest digit whose count reaches k, and how many scores are above it.
///
/// # Timing   counts and k of cycle `t` give the digit in `t + 1`; the counts must still be there then
#[derive(LogicBlock)]
pub struct DigitChoice {
    name: ModuleName,
    pub clock: Signal<In, Clock>,
    pub counts: Vec<Wire<In>>,
    /// Scores above all candidates.
    pub base: Wire<In>,
    pub k: Wire<In>,
    pub digit: Wire<Out>,
    /// Scores above those with the digit.
    pub above: Wire<Out>,
    bins: Param,
    reaches: Vec<Dff<Bit>>,
    chosen: Vec<Signal<Local, Bit>>,
    digit_part: Vec<Wire<Local>>,
    above_part: Vec<Wire<Local>>,
    digit_sum: Vec<Wire<Local>>,
    above_sum: Vec<Wire<Local>>,
}

impl DigitChoice {
    /// For digits of `digit_bits`, counts of `total_bits`.
    pub fn new(digit_bits: usize, total_bits: usize) -> Self {
        let bins = (1 << digit_bits) - 1;
        Self {
            name: ModuleName::new(format!("digit_choice_{digit_bits}x{total_bits}")),
            clock: Default::default(),
            counts: vec_of(bins, || Wire::unsigned(total_bits)),
            base: Wire::unsigned(total_bits),
            k: Wire::unsigned(total_bits),
            digit: Wire::unsigned(digit_bits),
            above: Wire::unsigned(total_bits),
            bins: Param::new(bins),
            reaches: vec_of(bins, Default::default),
            chosen: vec_of(bins + 1, Default::default),
            digit_part: vec_of(bins + 1, || Wire::unsigned(digit_bits)),
            above_part: vec_of(bins + 1, || Wire::unsigned(total_bits)),
            digit_sum: vec_of(bins + 1, || Wire::unsigned(digit_bits)),
            above_sum: vec_of(bins + 1, || Wire::unsigned(total_bits)),
        }
    }
}

impl Logic for DigitChoice {
    #[hdl_gen]
    fn update(&mut self) {
        for b in 0..self.bins.val() {
            self.reaches[b].clock.next = self.clock.val();
            self.reaches[b].d.next = self.counts[b].val() >= self.k.val();
        }
        // Counts fall from digit to digit: the digit is where those that reach k end.
        for d in 0..self.bins.val() {
            if d == 0 {
                self.chosen[d].next = !self.reaches[d].q.val();
            } else {
                self.chosen[d].next = self.reaches[d - 1].q.val() & !self.reaches[d].q.val();
            }
            self.digit_part[d].next = 0.into();
            self.above_part[d].next = 0.into();
            if self.chosen[d].val() {
                self.digit_part[d].next = d.into();
                self.above_part[d].next = self.counts[d].val();
            }
            if d == 0 {
                self.digit_sum[d].next = self.digit_part[d].val();
                self.above_sum[d].next = self.above_part[d].val();
            } else {
                self.digit_sum[d].next = self.digit_sum[d - 1].val() | self.digit_part[d].val();
                self.above_sum[d].next = self.above_sum[d - 1].val() | self.above_part[d].val();
            }
        }
        // The highest digit: nothing is above it but what is above all candidates.
        self.chosen[self.bins.val()].next = self.reaches[self.bins.val() - 1].q.val();
        self.digit_part[self.bins.val()].next = 0.into();
        self.above_part[self.bins.val()].next = 0.into();
        if self.chosen[self.bins.val()].val() {
            self.digit_part[self.bins.val()].next = self.bins.val().into();
            self.above_part[self.bins.val()].next = self.base.val();
        }
        self.digit_sum[self.bins.val()].next =
            self.digit_sum[self.bins.val() - 1].val() | self.digit_part[self.bins.val()].val();
        self.above_sum[self.bins.val()].next =
            self.above_sum[self.bins.val() - 1].val() | self.above_part[self.bins.val()].val();
        self.digit.next = self.digit_sum[self.bins.val()].val();
        self.above.next = self.above_sum[self.bins.val()].val();
    }
}
