//! One reciprocal per row, one multiplication per score. Part of `softmax`; the reciprocal also of
//! `importance_accumulator`. Paper: section IV-F (there a divider).

use crate::delay::Delay;
use crate::hdl::*;
use crate::leaf::{BlockRom, Multiplier};
use spatten_arch::format::{
    EXP_FRACTION, EXP_STORED_FRACTION, INCREMENT_FRACTION, PROBABILITY_FRACTION, RECIPROCAL_FRACTION,
    RECIPROCAL_TABLE_FRACTION,
};
use spatten_arch::rom::{RECIPROCAL, RECIPROCAL_INDEX_BITS};

/// `1 / (number * 2^-exponent)` with `exponent` the place of the leading one.
///
/// # Formats   a number with its leading one at or above bit `unit` -> `reciprocal`; exponent 0 is `unit`
/// # Timing   a new number every cycle; its reciprocal after [`Reciprocal::LATENCY`] cycles
#[derive(LogicBlock)]
pub struct Reciprocal {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// The number. Without a one at or above `unit` the result means nothing.
    pub number: Wire<In>,
    /// Of the normalised number.
    pub reciprocal: Wire<Out>,
    /// Of the number.
    pub exponent: Wire<Out>,
    places: Param,
    unit: Param,
    index_shift: Param,
    low_mask: Param,
    base_bits: Param,
    half: Param,
    result_shift: Param,
    above: Vec<Signal<Local, Bit>>,
    place: Vec<Wire<Local>>,
    number_held: Reg,
    exponent_held: Reg,
    normalised: Wire<Local>,
    fraction: Reg,
    table: BlockRom,
    chord: Multiplier,
    base: Wire<Local>,
    base_held: Reg,
    start: Reg,
    result: Reg,
    exponent_later: Delay,
}

impl Reciprocal {
    /// Cycles from a number to its reciprocal.
    pub const LATENCY: usize = 5;

    /// Of numbers of `bits`, of which those from `unit` up may be the leading one.
    pub fn new(bits: usize, unit: usize) -> Self {
        const FRACTION: usize = RECIPROCAL_FRACTION as usize;
        let low_bits = FRACTION - RECIPROCAL_INDEX_BITS as usize;
        let base_bits = RECIPROCAL_TABLE_FRACTION as usize + 1;
        let words: Vec<u64> =
            RECIPROCAL.windows(2).map(|w| u64::from(w[0]) | u64::from(w[0] - w[1]) << base_bits).collect();
        let slope_bits = bits_for((RECIPROCAL[0] - RECIPROCAL[1]) as usize);
        let places = bits - unit;
        let exponent_bits = bits_for(places - 1);
        let rounding = (RECIPROCAL_TABLE_FRACTION - RECIPROCAL_FRACTION) as usize;
        Self {
            name: ModuleName::new(format!("reciprocal_{bits}_{unit}")),
            unused: Waiver::new("UNUSEDSIGNAL", "Bits that rounding drops, and carries that cannot happen."),
            clock: Default::default(),
            number: Wire::unsigned(bits),
            reciprocal: Wire::unsigned(FRACTION + 1),
            exponent: Wire::unsigned(exponent_bits),
            places: Param::new(places),
            unit: Param::new(unit),
            index_shift: Param::new(low_bits),
            low_mask: Param::new((1 << low_bits) - 1),
            base_bits: Param::new(base_bits),
            // base - ((slope * low + half) >> low_bits), then + 1 >> 1: both roundings in one constant.
            half: Param::new((1 << (low_bits - 1)) - 1 + (1 << (low_bits + rounding - 1))),
            result_shift: Param::new(low_bits + rounding),
            above: vec_of(places, Default::default),
            place: vec_of(places, || Wire::unsigned(exponent_bits)),
            number_held: Reg::unsigned(places + FRACTION),
            exponent_held: Reg::unsigned(exponent_bits),
            normalised: Wire::unsigned(FRACTION),
            fraction: Reg::unsigned(FRACTION),
            table: BlockRom::new("reciprocal", words, base_bits + slope_bits),
            chord: Multiplier::new(slope_bits + 1, low_bits + 1),
            base: Wire::unsigned(base_bits),
            base_held: Reg::unsigned(base_bits),
            start: Reg::unsigned(base_bits + low_bits),
            result: Reg::unsigned(FRACTION + 1),
            exponent_later: Delay::new(exponent_bits, Self::LATENCY - 1),
        }
    }
}

