//! Probabilities times values. Siblings: `golden`, `sim`, `tests/multiply_value.rs`.
//! Paper: SpAtten section IV-G.
//! Why: a row's outputs leave whole and once, so the accumulators are the only state; the sum of their magnitudes, which
//! head importance needs, is taken where the outputs are at hand.
//! Differs from the paper: probabilities carry 12 fraction bits into the product with a scale per token.
//!
//! ```text
//! probability, token_scale -> [weight] x lanes --+
//! values --- 2 cycles ------------------------- x [multipliers] -> rows of one beat added (D < multipliers)
//!     -> 128 accumulators -> round, saturate -+-> outputs ------------------> out
//!                                             +-> [magnitudes] -> queue ----> out
//! ```

use crate::credits::Credits;
use crate::delay::Delay;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::leaf::{LaneRam, Multiplier, ReadPort};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::{Formats, OUTPUT_BITS, TOKEN_SCALE_BITS};

/// Outputs of a row, the unused upper ones included.
const ROW: usize = HEAD_DIMS[HEAD_DIMS.len() - 1];
/// Operands that always share a weight.
const GROUP: usize = HEAD_DIMS[0];
const SCALE_BITS: usize = TOKEN_SCALE_BITS as usize;
/// Unsigned bits of a DSP's signed input.
const SPLIT: usize = 17;
/// 128 outputs of at most 2^15.
const MAGNITUDE_BITS: usize = OUTPUT_BITS as usize - 1 + ROW.ilog2() as usize + 1;
const SATURATED_BITS: usize = ROW.ilog2() as usize + 1;
/// Cycles from outputs to [`Magnitudes`]' sums.
const MAGNITUDE_LATENCY: usize = 5;

/// Sums of weighted value rows.
///
/// `head_dim` (0..=3 for D = 16, 32, 64, 128) stays the same from a row's first beat to the last beat of a job. With `M`
/// multipliers a beat carries up to `M/D` value rows side by side, or, where D > M, one of the `D/M` slices of one, in
/// order, each with the row's probability and scale and `count = 1`. Lanes from `count` on add nothing; a row without values
/// is one beat with `count = 0` and `last`. A weight is below 2.0 and sums fit `value_sum`: probabilities of a row add up to 1.
///
/// # Shapes   `in`: `values [M]`, `probability [L]`, `token_scale [L]`, `count`, `last`, with `L = max(1, M/16)`; `out`, one
/// beat per row: `outputs [128]` (0 from D on), `saturated` (how many), `magnitude` (sum of absolute outputs)
/// # Formats  `operand`, `probability`, `token_scale` -> `output`; half up once for the weight and once for the sum
/// # Timing   one beat per cycle, rows without a gap. The last beat of a row, accepted in `t`, makes an output in
/// `t + latency` at the earliest, `latency = 12 + log2(M / 16)`; the queue has the next power of two above it. Only the last
/// beat of a row takes a place of it, but none enters while all are taken.
#[derive(LogicBlock)]
pub struct MultiplyValue {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous; forgets rows and beats.
    pub reset: Signal<In, Bit>,
    /// D is `16 << head_dim`.
    pub head_dim: Wire<In>,
    /// Values are offered.
    pub in_valid: Signal<In, Bit>,
    /// They would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// The values.
    pub in_values: Vec<Wire<In>>,
    /// Probabilities of their rows.
    pub in_probability: Vec<Wire<In>>,
    /// Scales of their rows.
    pub in_token_scale: Vec<Wire<In>>,
    /// How many rows there are.
    pub in_count: Wire<In>,
    /// They are the query row's last ones.
    pub in_last: Signal<In, Bit>,
    /// A row of outputs is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// The outputs.
    pub out_outputs: Vec<Wire<Out>>,
    /// How many did not fit.
    pub out_saturated: Wire<Out>,
    /// Sum of their magnitudes.
    pub out_magnitude: Wire<Out>,

