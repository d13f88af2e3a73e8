//! A share of values as the device multiplies it.

use crate::plan::ceil_count;

/// The share of visible keys whose values are read, as an integer of `FRACTION` fraction bits.
///
/// The plan's count is `ceil(keep * visible)` in f64, forgiving 1e-9. The device has `ceil(share * visible / 2^31)`, which is the
/// same for every number of visible keys: counts bound the share from both sides by fractions whose denominators are at most
/// `keys`, and two of those are at least 2^-24 apart.
///
/// ```
/// use spatten_arch::descriptor::ValueKeep;
/// let third = ValueKeep::new(1.0 / 3.0, 1024).unwrap();
/// assert_eq!([1, 3, 4, 1024].map(|visible| third.count(visible)), [1, 1, 2, 342]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueKeep(u32);

impl ValueKeep {
    /// Fraction bits.
    pub const FRACTION: u32 = 31;

    /// A share from 0 to 1, for up to `keys` visible keys.
    ///
    /// `None` where no number gives all counts of the plan: a share less than 1e-9 above a fraction, whose excess is
    /// forgiven for few keys and not for many.
    pub fn new(keep: f64, keys: usize) -> Option<Self> {
        let count = |visible: usize| ceil_count(keep * visible as f64).min(visible) as u64;
        let share = (1..=keys).map(|n| (count(n) << Self::FRACTION) / n as u64).min().unwrap_or(1 << Self::FRACTION);
        let share = Self(u32::try_from(share).ok()?);
        (1..=keys).all(|n| share.count(n) as u64 == count(n)).then_some(share)
    }

    /// What a job carries.
    pub fn raw(self) -> u32 {
        self.0
    }

    /// From a job's field.
    pub fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// Values that a row keeps of so many visible keys.
    pub fn count(self, visible: usize) -> usize {
        (u64::from(self.0) * visible as u64).div_ceil(1 << Self::FRACTION) as usize
    }
}
