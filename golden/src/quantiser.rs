//! Host side of quantisation: steps, integers and their MSB readings.
//! Paper: section III-D (linear symmetric quantisation; progressive MSB and LSB).
//! Differs from the paper: splits other than `floor`, see docs/decisions.

use ndarray::{Array2, Array3, ArrayView1, ArrayView2, ArrayView3, Axis};
use serde::Deserialize;
use spatten_arch::plan::{QuantPlan, Scale, Split, Tensor};

/// Largest integer of a symmetric width; with two planes and `balanced` the rounding of the MSB plane needs room.
///
/// ```
/// use spatten_arch::plan::Split;
/// use spatten_golden::quantiser::largest_integer;
/// assert_eq!(largest_integer(12, None), 2047);
/// assert_eq!(largest_integer(8, Some((4, Split::Floor))), 127);
/// assert_eq!(largest_integer(8, Some((4, Split::Balanced))), 119);
/// ```
pub fn largest_integer(bits: u32, split: Option<(u32, Split)>) -> i32 {
    let all = (1i32 << (bits - 1)) - 1;
    match split {
        Some((lsb, Split::Balanced)) => (all - (1 << (lsb - 1))).max(0),
        _ => all,
    }
}

/// One integer from its real value: round half to even, saturating at `largest`. A step of 0 (a tensor of zeros, or a
/// width of 1 bit, whose only symmetric value is 0) gives 0.
#[inline]
pub fn quantise(x: f64, step: f64, largest: i32) -> i32 {
    if step == 0.0 {
        return 0;
    }
    // Below 2^51, a sum with this is rounded to an integer, half to even; unlike `round_ties_even` it needs no function call
    // on a baseline x86-64. To hold before rounding is to hold after: the limits are integers.
    const INTEGERS: f64 = 1.5 * (1u64 << 52) as f64;
    let held = (x / step).clamp(-f64::from(largest), f64::from(largest));
    ((held + INTEGERS) - INTEGERS) as i32
}

/// A row of integers behind those before.
fn quantise_row(x: ArrayView1<'_, f64>, step: f64, largest: i32, to: &mut Vec<i16>) {
    match x.as_slice() {
        Some(x) => to.extend(x.iter().map(|&x| quantise(x, step, largest) as i16)),
        None => to.extend(x.iter().map(|&x| quantise(x, step, largest) as i16)),
    }
}

/// The planes of an integer: `(msb, lsb)`, such that [`join`] gives the integer back.
///
/// `floor` and `mid`: msb = value >> lsb_bits, lsb unsigned. `balanced`: msb rounded, lsb its signed remainder.
#[inline]
pub fn split(value: i32, lsb_bits: u32, split: Split) -> (i32, i32) {
    let half = match split {
        Split::Balanced => 1 << (lsb_bits - 1),
        Split::Floor | Split::Mid => 0,
    };
    let msb = (value + half) >> lsb_bits;
    (msb, value - (msb << lsb_bits))
}

/// The integer of two planes.
#[inline]
pub fn join(msb: i32, lsb: i32, lsb_bits: u32) -> i32 {
    (msb << lsb_bits) + lsb
}

/// What an MSB plane alone reads as.
#[inline]
pub fn read_msb(msb: i32, lsb_bits: u32, split: Split) -> i32 {
    let half = if split == Split::Mid { 1 << (lsb_bits - 1) } else { 0 };
    (msb << lsb_bits) + half
}

/// How the tensors of a run are quantised.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiser {
    plan: QuantPlan,
}

/// One head of one tensor as integers.
#[derive(Debug, Clone)]
pub struct Quantised {
    /// `[rows, D]`
    pub full: Array2<i16>,
    /// `[rows, D]`, what the MSB plane alone reads as; absent where the tensor is not split.
    pub first: Option<Array2<i16>>,
    /// Real value of 1: one step, or one per row.
    pub step: Step,
    /// Width of `full`.
    pub bits: u32,
}

/// Real value of an integer 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Shared by all rows.
    Shared(f64),
    /// `[rows]`
    PerToken(Vec<f64>),
}

impl Step {
    /// The step of one row.
    #[inline]
    pub fn of(&self, row: usize) -> f64 {
        match self {
            Self::Shared(s) => *s,
            Self::PerToken(s) => s[row],
        }
    }

    /// The largest step.
    pub fn largest(&self) -> f64 {
        match self {
            Self::Shared(s) => *s,
            Self::PerToken(s) => s.iter().copied().fold(0.0, f64::max),
        }
    }
}

impl Quantised {
    /// What the first pass reads.
    pub fn first(&self) -> &Array2<i16> {
        self.first.as_ref().unwrap_or(&self.full)
    }
}

/// Absolute maxima per layer and head, for scales that are fixed before the data is seen.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// `[layers][heads]`
    pub q: Vec<Vec<f64>>,
    /// `[layers][kv_heads]`
    pub k: Vec<Vec<f64>>,
    /// `[layers][kv_heads]`
    pub v: Vec<Vec<f64>>,
}

