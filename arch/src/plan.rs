//! Pruning plans (`PLAN.toml`) and the schedules that they stand for.
//! Paper: section III (cascade pruning, local value pruning), III-D (progressive quantization), V-A (schedules).

use crate::toml_file::{self, FileError};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::path::Path;

/// A product of floats that is off by this much must not push a count up.
const COUNT_EPSILON: f64 = 1e-9;

/// Widest operand that any datapath can have.
const MAX_BITS: u32 = 16;

/// What to prune and how to quantise; every part is optional and its default prunes nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Cascade token pruning.
    pub tokens: TokenPlan,
    /// Cascade head pruning, or a mask.
    pub heads: HeadPlan,
    /// Local value pruning.
    pub values: ValuePlan,
    /// Quantisation; absent: the f64 reference computes on its inputs as they are, the machine on 12 bits.
    pub quant: Option<QuantPlan>,
    /// What survives a generation step.
    pub generation: GenerationPlan,
}

/// `[tokens]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenPlan {
    /// Share of layers, from the first, that see every token.
    pub keep_first_layers: f64,
    /// Pruning ratio of the first pruned layer.
    pub r_start: f64,
    /// Pruning ratio of the last layer.
    pub r_end: f64,
    /// Survivors entering layer 1, 2, ...; overrides the ratios.
    pub keep: Option<Vec<usize>>,
    /// Tokens that are always kept and count towards k. Absent: none, in generation the current token.
    pub pin: Option<Pin>,
    /// How importance is accumulated.
    pub importance: Importance,
    /// What a pruned token loses.
    pub mode: TokenMode,
}

impl Default for TokenPlan {
    fn default() -> Self {
        Self {
            keep_first_layers: 0.15,
            r_start: 0.0,
            r_end: 0.0,
            keep: None,
            pin: None,
            importance: Importance::Sum,
            mode: TokenMode::Full,
        }
    }
}

/// `[heads]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadPlan {
    /// Share of layers, from the first, that compute every head.
    pub keep_first_layers: f64,
    /// Pruning ratio of the first pruned layer.
    pub r_start: f64,
    /// Pruning ratio of the last layer.
    pub r_end: f64,
    /// Heads computed in layer 1, 2, ...; overrides the ratios.
    pub keep: Option<Vec<usize>>,
    /// Heads computed, one list per layer, instead of a cascade.
    pub mask: Option<Vec<Vec<u8>>>,
}

impl Default for HeadPlan {
    fn default() -> Self {
        Self { keep_first_layers: 0.30, r_start: 0.0, r_end: 0.0, keep: None, mask: None }
    }
}

/// `[values]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValuePlan {
    /// Share of the surviving keys whose V is read, per query row.
    pub keep: f64,
}

impl Default for ValuePlan {
    fn default() -> Self {
        Self { keep: 1.0 }
    }
}

/// `[quant]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuantPlan {
    /// Static widths.
    pub bits: Bits,
    /// K, and what `msb_first` names, as MSB and LSB planes instead of `bits`.
    pub progressive: bool,
    /// Bits of the MSB plane.
    pub msb: u32,
    /// Bits of the LSB plane.
    pub lsb: u32,
    /// A row whose largest probability is below this is computed again with its LSBs.
    pub threshold: f64,
    /// How a value is split.
    pub split: Split,
    /// Tensors read MSB first in progressive mode; K always is.
    pub msb_first: Vec<Tensor>,
    /// What shares a scale.
    pub scale: Scale,
}

impl Default for QuantPlan {
    fn default() -> Self {
        Self {
            bits: Bits { q: 12, k: 12, v: 12 },
            progressive: false,
            msb: 8,
            lsb: 4,
            threshold: 0.1,
            split: Split::Balanced,
            msb_first: vec![Tensor::K],
            scale: Scale::Head,
        }
    }
}

/// `[generation]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenerationPlan {
    /// Whether a dropped token may come back.
    pub cascade: GenerationCascade,
}

