//! Every number format of the accelerator, once: golden model, RTL, simulator, driver and `docs/formats.md` read it here.
//!
//! Notation: `U1.12` = unsigned, 1 integer and 12 fraction bits; `S9.14` = sign, 9 integer and 14 fraction bits.
//! Rounding of every right shift is *half up* (add half, shift arithmetically): one carry-in in hardware, no case
//! distinction for the sign. The host quantises with half to even.

use crate::config::{ArchConfig, HEAD_DIMS};

/// Fraction bits of a logit in base-2 units; see [`Formats::logit`].
pub const LOGIT_FRACTION: u32 = 14;
/// Fraction bits of an exponential; see [`Formats::exp`].
pub const EXP_FRACTION: u32 = 24;
/// Fraction bits of an exponential as it waits for its row's sum; see [`Formats::exp_stored`].
pub const EXP_STORED_FRACTION: u32 = 17;
/// Fraction bits of the reciprocal; see [`Formats::reciprocal`].
pub const RECIPROCAL_FRACTION: u32 = 17;
/// Fraction bits of the entries of the reciprocal table, one more than its result.
pub const RECIPROCAL_TABLE_FRACTION: u32 = 18;
/// Fraction bits of a probability; see [`Formats::probability`].
pub const PROBABILITY_FRACTION: u32 = 12;
/// Fraction bits of an importance increment; see [`Formats::importance_increment`].
pub const INCREMENT_FRACTION: u32 = 16;
/// Bits of the mantissa of a score scale (its top bit is set unless the scale is zero).
pub const SCALE_MANTISSA_BITS: u32 = 18;
/// Largest right shift that goes with a score scale.
pub const SCALE_SHIFT_MAX: u32 = 63;
/// Fraction bits of a per-token scale relative to the largest of its head.
pub const TOKEN_SCALE_FRACTION: u32 = 17;
/// Bits of a token's scale beside its K or V row.
pub const TOKEN_SCALE_BITS: u32 = TOKEN_SCALE_FRACTION + 1;
/// Bits of a query's score scale beside its row: mantissa and shift.
pub const QUERY_SCALE_BITS: u32 = SCALE_MANTISSA_BITS + 6;
/// Bits of a value norm relative to the norm unit of its context.
pub const VALUE_NORM_BITS: u32 = 18;
/// log2 of how far norms may grow above those of the context's first layer before they saturate.
pub const VALUE_NORM_HEADROOM: u32 = 5;
/// Fraction bits of a value norm; see [`Formats::value_norm`].
pub const VALUE_NORM_FRACTION: u32 = VALUE_NORM_BITS - VALUE_NORM_HEADROOM;
/// log2 of the units of head importance in one unit of the largest output of the context's first layer.
pub const HEAD_UNIT_FRACTION: i32 = 8;
/// Fraction bits of the decay factor.
pub const DECAY_FRACTION: u32 = 16;
/// Fraction bits of a token importance divided by its row count.
pub const MEAN_FRACTION: u32 = 31;
/// Width of one element of the attention output in memory.
pub const OUTPUT_BITS: u32 = 16;

/// What a number may be, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Name used in mismatch reports and tables.
    pub name: &'static str,
    /// Two's complement with a sign bit, which `integer_bits` does not count.
    pub signed: bool,
    /// Bits above the point.
    pub integer_bits: i32,
    /// Bits below the point; negative where the unit is above 1.
    pub fraction_bits: i32,
    /// What happens on overflow.
    pub overflow: Overflow,
    /// Unit of a raw value of `2^fraction_bits`.
    pub unit: &'static str,
    /// Why this wide.
    pub why: &'static str,
}

/// What a block does with a value that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The nearest representable value; the report counts it.
    Saturates,
    /// Proven not to happen by the widths of what goes in.
    Impossible,
}

impl Format {
    /// Bits on the wire.
    pub const fn width(&self) -> u32 {
        (self.integer_bits + self.fraction_bits) as u32 + self.signed as u32
    }

    /// Largest raw value.
    pub const fn max_raw(&self) -> i64 {
        (1i64 << (self.integer_bits + self.fraction_bits)) - 1
    }

