//! Query times keys and the score scale. Siblings: `golden`, `sim`, `tests/dot_product.rs`.
//! Paper: SpAtten section IV-E, Fig. 11 (reconfigurable adder tree).
//! Why: one multiplier per operand and a tree that can be read at 16, 32, 64 and 128 operands; a key wider than the
//! multipliers takes several beats. Nothing stalls inside: a group enters where the queue at the end has a place.
//! Differs from the paper: the scale is applied per score, in base-2 units, so that `softmax` needs none.
//!
//! ```text
//! query -> [query_store: 2 rows] --operands--+
//! key ------------------------------------ [products: 16 multipliers and their sum] x multipliers/16
//!                                            -> pairs (D >= 32) -> pairs (D >= 64) -> pairs (D = 128)
//!                                            -> sum over slices (D > multipliers) -> [score_scale] x lanes -> queue -> out
//! ```

use crate::credits::Credits;
use crate::delay::Delay;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use crate::leaf::Multiplier;
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::{Formats, SCALE_MANTISSA_BITS, TOKEN_SCALE_BITS};

/// Operands of a query row, the unused upper ones included.
const ROW: usize = HEAD_DIMS[HEAD_DIMS.len() - 1];
/// Operands that one part of the tree always sums.
const GROUP: usize = HEAD_DIMS[0];
/// Both factors are unsigned and of this width: the top bit is added apart, so that the rest fits a signed DSP input.
const FACTOR_BITS: usize = TOKEN_SCALE_BITS as usize;
const SHIFT_BITS: usize = 6;
/// Unsigned bits of a DSP's signed input.
const SPLIT: usize = 17;

/// Dot products of one query row with groups of keys, scaled to logits.
///
/// `head_dim` (0..=3 for D = 16, 32, 64, 128) stays the same from a row's first beat to the last beat of a job. With `M`
/// multipliers a key beat carries `M/D` keys side by side, or, where D > M, one of the `D/M` slices of a key, in order, each
/// with the key's `token_scale` and `count = 1`, `last` only on the last one. An empty row is one beat with `count = 0` and
/// `last`, whatever D.
///
/// # Shapes   `query`: `operands [128]` (the low D), `mantissa`, `shift`; `key`: `operands [M]`, `token_scale [L]`, `count`,
/// `last`; `out`: `logits [L]`, `saturated [L]`, `count`, `last`, with `L = max(1, M/16)`. Lanes from `count` on are 0.
/// # Formats  `operand`, `scale_mantissa`, `token_scale` -> `logit`; half up after each factor
/// # Timing   one key beat per cycle, rows without a gap (two query rows are held). The beat that completes a key, accepted
/// in `t`, is on the output in `t + latency` at the earliest, `latency = 21 + log2(min(M, 128) / 16) + (M < 128)`; the queue
/// has the next power of two above it.
#[derive(LogicBlock)]
pub struct DotProduct {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous; forgets rows and beats.
    pub reset: Signal<In, Bit>,
    /// D is `16 << head_dim`.
    pub head_dim: Wire<In>,
    /// A query row is offered.
    pub query_valid: Signal<In, Bit>,
    /// It would be taken.
    pub query_ready: Signal<Out, Bit>,
    /// The row.
    pub query_operands: Vec<Wire<In>>,
    /// Mantissa of its score scale.
    pub query_mantissa: Wire<In>,
    /// Shift of its score scale.
    pub query_shift: Wire<In>,
    /// A group of keys is offered.
    pub key_valid: Signal<In, Bit>,
    /// It would be taken.
    pub key_ready: Signal<Out, Bit>,
    /// The keys.
    pub key_operands: Vec<Wire<In>>,
    /// Their scales.
    pub key_token_scale: Vec<Wire<In>>,
    /// How many there are.
    pub key_count: Wire<In>,
    /// They are the row's last ones.
    pub key_last: Signal<In, Bit>,
    /// Logits are there.
    pub out_valid: Signal<Out, Bit>,
    /// They are taken.
    pub out_ready: Signal<In, Bit>,
    /// One logit per key.
    pub out_logits: Vec<Wire<Out>>,
    /// Which of them did not fit.
    pub out_saturated: Vec<Signal<Out, Bit>>,
    /// How many there are.
    pub out_count: Wire<Out>,
    /// They are the row's last ones.
    pub out_last: Signal<Out, Bit>,