/// Whether a dropped token may come back in the next step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GenerationCascade {
    /// Every step starts again from the whole cache (the authors' traces).
    #[default]
    Reselect,
    /// A dropped token is gone and its slot is free.
    Evict,
}

/// What a pruned token loses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenMode {
    /// Its query, projections and FFN too (paper).
    #[default]
    Full,
    /// Only its key and value.
    KvOnly,
}

/// How token importance is accumulated.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Importance {
    /// Sum of probabilities (paper).
    #[default]
    Sum,
    /// Sum of probability times `|v|_1`.
    ValueWeighted,
    /// Sum divided by the number of rows that could see the key.
    Mean,
    /// Sum, multiplied by gamma at the start of every generation step.
    Decay(f64),
}

/// One of the three inputs of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tensor {
    /// Queries.
    Q,
    /// Keys.
    K,
    /// Values.
    V,
}

impl Tensor {
    /// All three, in the order of their arrays.
    pub const ALL: [Self; 3] = [Self::Q, Self::K, Self::V];

    /// `q`, `k` or `v`.
    pub fn name(self) -> &'static str {
        ["q", "k", "v"][self as usize]
    }
}

/// How an integer is split into planes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// MSB = value >> lsb bits, LSB unsigned; MSB alone reads as the bottom of its cell (paper).
    Floor,
    /// The same planes; MSB alone reads as its cell's bottom plus half the cell.
    Mid,
    /// MSB = value rounded to a multiple of the cell, LSB a signed remainder.
    #[default]
    Balanced,
}

/// What shares a quantisation step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scale {
    /// The surviving tokens of a layer and head.
    #[default]
    Head,
    /// The surviving tokens and heads of a layer.
    Layer,
    /// One token of a layer and head.
    Token,
    /// Calibrated absolute maxima per layer and head, from this file.
    Static(String),
}

/// Static widths in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    /// Of queries.
    pub q: u32,
    /// Of keys.
    pub k: u32,
    /// Of values.
    pub v: u32,
}

impl Bits {
    /// Width of one tensor.
    pub fn of(&self, tensor: Tensor) -> u32 {
        [self.q, self.k, self.v][tensor as usize]
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Each {
            #[serde(default = "twelve")]
            q: u32,
            #[serde(default = "twelve")]
            k: u32,
            #[serde(default = "twelve")]
            v: u32,
        }
        fn twelve() -> u32 {
            12
        }
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "bits: expected a whole number of bits, or a table of them for q, k, v")]
        enum Either {
            All(u32),
            Each(Each),
        }
        Ok(match Either::deserialize(d)? {
            Either::All(b) => Self { q: b, k: b, v: b },
            Either::Each(Each { q, k, v }) => Self { q, k, v },
        })
    }
}