    /// Smallest raw value.
    pub const fn min_raw(&self) -> i64 {
        if self.signed { -(1i64 << (self.integer_bits + self.fraction_bits)) } else { 0 }
    }

    /// Whether `raw` is representable.
    pub const fn holds(&self, raw: i64) -> bool {
        self.min_raw() <= raw && raw <= self.max_raw()
    }

    /// Nearest representable raw value, and whether it differs from `raw`.
    #[inline]
    pub const fn saturate(&self, raw: i64) -> (i64, bool) {
        if raw > self.max_raw() {
            (self.max_raw(), true)
        } else if raw < self.min_raw() {
            (self.min_raw(), true)
        } else {
            (raw, false)
        }
    }

    /// The number that a raw value stands for, in units of [`Format::unit`].
    pub fn value(&self, raw: i64) -> f64 {
        raw as f64 * (-f64::from(self.fraction_bits)).exp2()
    }

    /// `U1.12` or `S9.14`.
    pub fn notation(&self) -> String {
        format!("{}{}.{}", if self.signed { 'S' } else { 'U' }, self.integer_bits, self.fraction_bits)
    }
}

/// Shifts right with rounding half up; a shift of 0 is the identity.
#[inline]
pub const fn round_shift(value: i64, shift: u32) -> i64 {
    if shift == 0 {
        value
    } else if shift > 63 {
        0
    } else {
        // Adding the highest dropped bit afterwards cannot overflow, unlike adding half before.
        (value >> (shift - 1) >> 1) + ((value >> (shift - 1)) & 1)
    }
}

/// All formats of one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Formats {
    /// Q, K, V on chip, aligned to the top: a value read with fewer bits is shifted up.
    pub operand: Format,
    /// Sum of products of one query with one key.
    pub dot: Format,
    /// Scale of a score (`logit = dot * mantissa >> shift`) or of a head's output.
    pub scale_mantissa: Format,
    /// Scale of one token relative to the largest of its head.
    pub token_scale: Format,
    /// Score in base-2 units (`log2(e)` is part of the scale).
    pub logit: Format,
    /// Row maximum minus a logit.
    pub exp_argument: Format,
    /// `2^-argument`, as it enters the row's sum.
    pub exp: Format,
    /// The same, as it waits for the sum.
    pub exp_stored: Format,
    /// Sum of a row's exponentials.
    pub exp_sum: Format,
    /// Refetch when `exp_sum` exceeds this: `1 / threshold`.
    pub threshold_inverse: Format,
    /// `1 / exp_sum` of the normalised sum.
    pub reciprocal: Format,
    /// A probability as `top_k` and `multiply_value` see it.
    pub probability: Format,
    /// A probability as `importance_accumulator` sees it.
    pub importance_increment: Format,
    /// L1 norm of a value row, relative to the largest of the context's first layer.
    pub value_norm: Format,
    /// A probability times a norm, as it enters the sum.
    pub weighted_increment: Format,
    /// Cumulative importance of a token.
    pub token_importance: Format,
    /// Importance divided by the number of rows that could see the token.
    pub token_mean: Format,
    /// Sum of probability times value.
    pub value_sum: Format,
    /// Attention output in memory.
    pub output: Format,
    /// Cumulative importance of a head.
    pub head_importance: Format,
    /// Decay factor of `importance = "decay:GAMMA"`.
    pub decay: Format,
}