    multipliers: Param,
    lanes: Param,
    /// Accumulators that one beat reaches, and how often that is a row.
    reach: Param,
    slices: Param,
    final_slices: Vec<Param>,
    /// Inner nodes of the tree that brings more than 128 products to 128, and the levels that depend on D.
    inner: Param,
    folds: Param,
    row: Param,
    accumulate: Param,
    push: Param,
    finish: Param,
    largest: Param,
    output_shift: Param,
    magnitude_bits: Param,

    weights: Vec<Weight>,
    shared: Vec<Wire<Local>>,
    values: Vec<Delay>,
    products: Vec<Multiplier>,
    nodes: Vec<Reg>,
    unfolded: Vec<Wire<Local>>,
    folded: Vec<Reg>,
    terms: Vec<Wire<Local>>,
    sums: Vec<Reg>,
    bases: Vec<Wire<Local>>,
    whole: Vec<Wire<Local>>,
    outputs: Vec<Reg>,
    flags: Vec<Dff<Bit>>,
    magnitudes: Magnitudes,
    places: Credits,
    rows: LaneRam,
    head: Reg,
    tail: Reg,
    tags: Fifo,
    tag: Wire<Local>,

    accept: Signal<Local, Bit>,
    final_slice: Wire<Local>,
    slice: Reg,
    begins: Dff<Bit>,
    /// Beats on their way to the accumulators.
    entered: Reg,
    first: Reg,
    at_slice: Delay,
    /// Last beats on their way to the queue.
    flight: Reg,
    active: Signal<Local, Bit>,
    starts: Signal<Local, Bit>,
    popped: Signal<Local, Bit>,
    /// Places are counted where beats enter.
    unused_ready: Signal<Local, Bit>,
}

impl MultiplyValue {
    /// For a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let formats = Formats::new(config);
        let (bits, multipliers) = (config.datapath_bits as usize, config.multipliers);
        let [probability_bits, output_bits] = [&formats.probability, &formats.output].map(|f| f.width() as usize);
        // A weight needs a sign for the multiplier: a product is one bit wider than `value_sum`.
        let sum_bits = bits + probability_bits + 1;
        assert_eq!(sum_bits, formats.value_sum.width() as usize + 1, "width of a sum");
        let lanes = multipliers / GROUP;
        let reach = multipliers.min(ROW);
        let inner = multipliers / reach - 1;
        let folds = (reach / GROUP).ilog2() as usize;
        // Cycles from a beat to its terms at the accumulators: weight, product, tree, folds.
        let accumulate = 2 * Multiplier::LATENCY + (inner + 1).ilog2() as usize + folds;
        let latency = accumulate + 2 + MAGNITUDE_LATENCY + 1;
        let depth = (latency + 1).next_power_of_two();
        let slices = HEAD_DIMS.map(|dim| dim.div_ceil(multipliers));
        let slice_bits = bits_for(slices[slices.len() - 1] - 1);
        let count_bits = bits_for(lanes);
        let output_shift = formats.value_sum.fraction_bits - formats.output.fraction_bits;
        Self {
            name: ModuleName::new("multiply_value"),
            clock: Default::default(),
            reset: Default::default(),
            head_dim: Wire::unsigned(2),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_values: vec_of(multipliers, || Wire::signed(bits)),
            in_probability: vec_of(lanes, || Wire::unsigned(probability_bits)),
            in_token_scale: vec_of(lanes, || Wire::unsigned(SCALE_BITS)),
            in_count: Wire::unsigned(count_bits),
            in_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_outputs: vec_of(ROW, || Wire::signed(output_bits)),
            out_saturated: Wire::unsigned(SATURATED_BITS),
            out_magnitude: Wire::unsigned(MAGNITUDE_BITS),
            multipliers: Param::new(multipliers),
            lanes: Param::new(lanes),
            reach: Param::new(reach),
            slices: Param::new(ROW / reach),
            final_slices: slices.iter().map(|n| Param::new(n - 1)).collect(),
            inner: Param::new(inner),
            folds: Param::new(folds),
            row: Param::new(ROW),
            accumulate: Param::new(accumulate - 1),
            push: Param::new(accumulate + 1),
            finish: Param::new(latency - 2),
            largest: Param::new((1 << (output_bits - 1)) - 1),
            output_shift: Param::new(output_shift as usize),
            magnitude_bits: Param::new(MAGNITUDE_BITS),
            weights: vec_of(lanes, || Weight::new(probability_bits)),
            shared: vec_of(lanes, || Wire::unsigned(probability_bits)),
            values: vec_of(multipliers, || Delay::new(bits, Multiplier::LATENCY)),
            products: vec_of(multipliers, || Multiplier::new(bits, probability_bits + 1)),
            nodes: vec_of(inner * reach, || Reg::signed(sum_bits)),
            unfolded: vec_of(reach, || Wire::signed(sum_bits)),
            folded: vec_of(folds * reach, || Reg::signed(sum_bits)),
            terms: vec_of(reach, || Wire::signed(sum_bits)),
            sums: vec_of(ROW, || Reg::signed(sum_bits)),
            bases: vec_of(ROW, || Wire::signed(sum_bits)),
            whole: vec_of(ROW, || Wire::signed(output_bits + 1)),
            outputs: vec_of(ROW, || Reg::signed(output_bits)),
            flags: vec_of(ROW, Default::default),
            magnitudes: Magnitudes::new(output_bits),
            places: Credits::new(depth),
            rows: LaneRam::new(ROW, output_bits, depth, ReadPort::Direct),
            head: Reg::unsigned(bits_for(depth - 1)),
            tail: Reg::unsigned(bits_for(depth - 1)),
            tags: Fifo::new(MAGNITUDE_BITS + SATURATED_BITS, depth),
            tag: Wire::unsigned(MAGNITUDE_BITS + SATURATED_BITS),
            accept: Default::default(),
            final_slice: Wire::unsigned(slice_bits),
            slice: Reg::unsigned(slice_bits),
            begins: Default::default(),
            entered: Reg::unsigned(accumulate),
            first: Reg::unsigned(accumulate),
            at_slice: Delay::new(slice_bits, accumulate),
            flight: Reg::unsigned(latency - 1),
            active: Default::default(),
            starts: Default::default(),
            popped: Default::default(),
            unused_ready: Default::default(),
        }
    }
}