impl<'de> Deserialize<'de> for Importance {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match text.as_str() {
            "sum" => Ok(Self::Sum),
            "value_weighted" => Ok(Self::ValueWeighted),
            "mean" => Ok(Self::Mean),
            other => {
                other.strip_prefix("decay:").and_then(|g| g.trim().parse().ok()).map(Self::Decay).ok_or_else(|| {
                    D::Error::custom(format!(
                        "importance = {other:?}, expected sum, value_weighted, mean or decay:GAMMA"
                    ))
                })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Scale {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match text.as_str() {
            "head" => Ok(Self::Head),
            "layer" => Ok(Self::Layer),
            "token" => Ok(Self::Token),
            other => match other.strip_prefix("static:") {
                Some(file) if !file.is_empty() => Ok(Self::Static(file.to_string())),
                _ => Err(D::Error::custom(format!("scale = {other:?}, expected head, layer, token or static:FILE"))),
            },
        }
    }
}

/// Tokens that are always kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pin {
    /// The first so many.
    pub first: usize,
    /// The last so many (in generation: of those visible in the step).
    pub last: usize,
    /// Original positions.
    pub positions: Vec<usize>,
}

impl Pin {
    /// Whether the token at `position`, number `rank` of `count` real tokens, is pinned.
    pub fn holds(&self, position: usize, rank: usize, count: usize) -> bool {
        rank < self.first || rank.saturating_add(self.last) >= count || self.positions.contains(&position)
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "pin: expected none, first:N, last:N, first:N+last:M or a list of positions")]
        enum Either {
            Text(String),
            List(Vec<usize>),
        }
        let text = match Either::deserialize(d)? {
            Either::List(positions) => return Ok(Self { positions, ..Self::default() }),
            Either::Text(text) => text,
        };
        let mut pin = Self::default();
        if text == "none" {
            return Ok(pin);
        }
        for part in text.split('+') {
            let count = part.split_once(':').and_then(|(word, n)| Some((word.trim(), n.trim().parse().ok()?)));
            match count {
                Some(("first", n)) if pin.first == 0 => pin.first = n,
                Some(("last", n)) if pin.last == 0 => pin.last = n,
                _ => {
                    return Err(D::Error::custom(format!(
                        "pin = {text:?}, expected none, first:N, last:N, first:N+last:M or a list of positions"
                    )));
                }
            }
        }
        Ok(pin)
    }
}

/// A plan that cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Unreadable, not TOML, unknown key or wrong type.
    #[error(transparent)]
    File(#[from] FileError),
    /// A value outside its range.
    #[error("{origin}: {key} = {value}, expected {expected}")]
    Value {
        /// Plan file.
        origin: String,
        /// Key with its section.
        key: String,
        /// What it says.
        value: String,
        /// What it may say.
        expected: String,
    },
}

fn value_error(origin: &str, key: &str, value: impl ToString, expected: impl ToString) -> PlanError {
    PlanError::Value {
        origin: origin.into(),
        key: key.into(),
        value: value.to_string(),
        expected: expected.to_string(),
    }
}

impl Plan {
    /// Reads and checks `PLAN.toml`. A relative `static:FILE` is found beside the plan.
    pub fn load(path: &Path) -> Result<Self, PlanError> {
        let origin = path.display().to_string();
        let mut plan = Self::from_toml(&toml_file::read(path, "a pruning plan")?, &origin)?;
        if let Some(QuantPlan { scale: Scale::Static(file), .. }) = &mut plan.quant
            && let Some(folder) = path.parent()
        {
            *file = folder.join(&*file).display().to_string();
        }
        Ok(plan)
    }

    /// Parses and checks a plan; `origin` names it in errors.
    ///
    /// ```
    /// use spatten_arch::Plan;
    /// let plan = Plan::from_toml("[tokens]\nr_start = 0.1\nr_end = 0.5", "half.toml").unwrap();
    /// assert_eq!(plan.token_counts(6, 12), [12, 11, 10, 9, 8, 6]);
    /// assert!(Plan::from_toml("[tokens]\nr_sart = 0.1", "typo.toml").is_err());
    /// ```
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, PlanError> {
        let plan: Self = toml_file::parse(text, origin)?;
        plan.check(origin)?;
        Ok(plan)
    }