    held: Param,
    groups: Param,
    pairs: Param,
    merges: Param,
    /// Lanes that go through `totals`: all or none.
    accumulated: Param,
    row: Param,
    pushes: Param,
    sums: Param,
    logit_bits: Param,
    count_bits: Param,
    final_slices: Vec<Param>,

    queries: QueryStore,
    products: Vec<Products>,
    merged: Vec<Reg>,
    totals: Vec<Reg>,
    scales: Vec<ScoreScale>,
    places: Credits,
    logits: LaneFifo,

    accept: Signal<Local, Bit>,
    done: Signal<Local, Bit>,
    final_slice: Wire<Local>,
    slice: Reg,
    /// Beats on their way to `totals`, and whether they begin a key.
    entered: Reg,
    begins: Reg,
    /// Completed keys on their way to the queue.
    flight: Reg,
    token_scales: Vec<Delay>,
    mantissa: Delay,
    shift: Delay,
    tag: Delay,
    written_tag: Reg,
    tag_count: Wire<Local>,
    out_tag: Wire<Local>,
    dots: Vec<Wire<Local>>,
}

/// Cycles from operands to products: a register on either side of a multiplier belongs to the wires, which are most of a cycle.
const PRODUCT_LATENCY: usize = 1 + Multiplier::LATENCY + 1;
/// Cycles of [`ScoreScale`].
const SCALE_LATENCY: usize = 12;

impl DotProduct {
    /// For a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let formats = Formats::new(config);
        let (bits, multipliers) = (config.datapath_bits as usize, config.multipliers);
        let [dot_bits, logit_bits] = [&formats.dot, &formats.logit].map(|f| f.width() as usize);
        // A factor's product is cut at bit 17: narrow operands are extended to have something above.
        let dot_bits = dot_bits.max(SPLIT + 2);
        let held = multipliers.min(ROW);
        let groups = multipliers / GROUP;
        let merges = (held / GROUP).ilog2() as usize;
        let accumulates = usize::from(multipliers < ROW);
        // Cycles from a key beat to its dot products.
        let sums = PRODUCT_LATENCY + GROUP.ilog2() as usize + merges + accumulates;
        let latency = sums + SCALE_LATENCY + 1;
        let depth = (latency + 1).next_power_of_two();
        let slices = HEAD_DIMS.map(|dim| dim.div_ceil(multipliers));
        let slice_bits = bits_for(slices[slices.len() - 1] - 1);
        let count_bits = bits_for(groups);
        let merged = (0..merges * groups).map(|i| Reg::signed(2 * bits + 5 + i / groups)).collect();
        Self {
            name: ModuleName::new("dot_product"),
            clock: Default::default(),
            reset: Default::default(),
            head_dim: Wire::unsigned(2),
            query_valid: Default::default(),
            query_ready: Default::default(),
            query_operands: vec_of(ROW, || Wire::signed(bits)),
            query_mantissa: Wire::unsigned(SCALE_MANTISSA_BITS as usize),
            query_shift: Wire::unsigned(SHIFT_BITS),
            key_valid: Default::default(),
            key_ready: Default::default(),
            key_operands: vec_of(multipliers, || Wire::signed(bits)),
            key_token_scale: vec_of(groups, || Wire::unsigned(FACTOR_BITS)),
            key_count: Wire::unsigned(count_bits),
            key_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_logits: vec_of(groups, || Wire::signed(logit_bits)),
            out_saturated: vec_of(groups, Default::default),
            out_count: Wire::unsigned(count_bits),
            out_last: Default::default(),
            held: Param::new(held),
            groups: Param::new(groups),
            pairs: Param::new(groups / 2),
            merges: Param::new(merges),
            accumulated: Param::new(groups * accumulates),
            row: Param::new(ROW),
            pushes: Param::new(latency - 2),
            sums: Param::new(sums),
            logit_bits: Param::new(logit_bits),
            count_bits: Param::new(count_bits),
            final_slices: slices.iter().map(|n| Param::new(n - 1)).collect(),
            queries: QueryStore::new(bits, held),
            products: vec_of(groups, || Products::new(bits)),
            merged,
            totals: vec_of(groups * accumulates, || Reg::signed(dot_bits)),
            scales: vec_of(groups, || ScoreScale::new(dot_bits, logit_bits)),
            places: Credits::new(depth),
            logits: LaneFifo::new(groups, logit_bits + 1, count_bits + 1, depth),
            accept: Default::default(),
            done: Default::default(),
            final_slice: Wire::unsigned(slice_bits),
            slice: Reg::unsigned(slice_bits),
            entered: Reg::unsigned(sums),
            begins: Reg::unsigned(sums),
            flight: Reg::unsigned(latency - 1),
            token_scales: vec_of(groups, || Delay::new(FACTOR_BITS, sums)),
            mantissa: Delay::new(FACTOR_BITS, sums + 4),
            shift: Delay::new(SHIFT_BITS, sums + 8),
            tag: Delay::new(count_bits + 1, latency - 2),
            written_tag: Reg::unsigned(count_bits + 1),
            tag_count: Wire::unsigned(count_bits),
            out_tag: Wire::unsigned(count_bits + 1),
            dots: vec_of(groups, || Wire::signed(dot_bits)),
        }
    }
}