impl Logic for MultiplyValue {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, slice, begins, entered, first, flight, head, tail);
        clock!(self, clock, magnitudes, places, rows, tags, at_slice);
        self.places.reset.next = self.reset.val();
        self.tags.reset.next = self.reset.val();

        self.in_ready.next = self.places.available.val();
        self.accept.next = self.in_valid.val() & self.places.available.val();
        self.places.take.next = self.in_valid.val() & self.places.available.val() & self.in_last.val();
        self.places.give.next = self.popped.val();

        // Which slice of a row a beat is, and whether a row begins.
        self.final_slice.next = self.final_slices[0].val().into();
        for i in 1..4 {
            if self.head_dim.val() == i {
                self.final_slice.next = self.final_slices[i].val().into();
            }
        }
        if self.accept.val() {
            self.begins.d.next = self.in_last.val();
            self.slice.d.next = self.slice.q.val() + 1;
            if self.in_last.val() | (self.slice.q.val() == self.final_slice.val()) {
                self.slice.d.next = 0.into();
            }
        }
        self.at_slice.early.next = self.slice.q.val();
        self.entered.d.next = (self.entered.q.val() << 1) | self.accept.val();
        self.first.d.next = (self.first.q.val() << 1) | self.begins.q.val();
        self.flight.d.next = (self.flight.q.val() << 1) | (self.accept.val() & self.in_last.val());
        if self.reset.val() {
            self.begins.d.next = true;
            self.slice.d.next = 0.into();
            self.entered.d.next = 0.into();
            self.flight.d.next = 0.into();
        }

        // t .. t + 2: weights; the values wait for them.
        for i in 0..self.lanes.val() {
            self.weights[i].clock.next = self.clock.val();
            self.weights[i].probability.next = 0.into();
            if self.in_count.val() > i {
                self.weights[i].probability.next = self.in_probability[i].val();
            }
            self.weights[i].token_scale.next = self.in_token_scale[i].val();
            // 16 multipliers are of one lane at every D.
            self.shared[i].next = self.weights[i].weight.val();
            for d in 1..4 {
                if self.head_dim.val() == d {
                    self.shared[i].next = self.weights[i >> d].weight.val();
                }
            }
        }
        // t + 2 .. t + 4
        for i in 0..self.multipliers.val() {
            self.values[i].clock.next = self.clock.val();
            self.values[i].early.next = self.in_values[i].val();
            self.products[i].clock.next = self.clock.val();
            self.products[i].a.next = self.values[i].late.val();
            self.products[i].b.next = self.shared[i >> 4].val();
        }
        // More products than a row is long: a heap of nodes for every output, of which the first is the root.
        for n in 0..self.inner.val() {
            for i in 0..self.reach.val() {
                self.nodes[n * self.reach.val() + i].clock.next = self.clock.val();
                if 2 * n + 1 < self.inner.val() {
                    self.nodes[n * self.reach.val() + i].d.next =
                        self.nodes[(2 * n + 1) * self.reach.val() + i].q.val()
                            + self.nodes[(2 * n + 2) * self.reach.val() + i].q.val();
                } else {
                    self.nodes[n * self.reach.val() + i].d.next =
                        self.products[(2 * n + 1 - self.inner.val()) * self.reach.val() + i].product.val()
                            + self.products[(2 * n + 2 - self.inner.val()) * self.reach.val() + i].product.val();
                }
            }
        }
        for i in 0..self.reach.val() {
            if self.inner.val() == 0 {
                self.unfolded[i].next = self.products[i].product.val();
            } else {
                self.unfolded[i].next = self.nodes[i].q.val();
            }
        }
        // Rows side by side: where D is less than what is left, the upper half is added to the lower one.
        for f in 0..self.folds.val() {
            for i in 0..self.reach.val() {
                self.folded[f * self.reach.val() + i].clock.next = self.clock.val();
                if f == 0 {
                    self.folded[i].d.next = self.unfolded[i].val();
                    if self.head_dim.val() < self.folds.val() {
                        if i < (self.reach.val() >> 1) {
                            self.folded[i].d.next =
                                self.unfolded[i].val() + self.unfolded[i + (self.reach.val() >> 1)].val();
                        } else {
                            self.folded[i].d.next = 0.into();
                        }
                    }
                } else {
                    self.folded[f * self.reach.val() + i].d.next = self.folded[(f - 1) * self.reach.val() + i].q.val();
                    if self.head_dim.val() < (self.folds.val() - f) {
                        if i < (self.reach.val() >> (f + 1)) {
                            self.folded[f * self.reach.val() + i].d.next = self.folded[(f - 1) * self.reach.val() + i]
                                .q
                                .val()
                                + self.folded[(f - 1) * self.reach.val() + i + (self.reach.val() >> (f + 1))].q.val();
                        } else {
                            self.folded[f * self.reach.val() + i].d.next = 0.into();
                        }
                    }
                }
            }
        }
        for i in 0..self.reach.val() {
            if self.folds.val() == 0 {
                self.terms[i].next = self.unfolded[i].val();
            } else {
                self.terms[i].next = self.folded[(self.folds.val() - 1) * self.reach.val() + i].q.val();
            }
        }

        // A row's first beat clears what it does not reach, so that outputs from D on are 0.
        self.active.next = self.entered.q.val().get_bit(self.accumulate.val());
        self.starts.next = self.first.q.val().get_bit(self.accumulate.val());
        for s in 0..self.slices.val() {
            for i in 0..self.reach.val() {
                self.sums[s * self.reach.val() + i].clock.next = self.clock.val();
                self.sums[s * self.reach.val() + i].d.next = self.sums[s * self.reach.val() + i].q.val();
                self.bases[s * self.reach.val() + i].next = self.sums[s * self.reach.val() + i].q.val();
                if self.starts.val() {
                    self.bases[s * self.reach.val() + i].next = 0.into();
                }
                if self.active.val() & (self.starts.val() | (self.at_slice.late.val() == s)) {
                    self.sums[s * self.reach.val() + i].d.next = self.bases[s * self.reach.val() + i].val();
                    if self.at_slice.late.val() == s {
                        self.sums[s * self.reach.val() + i].d.next =
                            self.bases[s * self.reach.val() + i].val() + self.terms[i].val();
                    }
                }
            }
        }

        // The complete sums are there for one cycle. Rounding can only leave the range upwards.
        for i in 0..self.row.val() {
            self.outputs[i].clock.next = self.clock.val();
            self.flags[i].clock.next = self.clock.val();
            self.whole[i].next = self.sums[i].q.val() >> self.output_shift.val();
            self.outputs[i].d.next = self.whole[i].val() + self.sums[i].q.val().get_bit(self.output_shift.val() - 1);
            self.flags[i].d.next = false;
            if (self.whole[i].val() == self.largest.val()) & self.sums[i].q.val().get_bit(self.output_shift.val() - 1) {
                self.outputs[i].d.next = self.whole[i].val();
                self.flags[i].d.next = true;
            }
            self.magnitudes.outputs[i].next = self.outputs[i].q.val();
            self.magnitudes.flags[i].next = self.flags[i].q.val().into();
            self.rows.write_data[i].next = self.outputs[i].q.val();
            self.out_outputs[i].next = self.rows.read_data[i].val();
        }

        // Outputs wait in the queue's place for their magnitude, which is last and makes them valid.
        self.rows.write_enable.next = self.flight.q.val().get_bit(self.push.val());
        self.rows.write_address.next = self.tail.q.val();
        self.rows.read_address.next = self.head.q.val();
        self.tags.in_valid.next = self.flight.q.val().get_bit(self.finish.val());
        self.tags.in_data.next =
            (self.magnitudes.saturated.val() << self.magnitude_bits.val()) | self.magnitudes.magnitude.val();
        self.unused_ready.next = self.tags.in_ready.val();
        self.tags.out_ready.next = self.out_ready.val();
        self.popped.next = self.out_ready.val() & self.tags.out_valid.val();
        self.tail.d.next = self.tail.q.val() + self.flight.q.val().get_bit(self.push.val());
        self.head.d.next = self.head.q.val() + self.popped.val();
        if self.reset.val() {
            self.tail.d.next = 0.into();
            self.head.d.next = 0.into();
        }
        self.out_valid.next = self.tags.out_valid.val();
        self.tag.next = self.tags.out_data.val();
        self.out_saturated.next = self.tag.val() >> self.magnitude_bits.val();
        self.out_magnitude.next = self.tag.val();
    }
}

