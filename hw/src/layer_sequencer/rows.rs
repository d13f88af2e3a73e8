//! The passes of a layer's query rows, and where their outputs go.

use super::{FACTOR_BITS, HEAD_BITS};
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::leaf::{Ram, ReadPort};
use spatten_arch::config::MAX_HEADS;
use spatten_arch::format::SCALE_MANTISSA_BITS;
use spatten_arch::layout::ADDRESS_BITS;

/// Heads whose outputs are on their way.
const PLACES: usize = 4;
/// Outcomes of first passes that what fetches does not know.
const TELLS: usize = 2;

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
    /// Waits for all rows that share keys to be decided.
    Wait,
    /// Reads how many keys the flat rows see.
    Measure,
    /// What fetches is told so.
    Tell,
    /// That keys and values are added to.
    Mark,
    /// The next flat row is taken.
    Next,
    /// That keys and values are done with.
    Release,
}

/// A beat of `attention_core`'s `row` per row of each head, then one for the heads that shared keys and values; a beat of `plane`
/// per head, which says where its outputs go.
///
/// If `progressive`, those are first passes. When they are decided, what fetches is told (`tell`) whether any row is flat, and how many
/// keys those see; a marker says that LSBs are added to keys and values, where those have any (`lsbs`), and the flat rows come again.
///
/// # Timing   a row takes 2 cycles and a head 1, as long as they are taken; a row that comes again 3
#[derive(LogicBlock)]
pub struct Rows {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets the layer.
    pub reset: Signal<In, Bit>,
    /// Begins a layer.
    pub start: Signal<In, Bit>,
    /// Its rows may need a second pass.
    pub progressive: Signal<In, Bit>,
    /// Keys have LSBs; values have.
    pub lsbs: Vec<Signal<In, Bit>>,
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
    /// A first pass is taken.
    pub issued: Signal<Out, Bit>,
    /// No row of the layer follows, unless it comes again.
    pub closing: Signal<Out, Bit>,
    /// All that were issued are decided.
    pub settled: Signal<In, Bit>,
    /// Some row is flat.
    pub any: Signal<In, Bit>,
    /// The highest index of those.
    pub most: Wire<In>,
    /// The flat rows are wanted.
    pub go: Signal<Out, Bit>,
    /// One is there.
    pub again_valid: Signal<In, Bit>,
    /// It is taken.
    pub again_ready: Signal<Out, Bit>,
    /// Its index.
    pub again_index: Wire<In>,
    /// Its head.
    pub again_head: Wire<In>,
    /// The last one.
    pub again_last: Signal<In, Bit>,
    /// Keys that the row of the cycle before sees.
    pub visible: Wire<In>,
    /// An outcome is there.
    pub tell_valid: Signal<Out, Bit>,
    /// It is taken.
    pub tell_ready: Signal<In, Bit>,
    /// Some row is flat.
    pub tell_any: Signal<Out, Bit>,
    /// Keys that the flat rows see.
    pub tell_visible: Wire<Out>,
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
    /// It is kept whatever its scores.
    pub row_final: Signal<Out, Bit>,
    /// The last pass over these keys.
    pub row_release_keys: Signal<Out, Bit>,
    /// No pass: the values are done with.
    pub row_release_values: Signal<Out, Bit>,
    /// No pass: the keys are added to.
    pub row_again_keys: Signal<Out, Bit>,
    /// No pass: the values are.
    pub row_again_values: Signal<Out, Bit>,
    /// One of both.
    pub row_marks: Signal<Out, Bit>,
    /// Outputs of a head will come.
    pub plane_valid: Signal<Out, Bit>,
    /// That is taken.
    pub plane_ready: Signal<In, Bit>,
    /// Where they go.
    pub plane_base: Wire<Out>,
    /// The head.
    pub plane_head: Wire<Out>,
    mantissa_bits: Param,
    head_bits: Param,
    state: Dff<State>,
    index: Reg,
    number: Reg,
    /// By head.
    importances: Ram,
    ends: Dff<Bit>,
    closes: Dff<Bit>,
    /// Flat rows come again, and this is the last of them.
    second: Dff<Bit>,
    final_row: Dff<Bit>,
    /// No row was flat.
    none: Dff<Bit>,
    takes: Signal<Local, Bit>,
    is_last: Signal<Local, Bit>,
    says: Signal<Local, Bit>,
    some: Wire<Local>,
    planes: Fifo,
    tells: Fifo,
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
            progressive: Default::default(),
            lsbs: vec_of(2, Default::default),
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
            issued: Default::default(),
            closing: Default::default(),
            settled: Default::default(),
            any: Default::default(),
            most: Wire::unsigned(index),
            go: Default::default(),
            again_valid: Default::default(),
            again_ready: Default::default(),
            again_index: Wire::unsigned(index),
            again_head: Wire::unsigned(HEAD_BITS),
            again_last: Default::default(),
            visible: Wire::unsigned(count),
            tell_valid: Default::default(),
            tell_ready: Default::default(),
            tell_any: Default::default(),
            tell_visible: Wire::unsigned(count),
            row_valid: Default::default(),
            row_ready: Default::default(),
            row_index: Wire::unsigned(index),
            row_head: Wire::unsigned(HEAD_BITS),
            row_mantissa: Wire::unsigned(SCALE_MANTISSA_BITS as usize),
            row_shift: Wire::unsigned(FACTOR_BITS - SCALE_MANTISSA_BITS as usize),
            row_final: Default::default(),
            row_release_keys: Default::default(),
            row_release_values: Default::default(),
            row_again_keys: Default::default(),
            row_again_values: Default::default(),
            row_marks: Default::default(),
            plane_valid: Default::default(),
            plane_ready: Default::default(),
            plane_base: Wire::unsigned(ADDRESS_BITS),
            plane_head: Wire::unsigned(HEAD_BITS),
            head_bits: Param::new(HEAD_BITS),
            mantissa_bits: Param::new(SCALE_MANTISSA_BITS as usize),
            state: Default::default(),
            index: Reg::unsigned(index),
            number: Reg::unsigned(HEAD_BITS),
            importances: Ram::new(FACTOR_BITS, MAX_HEADS, ReadPort::Registered),
            ends: Default::default(),
            closes: Default::default(),
            second: Default::default(),
            final_row: Default::default(),
            none: Default::default(),
            takes: Default::default(),
            is_last: Default::default(),
            says: Default::default(),
            some: Wire::unsigned(1),
            planes: Fifo::new(ADDRESS_BITS + HEAD_BITS, PLACES),
            tells: Fifo::new(count + 1, TELLS),
        }
    }
}