impl Logic for DotProduct {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, slice, entered, begins, flight, written_tag);
        clock!(self, clock, queries, places, logits, mantissa, shift, tag);
        self.queries.reset.next = self.reset.val();
        self.places.reset.next = self.reset.val();
        self.logits.reset.next = self.reset.val();

        // A query row is kept until the last of its keys has entered.
        self.queries.head_dim.next = self.head_dim.val();
        self.queries.in_valid.next = self.query_valid.val();
        self.query_ready.next = self.queries.in_ready.val();
        for i in 0..self.row.val() {
            self.queries.in_operands[i].next = self.query_operands[i].val();
        }
        self.queries.in_mantissa.next = self.query_mantissa.val();
        self.queries.in_shift.next = self.query_shift.val();
        self.queries.slice.next = self.slice.q.val();
        self.queries.pop.next = self.accept.val() & self.key_last.val();
        self.key_ready.next = self.places.available.val() & self.queries.available.val();
        self.accept.next = self.key_valid.val() & self.places.available.val() & self.queries.available.val();

        // Slices of a key, where it is wider than the multipliers.
        self.final_slice.next = self.final_slices[0].val().into();
        for i in 1..4 {
            if self.head_dim.val() == i {
                self.final_slice.next = self.final_slices[i].val().into();
            }
        }
        self.done.next = self.accept.val() & (self.key_last.val() | (self.slice.q.val() == self.final_slice.val()));
        if self.accept.val() {
            self.slice.d.next = self.slice.q.val() + 1;
        }
        if self.reset.val() | self.done.val() {
            self.slice.d.next = 0.into();
        }
        self.entered.d.next = (self.entered.q.val() << 1) | self.accept.val();
        self.begins.d.next = (self.begins.q.val() << 1) | (self.slice.q.val() == 0);
        self.flight.d.next = (self.flight.q.val() << 1) | self.done.val();
        if self.reset.val() {
            self.entered.d.next = 0.into();
            self.flight.d.next = 0.into();
        }
        self.places.take.next = self.done.val();
        self.places.give.next = self.logits.popped.val();

        // What travels beside the sums, each as long as it takes to where it is needed.
        for i in 0..self.groups.val() {
            self.token_scales[i].clock.next = self.clock.val();
            self.token_scales[i].early.next = self.key_token_scale[i].val();
        }
        self.mantissa.early.next = self.queries.mantissa.val();
        self.shift.early.next = self.queries.shift.val();
        self.tag.early.next = (self.key_count.val() << 1) | self.key_last.val();

        // The tree up to 16 operands.
        for g in 0..self.groups.val() {
            self.products[g].clock.next = self.clock.val();
            for i in 0..16 {
                self.products[g].query[i].next = self.queries.operands[(16 * g + i) % self.held.val()].val();
                self.products[g].key[i].next = self.key_operands[16 * g + i].val();
            }
        }
        // Above: a level either adds pairs or, where keys are no wider, hands on.
        for m in 0..self.merges.val() {
            for i in 0..self.groups.val() {
                self.merged[m * self.groups.val() + i].clock.next = self.clock.val();
                if m == 0 {
                    self.merged[i].d.next = self.products[i].sum.val();
                } else {
                    self.merged[m * self.groups.val() + i].d.next =
                        self.merged[(m - 1) * self.groups.val() + i].q.val();
                }
            }
            for i in 0..self.pairs.val() {
                if self.head_dim.val() > m {
                    if m == 0 {
                        self.merged[i].d.next = self.products[2 * i].sum.val() + self.products[2 * i + 1].sum.val();
                    } else {
                        self.merged[m * self.groups.val() + i].d.next =
                            self.merged[(m - 1) * self.groups.val() + 2 * i].q.val()
                                + self.merged[(m - 1) * self.groups.val() + 2 * i + 1].q.val();
                    }
                }
            }
        }
        for i in 0..self.groups.val() {
            if self.merges.val() == 0 {
                self.dots[i].next = self.products[i].sum.val();
            } else {
                self.dots[i].next = self.merged[(self.merges.val() - 1) * self.groups.val() + i].q.val();
            }
        }
        // Slices of one key come in consecutive beats, with pauses between them.
        for i in 0..self.accumulated.val() {
            self.totals[i].clock.next = self.clock.val();
            self.totals[i].d.next = self.dots[i].val();
            if i == 0 {
                if !self.begins.q.val().get_bit(self.sums.val() - 2) {
                    self.totals[0].d.next = self.totals[0].q.val() + self.dots[0].val();
                }
                if !self.entered.q.val().get_bit(self.sums.val() - 2) {
                    self.totals[0].d.next = self.totals[0].q.val();
                }
            }
            self.scales[i].dot.next = self.totals[i].q.val();
        }
        for i in self.accumulated.val()..self.groups.val() {
            self.scales[i].dot.next = self.dots[i].val();
        }
        for i in 0..self.groups.val() {
            self.scales[i].clock.next = self.clock.val();
            self.scales[i].token_scale.next = self.token_scales[i].late.val();
            self.scales[i].mantissa.next = self.mantissa.late.val();
            self.scales[i].shift.next = self.shift.late.val();
            self.scales[i].present.next = self.tag_count.val() > i;
        }
        self.tag_count.next = self.tag.late.val() >> 1;
        self.written_tag.d.next = self.tag.late.val();

        self.logits.push.next = self.flight.q.val().get_bit(self.pushes.val());
        self.logits.in_tag.next = self.written_tag.q.val();
        self.logits.out_ready.next = self.out_ready.val();
        self.out_valid.next = self.logits.out_valid.val();
        for i in 0..self.groups.val() {
            self.logits.in_data[i].next = (self.scales[i].logit.val() << 1) | self.scales[i].saturated.val();
            self.out_logits[i].next = self.logits.out_data[i].val() >> 1;
            self.out_saturated[i].next = self.logits.out_data[i].val().get_bit(0);
        }
        self.out_tag.next = self.logits.out_tag.val();
        self.out_count.next = self.out_tag.val() >> 1;
        self.out_last.next = self.out_tag.val().get_bit(0);
    }
}

