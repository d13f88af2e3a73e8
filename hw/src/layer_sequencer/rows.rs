//! The passes of a layer's query rows, and where their outputs go.

use super::{FACTOR_BITS, HEAD_BITS};
use crate::fifo::Fifo;
use crate::hdl::*;
use spatten_arch::format::SCALE_MANTISSA_BITS;
use spatten_arch::layout::ADDRESS_BITS;

/// Heads whose outputs are on their way.
const PLANES: usize = 16;

/// What is being offered.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum State {
    /// There is no layer.
    Idle,
    /// The next head is taken.
    Take,
    /// Waits for its row to be known, and reads it.
    Look,
    /// Its row.
    Offer,
    /// That its values are done with.
    Release,
}

/// A beat of `attention_core`'s `row` per row of each head, then one for the heads that shared keys and values; a beat of `plane`
/// per head, which says where its outputs go.
///
/// # Timing   a row takes 2 cycles and a head 1, as long as they are taken
#[derive(LogicBlock)]
pub struct Rows {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets the layer.
    pub reset: Signal<In, Bit>,
    /// Begins a layer.
    pub start: Signal<In, Bit>,
    /// No layer is there.
    pub idle: Signal<Out, Bit>,
    /// Rows of a head.
    pub count: Wire<In>,
    /// Rows that are known.
    pub known: Wire<In>,
    /// A head is offered.
    pub head_valid: Signal<In, Bit>,
    /// It would be taken.
    pub head_ready: Signal<Out, Bit>,
    /// Its number.
    pub head_number: Wire<In>,
    /// Its factor.
    pub head_importance: Wire<In>,
    /// Address of its outputs.
    pub head_base: Wire<In>,
    /// The last one of these keys and values.
    pub head_ends: Signal<In, Bit>,
    /// The layer's last one.
    pub head_closes: Signal<In, Bit>,
    /// A beat is there.
    pub row_valid: Signal<Out, Bit>,
    /// It is taken.
    pub row_ready: Signal<In, Bit>,
    /// Number of the row, also before it is offered.
    pub row_index: Wire<Out>,
    /// Its head.
    pub row_head: Wire<Out>,
    /// Factor of its magnitude.
    pub row_mantissa: Wire<Out>,
    /// Right shift after it.
    pub row_shift: Wire<Out>,
    /// The last pass over these keys.
    pub row_release_keys: Signal<Out, Bit>,
    /// No pass: the values are done with.
    pub row_release_values: Signal<Out, Bit>,
    /// Outputs of a head will come.
    pub plane_valid: Signal<Out, Bit>,
    /// That is taken.
    pub plane_ready: Signal<In, Bit>,
    /// Where they go.
    pub plane_base: Wire<Out>,
    mantissa_bits: Param,
    state: Dff<State>,
    index: Reg,
    number: Reg,
    importance: Reg,
    ends: Dff<Bit>,
    closes: Dff<Bit>,
    takes: Signal<Local, Bit>,
    is_last: Signal<Local, Bit>,
    planes: Fifo,
}

impl Rows {
    /// For up to `keys` rows.
    pub fn new(keys: usize) -> Self {
        let (count, index) = (bits_for(keys), bits_for(keys - 1));
        Self {
            name: ModuleName::new(format!("layer_rows_{keys}")),
            clock: Default::default(),
            reset: Default::default(),
            start: Default::default(),
            idle: Default::default(),
            count: Wire::unsigned(count),
            known: Wire::unsigned(count),
            head_valid: Default::default(),
            head_ready: Default::default(),
            head_number: Wire::unsigned(HEAD_BITS),
            head_importance: Wire::unsigned(FACTOR_BITS),
            head_base: Wire::unsigned(ADDRESS_BITS),
            head_ends: Default::default(),
            head_closes: Default::default(),
            row_valid: Default::default(),
            row_ready: Default::default(),
            row_index: Wire::unsigned(index),
            row_head: Wire::unsigned(HEAD_BITS),
            row_mantissa: Wire::unsigned(SCALE_MANTISSA_BITS as usize),
            row_shift: Wire::unsigned(FACTOR_BITS - SCALE_MANTISSA_BITS as usize),
            row_release_keys: Default::default(),
            row_release_values: Default::default(),
            plane_valid: Default::default(),
            plane_ready: Default::default(),
            plane_base: Wire::unsigned(ADDRESS_BITS),
            mantissa_bits: Param::new(SCALE_MANTISSA_BITS as usize),
            state: Default::default(),
            index: Reg::unsigned(index),
            number: Reg::unsigned(HEAD_BITS),
            importance: Reg::unsigned(FACTOR_BITS),
            ends: Default::default(),
            closes: Default::default(),
            takes: Default::default(),
            is_last: Default::default(),
            planes: Fifo::new(ADDRESS_BITS, PLANES),
        }
    }
}

impl Logic for Rows {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, index, number, importance, ends, closes);
        clock!(self, clock, planes);
        self.planes.reset.next = self.reset.val();
        self.idle.next = self.state.q.val() == State::Idle;
        self.head_ready.next = (self.state.q.val() == State::Take) & self.planes.in_ready.val();
        self.takes.next = (self.state.q.val() == State::Take) & self.planes.in_ready.val() & self.head_valid.val();
        self.planes.in_valid.next = self.takes.val();
        self.planes.in_data.next = self.head_base.val();
        self.plane_valid.next = self.planes.out_valid.val();
        self.planes.out_ready.next = self.plane_ready.val();
        self.plane_base.next = self.planes.out_data.val();

        self.is_last.next = (self.index.q.val() + 1) == self.count.val();
        self.row_valid.next = (self.state.q.val() == State::Offer) | (self.state.q.val() == State::Release);
        self.row_index.next = self.index.q.val();
        self.row_head.next = self.number.q.val();
        self.row_mantissa.next = self.importance.q.val();
        self.row_shift.next = self.importance.q.val() >> self.mantissa_bits.val();
        self.row_release_keys.next = (self.state.q.val() == State::Offer) & self.ends.q.val() & self.is_last.val();
        self.row_release_values.next = self.state.q.val() == State::Release;

        match self.state.q.val() {
            State::Idle => {
                if self.start.val() {
                    self.state.d.next = State::Take;
                }
            }
            State::Take => {
                self.index.d.next = 0.into();
                if self.takes.val() {
                    self.number.d.next = self.head_number.val();
                    self.importance.d.next = self.head_importance.val();
                    self.ends.d.next = self.head_ends.val();
                    self.closes.d.next = self.head_closes.val();
                    self.state.d.next = State::Look;
                }
            }
            State::Look => {
                if self.index.q.val() < self.known.val() {
                    self.state.d.next = State::Offer;
                }
            }
            State::Offer => {
                if self.row_ready.val() {
                    self.index.d.next = self.index.q.val() + 1;
                    self.state.d.next = State::Look;
                    if self.is_last.val() {
                        self.state.d.next = State::Take;
                        if self.ends.q.val() {
                            self.state.d.next = State::Release;
                        }
                    }
                }
            }
            State::Release => {
                if self.row_ready.val() {
                    self.state.d.next = State::Take;
                    if self.closes.q.val() {
                        self.state.d.next = State::Idle;
                    }
                }
            }
        }
        if self.reset.val() {
            self.state.d.next = State::Idle;
        }
    }
}
