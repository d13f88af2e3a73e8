//! Operands of queries to rows with a score scale each.

use super::packer::Packer;
use super::scale_store::ScaleStore;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::leaf::LaneSum;
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::{QUERY_SCALE_BITS, SCALE_MANTISSA_BITS};

/// Jobs of queries that are known ahead of their operands.
const JOBS: usize = 4;
/// Operands that are moved together.
const UNIT: usize = HEAD_DIMS[0];

/// Cuts beats into rows, or collects rows from beats, and gives each row its scale: the job's, or the next of its own job of
/// query scales if `scaled`. A row of a job with `lsbs` is added to the next one instead of leaving. That of a job with `keep`
/// leaves and is held: with `again` the next job is of it once more, with `drop` it is forgotten.
///
/// # Timing   a row is on offer 1 cycle after the beat that completes it, if its job and its scale are known; one row per
/// cycle, beats without a gap. A scale is known 4 cycles after its beat
#[derive(LogicBlock)]
pub(super) struct Queries {
    name: ModuleName,
    pub(super) clock: Signal<In, Clock>,
    /// Synchronous: forgets jobs, rows and scales.
    pub(super) reset: Signal<In, Bit>,
    /// log2(D) - 4.
    pub(super) dim: Wire<In>,
    /// Rows have their own scales.
    pub(super) scaled: Signal<In, Bit>,
    pub(super) job_valid: Signal<In, Bit>,
    pub(super) job_ready: Signal<Out, Bit>,
    pub(super) job_rows: Wire<In>,
    pub(super) job_mantissa: Wire<In>,
    pub(super) job_shift: Wire<In>,
    pub(super) job_lsbs: Signal<In, Bit>,
    pub(super) job_keep: Signal<In, Bit>,
    pub(super) job_again: Signal<In, Bit>,
    pub(super) job_drop: Signal<In, Bit>,
    pub(super) in_valid: Signal<In, Bit>,
    pub(super) in_ready: Signal<Out, Bit>,
    /// Operands, as a beat has them.
    pub(super) in_data: Wire<In>,
    pub(super) scales_valid: Signal<In, Bit>,
    pub(super) scales_ready: Signal<Out, Bit>,
    /// Scales of a beat's rows.
    pub(super) scales_data: Wire<In>,
    pub(super) out_valid: Signal<Out, Bit>,
    pub(super) out_ready: Signal<In, Bit>,
    pub(super) out_operands: Vec<Wire<Out>>,
    pub(super) out_mantissa: Wire<Out>,
    pub(super) out_shift: Wire<Out>,
    units: Param,
    unit: Param,
    unit_bits: Param,
    operand_bits: Param,
    channels: Param,
    scale_bits: Param,
    mantissa_bits: Param,
    row_units: Param,
    row_bits: Param,
    jobs: Fifo,
    lsbs_at: Param,
    rows: Wire<Local>,
    job_scale: Wire<Local>,
    packer: Packer,
    store: ScaleStore,
    scales: Packer,
    /// Rows of the job that have left.
    row: Reg,
    scale: Wire<Local>,
    known: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    takes: Signal<Local, Bit>,
    /// The row is held back, and what was; or it is dropped.
    holds: Signal<Local, Bit>,
    drops: Signal<Local, Bit>,
    again: Signal<Local, Bit>,
    held_scale: Reg,
    leaves: Signal<Local, Bit>,
    flags: Vec<Wire<Local>>,
    lsbs: Signal<Local, Bit>,
    keep: Signal<Local, Bit>,
    drop: Signal<Local, Bit>,
    scale_there: Signal<Local, Bit>,
    moves: Signal<Local, Bit>,
    there: Signal<Local, Bit>,
    held: Vec<Reg>,
    sums: Vec<LaneSum>,
    unused_last: Signal<Local, Bit>,
    unused_scale_last: Signal<Local, Bit>,
}