/// Two query rows: one at work, one waiting. A row of fewer than `held` operands is repeated, so that a multiplier finds its
/// operand at its own number.
#[derive(LogicBlock)]
struct QueryStore {
    name: ModuleName,
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    head_dim: Wire<In>,
    in_valid: Signal<In, Bit>,
    in_ready: Signal<Out, Bit>,
    in_operands: Vec<Wire<In>>,
    in_mantissa: Wire<In>,
    in_shift: Wire<In>,
    /// Which `held` operands of the row are wanted.
    slice: Wire<In>,
    /// The row is done with; it has to be there.
    pop: Signal<In, Bit>,
    /// A row is there.
    available: Signal<Out, Bit>,
    operands: Vec<Wire<Out>>,
    mantissa: Wire<Out>,
    shift: Wire<Out>,
    row: Param,
    held: Param,
    slices: Param,
    choices: Param,
    rows: Vec<Reg>,
    mantissas: Vec<Reg>,
    shifts: Vec<Reg>,
    folded: Vec<Wire<Local>>,
    head: Reg,
    tail: Reg,
    count: Reg,
    push: Signal<Local, Bit>,
    choice: Wire<Local>,
}

impl QueryStore {
    fn new(bits: usize, held: usize) -> Self {
        let slices = ROW / held;
        Self {
            name: ModuleName::new(format!("query_store_{held}x{bits}")),
            clock: Default::default(),
            reset: Default::default(),
            head_dim: Wire::unsigned(2),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_operands: vec_of(ROW, || Wire::signed(bits)),
            in_mantissa: Wire::unsigned(FACTOR_BITS),
            in_shift: Wire::unsigned(SHIFT_BITS),
            slice: Wire::unsigned(bits_for(slices - 1)),
            pop: Default::default(),
            available: Default::default(),
            operands: vec_of(held, || Wire::signed(bits)),
            mantissa: Wire::unsigned(FACTOR_BITS),
            shift: Wire::unsigned(SHIFT_BITS),
            row: Param::new(ROW),
            held: Param::new(held),
            slices: Param::new(slices),
            choices: Param::new(2 * slices),
            rows: vec_of(2 * ROW, || Reg::signed(bits)),
            mantissas: vec_of(2, || Reg::unsigned(FACTOR_BITS)),
            shifts: vec_of(2, || Reg::unsigned(SHIFT_BITS)),
            folded: vec_of(ROW, || Wire::signed(bits)),
            head: Reg::unsigned(1),
            tail: Reg::unsigned(1),
            count: Reg::unsigned(2),
            push: Default::default(),
            choice: Wire::unsigned(bits_for(2 * slices - 1)),
        }
    }
}

