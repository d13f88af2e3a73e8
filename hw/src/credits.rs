//! Counts the places that are left in the queue at the end of a free-running pipeline. Part of every pipelined block.
//!
//! Why: a pipeline that stops when its output is not taken needs one enable for all of its registers, which is the
//! slowest net of a wide block. Here nothing stops: a beat enters only where the queue at the end has a place for it.

use crate::hdl::*;

/// Places left of `places`.
///
/// # Timing   `available` is a function of registers alone; a place given back in cycle `t` can be taken from `t + 1`.
/// Full throughput needs one place more than the pipeline has stages.
#[derive(LogicBlock)]
pub struct Credits {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, gives all places back.
    pub reset: Signal<In, Bit>,
    /// A beat enters.
    pub take: Signal<In, Bit>,
    /// A beat leaves the queue.
    pub give: Signal<In, Bit>,
    /// A beat may enter.
    pub available: Signal<Out, Bit>,
    places: Param,
    left: Reg,
}

impl Credits {
    /// For a queue of `places` words.
    pub fn new(places: usize) -> Self {
        Self {
            name: ModuleName::new(format!("credits_{places}")),
            clock: Default::default(),
            reset: Default::default(),
            take: Default::default(),
            give: Default::default(),
            available: Default::default(),
            places: Param::new(places),
            left: Reg::unsigned(bits_for(places)),
        }
    }
}

impl Logic for Credits {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, left);
        self.available.next = self.left.q.val().any();
        self.left.d.next = self.left.q.val() - self.take.val() + self.give.val();
        if self.reset.val() {
            self.left.d.next = self.places.val().into();
        }
    }
}