/// Probability times token scale, half up.
///
/// The scale's top bit (1.0) adds the probability itself, so that 17 bits and a sign are left for the DSP.
///
/// # Timing   inputs of cycle `t`, weight in `t + 2`
#[derive(LogicBlock)]
struct Weight {
    name: ModuleName,
    clock: Signal<In, Clock>,
    probability: Wire<In>,
    token_scale: Wire<In>,
    weight: Wire<Out>,
    scale_low: Wire<Local>,
    multiplier: Multiplier,
    probabilities: Delay,
    tops: Delay,
    same: Wire<Local>,
    /// Below what rounds, and the sign of a product that has none.
    unused_fraction: Wire<Local>,
}

impl Weight {
    fn new(bits: usize) -> Self {
        Self {
            name: ModuleName::new(format!("weight_{bits}")),
            clock: Default::default(),
            probability: Wire::unsigned(bits),
            token_scale: Wire::unsigned(SCALE_BITS),
            weight: Wire::unsigned(bits),
            scale_low: Wire::unsigned(SPLIT),
            multiplier: Multiplier::new(bits + 1, SCALE_BITS),
            probabilities: Delay::new(bits, Multiplier::LATENCY),
            tops: Delay::new(1, Multiplier::LATENCY),
            same: Wire::unsigned(bits),
            unused_fraction: Wire::signed(bits + 1 + SCALE_BITS),
        }
    }
}

