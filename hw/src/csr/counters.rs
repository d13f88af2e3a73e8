//! 64-bit counters: a part of `csr`.

use crate::hdl::*;
use spatten_arch::ArchConfig;
use spatten_arch::registers::Counter;

/// What `arch::registers::Counter` lists, each the sum of its increments.
///
/// # Timing   an increment of cycle `t` is in the count from `t + 2`, so that what counts is not on the path of the sum; after
/// `clear` in cycle `t` the count is 0 in `t + 1`, and goes on with the increment of `t`
#[derive(LogicBlock)]
pub(super) struct Counters {
    name: ModuleName,
    pub(super) clock: Signal<In, Clock>,
    pub(super) reset: Signal<In, Bit>,
    /// Begins again at 0.
    pub(super) clear: Signal<In, Bit>,
    pub(super) increment: Vec<Wire<In>>,
    pub(super) count: Vec<Wire<Out>>,
    counters: Param,
    step: Vec<Reg>,
    sum: Vec<Reg>,
}

impl Counters {
    /// For a configuration.
    pub(super) fn new(config: &ArchConfig) -> Self {
        let (n, bits) = (Counter::ALL.len(), Counter::increment_bits(config));
        Self {
            name: ModuleName::new("performance_counters"),
            clock: Default::default(),
            reset: Default::default(),
            clear: Default::default(),
            increment: vec_of(n, || Wire::unsigned(bits)),
            count: vec_of(n, || Wire::unsigned(64)),
            counters: Param::new(n),
            step: vec_of(n, || Reg::unsigned(bits)),
            sum: vec_of(n, || Reg::unsigned(64)),
        }
    }
}

impl Logic for Counters {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self.counters.val() {
            self.step[i].clock.next = self.clock.val();
            self.sum[i].clock.next = self.clock.val();
            self.step[i].d.next = self.increment[i].val();
            self.sum[i].d.next = self.sum[i].q.val() + self.step[i].q.val();
            self.count[i].next = self.sum[i].q.val();
            if self.clear.val() | self.reset.val() {
                self.sum[i].d.next = 0.into();
            }
            if self.reset.val() {
                self.step[i].d.next = 0.into();
            }
        }
    }
}
