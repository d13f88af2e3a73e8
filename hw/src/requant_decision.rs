//! Does a query row need its LSBs? Siblings: `golden`, `sim`, `tests/requant_decision.rs`.
//! Paper: SpAtten section III-D, IV-F.
//! Why: one comparison per row with `1 / threshold`, before the reciprocal is known.
//! Differs from the paper: see `golden`.

use crate::credits::Credits;
use crate::fifo::Fifo;
use crate::hdl::*;
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;

/// Rows that wait on each output.
const PLACES: usize = 4;

/// Keeps a row, or asks for its LSBs.
///
/// # Shapes   one beat of `sum` per row; one of `decision` per row, and one of `refetch` per row that is not kept
/// # Formats   `exp_sum`, `threshold_inverse` (which must not change while rows are inside)
/// # Timing   a row per cycle; both outputs two cycles after `sum` is accepted
#[derive(LogicBlock)]
pub struct RequantDecision {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, forgets all rows.
    pub reset: Signal<In, Bit>,
    /// Rows whose sum exceeds this are flat. The largest number never is exceeded.
    pub threshold_inverse: Wire<In>,
    /// A row's sum.
    pub sum_valid: Signal<In, Bit>,
    /// It would be taken.
    pub sum_ready: Signal<Out, Bit>,
    /// Sum of its exponentials; 0 for an empty row.
    pub sum_sum: Wire<In>,
    /// The row has been fetched in full: it is kept.
    pub sum_final: Signal<In, Bit>,
    /// Which row it is, for `refetch`.
    pub sum_row: Wire<In>,
    /// What becomes of a row.
    pub decision_valid: Signal<Out, Bit>,
    /// It is taken.
    pub decision_ready: Signal<In, Bit>,
    /// The row's scores are used.
    pub decision_keep: Signal<Out, Bit>,
    /// A row needs its LSBs.
    pub refetch_valid: Signal<Out, Bit>,
    /// It is taken.
    pub refetch_ready: Signal<In, Bit>,
    /// Which.
    pub refetch_row: Wire<Out>,
    accept: Signal<Local, Bit>,
    decision_places: Credits,
    /// Places left for refetches; a row that turns out not to need one gives it back.
    refetch_places: Reg,
    places: Param,
    refetch_place: Signal<Local, Bit>,
    refetch_pop: Signal<Local, Bit>,
    held: Dff<Bit>,
    flat: Dff<Bit>,
    row: Reg,
    push_refetch: Signal<Local, Bit>,
    decisions: Fifo,
    refetches: Fifo,
}

impl RequantDecision {
    /// At the size of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        Self::with_row_bits(config, bits_for(config.keys_on_chip - 1))
    }

    /// The same for rows that are named by any number of bits.
    pub fn with_row_bits(config: &ArchConfig, row: usize) -> Self {
        let formats = Formats::new(config);
        let sum = formats.exp_sum.width() as usize;
        Self {
            name: ModuleName::new(format!("requant_decision_{sum}_{row}")),
            unused: Waiver::new(
                "UNUSEDSIGNAL",
                "Queues have credits and need no `in_ready`; queues that move together need one `out_valid`.",
            ),
            clock: Default::default(),
            reset: Default::default(),
            threshold_inverse: Wire::unsigned(formats.threshold_inverse.width() as usize),
            sum_valid: Default::default(),
            sum_ready: Default::default(),
            sum_sum: Wire::unsigned(sum),
            sum_final: Default::default(),
            sum_row: Wire::unsigned(row),
            decision_valid: Default::default(),
            decision_ready: Default::default(),
            decision_keep: Default::default(),
            refetch_valid: Default::default(),
            refetch_ready: Default::default(),
            refetch_row: Wire::unsigned(row),
            accept: Default::default(),
            decision_places: Credits::new(PLACES),
            refetch_places: Reg::unsigned(bits_for(PLACES)),
            places: Param::new(PLACES),
            refetch_place: Default::default(),
            refetch_pop: Default::default(),
            held: Default::default(),
            flat: Default::default(),
            row: Reg::unsigned(row),
            push_refetch: Default::default(),
            decisions: Fifo::new(1, PLACES),
            refetches: Fifo::new(row, PLACES),
        }
    }
}

impl Logic for RequantDecision {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, held, flat, row, refetch_places);
        clock!(self, clock, decision_places, decisions, refetches);
        self.decision_places.reset.next = self.reset.val();
        self.decisions.reset.next = self.reset.val();
        self.refetches.reset.next = self.reset.val();
        self.refetch_place.next = self.refetch_places.q.val().any();
        self.sum_ready.next = self.decision_places.available.val() & self.refetch_place.val();
        self.accept.next = self.sum_valid.val() & self.decision_places.available.val() & self.refetch_place.val();
        self.held.d.next = self.accept.val() & !self.reset.val();
        self.flat.d.next = (self.sum_sum.val() > self.threshold_inverse.val()) & !self.sum_final.val();
        self.row.d.next = self.sum_row.val();
        // A place of each is taken until it is known whether the row needs the second.
        self.push_refetch.next = self.held.q.val() & self.flat.q.val();
        self.decision_places.take.next = self.accept.val();
        self.decision_places.give.next = self.decisions.out_valid.val() & self.decision_ready.val();
        self.refetch_pop.next = self.refetches.out_valid.val() & self.refetch_ready.val();
        self.refetch_places.d.next = self.refetch_places.q.val() - self.accept.val()
            + self.refetch_pop.val()
            + (self.held.q.val() & !self.flat.q.val());
        if self.reset.val() {
            self.refetch_places.d.next = self.places.val().into();
        }
        self.decisions.in_valid.next = self.held.q.val();
        self.decisions.in_data.next = (!self.flat.q.val()).into();
        self.decisions.out_ready.next = self.decision_ready.val();
        self.decision_valid.next = self.decisions.out_valid.val();
        self.decision_keep.next = self.decisions.out_data.val().any();
        self.refetches.in_valid.next = self.push_refetch.val();
        self.refetches.in_data.next = self.row.q.val();
        self.refetches.out_ready.next = self.refetch_ready.val();
        self.refetch_valid.next = self.refetches.out_valid.val();
        self.refetch_row.next = self.refetches.out_data.val();
    }
}