impl Logic for Weight {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, multiplier, probabilities, tops);
        self.scale_low.next = self.token_scale.val();
        self.multiplier.a.next = self.probability.val();
        self.multiplier.b.next = self.scale_low.val();
        self.probabilities.early.next = self.probability.val();
        self.tops.early.next = self.token_scale.val() >> 17;
        self.same.next = 0.into();
        if self.tops.late.val().any() {
            self.same.next = self.probabilities.late.val();
        }
        self.weight.next =
            (self.multiplier.product.val() >> 17) + self.same.val() + self.multiplier.product.val().get_bit(16);
        self.unused_fraction.next = self.multiplier.product.val();
    }
}

/// Sums of the magnitudes and of the flags of 128 outputs, four at a time.
///
/// # Timing   outputs of cycle `t`, sums in `t + 5`
#[derive(LogicBlock)]
struct Magnitudes {
    name: ModuleName,
    clock: Signal<In, Clock>,
    outputs: Vec<Wire<In>>,
    flags: Vec<Wire<In>>,
    magnitude: Wire<Out>,
    saturated: Wire<Out>,
    magnitudes: Vec<Reg>,
    flagged: Vec<Reg>,
    /// Levels of 32, 8 and 2 sums, one after the other.
    sums: Vec<Reg>,
    counts: Vec<Reg>,
    total: Reg,
    count: Reg,
}

