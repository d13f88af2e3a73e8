//! Checks of jobs and parameters, from the same list of fields that the host's are from.

use super::{Firmware, JOB, PARAMETERS};
use crate::descriptor::{
    CONTEXTS, Check, FieldSpec, ID_OFFSET, JOB_BYTES, Job, LayerParameters, Opcode, PARAMETER_BYTES, Status,
};

impl Firmware {
    /// Bytes of no field are 0, fields hold what they may; `detail` is what is added to a fault's byte.
    fn check(&mut self, fields: &[FieldSpec], others: &[usize], at: usize, bytes: usize, detail: u64) {
        let used = |byte: &usize| {
            others.contains(byte) || fields.iter().any(|f| (f.offset..f.offset + f.bytes).contains(byte))
        };
        let (find_byte, fault) = (self.parts.find_byte, self.parts.fault);
        for word in 0..bytes / 8 {
            let mask = (0..8).filter(|i| !used(&(8 * word + i))).fold(0, |mask, i| mask | 0xff << (8 * i));
            if mask == 0 {
                continue;
            }
            let ok = self.a.label();
            self.a.load(1, 0, at + word);
            if mask != u64::MAX {
                self.a.set(2, mask);
                self.a.and(1, 1, 2);
            }
            self.a.if_equal(1, 0, ok);
            self.a.set(super::DETAIL, detail + 8 * word as u64);
            self.a.jump(find_byte);
            self.a.here(ok);
        }
        for field in fields {
            let named = field.values.iter().map(|value| value.1).max();
            let (least, most, status) = match (named, field.check) {
                (Some(most), _) => (0, most, Status::Malformed),
                (None, Check::Any) => continue,
                (None, Check::Context) => (0, CONTEXTS as u64 - 1, Status::BadContext),
                (None, Check::Most(most)) => (0, most, Status::Malformed),
                (None, Check::UpTo(limit)) => (0, limit(&self.config), Status::ExceedsConfiguration),
                (None, Check::OneTo(limit)) => (1, limit(&self.config), Status::ExceedsConfiguration),
            };
            let (bad, ok) = (self.a.label(), self.a.label());
            self.field(1, at, field.offset, field.bytes);
            self.a.set(super::DETAIL, detail + field.offset as u64);
            if least > 0 {
                self.a.set(super::STATUS, Status::Malformed as u64);
                self.a.if_equal(1, 0, bad);
            }
            self.a.set(super::STATUS, status as u64);
            self.a.set(2, most);
            self.a.if_not_less(2, 1, ok);
            self.a.here(bad);
            self.a.jump(fault);
            self.a.here(ok);
        }
        self.a.set(super::STATUS, Status::Success as u64);
        self.a.set(super::DETAIL, 0);
    }

    /// The job at hand.
    pub(super) fn check_job(&mut self, opcode: Opcode) {
        self.check(Job::fields(opcode), &[0, ID_OFFSET, ID_OFFSET + 1], JOB, JOB_BYTES, 0);
    }

    /// The parameters at hand.
    pub(super) fn check_parameters(&mut self) {
        self.check(LayerParameters::FIELDS, &[], PARAMETERS, PARAMETER_BYTES, 256);
        for (msb, lsb) in [("q_msb", "q_lsb"), ("k_msb", "k_lsb"), ("v_msb", "v_lsb")] {
            let [msb, lsb] = [msb, lsb].map(|name| offset(LayerParameters::FIELDS, name));
            self.field(1, PARAMETERS, msb, 1);
            self.field(2, PARAMETERS, lsb, 1);
            self.a.add(1, 1, 2);
            let ok = self.a.label();
            self.a.set(2, self.config.datapath_bits.into());
            self.a.if_not_less(2, 1, ok);
            self.fail(Status::ExceedsConfiguration, 256 + lsb as u64);
            self.a.here(ok);
        }
    }

    /// `d` = a field of the job by name.
    pub(super) fn job_field(&mut self, d: u8, opcode: Opcode, name: &str) {
        let field = named(Job::fields(opcode), name);
        self.field(d, JOB, field.offset, field.bytes);
    }

    /// `d` = a field of the parameters by name.
    pub(super) fn parameter(&mut self, d: u8, name: &str) {
        let field = named(LayerParameters::FIELDS, name);
        self.field(d, PARAMETERS, field.offset, field.bytes);
    }
}

/// A field by name.
pub(super) fn named(fields: &'static [FieldSpec], name: &str) -> &'static FieldSpec {
    fields.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no field {name}"))
}

/// Its first byte.
pub(super) fn offset(fields: &'static [FieldSpec], name: &str) -> usize {
    named(fields, name).offset
}
