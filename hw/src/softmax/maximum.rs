//! Largest logit of a row. Part of `softmax`. Paper: not there; without it logits of a real model overflow.

use crate::hdl::*;

/// Comparator tree over the lanes and one running maximum.
///
/// # Shapes   beats of `lanes` logits; lanes that a row does not have hold the smallest number
/// # Timing   a beat every cycle; `maximum` holds the row's maximum log2(lanes) + 1 cycles after its last beat, for one cycle
#[derive(LogicBlock)]
pub struct Maximum {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous.
    pub reset: Signal<In, Bit>,
    /// A beat is there.
    pub valid: Signal<In, Bit>,
    /// It ends its row.
    pub last: Signal<In, Bit>,
    /// Its logits.
    pub logits: Vec<Wire<In>>,
    /// The maximum is complete.
    pub done: Signal<Out, Bit>,
    /// The maximum.
    pub maximum: Wire<Out>,
    lanes: Param,
    inner: Param,
    levels: Param,
    /// Children of node i are 2i + 1 and 2i + 2; the last `lanes` nodes are the logits.
    nodes: Vec<Wire<Local>>,
    larger: Vec<Reg>,
    valids: Vec<Signal<Local, Bit>>,
    lasts: Vec<Signal<Local, Bit>>,
    valids_held: Vec<Dff<Bit>>,
    lasts_held: Vec<Dff<Bit>>,
    running: Reg,
    begun: Dff<Bit>,
    complete: Dff<Bit>,
}

impl Maximum {
    /// For a power of two of lanes.
    pub fn new(lanes: usize, bits: usize) -> Self {
        let levels = lanes.ilog2() as usize;
        Self {
            name: ModuleName::new(format!("maximum_{lanes}x{bits}")),
            clock: Default::default(),
            reset: Default::default(),
            valid: Default::default(),
            last: Default::default(),
            logits: vec_of(lanes, || Wire::signed(bits)),
            done: Default::default(),
            maximum: Wire::signed(bits),
            lanes: Param::new(lanes),
            inner: Param::new(lanes - 1),
            levels: Param::new(levels),
            nodes: vec_of(2 * lanes - 1, || Wire::signed(bits)),
            larger: vec_of(lanes - 1, || Reg::signed(bits)),
            valids: vec_of(levels + 1, Default::default),
            lasts: vec_of(levels + 1, Default::default),
            valids_held: vec_of(levels, Default::default),
            lasts_held: vec_of(levels, Default::default),
            running: Reg::signed(bits),
            begun: Default::default(),
            complete: Default::default(),
        }
    }
}

impl Logic for Maximum {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, running, begun, complete);
        for i in 0..self.inner.val() {
            self.larger[i].clock.next = self.clock.val();
            self.larger[i].d.next = self.nodes[2 * i + 1].val();
            if self.nodes[2 * i + 1].val() < self.nodes[2 * i + 2].val() {
                self.larger[i].d.next = self.nodes[2 * i + 2].val();
            }
            self.nodes[i].next = self.larger[i].q.val();
        }
        for i in 0..self.lanes.val() {
            self.nodes[i + self.inner.val()].next = self.logits[i].val();
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
            if !self.begun.q.val() | (self.running.q.val() < self.nodes[0].val()) {
                self.running.d.next = self.nodes[0].val();
            }
            self.begun.d.next = !self.lasts[self.levels.val()].val();
        }
        self.maximum.next = self.running.q.val();
        self.done.next = self.complete.q.val();
        if self.reset.val() {
            self.begun.d.next = false;
            self.complete.d.next = false;
        }
    }
}