impl Logic for Rows {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, index, number, ends, closes, second, final_row, none);
        clock!(self, clock, importances, planes, tells);
        self.planes.reset.next = self.reset.val();
        self.tells.reset.next = self.reset.val();
        self.idle.next = self.state.q.val() == State::Idle;
        self.head_ready.next = (self.state.q.val() == State::Take) & self.planes.in_ready.val();
        self.takes.next = (self.state.q.val() == State::Take) & self.planes.in_ready.val() & self.head_valid.val();
        self.planes.in_valid.next = self.takes.val();
        self.planes.in_data.next = (self.head_base.val() << self.head_bits.val()) | self.head_number.val();
        self.plane_valid.next = self.planes.out_valid.val();
        self.planes.out_ready.next = self.plane_ready.val();
        self.plane_head.next = self.planes.out_data.val();
        self.plane_base.next = self.planes.out_data.val() >> self.head_bits.val();
        self.importances.write_enable.next = self.takes.val();
        self.importances.write_address.next = self.head_number.val();
        self.importances.write_data.next = self.head_importance.val();
        self.importances.read_address.next = self.number.q.val();

        self.is_last.next = (self.index.q.val() + 1) == self.count.val();
        self.row_valid.next = (self.state.q.val() == State::Offer)
            | (self.state.q.val() == State::Mark)
            | (self.state.q.val() == State::Release);
        self.row_index.next = self.index.q.val();
        self.row_head.next = self.number.q.val();
        self.row_mantissa.next = self.importances.read_data.val();
        self.row_shift.next = self.importances.read_data.val() >> self.mantissa_bits.val();
        self.row_final.next = !self.progressive.val() | self.second.q.val();
        self.row_release_keys.next = ((self.state.q.val() == State::Offer)
            & ((self.second.q.val() & self.final_row.q.val())
                | (!self.progressive.val() & self.ends.q.val() & self.is_last.val())))
            | ((self.state.q.val() == State::Release) & self.none.q.val());
        self.row_release_values.next = self.state.q.val() == State::Release;
        self.row_again_keys.next = (self.state.q.val() == State::Mark) & self.lsbs[0].val();
        self.row_again_values.next = (self.state.q.val() == State::Mark) & self.lsbs[1].val();
        self.row_marks.next = self.state.q.val() == State::Mark;
        self.issued.next =
            (self.state.q.val() == State::Offer) & self.row_ready.val() & self.progressive.val() & !self.second.q.val();
        self.closing.next = (self.state.q.val() == State::Wait) & self.closes.q.val();
        self.go.next = (self.state.q.val() == State::Tell) & self.tells.in_ready.val();
        self.again_ready.next = self.state.q.val() == State::Next;
        self.says.next = (self.state.q.val() == State::Tell)
            | ((self.state.q.val() == State::Wait) & self.settled.val() & !self.any.val());
        self.some.next = self.any.val().into();
        self.tells.in_valid.next = self.says.val();
        self.tells.in_data.next = (self.visible.val() << 1) | self.some.val();
        self.tell_valid.next = self.tells.out_valid.val();
        self.tells.out_ready.next = self.tell_ready.val();
        self.tell_any.next = self.tells.out_data.val().get_bit(0);
        self.tell_visible.next = self.tells.out_data.val() >> 1;

        match self.state.q.val() {
            State::Idle => {
                if self.start.val() {
                    self.state.d.next = State::Take;
                }
            }
            State::Take => {
                self.index.d.next = 0.into();
                self.second.d.next = false;
                self.none.d.next = false;
                if self.takes.val() {
                    self.number.d.next = self.head_number.val();
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
                if self.row_ready.val() & self.second.q.val() {
                    self.state.d.next = State::Next;
                    if self.final_row.q.val() {
                        self.state.d.next = State::Release;
                    }
                } else if self.row_ready.val() {
                    self.index.d.next = self.index.q.val() + 1;
                    self.state.d.next = State::Look;
                    if self.is_last.val() {
                        self.state.d.next = State::Take;
                        if self.ends.q.val() {
                            self.state.d.next = State::Release;
                            if self.progressive.val() {
                                self.state.d.next = State::Wait;
                            }
                        }
                    }
                }
            }
            State::Wait => {
                if self.settled.val() & self.any.val() {
                    self.index.d.next = self.most.val();
                    self.state.d.next = State::Measure;
                } else if self.settled.val() & self.tells.in_ready.val() {
                    self.none.d.next = true;
                    self.state.d.next = State::Release;
                }
            }
            State::Measure => {
                self.state.d.next = State::Tell;
            }
            State::Tell => {
                if self.tells.in_ready.val() {
                    self.second.d.next = true;
                    self.state.d.next = State::Next;
                    if self.lsbs[0].val() | self.lsbs[1].val() {
                        self.state.d.next = State::Mark;
                    }
                }
            }
            State::Mark => {
                if self.row_ready.val() {
                    self.state.d.next = State::Next;
                }
            }
            State::Next => {
                if self.again_valid.val() {
                    self.index.d.next = self.again_index.val();
                    self.number.d.next = self.again_head.val();
                    self.final_row.d.next = self.again_last.val();
                    self.state.d.next = State::Look;
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