impl Queries {
    /// For a configuration.
    pub(super) fn new(config: &ArchConfig) -> Self {
        let (bits, channels, keys) = (config.datapath_bits as usize, config.channels, config.keys_on_chip);
        let (row_bits, scale, mantissa) = (bits_for(keys), QUERY_SCALE_BITS as usize, SCALE_MANTISSA_BITS as usize);
        let units = super::ELEMENTS * channels / UNIT;
        Self {
            name: ModuleName::new("query_rows"),
            clock: Default::default(),
            reset: Default::default(),
            dim: Wire::unsigned(2),
            scaled: Default::default(),
            job_valid: Default::default(),
            job_ready: Default::default(),
            job_rows: Wire::unsigned(row_bits),
            job_mantissa: Wire::unsigned(mantissa),
            job_shift: Wire::unsigned(scale - mantissa),
            job_lsbs: Default::default(),
            job_keep: Default::default(),
            job_again: Default::default(),
            job_drop: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: Wire::unsigned(units * UNIT * bits),
            scales_valid: Default::default(),
            scales_ready: Default::default(),
            scales_data: Wire::unsigned(channels * scale),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_operands: vec_of(HEAD_DIMS[3], || Wire::signed(bits)),
            out_mantissa: Wire::unsigned(mantissa),
            out_shift: Wire::unsigned(scale - mantissa),
            units: Param::new(units),
            unit: Param::new(UNIT),
            unit_bits: Param::new(UNIT * bits),
            operand_bits: Param::new(bits),
            channels: Param::new(channels),
            scale_bits: Param::new(scale),
            mantissa_bits: Param::new(mantissa),
            row_units: Param::new(HEAD_DIMS[3] / UNIT),
            row_bits: Param::new(row_bits),
            jobs: Fifo::new(row_bits + scale + 4, JOBS),
            lsbs_at: Param::new(row_bits + scale),
            rows: Wire::unsigned(row_bits),
            job_scale: Wire::unsigned(scale),
            packer: Packer::new(UNIT * bits, units, HEAD_DIMS.map(|dim| dim / UNIT)),
            store: ScaleStore::new(channels * scale, (keys / channels).max(2)),
            scales: Packer::new(scale, channels, [1; 4]),
            row: Reg::unsigned(row_bits),
            scale: Wire::unsigned(scale),
            known: Default::default(),
            ends: Default::default(),
            takes: Default::default(),
            holds: Default::default(),
            drops: Default::default(),
            again: Default::default(),
            held_scale: Reg::unsigned(scale),
            leaves: Default::default(),
            flags: vec_of(4, || Wire::unsigned(1)),
            lsbs: Default::default(),
            keep: Default::default(),
            drop: Default::default(),
            scale_there: Default::default(),
            moves: Default::default(),
            there: Default::default(),
            held: vec_of(HEAD_DIMS[3] / UNIT, || Reg::unsigned(UNIT * bits)),
            sums: vec_of(HEAD_DIMS[3] / UNIT, || LaneSum::new(UNIT, bits)),
            unused_last: Default::default(),
            unused_scale_last: Default::default(),
        }
    }
}

