//! Cumulative scores of heads. Part of `importance_accumulator`. Paper: section III-B.

use crate::delay::Delay;
use crate::hdl::*;
use crate::leaf::{Multiplier, Ram, ReadPort};
use spatten_arch::format::SCALE_MANTISSA_BITS;

/// One accumulator per head: `sum += magnitude * mantissa >> shift`.
///
/// # Formats   sum of magnitudes of an output row, `scale_mantissa` -> `head_importance`, rounded half up, saturating
/// # Timing   a row per cycle, also of one head; `saturated` after [`Heads::LATENCY`] cycles. While no row is inside:
/// `set` writes in the next cycle, and `value` is that of the `at` of the cycle before.
#[derive(LogicBlock)]
pub struct Heads {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous; forgets rows inside, keeps the sums.
    pub reset: Signal<In, Bit>,
    /// A row of outputs.
    pub valid: Signal<In, Bit>,
    /// Its head.
    pub head: Wire<In>,
    /// Sum of its magnitudes.
    pub magnitude: Wire<In>,
    /// Factor to the unit of head importance.
    pub mantissa: Wire<In>,
    /// Right shift after it.
    pub shift: Wire<In>,
    /// Writes `load` to `at`.
    pub set: Signal<In, Bit>,
    /// `at` counts instead of `head`.
    pub direct: Signal<In, Bit>,
    /// The accumulator to read or write.
    pub at: Wire<In>,
    /// What to write.
    pub load: Wire<In>,
    /// What was read.
    pub value: Wire<Out>,
    /// A sum was cut.
    pub saturated: Signal<Out, Bit>,
    bits: Param,
    cap: Param,
    product: Multiplier,
    head_later: Delay,
    shifts: Vec<Reg>,
    coarse: Reg,
    fine: Reg,
    increment: Reg,
    valids: Reg,
    read_head: Wire<Local>,
    sums: Ram,
    old: Reg,
    addend: Reg,
    write: Dff<Bit>,
    write_head: Reg,
    sum: Wire<Local>,
    new: Wire<Local>,
    cut: Dff<Bit>,
}

impl Heads {
    /// Cycles from a row to `saturated`.
    pub const LATENCY: usize = 7;

    /// For so many heads.
    pub fn new(heads: usize, magnitude_bits: usize, bits: usize) -> Self {
        let head = bits_for(heads - 1);
        let mantissa = SCALE_MANTISSA_BITS as usize;
        let wide = magnitude_bits + mantissa;
        Self {
            name: ModuleName::new(format!("head_importance_{heads}x{bits}")),
            clock: Default::default(),
            reset: Default::default(),
            valid: Default::default(),
            head: Wire::unsigned(head),
            magnitude: Wire::unsigned(magnitude_bits),
            mantissa: Wire::unsigned(mantissa),
            shift: Wire::unsigned(6),
            set: Default::default(),
            direct: Default::default(),
            at: Wire::unsigned(head),
            load: Wire::unsigned(bits),
            value: Wire::unsigned(bits),
            saturated: Default::default(),
            bits: Param::new(bits),
            cap: Param::new((1 << bits) - 1),
            product: Multiplier::new(magnitude_bits + 1, mantissa + 1),
            head_later: Delay::new(head, 5),
            shifts: [6, 6, 3].into_iter().map(Reg::unsigned).collect(),
            coarse: Reg::unsigned(wide + 1),
            fine: Reg::unsigned(wide + 1),
            increment: Reg::unsigned(wide),
            valids: Reg::unsigned(5),
            read_head: Wire::unsigned(head),
            sums: Ram::new(bits, heads, ReadPort::Direct),
            old: Reg::unsigned(bits),
            addend: Reg::unsigned(wide),
            write: Default::default(),
            write_head: Reg::unsigned(head),
            sum: Wire::unsigned(bits + 1),
            new: Wire::unsigned(bits),
            cut: Default::default(),
        }
    }
}

impl Logic for Heads {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, coarse, fine, increment, valids, old, addend, write, write_head, cut);
        clock!(self, clock, product, head_later, sums);
        for i in 0..3 {
            self.shifts[i].clock.next = self.clock.val();
            if i == 0 {
                self.shifts[i].d.next = self.shift.val();
            } else {
                self.shifts[i].d.next = self.shifts[i - 1].q.val();
            }
        }
        self.head_later.early.next = self.head.val();
        self.valids.d.next = (self.valids.q.val() << 1) | self.valid.val();
        // 1, 2: the product. 3, 4: shifted, with one more fraction bit. 5: rounded.
        self.product.a.next = self.magnitude.val();
        self.product.b.next = self.mantissa.val();
        self.coarse.d.next = (self.product.product.val() << 1) >> ((self.shifts[1].q.val() >> 3) << 3);
        self.fine.d.next = self.coarse.q.val() >> self.shifts[2].q.val();
        self.increment.d.next = (self.fine.q.val() + 1) >> 1;
        // 6: the sum is read, or taken from the row before where that is of the same head.
        self.read_head.next = self.head_later.late.val();
        if self.direct.val() {
            self.read_head.next = self.at.val();
        }
        self.sums.read_address.next = self.read_head.val();
        self.write_head.d.next = self.read_head.val();
        self.old.d.next = self.sums.read_data.val();
        self.addend.d.next = self.increment.q.val();
        self.write.d.next = self.valids.q.val().get_bit(4);
        if self.direct.val() {
            self.addend.d.next = 0.into();
            self.write.d.next = self.set.val();
            if self.set.val() {
                self.old.d.next = self.load.val();
            }
        } else if self.write.q.val() & (self.write_head.q.val() == self.read_head.val()) {
            self.old.d.next = self.new.val();
        }
        // 7: and written.
        self.sum.next = self.old.q.val() + self.addend.q.val();
        self.new.next = self.sum.val();
        if self.sum.val().get_bit(self.bits.val()) {
            self.new.next = self.cap.val().into();
        }
        self.cut.d.next = self.write.q.val() & self.sum.val().get_bit(self.bits.val());
        self.sums.write_enable.next = self.write.q.val();
        self.sums.write_address.next = self.write_head.q.val();
        self.sums.write_data.next = self.new.val();
        self.value.next = self.old.q.val();
        self.saturated.next = self.cut.q.val();
        if self.reset.val() {
            self.valids.d.next = 0.into();
            self.write.d.next = false;
            self.cut.d.next = false;
        }
    }
}