impl Formats {
    /// The formats of a configuration (widths follow `datapath_bits` and `keys_on_chip`).
    pub fn new(config: &ArchConfig) -> Self {
        use Overflow::{Impossible, Saturates};
        let bits = config.datapath_bits as i32;
        let key_bits = config.keys_on_chip.ilog2() as i32;
        let dim_bits = HEAD_DIMS[HEAD_DIMS.len() - 1].ilog2() as i32;
        let format = |name, signed, integer_bits, fraction_bits, overflow, unit, why| Format {
            name,
            signed,
            integer_bits,
            fraction_bits,
            overflow,
            unit,
            why,
        };
        let (s, u) = (true, false);
        Self {
            operand: format(
                "operand",
                s,
                bits - 1,
                0,
                Impossible,
                "step of the tensor and head",
                "the paper's on-chip width; -2^(n-1) occurs only as the MSBs of a floor split",
            ),
            dot: format(
                "dot",
                s,
                2 * (bits - 1) + dim_bits + 1,
                0,
                Impossible,
                "step of Q * step of K",
                "a product is at most 2^(2(n-1)), 128 of them; all at once (floor splits) need one bit more",
            ),
            scale_mantissa: format(
                "scale_mantissa",
                u,
                SCALE_MANTISSA_BITS as i32,
                0,
                Impossible,
                "2^-shift",
                "one input of an 18x18 DSP; relative error 2^-18, times a logit difference below 13 that still matters",
            ),
            token_scale: format(
                "token_scale",
                u,
                1,
                TOKEN_SCALE_FRACTION as i32,
                Impossible,
                "largest scale of the head",
                "1.0 must be exact so that scale = \"head\" is the same datapath; 18 bits for a DSP",
            ),
            logit: format(
                "logit",
                s,
                9,
                LOGIT_FRACTION as i32,
                Saturates,
                "log2 of e^score",
                "scores of -55..+71 nats were seen, 79..102 in base 2: two spare bits; 2^-15 rounding moves a probability by < 2^-16",
            ),
            exp_argument: format(
                "exp_argument",
                u,
                10,
                LOGIT_FRACTION as i32,
                Impossible,
                "log2 of a ratio",
                "difference of two logits",
            ),
            exp: format(
                "exp",
                u,
                1,
                EXP_FRACTION as i32,
                Impossible,
                "largest exponential of the row",
                "1024 roundings of 2^-25 in one direction move a probability by 2^-15; with 16 bits an adversarial row moves it by 2^-7",
            ),
            exp_stored: format(
                "exp_stored",
                u,
                1,
                EXP_STORED_FRACTION as i32,
                Impossible,
                "largest exponential of the row",
                "one input of an 18x18 DSP; not summed, so 2^-18 is its whole error",
            ),
            exp_sum: format(
                "exp_sum",
                u,
                key_bits + 1,
                EXP_FRACTION as i32,
                Impossible,
                "largest exponential of the row",
                "keys_on_chip exponentials of at most 1.0",
            ),
            threshold_inverse: format(
                "threshold_inverse",
                u,
                key_bits + 1,
                EXP_FRACTION as i32,
                Saturates,
                "1 / probability",
                "max(p) < t is sum > 1/t: no division, and known before the reciprocal; compared at the sum's own width",
            ),
            reciprocal: format(
                "reciprocal",
                u,
                1,
                RECIPROCAL_FRACTION as i32,
                Impossible,
                "1",
                "one input of an 18x18 DSP; 1.0 is exact, so a row of one key gives p = 1",
            ),
            probability: format(
                "probability",
                u,
                1,
                PROBABILITY_FRACTION as i32,
                Impossible,
                "1",
                "12 fraction bits are the paper's operand width; the integer bit holds p = 1",
            ),
            importance_increment: format(
                "importance_increment",
                u,
                1,
                INCREMENT_FRACTION as i32,
                Impossible,
                "1",
                "up to 22 % of probabilities of a real model are below 2^-12: they decide what is pruned and must not vanish",
            ),
            value_norm: format(
                "value_norm",
                u,
                VALUE_NORM_HEADROOM as i32,
                VALUE_NORM_FRACTION as i32,
                Saturates,
                "norm unit of the context",
                "18 bits for a DSP: 13 for the first layer's largest and a factor 32 for later ones",
            ),
            weighted_increment: format(
                "weighted_increment",
                u,
                VALUE_NORM_HEADROOM as i32 + 1,
                INCREMENT_FRACTION as i32,
                Impossible,
                "norm unit of the context",
                "as fine as a plain increment, so headroom costs integer bits: with 5 fewer fraction bits real traces lost other tokens",
            ),
            token_importance: format(
                "token_importance",
                u,
                20,
                INCREMENT_FRACTION as i32,
                Saturates,
                "1, or the norm unit",
                "1024 rows * 16 heads * 24 layers < 2^19; 36 bits is one block-RAM word",
            ),
            token_mean: format(
                "token_mean",
                u,
                5,
                MEAN_FRACTION as i32,
                Saturates,
                "1, or the norm unit",
                "a mean is at most 1; shares the comparator width of token_importance",
            ),
            value_sum: format(
                "value_sum",
                s,
                bits,
                PROBABILITY_FRACTION as i32,
                Impossible,
                "step of V",
                "rounded probabilities sum to at most 1 + keys/2^13, 1.5 for 4096 keys",
            ),
            output: format(
                "output",
                s,
                bits,
                15 - bits,
                Saturates,
                "step of V",
                "16 bits in memory; one integer bit above a value, because rounded probabilities may sum to more than 1",
            ),
            head_importance: format(
                "head_importance",
                u,
                48,
                0,
                Saturates,
                "head unit of the context",
                "a row's sum of magnitudes < 2^22, 8 fraction bits, 1024 rows, 24 layers < 2^45; scaled by a mantissa and shift like a score",
            ),
            decay: format("decay", u, 1, DECAY_FRACTION as i32, Impossible, "1", "gamma = 1 must be exact"),
        }
    }