impl Logic for QueryStore {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, head, tail, count);
        self.in_ready.next = self.count.q.val() < 2;
        self.available.next = self.count.q.val().any();
        self.push.next = self.in_valid.val() & (self.count.q.val() < 2);
        self.tail.d.next = self.tail.q.val() + self.push.val();
        self.head.d.next = self.head.q.val() + self.pop.val();
        self.count.d.next = self.count.q.val() + self.push.val() - self.pop.val();
        if self.reset.val() {
            self.tail.d.next = 0.into();
            self.head.d.next = 0.into();
            self.count.d.next = 0.into();
        }
        // Operand i of a row of D is also wanted at i + D, i + 2 D, ... below `held`.
        for i in 0..self.row.val() {
            self.folded[i].next = self.in_operands[i].val();
            if i < self.held.val() {
                for d in 0..3 {
                    if self.head_dim.val() == d {
                        self.folded[i].next = self.in_operands[i % (16 << d)].val();
                    }
                }
            }
        }
        for bank in 0..2 {
            self.mantissas[bank].clock.next = self.clock.val();
            self.shifts[bank].clock.next = self.clock.val();
            self.mantissas[bank].d.next = self.mantissas[bank].q.val();
            self.shifts[bank].d.next = self.shifts[bank].q.val();
            if self.push.val() & (self.tail.q.val() == bank) {
                self.mantissas[bank].d.next = self.in_mantissa.val();
                self.shifts[bank].d.next = self.in_shift.val();
            }
            for i in 0..self.row.val() {
                self.rows[bank * self.row.val() + i].clock.next = self.clock.val();
                self.rows[bank * self.row.val() + i].d.next = self.rows[bank * self.row.val() + i].q.val();
                if self.push.val() & (self.tail.q.val() == bank) {
                    self.rows[bank * self.row.val() + i].d.next = self.folded[i].val();
                }
            }
        }
        self.mantissa.next = self.mantissas[0].q.val();
        self.shift.next = self.shifts[0].q.val();
        if self.head.q.val() == 1 {
            self.mantissa.next = self.mantissas[1].q.val();
            self.shift.next = self.shifts[1].q.val();
        }
        self.choice.next = self.slice.val();
        if self.head.q.val() == 1 {
            self.choice.next = self.slice.val() + self.slices.val();
        }
        for i in 0..self.held.val() {
            self.operands[i].next = self.rows[i].q.val();
            for c in 1..self.choices.val() {
                if self.choice.val() == c {
                    self.operands[i].next = self.rows[c * self.held.val() + i].q.val();
                }
            }
        }
    }
}