impl Logic for Queries {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, row, held_scale);
        clock!(self, clock, jobs, packer, store, scales);
        self.jobs.reset.next = self.reset.val();
        self.packer.reset.next = self.reset.val();
        self.store.reset.next = self.reset.val();
        self.scales.reset.next = self.reset.val();

        self.jobs.in_valid.next = self.job_valid.val();
        self.job_ready.next = self.jobs.in_ready.val();
        self.flags[0].next = self.job_lsbs.val().into();
        self.flags[1].next = self.job_keep.val().into();
        self.flags[2].next = self.job_drop.val().into();
        self.flags[3].next = self.job_again.val().into();
        self.jobs.in_data.next = (((self.flags[3].val() << 3)
            | (self.flags[2].val() << 2)
            | (self.flags[1].val() << 1)
            | self.flags[0].val())
            << self.lsbs_at.val())
            | (((self.job_shift.val() << self.mantissa_bits.val()) | self.job_mantissa.val()) << self.row_bits.val())
            | self.job_rows.val();
        self.lsbs.next = self.jobs.out_data.val().get_bit(self.lsbs_at.val());
        self.keep.next = self.jobs.out_data.val().get_bit(self.lsbs_at.val() + 1);
        self.again.next = self.jobs.out_data.val().get_bit(self.lsbs_at.val() + 3);
        self.drop.next = self.jobs.out_data.val().get_bit(self.lsbs_at.val() + 2);
        self.rows.next = self.jobs.out_data.val();
        self.job_scale.next = self.jobs.out_data.val() >> self.row_bits.val();

        self.packer.dim.next = self.dim.val();
        self.packer.in_valid.next = self.in_valid.val();
        self.in_ready.next = self.packer.in_ready.val();
        // Rows fill their beats, or are cut from them.
        self.packer.in_last.next = false;
        self.unused_last.next = self.packer.out_last.val();
        for i in 0..self.units.val() {
            self.packer.in_data[i].next = self.in_data.val() >> (i * self.unit_bits.val());
        }
        self.store.in_valid.next = self.scales_valid.val();
        self.scales_ready.next = self.store.in_ready.val();
        self.store.in_data.next = self.scales_data.val();
        self.scales.dim.next = 0.into();
        self.scales.in_valid.next = self.store.out_valid.val();
        self.store.out_ready.next = self.scales.in_ready.val();
        self.scales.in_last.next = false;
        self.unused_scale_last.next = self.scales.out_last.val();
        for i in 0..self.channels.val() {
            self.scales.in_data[i].next = self.store.out_data.val() >> (i * self.scale_bits.val());
        }

        // A row leaves with its scale; what lies behind the job's last one leaves both packers with it.
        self.there.next = self.packer.out_valid.val() & self.jobs.out_valid.val();
        self.scale_there.next = !self.scaled.val() | self.scales.out_valid.val();
        self.holds.next = self.there.val() & self.lsbs.val();
        self.drops.next = self.jobs.out_valid.val() & self.drop.val();
        self.known.next =
            (self.there.val() & !self.lsbs.val() & !self.drop.val() & !self.again.val() & self.scale_there.val())
                | (self.jobs.out_valid.val() & self.again.val());
        self.leaves.next = self.known.val() & self.out_ready.val();
        self.moves.next = self.holds.val() | self.drops.val() | self.leaves.val();
        self.ends.next = (self.row.q.val() + 1) == self.rows.val();
        self.takes.next = self.holds.val() | (self.leaves.val() & !self.again.val());
        self.packer.out_ready.next = self.takes.val();
        self.packer.cut.next = self.ends.val();
        self.scales.out_ready.next = self.leaves.val() & !self.again.val() & self.scaled.val();
        self.scales.cut.next = self.ends.val();
        self.jobs.out_ready.next = self.moves.val() & self.ends.val();
        if self.moves.val() {
            self.row.d.next = self.row.q.val() + 1;
            if self.ends.val() {
                self.row.d.next = 0.into();
            }
        }
        if self.reset.val() {
            self.row.d.next = 0.into();
        }
        self.out_valid.next = self.known.val();
        for i in 0..self.row_units.val() {
            self.sums[i].a.next = self.packer.out_data[i].val();
            if self.again.val() {
                self.sums[i].a.next = 0.into();
            }
            self.sums[i].b.next = self.held[i].q.val();
            self.held[i].clock.next = self.clock.val();
            self.held[i].d.next = self.held[i].q.val();
            if self.moves.val() {
                self.held[i].d.next = 0.into();
            }
            if self.holds.val() | (self.leaves.val() & self.keep.val()) {
                self.held[i].d.next = self.sums[i].sum.val();
            }
            if self.reset.val() {
                self.held[i].d.next = 0.into();
            }
            for j in 0..self.unit.val() {
                self.out_operands[i * self.unit.val() + j].next =
                    self.sums[i].sum.val() >> (j * self.operand_bits.val());
            }
        }
        self.scale.next = self.job_scale.val();
        if self.scaled.val() {
            self.scale.next = self.scales.out_data[0].val();
            if self.again.val() {
                self.scale.next = self.held_scale.q.val();
            }
        }
        if self.leaves.val() {
            self.held_scale.d.next = self.scale.val();
        }
        self.out_mantissa.next = self.scale.val();
        self.out_shift.next = self.scale.val() >> self.mantissa_bits.val();
    }
}