impl Magnitudes {
    fn new(bits: usize) -> Self {
        let level = |i: usize| if i < 32 { 0 } else { 1 + usize::from(i >= 40) };
        Self {
            name: ModuleName::new("magnitudes"),
            clock: Default::default(),
            outputs: vec_of(ROW, || Wire::signed(bits)),
            flags: vec_of(ROW, || Wire::unsigned(1)),
            magnitude: Wire::unsigned(MAGNITUDE_BITS),
            saturated: Wire::unsigned(SATURATED_BITS),
            magnitudes: vec_of(ROW, || Reg::unsigned(bits)),
            flagged: vec_of(ROW / 4, || Reg::unsigned(3)),
            sums: (0..42).map(|i| Reg::unsigned(bits + 2 * (level(i) + 1))).collect(),
            counts: (0..42).map(|i| Reg::unsigned(3 + 2 * level(i))).collect(),
            total: Reg::unsigned(MAGNITUDE_BITS),
            count: Reg::unsigned(SATURATED_BITS),
        }
    }
}

impl Logic for Magnitudes {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, total, count);
        for i in 0..128 {
            self.magnitudes[i].clock.next = self.clock.val();
            self.magnitudes[i].d.next = self.outputs[i].val();
            if self.outputs[i].val() < 0 {
                self.magnitudes[i].d.next = -self.outputs[i].val();
            }
        }
        for i in 0..32 {
            self.flagged[i].clock.next = self.clock.val();
            self.flagged[i].d.next = (self.flags[4 * i].val() + self.flags[4 * i + 1].val())
                + (self.flags[4 * i + 2].val() + self.flags[4 * i + 3].val());
        }
        for i in 0..42 {
            self.sums[i].clock.next = self.clock.val();
            self.counts[i].clock.next = self.clock.val();
        }
        for i in 0..32 {
            self.sums[i].d.next = (self.magnitudes[4 * i].q.val() + self.magnitudes[4 * i + 1].q.val())
                + (self.magnitudes[4 * i + 2].q.val() + self.magnitudes[4 * i + 3].q.val());
            self.counts[i].d.next = self.flagged[i].q.val();
        }
        for i in 0..10 {
            self.sums[32 + i].d.next = (self.sums[4 * i].q.val() + self.sums[4 * i + 1].q.val())
                + (self.sums[4 * i + 2].q.val() + self.sums[4 * i + 3].q.val());
            self.counts[32 + i].d.next = (self.counts[4 * i].q.val() + self.counts[4 * i + 1].q.val())
                + (self.counts[4 * i + 2].q.val() + self.counts[4 * i + 3].q.val());
        }
        self.total.d.next = self.sums[40].q.val() + self.sums[41].q.val();
        self.count.d.next = self.counts[40].q.val() + self.counts[41].q.val();
        self.magnitude.next = self.total.q.val();
        self.saturated.next = self.count.q.val();
    }
}