/// Sum of 16 products.
///
/// # Timing   operands of cycle `t`, sum in `t + 8`
#[derive(LogicBlock)]
struct Products {
    name: ModuleName,
    clock: Signal<In, Clock>,
    query: Vec<Wire<In>>,
    key: Vec<Wire<In>>,
    sum: Wire<Out>,
    queries: Vec<Reg>,
    keys: Vec<Reg>,
    multipliers: Vec<Multiplier>,
    products: Vec<Reg>,
    /// A heap: the children of node `i` are `2 i + 1` and `2 i + 2`; the root is node 0, products follow the last node.
    nodes: Vec<Reg>,
}

impl Products {
    fn new(bits: usize) -> Self {
        let depth = GROUP.ilog2() as usize;
        Self {
            name: ModuleName::new(format!("products_{GROUP}x{bits}")),
            clock: Default::default(),
            query: vec_of(GROUP, || Wire::signed(bits)),
            key: vec_of(GROUP, || Wire::signed(bits)),
            sum: Wire::signed(2 * bits + depth),
            queries: vec_of(GROUP, || Reg::signed(bits)),
            keys: vec_of(GROUP, || Reg::signed(bits)),
            multipliers: vec_of(GROUP, || Multiplier::new(bits, bits)),
            products: vec_of(GROUP, || Reg::signed(2 * bits)),
            nodes: (1..GROUP).map(|node| Reg::signed(2 * bits + depth - node.ilog2() as usize)).collect(),
        }
    }
}

impl Logic for Products {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..16 {
            self.multipliers[i].clock.next = self.clock.val();
            self.queries[i].clock.next = self.clock.val();
            self.keys[i].clock.next = self.clock.val();
            self.products[i].clock.next = self.clock.val();
            self.queries[i].d.next = self.query[i].val();
            self.keys[i].d.next = self.key[i].val();
            self.multipliers[i].a.next = self.queries[i].q.val();
            self.multipliers[i].b.next = self.keys[i].q.val();
            self.products[i].d.next = self.multipliers[i].product.val();
        }
        for i in 0..15 {
            self.nodes[i].clock.next = self.clock.val();
            if i < 7 {
                self.nodes[i].d.next = self.nodes[2 * i + 1].q.val() + self.nodes[2 * i + 2].q.val();
            } else {
                self.nodes[i].d.next = self.products[2 * i - 14].q.val() + self.products[2 * i - 13].q.val();
            }
        }
        self.sum.next = self.nodes[0].q.val();
    }
}

/// A dot product to a logit: times the key's token scale, times the row's score scale, rounded half up after each.
///
/// A wide factor is cut at bit 17 and multiplied in two DSPs; the top bit of an 18-bit factor (1.0 of a token scale) adds the
/// other factor itself, so that 17 bits and a sign are left for the DSP.
///
/// # Timing   `dot`, `token_scale` of cycle `t`, `mantissa` of `t + 4`, `shift` of `t + 8`, `present` of `t + 11`: logit in
/// `t + 12`
#[derive(LogicBlock)]
struct ScoreScale {
    name: ModuleName,
    clock: Signal<In, Clock>,
    dot: Wire<In>,
    token_scale: Wire<In>,
    mantissa: Wire<In>,
    shift: Wire<In>,
    /// The lane holds a key; otherwise logit and flag are 0.
    present: Signal<In, Bit>,
    logit: Wire<Out>,
    saturated: Signal<Out, Bit>,
    largest: Param,
    /// As the logit's bits.
    smallest: Param,
    logit_bits: Param,