    fn check(&self, origin: &str) -> Result<(), PlanError> {
        let share = |key: &str, value: f64| {
            if (0.0..=1.0).contains(&value) {
                Ok(())
            } else {
                Err(value_error(origin, key, value, "a number from 0 to 1"))
            }
        };
        share("tokens.keep_first_layers", self.tokens.keep_first_layers)?;
        share("tokens.r_start", self.tokens.r_start)?;
        share("tokens.r_end", self.tokens.r_end)?;
        share("heads.keep_first_layers", self.heads.keep_first_layers)?;
        share("heads.r_start", self.heads.r_start)?;
        share("heads.r_end", self.heads.r_end)?;
        share("values.keep", self.values.keep)?;
        if let Importance::Decay(gamma) = self.tokens.importance {
            share("tokens.importance = decay:GAMMA, GAMMA", gamma)?;
        }
        let Some(quant) = &self.quant else { return Ok(()) };
        share("quant.threshold", quant.threshold)?;
        for tensor in Tensor::ALL {
            let bits = quant.bits.of(tensor);
            if !(1..=MAX_BITS).contains(&bits) {
                let key = format!("quant.bits.{}", tensor.name());
                return Err(value_error(origin, &key, bits, "1 to the datapath's width"));
            }
        }
        if quant.progressive {
            for (key, bits) in [("quant.msb", quant.msb), ("quant.lsb", quant.lsb)] {
                if !(1..=MAX_BITS).contains(&bits) {
                    return Err(value_error(origin, key, bits, "1 to the datapath's width"));
                }
            }
        }
        Ok(())
    }

    /// Checks the plan against a workload and a datapath.
    pub fn check_for(&self, origin: &str, layers: usize, heads: usize, datapath_bits: u32) -> Result<(), PlanError> {
        if let Some(quant) = &self.quant {
            for tensor in Tensor::ALL {
                let (key, bits) = if quant.splits(tensor) {
                    (format!("quant.msb + quant.lsb = {}+{}", quant.msb, quant.lsb), quant.msb + quant.lsb)
                } else {
                    (format!("quant.bits.{}", tensor.name()), quant.bits.of(tensor))
                };
                if bits > datapath_bits {
                    return Err(value_error(origin, &key, bits, format!("at most the {datapath_bits}-bit datapath")));
                }
            }
        }
        for (key, list) in [("tokens.keep", &self.tokens.keep), ("heads.keep", &self.heads.keep)] {
            if let Some(list) = list
                && list.len() + 1 != layers
            {
                let expected =
                    format!("{} counts: one per layer after the first of {layers}", layers.saturating_sub(1));
                return Err(value_error(origin, key, format!("{} counts", list.len()), expected));
            }
        }
        if let Some(mask) = &self.heads.mask {
            if mask.len() != layers {
                let expected = format!("{layers}, one per layer");
                return Err(value_error(origin, "heads.mask", format!("{} lists", mask.len()), expected));
            }
            for (layer, list) in mask.iter().enumerate() {
                let key = format!("heads.mask[{layer}]");
                if list.len() != heads {
                    let expected = format!("{heads}, one per head");
                    return Err(value_error(origin, &key, format!("{} entries", list.len()), expected));
                }
                if let Some(bad) = list.iter().find(|&&e| e > 1) {
                    return Err(value_error(origin, &key, bad, "0 or 1"));
                }
            }
        }
        Ok(())
    }

    /// Tokens to keep entering each of `layers` layers, of `original` real ones: not yet clamped to those that are left.
    ///
    /// The first `ceil(keep_first_layers * layers)` layers, and always layer 0, keep all: nothing is known about a token
    /// before the first layer. The ratio is linear from the first layer after them to the last; a single pruned layer has
    /// `r_start`.
    pub fn token_counts(&self, layers: usize, original: usize) -> Vec<usize> {
        let t = &self.tokens;
        counts(layers, original, t.keep_first_layers, t.r_start, t.r_end, t.keep.as_deref())
    }

    /// Heads to compute in each of `layers` layers, of `heads`; the same rule as [`Plan::token_counts`].
    pub fn head_counts(&self, layers: usize, heads: usize) -> Vec<usize> {
        let h = &self.heads;
        counts(layers, heads, h.keep_first_layers, h.r_start, h.r_end, h.keep.as_deref())
    }

    /// Heads that layer `layer` computes where the plan names them, instead of a cascade.
    pub fn masked_heads(&self, layer: usize) -> Option<Vec<usize>> {
        let row = &self.heads.mask.as_ref()?[layer];
        Some(row.iter().enumerate().filter(|(_, on)| **on == 1).map(|(h, _)| h).collect())
    }

