//! Sum of a row's exponentials. Part of `softmax`. Paper: section IV-F.

use crate::hdl::*;

/// Adder tree over the lanes and one accumulator.
///
/// # Shapes   beats of `lanes` exponentials; lanes that a row does not have are 0
/// # Formats   `exp` -> `exp_sum`
/// # Timing   a beat every cycle; `sum` holds the row's sum log2(lanes) + 1 cycles after its last beat, for one cycle
#[derive(LogicBlock)]
pub struct Accumulate {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous.
    pub reset: Signal<In, Bit>,
    /// A beat is there.
    pub valid: Signal<In, Bit>,
    /// It ends its row.
    pub last: Signal<In, Bit>,
    /// Its exponentials.
    pub exponentials: Vec<Wire<In>>,
    /// The sum is complete.
    pub done: Signal<Out, Bit>,
    /// The sum.
    pub sum: Wire<Out>,
    lanes: Param,
    inner: Param,
    levels: Param,
    /// Children of node i are 2i + 1 and 2i + 2; the last `lanes` nodes are the exponentials.
    nodes: Vec<Wire<Local>>,
    added: Vec<Reg>,
    valids: Vec<Signal<Local, Bit>>,
    lasts: Vec<Signal<Local, Bit>>,
    valids_held: Vec<Dff<Bit>>,
    lasts_held: Vec<Dff<Bit>>,
    total: Reg,
    begun: Dff<Bit>,
    complete: Dff<Bit>,
}

impl Accumulate {
    /// For a power of two of lanes.
    pub fn new(lanes: usize, exp_bits: usize, sum_bits: usize) -> Self {
        let levels = lanes.ilog2() as usize;
        let bits = |node: usize| exp_bits + levels - (node + 1).ilog2() as usize;
        Self {
            name: ModuleName::new(format!("accumulate_{lanes}x{exp_bits}_{sum_bits}")),
            clock: Default::default(),
            reset: Default::default(),
            valid: Default::default(),
            last: Default::default(),
            exponentials: vec_of(lanes, || Wire::unsigned(exp_bits)),
            done: Default::default(),
            sum: Wire::unsigned(sum_bits),
            lanes: Param::new(lanes),
            inner: Param::new(lanes - 1),
            levels: Param::new(levels),
            nodes: (0..2 * lanes - 1).map(|node| Wire::unsigned(bits(node))).collect(),
            added: (0..lanes - 1).map(|node| Reg::unsigned(bits(node))).collect(),
            valids: vec_of(levels + 1, Default::default),
            lasts: vec_of(levels + 1, Default::default),
            valids_held: vec_of(levels, Default::default),
            lasts_held: vec_of(levels, Default::default),
            total: Reg::unsigned(sum_bits),
            begun: Default::default(),
            complete: Default::default(),
        }
    }
}

impl Logic for Accumulate {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, total, begun, complete);
        for i in 0..self.inner.val() {
            self.added[i].clock.next = self.clock.val();
            self.added[i].d.next = self.nodes[2 * i + 1].val() + self.nodes[2 * i + 2].val();
            self.nodes[i].next = self.added[i].q.val();
        }
        for i in 0..self.lanes.val() {
            self.nodes[i + self.inner.val()].next = self.exponentials[i].val();
        }
        self.valids[0].next = self.valid.val();
        self.lasts[0].next = self.last.val();
        for i in 0..self.levels.val() {
            self.valids_held[i].clock.next = self.clock.val();
            self.lasts_held[i].clock.next = self.clock.val();
            self.valids_held[i].d.next = self.valids[i].val() & !self.reset.val();
            self.lasts_held[i].d.next = self.lasts[i].val();
            self.valids[i + 1].next = self.valids_held[i].q.val();
            self.lasts[i + 1].next = self.lasts_held[i].q.val();
        }
        self.complete.d.next = self.valids[self.levels.val()].val() & self.lasts[self.levels.val()].val();
        if self.valids[self.levels.val()].val() {
            self.total.d.next = self.nodes[0].val();
            if self.begun.q.val() {
                self.total.d.next = self.total.q.val() + self.nodes[0].val();
            }
            self.begun.d.next = !self.lasts[self.levels.val()].val();
        }
        self.sum.next = self.total.q.val();
        self.done.next = self.complete.q.val();
        if self.reset.val() {
            self.begun.d.next = false;
            self.complete.d.next = false;
        }
    }
}