    token: FactorProduct,
    relative: Reg,
    score: FactorProduct,
    product_upper: Reg,
    product_lower: Reg,
    doubled: Wire<Local>,
    coarse: Reg,
    fine_by: Reg,
    fine: Reg,
    whole: Wire<Local>,
    above: Wire<Local>,
    outside: Dff<Bit>,
    negative: Dff<Bit>,
    rounded: Reg,
    excess: Wire<Local>,
    overflow: Signal<Local, Bit>,
    result: Reg,
    flag: Dff<Bit>,
    /// Of a dot product only what rounds is left.
    unused_fraction: Wire<Local>,
}

impl ScoreScale {
    fn new(dot_bits: usize, logit_bits: usize) -> Self {
        // A factor is below 2.0 for tokens and below 2^18 for scores.
        let relative_bits = dot_bits + 1;
        let product_bits = relative_bits + FACTOR_BITS;
        Self {
            name: ModuleName::new(format!("score_scale_{dot_bits}")),
            clock: Default::default(),
            dot: Wire::signed(dot_bits),
            token_scale: Wire::unsigned(FACTOR_BITS),
            mantissa: Wire::unsigned(FACTOR_BITS),
            shift: Wire::unsigned(SHIFT_BITS),
            present: Default::default(),
            logit: Wire::signed(logit_bits),
            saturated: Default::default(),
            largest: Param::new((1 << (logit_bits - 1)) - 1),
            smallest: Param::new(1 << (logit_bits - 1)),
            logit_bits: Param::new(logit_bits),
            token: FactorProduct::new(dot_bits),
            relative: Reg::signed(relative_bits),
            score: FactorProduct::new(relative_bits),
            product_upper: Reg::signed(product_bits - FACTOR_BITS + 1),
            product_lower: Reg::unsigned(FACTOR_BITS - 1),
            doubled: Wire::signed(product_bits + 1),
            coarse: Reg::signed(product_bits + 1),
            fine_by: Reg::unsigned(4),
            fine: Reg::signed(product_bits + 1),
            whole: Wire::signed(logit_bits + 1),
            above: Wire::signed(product_bits - logit_bits),
            outside: Default::default(),
            negative: Default::default(),
            rounded: Reg::signed(logit_bits + 2),
            excess: Wire::signed(3),
            overflow: Default::default(),
            result: Reg::signed(logit_bits),
            flag: Default::default(),
            unused_fraction: Wire::unsigned(2 * SPLIT),
        }
    }
}

