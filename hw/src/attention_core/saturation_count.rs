//! Counts logits that did not fit.

use crate::hdl::*;

/// Bits of the count.
pub const BITS: usize = 32;

/// A running count of flags, many per cycle.
///
/// # Timing   flags of cycle `t` are in `total` from `t + 3` on; it wraps
#[derive(LogicBlock)]
pub struct SaturationCount {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: begins at 0.
    pub reset: Signal<In, Bit>,
    /// The flags count.
    pub valid: Signal<In, Bit>,
    /// One per lane.
    pub flags: Vec<Signal<In, Bit>>,
    /// Flags so far.
    pub total: Wire<Out>,
    lanes: Param,
    inner: Param,
    held: Vec<Reg>,
    /// A heap: the children of node `i` are `2 i + 1` and `2 i + 2`.
    nodes: Vec<Wire<Local>>,
    sum: Reg,
    count: Reg,
}

impl SaturationCount {
    /// For `lanes` flags, a power of two.
    pub fn new(lanes: usize) -> Self {
        let bits = bits_for(lanes);
        Self {
            name: ModuleName::new(format!("saturation_count_{lanes}")),
            clock: Default::default(),
            reset: Default::default(),
            valid: Default::default(),
            flags: vec_of(lanes, Default::default),
            total: Wire::unsigned(BITS),
            lanes: Param::new(lanes),
            inner: Param::new(lanes - 1),
            held: vec_of(lanes, || Reg::unsigned(1)),
            nodes: vec_of(2 * lanes - 1, || Wire::unsigned(bits)),
            sum: Reg::unsigned(bits),
            count: Reg::unsigned(BITS),
        }
    }
}

impl Logic for SaturationCount {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, sum, count);
        for i in 0..self.lanes.val() {
            self.held[i].clock.next = self.clock.val();
            self.held[i].d.next = (self.flags[i].val() & self.valid.val()).into();
            self.nodes[self.inner.val() + i].next = self.held[i].q.val();
        }
        for i in 0..self.inner.val() {
            self.nodes[i].next = self.nodes[2 * i + 1].val() + self.nodes[2 * i + 2].val();
        }
        self.sum.d.next = self.nodes[0].val();
        self.count.d.next = self.count.q.val() + self.sum.q.val();
        if self.reset.val() {
            self.sum.d.next = 0.into();
            self.count.d.next = 0.into();
            for i in 0..self.lanes.val() {
                self.held[i].d.next = 0.into();
            }
        }
        self.total.next = self.count.q.val();
    }
}