impl Calibration {
    /// The table of one tensor.
    pub fn of(&self, tensor: Tensor) -> &[Vec<f64>] {
        [&self.q, &self.k, &self.v][tensor as usize]
    }

    /// Widens the table to what another one needs.
    pub fn merge(&mut self, other: &Self) {
        let tables = [(&mut self.q, &other.q), (&mut self.k, &other.k), (&mut self.v, &other.v)];
        for (mine, theirs) in tables {
            if mine.is_empty() {
                mine.clone_from(theirs);
            }
            for (m, t) in mine.iter_mut().flatten().zip(theirs.iter().flatten()) {
                *m = m.max(*t);
            }
        }
    }

    /// Says what is wrong with the table for a workload of this shape.
    pub fn check(&self, layers: usize, heads: usize, kv_heads: usize) -> Result<(), String> {
        for tensor in Tensor::ALL {
            let table = self.of(tensor);
            let width = if tensor == Tensor::Q { heads } else { kv_heads };
            let name = tensor.name();
            if table.len() != layers {
                return Err(format!("{name} has {} layers, expected {layers}", table.len()));
            }
            for (layer, row) in table.iter().enumerate() {
                if row.len() != width {
                    return Err(format!("{name}[{layer}] has {} heads, expected {width}", row.len()));
                }
                if let Some(bad) = row.iter().find(|x| !(x.is_finite() && **x >= 0.0)) {
                    return Err(format!("{name}[{layer}] has {bad}, expected finite numbers of at least 0"));
                }
            }
        }
        Ok(())
    }
}

fn absmax(x: ArrayView2<'_, f64>) -> f64 {
    x.iter().fold(0.0, |m: f64, v| m.max(v.abs()))
}

impl Quantiser {
    /// A quantiser for `[quant]` of a plan.
    pub fn new(plan: QuantPlan) -> Self {
        Self { plan }
    }

    /// The plan's section.
    pub fn plan(&self) -> &QuantPlan {
        &self.plan
    }

    /// Width in memory: `(MSB plane or all, LSB plane or 0)`.
    pub fn plane_bits(&self, tensor: Tensor) -> (u32, u32) {
        if self.plan.splits(tensor) { (self.plan.msb, self.plan.lsb) } else { (self.plan.bits.of(tensor), 0) }
    }

    /// Quantises one tensor of one layer.
    ///
    /// # Shapes
    /// `x [heads, rows, D]` -> one [`Quantised`] `[rows, D]` per head. `used [heads]`: only these heads count for a scale
    /// per layer. `absmax_of [heads]`: absolute maxima known beforehand; they replace those of the data except for a scale
    /// per token.
    pub fn tensor(
        &self,
        tensor: Tensor,
        x: ArrayView3<'_, f64>,
        used: &[bool],
        absmax_of: Option<&[f64]>,
    ) -> Vec<Quantised> {
        let (msb, lsb) = self.plane_bits(tensor);
        let bits = msb + lsb;
        let split = (lsb > 0).then_some((lsb, self.plan.split));
        let largest = largest_integer(bits, split);
        let step_of = |absmax: f64| if largest == 0 { 0.0 } else { absmax / f64::from(largest) };
        let of_head = |head: usize| match absmax_of {
            Some(table) => table[head],
            None => absmax(x.index_axis(Axis(0), head)),
        };
        let whole_layer = || (0..x.dim().0).filter(|&h| used[h]).map(of_head).fold(0.0, f64::max);
        let layer_absmax = if self.plan.scale == Scale::Layer { whole_layer() } else { 0.0 };
        x.outer_iter()
            .enumerate()
            .map(|(head, rows)| {
                let step = match self.plan.scale {
                    Scale::Layer => Step::Shared(step_of(layer_absmax)),
                    Scale::Head | Scale::Static(_) => Step::Shared(step_of(of_head(head))),
                    Scale::Token => Step::PerToken(
                        rows.outer_iter().map(|r| step_of(r.iter().fold(0.0, |m: f64, v| m.max(v.abs())))).collect(),
                    ),
                };
                let mut integers = Vec::with_capacity(rows.len());
                for (i, row) in rows.outer_iter().enumerate() {
                    quantise_row(row, step.of(i), largest, &mut integers);
                }
                let full = Array2::from_shape_vec(rows.raw_dim(), integers).expect("a row of integers per row");
                let first = split
                    .map(|(lsb, how)| full.mapv(|i| read_msb(self::split(i32::from(i), lsb, how).0, lsb, how) as i16));
                Quantised { full, first, step, bits }
            })
            .collect()
    }
}