    /// Values kept of a row of `visible` surviving keys.
    pub fn value_count(&self, visible: usize) -> usize {
        ceil_count(self.values.keep * visible as f64).min(visible)
    }
}

impl QuantPlan {
    /// Whether `tensor` is stored as two planes.
    pub fn splits(&self, tensor: Tensor) -> bool {
        self.progressive && (tensor == Tensor::K || self.msb_first.contains(&tensor))
    }
}

/// `ceil`, but an error of 1e-9 in the product does not push the count up.
pub fn ceil_count(x: f64) -> usize {
    (x - COUNT_EPSILON).ceil().max(0.0) as usize
}

fn counts(
    layers: usize,
    original: usize,
    keep_first_layers: f64,
    r_start: f64,
    r_end: f64,
    explicit: Option<&[usize]>,
) -> Vec<usize> {
    if let Some(list) = explicit {
        return std::iter::once(original).chain(list.iter().copied()).take(layers).collect();
    }
    let first = ceil_count(keep_first_layers * layers as f64).max(1);
    (0..layers)
        .map(|layer| {
            if layer < first {
                return original;
            }
            let span = layers - 1 - first;
            let t = if span == 0 { 0.0 } else { (layer - first) as f64 / span as f64 };
            let ratio = r_start + (r_end - r_start) * t;
            ceil_count((1.0 - ratio) * original as f64).max(1).min(original)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        Plan::from_toml(text, "test.toml").unwrap()
    }

    #[test]
    fn empty_plan_prunes_nothing() {
        let p = plan("");
        assert_eq!(p, Plan::default());
        assert_eq!(p.token_counts(6, 40), [40; 6]);
        assert_eq!(p.head_counts(6, 12), [12; 6]);
        assert_eq!(p.value_count(7), 7);
    }

    #[test]
    fn ratios_run_linearly_between_the_kept_layers_and_the_last() {
        let p =
            plan("[tokens]\nr_start = 0.14\nr_end = 0.7\n[heads]\nr_start = 0.0833333333333\nr_end = 0.333333333333");
        let l = 100;
        assert_eq!(p.token_counts(6, l), [100, 86, 72, 58, 44, 30]);
        assert_eq!(p.head_counts(6, 12), [12, 12, 11, 10, 9, 8]);
    }

    #[test]
    fn floating_error_does_not_push_a_count_up() {
        // (1 - 0.9) * 30 = 2.9999999999999996, (1 - 0.3) * 10 = 7.000000000000001 in other groupings.
        let p = plan("[tokens]\nkeep_first_layers = 0\nr_start = 0.9\nr_end = 0.9");
        assert_eq!(p.token_counts(2, 30), [30, 3]);
        assert_eq!(ceil_count(0.1 + 0.2 + 0.7 + 2.0 * f64::EPSILON), 1);
        assert_eq!((ceil_count(0.0), ceil_count(1e-3)), (0, 1));
    }

    #[test]
    fn ratio_one_still_keeps_one() {
        let p = plan("[tokens]\nr_start = 1.0\nr_end = 1.0");
        assert_eq!(p.token_counts(3, 9), [9, 1, 1]);
    }

    #[test]
    fn single_pruned_layer_has_r_start() {
        assert_eq!(plan("[tokens]\nr_start = 0.5\nr_end = 0.9").token_counts(2, 10), [10, 5]);
    }

    #[test]
    fn all_spellings_parse() {
        let p = plan(
            "[tokens]\npin = \"first:1+last:2\"\nimportance = \"decay:0.5\"\nmode = \"kv_only\"\nkeep = [3, 2]\n\
             [heads]\nmask = [[1,0],[0,1],[1,1]]\n[values]\nkeep = 0.3\n\
             [quant]\nbits = { q = 12, k = 8, v = 6 }\nprogressive = true\nmsb = 6\nlsb = 4\nthreshold = 0.2\n\
             split = \"floor\"\nmsb_first = [\"q\", \"v\"]\nscale = \"static:cal.toml\"\n[generation]\ncascade = \"evict\"",
        );
        assert_eq!(p.tokens.pin, Some(Pin { first: 1, last: 2, positions: vec![] }));
        assert_eq!(p.tokens.importance, Importance::Decay(0.5));
        let q = p.quant.as_ref().unwrap();
        assert_eq!(q.bits, Bits { q: 12, k: 8, v: 6 });
        assert!(q.splits(Tensor::Q) && q.splits(Tensor::K) && q.splits(Tensor::V));
        assert_eq!(q.scale, Scale::Static("cal.toml".into()));
        p.check_for("x", 3, 2, 12).unwrap();
        assert_eq!(plan("[tokens]\npin = [0, 5]").tokens.pin.unwrap().positions, [0, 5]);
        assert_eq!(plan("[tokens]\npin = \"none\"").tokens.pin, Some(Pin::default()));
        let all = plan(&format!("[tokens]\npin = \"last:{}\"", usize::MAX)).tokens.pin.unwrap();
        assert!(all.holds(5, 5, 9), "a pin of everything does not overflow");
    }

    #[test]
    fn bad_values_name_key_value_and_range_in_one_line() {
        for (text, has) in [
            ("[tokens]\nr_start = 1.5", "tokens.r_start = 1.5, expected a number from 0 to 1"),
            ("[tokens]\nr_end = nan", "tokens.r_end = NaN"),
            ("[values]\nkeep = -0.1", "values.keep = -0.1"),
            ("[heads]\nkeep_first_layers = inf", "heads.keep_first_layers"),
            ("[tokens]\nimportance = \"decay:2\"", "GAMMA = 2"),
            ("[tokens]\nimportance = \"max\"", "importance = \"max\""),
            ("[tokens]\npin = \"middle:3\"", "pin = \"middle:3\""),
            ("[tokens]\npin = \"first:1+first:2\"", "pin = \"first:1+first:2\", expected none, first:N"),
            ("[tokens]\npin = [-1]", "test.toml:2: pin: expected none, first:N"),
            ("[quant]\nbits = -1", "test.toml:2: bits: expected a whole number of bits"),
            ("[quant]\nbits = 0", "quant.bits.q = 0"),
            ("[quant]\nbits = 17", "quant.bits.q = 17"),
            ("[quant]\nthreshold = 2.0", "quant.threshold = 2"),
            ("[quant]\nscale = \"row\"", "scale = \"row\""),
            ("[quant]\nprogressive = true\nlsb = 0", "quant.lsb = 0"),
            ("[quant]\nsplit = \"round\"", "unknown variant `round`"),
            ("colour = 1", "unknown field `colour`"),
            ("[tokens]\nkeep = [-1]", "test.toml:2"),
            ("[tokens", "test.toml:1"),
        ] {
            let message = Plan::from_toml(text, "test.toml").unwrap_err().to_string();
            assert!(message.contains(has), "{text}: {message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn twelve_plus_four_needs_a_wide_datapath() {
        let p = plan("[quant]\nprogressive = true\nmsb = 12\nlsb = 4");
        assert!(p.check_for("p", 2, 2, 16).is_ok());
        let message = p.check_for("p", 2, 2, 12).unwrap_err().to_string();
        assert_eq!(message, "p: quant.msb + quant.lsb = 12+4 = 16, expected at most the 12-bit datapath");
    }

    #[test]
    fn lists_must_fit_the_workload() {
        assert!(plan("[tokens]\nkeep = [3]").check_for("p", 3, 2, 12).is_err());
        assert!(plan("[heads]\nmask = [[1,1]]").check_for("p", 2, 2, 12).is_err());
        assert!(plan("[heads]\nmask = [[1,1],[1]]").check_for("p", 2, 2, 12).is_err());
        assert!(plan("[heads]\nmask = [[1,2]]").check_for("p", 1, 2, 12).is_err());
    }
}