impl Logic for ScoreScale {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, relative, product_upper, product_lower, coarse, fine_by, fine);
        dff_setup!(self, clock, outside, negative, rounded, result, flag);
        clock!(self, clock, token, score);
        // t .. t + 4: the product's upper part is exact above bit 17; of the lower part the rounding is left.
        self.token.value.next = self.dot.val();
        self.token.factor.next = self.token_scale.val();
        self.relative.d.next =
            self.token.upper.val() + (self.token.lower.val() >> 17) + self.token.lower.val().get_bit(16);
        self.unused_fraction.next = self.token.lower.val();
        // t + 4 .. t + 8
        self.score.value.next = self.relative.q.val();
        self.score.factor.next = self.mantissa.val();
        self.product_upper.d.next = self.score.upper.val() + (self.score.lower.val() >> 17);
        self.product_lower.d.next = self.score.lower.val();
        // t + 8 .. t + 10: the last bit is the first one below the result.
        self.doubled.next = ((self.product_upper.q.val() << 17) | self.product_lower.q.val()) << 1;
        self.coarse.d.next = self.doubled.val();
        for i in 1..4 {
            if (self.shift.val() >> 4) == i {
                self.coarse.d.next = self.doubled.val() >> (16 * i);
            }
        }
        self.fine_by.d.next = self.shift.val();
        self.fine.d.next = self.coarse.q.val() >> self.fine_by.q.val();
        // t + 10 .. t + 12: rounded in the bits of the result and one more; everything above is only looked at.
        self.whole.next = self.fine.q.val() >> 1;
        self.above.next = self.fine.q.val() >> (self.logit_bits.val() + 1);
        self.outside.d.next = self.above.val().any() & (!self.above.val()).any();
        self.negative.d.next = self.above.val() < 0;
        self.rounded.d.next = self.whole.val() + self.fine.q.val().get_bit(0);
        self.excess.next = self.rounded.q.val() >> (self.logit_bits.val() - 1);
        self.overflow.next = self.outside.q.val() | (self.excess.val().any() & (!self.excess.val()).any());
        self.result.d.next = self.rounded.q.val();
        self.flag.d.next = self.present.val() & self.overflow.val();
        if self.overflow.val() {
            self.result.d.next = self.largest.val().into();
            if self.negative.q.val() {
                self.result.d.next = self.smallest.val().into();
            }
        }
        if !self.present.val() {
            self.result.d.next = 0.into();
        }
        self.logit.next = self.result.q.val();
        self.saturated.next = self.flag.q.val();
    }
}

/// A signed value times an unsigned factor of 18 bits, as `upper * 2^17 + lower`.
///
/// # Timing   value and factor of cycle `t`, product in `t + 3`
#[derive(LogicBlock)]
struct FactorProduct {
    name: ModuleName,
    clock: Signal<In, Clock>,
    value: Wire<In>,
    factor: Wire<In>,
    upper: Wire<Out>,
    /// Not negative, up to 34 bits.
    lower: Wire<Out>,
    high: Multiplier,
    low: Multiplier,
    value_low: Wire<Local>,
    factor_low: Wire<Local>,
    values: Delay,
    tops: Delay,
    same: Wire<Local>,
    upper_sum: Reg,
    lower_product: Reg,
    /// A product of two numbers that are not negative has two sign bits.
    unused_signs: Wire<Local>,
}

impl FactorProduct {
    fn new(bits: usize) -> Self {
        Self {
            name: ModuleName::new(format!("factor_product_{bits}")),
            clock: Default::default(),
            value: Wire::signed(bits),
            factor: Wire::unsigned(FACTOR_BITS),
            upper: Wire::signed(bits + 1),
            lower: Wire::unsigned(2 * SPLIT),
            high: Multiplier::new(bits - SPLIT, FACTOR_BITS),
            low: Multiplier::new(FACTOR_BITS, FACTOR_BITS),
            value_low: Wire::unsigned(SPLIT),
            factor_low: Wire::unsigned(SPLIT),
            values: Delay::new(bits, 2),
            tops: Delay::new(1, 2),
            same: Wire::signed(bits),
            upper_sum: Reg::signed(bits + 1),
            lower_product: Reg::unsigned(2 * SPLIT),
            unused_signs: Wire::signed(2 * FACTOR_BITS),
        }
    }
}

impl Logic for FactorProduct {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, upper_sum, lower_product);
        clock!(self, clock, high, low, values, tops);
        self.value_low.next = self.value.val();
        self.factor_low.next = self.factor.val();
        self.high.a.next = self.value.val() >> 17;
        self.high.b.next = self.factor_low.val();
        self.low.a.next = self.value_low.val();
        self.low.b.next = self.factor_low.val();
        self.values.early.next = self.value.val();
        self.tops.early.next = self.factor.val() >> 17;
        self.same.next = 0.into();
        if self.tops.late.val().any() {
            self.same.next = self.values.late.val();
        }
        self.upper_sum.d.next = self.high.product.val() + self.same.val();
        self.lower_product.d.next = self.low.product.val();
        self.unused_signs.next = self.low.product.val();
        self.upper.next = self.upper_sum.q.val();
        self.lower.next = self.lower_product.q.val();
    }
}