/// Absolute maxima of one recorded layer, `[heads]` each, over the rows that `real` marks.
pub fn absmax_per_head(x: &Array3<f64>, real: &[bool]) -> Vec<f64> {
    x.outer_iter()
        .map(|rows| {
            rows.outer_iter()
                .zip(real)
                .filter(|(_, r)| **r)
                .flat_map(|(row, _)| row.to_vec())
                .fold(0.0, |m: f64, v| m.max(v.abs()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use spatten_arch::Plan;
    use spatten_testkit::Checks;

    #[test]
    fn planes_of_every_integer_join_again_and_fit_their_widths() {
        let mut checks = Checks::new("quantiser_split_exhaustive");
        let mut expected = 0;
        for (m, l) in [(4u32, 4u32), (6, 4), (8, 4), (10, 2), (1, 1), (2, 10), (12, 4)] {
            for how in [Split::Floor, Split::Mid, Split::Balanced] {
                let largest = largest_integer(m + l, Some((l, how)));
                for i in -largest..=largest {
                    let (msb, lsb) = split(i, l, how);
                    let (low, high) = match how {
                        Split::Balanced => (-(1 << (l - 1)), (1 << (l - 1)) - 1),
                        _ => (0, (1 << l) - 1),
                    };
                    let fits = (-(1 << (m - 1))..1 << (m - 1)).contains(&msb) && (low..=high).contains(&lsb);
                    checks.that(fits && join(msb, lsb, l) == i, || format!("{m}+{l} {how:?} {i}: {msb}, {lsb}"));
                    let cell = if how == Split::Floor { (1 << l) - 1 } else { 1 << (l - 1) };
                    let off = (read_msb(msb, l, how) - i).abs();
                    checks.that(off <= cell, || format!("{m}+{l} {how:?} {i}: MSB alone is off by {off}"));
                    expected += 2;
                }
            }
        }
        checks.finish(expected);
    }

    proptest! {
        #[test]
        fn quantised_values_are_within_half_a_step(x in -100.0f64..100.0, absmax in 100.0f64..200.0, bits in 2u32..=16) {
            let largest = largest_integer(bits, None);
            let step = absmax / f64::from(largest);
            let i = quantise(x, step, largest);
            prop_assert!((f64::from(i) * step - x).abs() <= step * 0.5 * (1.0 + 1e-12));
        }
    }

    proptest! {
        #[test]
        fn rounding_is_that_of_the_standard_library(x in any::<f64>(), near in -40_000.0f64..40_000.0, half in -40_000i32..40_000, bits in 1u32..=16) {
            let largest = largest_integer(bits, None);
            let limit = f64::from(largest);
            for (x, step) in [(x, 1.0), (x, 1e-3), (near, 1.0), (near, 0.37), (f64::from(half) / 2.0, 1.0), (f64::from(half), 2.0)] {
                if x.is_finite() {
                    prop_assert_eq!(f64::from(quantise(x, step, largest)), (x / step).round_ties_even().clamp(-limit, limit));
                }
            }
        }
    }

    #[test]
    fn ties_go_to_even_and_outliers_saturate() {
        assert_eq!([0.5, 1.5, 2.5, -0.5, -1.5].map(|x| quantise(x, 1.0, 7)), [0, 2, 2, 0, -2]);
        assert_eq!([99.0, -99.0].map(|x| quantise(x, 1.0, 7)), [7, -7]);
        assert_eq!(quantise(3.0, 0.0, 7), 0);
    }

    #[test]
    fn each_scale_takes_its_own_maximum() {
        let x = ndarray::arr3(&[[[1.0, -2.0], [4.0, 0.0]], [[8.0, 0.0], [0.0, -16.0]]]);
        let q = |scale: &str, table: Option<&[f64]>| {
            let plan = Plan::from_toml(&format!("[quant]\nbits = 8\nscale = \"{scale}\""), "t").unwrap();
            let q = Quantiser::new(plan.quant.unwrap());
            q.tensor(Tensor::K, x.view(), &[true, false], table).into_iter().map(|h| h.step).collect::<Vec<_>>()
        };
        let s = |m: f64| m / 127.0;
        assert_eq!(q("head", None), [Step::Shared(s(4.0)), Step::Shared(s(16.0))]);
        assert_eq!(q("layer", None), [Step::Shared(s(4.0)), Step::Shared(s(4.0))], "head 1 is pruned");
        assert_eq!(q("token", None)[1], Step::PerToken(vec![s(8.0), s(16.0)]));
        assert_eq!(q("static:x", Some(&[2.0, 3.0])), [Step::Shared(s(2.0)), Step::Shared(s(3.0))]);
    }

    #[test]
    fn calibration_of_the_wrong_shape_says_where() {
        let c = Calibration { q: vec![vec![1.0]], k: vec![vec![1.0]], v: vec![vec![f64::NAN]] };
        assert_eq!(c.check(1, 1, 1).unwrap_err(), "v[0] has NaN, expected finite numbers of at least 0");
        assert_eq!(c.check(2, 1, 1).unwrap_err(), "q has 1 layers, expected 2");
        assert_eq!(c.check(1, 2, 1).unwrap_err(), "q[0] has 1 heads, expected 2");
    }
}