    /// All formats in the order of the data's way through the chip.
    pub fn all(&self) -> [&Format; 21] {
        [
            &self.operand,
            &self.dot,
            &self.scale_mantissa,
            &self.token_scale,
            &self.logit,
            &self.exp_argument,
            &self.exp,
            &self.exp_stored,
            &self.exp_sum,
            &self.threshold_inverse,
            &self.reciprocal,
            &self.probability,
            &self.importance_increment,
            &self.value_norm,
            &self.weighted_increment,
            &self.token_importance,
            &self.token_mean,
            &self.value_sum,
            &self.output,
            &self.head_importance,
            &self.decay,
        ]
    }

    /// The table of `docs/formats.md`.
    pub fn markdown(&self) -> String {
        let mut out = String::from(
            "| format | notation | bits | unit of 1.0 | range | overflow | why |\n| --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for f in self.all() {
            out += &format!(
                "| `{}` | {} | {} | {} | {} .. {} | {} | {} |\n",
                f.name,
                f.notation(),
                f.width(),
                f.unit,
                f.value(f.min_raw()),
                f.value(f.max_raw()),
                if f.overflow == Overflow::Saturates { "saturates, counted" } else { "cannot happen" },
                f.why
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_of_the_paper_configuration() {
        let f = Formats::new(&ArchConfig::paper());
        let widths = [&f.operand, &f.dot, &f.logit, &f.exp_sum, &f.probability, &f.token_importance, &f.output];
        assert_eq!(widths.map(Format::width), [12, 31, 24, 35, 13, 36, 16]);
        assert_eq!(f.token_mean.width(), f.token_importance.width(), "one comparator serves both");
    }

    #[test]
    fn every_format_fits_the_models_64_bit_integers() {
        for name in ArchConfig::NAMES {
            let mut config = ArchConfig::named(name).unwrap();
            for bits in 4..=16 {
                config.datapath_bits = bits;
                let f = Formats::new(&config);
                assert!(f.all().iter().all(|f| f.width() <= 62));
                assert!(f.dot.width() + f.scale_mantissa.width() <= 63, "product of dot and scale");
            }
        }
    }

    #[test]
    fn round_shift_rounds_half_up() {
        assert_eq!([-3i64, -2, -1, 0, 1, 2, 3].map(|v| round_shift(v, 1)), [-1, -1, 0, 0, 1, 1, 2]);
        assert_eq!(round_shift(i64::MAX, 63), 1);
        assert_eq!(round_shift(i64::MIN, 63), -1);
        assert_eq!((round_shift(-7, 0), round_shift(5, 64)), (-7, 0));
    }

    #[test]
    fn saturation_reports_itself() {
        let f = Formats::new(&ArchConfig::tiny()).logit;
        assert_eq!(f.saturate(1 << 23), ((1 << 23) - 1, true));
        assert_eq!(f.saturate(-(1 << 23)), (-(1 << 23), false));
    }
}