impl Logic for Reciprocal {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, number_held, exponent_held, fraction, base_held, start, result);
        clock!(self, clock, table, chord, exponent_later);
        // 1: the leading one. `above[i]`: there is a one above place i.
        for i in 0..self.places.val() {
            if i + 1 == self.places.val() {
                self.above[i].next = false;
                self.place[i].next = i.into();
            } else {
                self.above[i].next = self.above[i + 1].val() | self.number.val().get_bit(i + 1 + self.unit.val());
                self.place[i].next = i.into();
                if self.above[i].val() {
                    self.place[i].next = self.place[i + 1].val();
                }
            }
        }
        self.exponent_held.d.next = self.place[0].val();
        self.exponent_later.early.next = self.exponent_held.q.val();
        self.exponent.next = self.exponent_later.late.val();
        self.number_held.d.next = (self.number.val() << 17) >> self.unit.val();
        // 2: the bits below it; their upper ones go right into the table.
        self.normalised.next = self.number_held.q.val() >> self.exponent_held.q.val();
        self.fraction.d.next = self.normalised.val();
        self.table.index.next = self.normalised.val() >> self.index_shift.val();
        // 3, 4, 5: base - slope * low, rounded.
        self.base.next = self.table.word.val();
        self.chord.a.next = self.table.word.val() >> self.base_bits.val();
        self.chord.b.next = self.fraction.q.val() & self.low_mask.val();
        self.base_held.d.next = self.base.val();
        self.start.d.next = (self.base_held.q.val() << self.index_shift.val()) + self.half.val();
        self.result.d.next = (self.start.q.val() - self.chord.product.val()) >> self.result_shift.val();
        self.reciprocal.next = self.result.q.val();
    }
}

/// Scores of one row: stored exponentials times the reciprocal of the sum.
///
/// # Shapes   `stored [lanes]` -> `probability [lanes]`, `increment [lanes]`
/// # Formats   `exp_stored`, `reciprocal` -> `probability`, `importance_increment`, rounded half up from the same product
/// # Timing   a new beat every cycle; results after [`Divide::LATENCY`] cycles
#[derive(LogicBlock)]
pub struct Divide {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Exponentials.
    pub stored: Vec<Wire<In>>,
    /// Of the row's sum.
    pub reciprocal: Wire<In>,
    /// Of the row's sum.
    pub exponent: Wire<In>,
    /// Probabilities.
    pub probability: Vec<Wire<Out>>,
    /// The same with more fraction bits.
    pub increment: Vec<Wire<Out>>,
    lanes: Param,
    one: Param,
    more: Param,
    products: Vec<Multiplier>,
    /// A factor of 1.0 does not fit the multiplier: the other factor is the product.
    exact: Vec<Dff<Bit>>,
    exact_value: Vec<Reg>,
    exact_later: Vec<Dff<Bit>>,
    exact_value_later: Vec<Reg>,
    exponents: Vec<Reg>,
    /// The product with 17 fraction bits.
    product: Vec<Wire<Local>>,
    coarse: Vec<Reg>,
    shifted: Vec<Wire<Local>>,
    increments: Vec<Reg>,
    probabilities: Vec<Reg>,
}

impl Divide {
    /// Cycles from exponentials to probabilities.
    pub const LATENCY: usize = 4;

