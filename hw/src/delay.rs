//! A value some cycles later: what travels beside a pipeline. Part of every pipelined block.

use crate::hdl::*;

/// `cycles` registers in a row. They carry no reset: whoever needs one keeps a valid bit beside.
///
/// # Timing   the value of cycle `t` is there in `t + cycles`
#[derive(LogicBlock)]
pub struct Delay {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// The value.
    pub early: Wire<In>,
    /// The same, later.
    pub late: Wire<Out>,
    cycles: Param,
    stages: Vec<Reg>,
}

impl Delay {
    /// For unsigned values of `bits`.
    ///
    /// # Panics
    /// Where `cycles` is 0.
    #[track_caller]
    pub fn new(bits: usize, cycles: usize) -> Self {
        assert!(cycles > 0, "a delay of 0 cycles is a wire");
        Self {
            name: ModuleName::new(format!("delay_{bits}x{cycles}")),
            clock: Default::default(),
            early: Wire::unsigned(bits),
            late: Wire::unsigned(bits),
            cycles: Param::new(cycles),
            stages: vec_of(cycles, || Reg::unsigned(bits)),
        }
    }
}

impl Logic for Delay {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self.cycles.val() {
            self.stages[i].clock.next = self.clock.val();
            if i == 0 {
                self.stages[i].d.next = self.early.val();
            } else {
                self.stages[i].d.next = self.stages[i - 1].q.val();
            }
        }
        self.late.next = self.stages[self.cycles.val() - 1].q.val();
    }
}