    /// For rows whose sums have exponents of `exponent_bits`.
    pub fn new(lanes: usize, exponent_bits: usize) -> Self {
        const ONE: usize = EXP_STORED_FRACTION as usize;
        const { assert!(EXP_STORED_FRACTION == RECIPROCAL_FRACTION && INCREMENT_FRACTION + 1 == EXP_STORED_FRACTION) };
        let (probability, increment) = (PROBABILITY_FRACTION as usize + 1, INCREMENT_FRACTION as usize + 1);
        Self {
            name: ModuleName::new(format!("divide_{lanes}_{exponent_bits}")),
            unused: Waiver::new("UNUSEDSIGNAL", "Bits that rounding drops, and carries that cannot happen."),
            clock: Default::default(),
            stored: vec_of(lanes, || Wire::unsigned(ONE + 1)),
            reciprocal: Wire::unsigned(ONE + 1),
            exponent: Wire::unsigned(exponent_bits),
            probability: vec_of(lanes, || Wire::unsigned(probability)),
            increment: vec_of(lanes, || Wire::unsigned(increment)),
            lanes: Param::new(lanes),
            one: Param::new(ONE),
            more: Param::new((INCREMENT_FRACTION - PROBABILITY_FRACTION) as usize),
            products: vec_of(lanes, || Multiplier::new(ONE + 1, ONE + 1)),
            exact: vec_of(lanes, Default::default),
            exact_value: vec_of(lanes, || Reg::unsigned(ONE + 1)),
            exact_later: vec_of(lanes, Default::default),
            exact_value_later: vec_of(lanes, || Reg::unsigned(ONE + 1)),
            exponents: [4, 4, 2].into_iter().map(Reg::unsigned).collect(),
            product: vec_of(lanes, || Wire::unsigned(ONE + 1)),
            coarse: vec_of(lanes, || Reg::unsigned(ONE + 1)),
            shifted: vec_of(lanes, || Wire::unsigned(ONE + 1)),
            increments: vec_of(lanes, || Reg::unsigned(increment)),
            probabilities: vec_of(lanes, || Reg::unsigned(probability)),
        }
    }
}

impl Logic for Divide {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..3 {
            self.exponents[i].clock.next = self.clock.val();
            if i == 0 {
                self.exponents[i].d.next = self.exponent.val();
            } else {
                self.exponents[i].d.next = self.exponents[i - 1].q.val();
            }
        }
        for i in 0..self.lanes.val() {
            self.products[i].clock.next = self.clock.val();
            self.exact[i].clock.next = self.clock.val();
            self.exact_value[i].clock.next = self.clock.val();
            self.exact_later[i].clock.next = self.clock.val();
            self.exact_value_later[i].clock.next = self.clock.val();
            self.coarse[i].clock.next = self.clock.val();
            self.increments[i].clock.next = self.clock.val();
            self.probabilities[i].clock.next = self.clock.val();
            // 1, 2: the product of the fractions.
            self.products[i].a.next = self.stored[i].val() & ((1 << self.one.val()) - 1);
            self.products[i].b.next = self.reciprocal.val() & ((1 << self.one.val()) - 1);
            self.exact[i].d.next =
                self.stored[i].val().get_bit(self.one.val()) | self.reciprocal.val().get_bit(self.one.val());
            self.exact_value[i].d.next = self.stored[i].val();
            if self.stored[i].val().get_bit(self.one.val()) {
                self.exact_value[i].d.next = self.reciprocal.val();
            }
            self.exact_later[i].d.next = self.exact[i].q.val();
            self.exact_value_later[i].d.next = self.exact_value[i].q.val();
            self.product[i].next = self.products[i].product.val() >> self.one.val();
            if self.exact_later[i].q.val() {
                self.product[i].next = self.exact_value_later[i].q.val();
            }
            // 3, 4: shifted right by the exponent, and rounded twice.
            self.coarse[i].d.next = self.product[i].val() >> ((self.exponents[1].q.val() >> 2) << 2);
            self.shifted[i].next = self.coarse[i].q.val() >> self.exponents[2].q.val();
            self.increments[i].d.next = (self.shifted[i].val() + 1) >> 1;
            self.probabilities[i].d.next = ((self.shifted[i].val() >> self.more.val()) + 1) >> 1;
            self.increment[i].next = self.increments[i].q.val();
            self.probability[i].next = self.probabilities[i].q.val();
        }
    }
}

/// Exponent bits of sums of up to `keys` exponentials.
pub fn exponent_bits(sum_bits: usize) -> usize {
    bits_for(sum_bits - EXP_FRACTION as usize - 1)
}
