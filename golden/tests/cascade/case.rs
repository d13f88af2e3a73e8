//! Random small traces and plans. Shares are whole hundredths, so that every count has an exact value in integers.

use ndarray::Array4;
use proptest::prelude::*;
use spatten_arch::Plan;
use spatten_arch::plan::{
    Bits, GenerationCascade, GenerationPlan, HeadPlan, Importance, Pin, QuantPlan, Scale, Split, Tensor, TokenMode,
    TokenPlan, ValuePlan,
};
use spatten_golden::trace::{Mode, Trace};
use spatten_testkit::Rng;

/// A schedule in hundredths.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    /// Share of layers that keep all.
    pub keep_first: usize,
    /// Ratio of the first pruned layer.
    pub start: usize,
    /// Ratio of the last.
    pub end: usize,
}

impl Shares {
    const NONE: Self = Self { keep_first: 15, start: 0, end: 0 };

    /// Kept entering `layer`, of `n` original ones, in exact arithmetic: the share of first layers rounded up (and at
    /// least layer 0), then ratios on a line, then `ceil((1 - ratio) * n)` and at least 1.
    pub fn count(&self, explicit: Option<&[usize]>, layer: usize, layers: usize, n: usize) -> usize {
        if layer == 0 {
            return n;
        }
        if let Some(list) = explicit {
            return list[layer - 1].min(n);
        }
        let first = (self.keep_first * layers).div_ceil(100).max(1);
        if layer < first {
            return n;
        }
        // Of `span * 100` parts, this many are kept.
        let span = (layers - first).saturating_sub(1).max(1);
        let pruned = self.start * (span - (layer - first)) + self.end * (layer - first);
        ((100 * span - pruned) * n).div_ceil(100 * span).max(1).min(n)
    }
}

/// Everything that a case is made of.
#[derive(Debug, Clone)]
pub struct Params {
    pub mode: Mode,
    pub layers: usize,
    pub kv_heads: usize,
    pub group: usize,
    pub dim: usize,
    pub keys: usize,
    pub rows: usize,
    /// 0: no padding, 1 or 2: some, 3: all of it.
    pub masking: u8,
    pub spread: f64,
    pub seed: u64,
    pub tokens: Shares,
    pub token_keep: Option<Vec<usize>>,
    pub pin: Option<Pin>,
    pub importance: Importance,
    pub token_mode: TokenMode,
    pub heads: Shares,
    pub head_keep: Option<Vec<usize>>,
    pub head_mask: Option<u32>,
    /// Hundredths.
    pub values: usize,
    pub quant: Option<QuantPlan>,
    pub cascade: GenerationCascade,
}

impl Params {
    /// Query heads.
    pub fn head_count(&self) -> usize {
        self.kv_heads * self.group
    }

    /// Takes every kind of pruning away.
    pub fn dense(mut self) -> Self {
        (self.tokens, self.heads, self.values) = (Shares::NONE, Shares::NONE, 100);
        (self.token_keep, self.head_keep, self.head_mask) = (None, None, None);
        self
    }

    /// The trace: normal numbers, with keys that differ in how much they are looked at.
    pub fn trace(&self) -> Trace {
        let mut rng = Rng::new(self.seed);
        let mut tensor = |heads: usize, rows: usize, spread: f64| {
            Array4::from_shape_fn((self.layers, heads, rows, self.dim), |_| (rng.normal() * spread) as f32)
        };
        let q = tensor(self.head_count(), self.rows, self.spread);
        let k = tensor(self.kv_heads, self.keys, self.spread);
        let v = tensor(self.kv_heads, self.keys, 1.0);
        let mask = match self.masking {
            0 => None,
            3 => Some(vec![false; self.keys]),
            _ => Some((0..self.keys).map(|_| rng.below(4) > 0).collect()),
        };
        Trace::new(q, k, v, mask, self.mode, None).unwrap()
    }

    /// The plan.
    pub fn plan(&self) -> Plan {
        let share = |hundredths: usize| hundredths as f64 / 100.0;
        let plan = Plan {
            tokens: TokenPlan {
                keep_first_layers: share(self.tokens.keep_first),
                r_start: share(self.tokens.start),
                r_end: share(self.tokens.end),
                keep: self.token_keep.clone(),
                pin: self.pin.clone(),
                importance: self.importance,
                mode: self.token_mode,
            },
            heads: HeadPlan {
                keep_first_layers: share(self.heads.keep_first),
                r_start: share(self.heads.start),
                r_end: share(self.heads.end),
                keep: self.head_keep.clone(),
                mask: self.head_mask.map(|_| {
                    (0..self.layers)
                        .map(|l| (0..self.head_count()).map(|h| u8::from(self.masked_head(l, h))).collect())
                        .collect()
                }),
            },
            values: ValuePlan { keep: share(self.values) },
            quant: self.quant.clone(),
            generation: GenerationPlan { cascade: self.cascade },
        };
        plan.check_for("case", self.layers, self.head_count(), 12).unwrap();
        plan
    }

    /// Whether the mask computes a head; true without one.
    pub fn masked_head(&self, layer: usize, head: usize) -> bool {
        self.head_mask.is_none_or(|bits| bits >> (layer * 4 + head) & 1 == 1)
    }

    /// Real positions of the pass, ascending.
    pub fn real(&self, trace: &Trace, pass: usize) -> Vec<usize> {
        let seen = if self.mode == Mode::Decode { self.keys - self.rows + pass + 1 } else { self.keys };
        (0..seen).filter(|&p| trace.mask[p]).collect()
    }

    /// Whether a real position is pinned in a pass: by its rank among the real ones, by name, or in generation without
    /// a pin as the current token.
    pub fn pinned(&self, trace: &Trace, pass: usize, position: usize) -> bool {
        let real = self.real(trace, pass);
        let rank = real.iter().position(|&p| p == position).unwrap();
        match &self.pin {
            Some(pin) => rank < pin.first || rank + pin.last >= real.len() || pin.positions.contains(&position),
            None => self.mode == Mode::Decode && position == self.keys - self.rows + pass,
        }
    }
}

fn shares() -> impl Strategy<Value = Shares> {
    let ratio = || prop_oneof![1 => Just(0usize), 4 => 0..=100usize];
    (prop_oneof![Just(0usize), Just(15), Just(30), 0..=100usize], ratio(), ratio())
        .prop_map(|(keep_first, start, end)| Shares { keep_first, start, end })
}

fn pin() -> impl Strategy<Value = Option<Pin>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Pin::default())),
        2 => (0..3usize, 0..3usize).prop_map(|(first, last)| Some(Pin { first, last, positions: vec![] })),
        1 => prop::collection::vec(0..24usize, 1..4).prop_map(|positions| Some(Pin { positions, ..Pin::default() })),
    ]
}

/// `[quant]` sections that a 12-bit datapath takes.
pub fn quant() -> impl Strategy<Value = QuantPlan> {
    let planes = prop::sample::select(vec![(4u32, 4u32), (6, 4), (8, 4), (10, 2), (3, 1)]);
    let split = prop::sample::select(vec![Split::Floor, Split::Mid, Split::Balanced]);
    let first = prop::sample::select(vec![vec![], vec![Tensor::K], vec![Tensor::Q, Tensor::V], Tensor::ALL.to_vec()]);
    let scale = prop::sample::select(vec![Scale::Head, Scale::Layer, Scale::Token, Scale::Static("given".into())]);
    let bits = prop_oneof![
        Just(Bits { q: 12, k: 12, v: 12 }),
        (1..=12u32, 1..=12u32, 1..=12u32).prop_map(|(q, k, v)| { Bits { q, k, v } })
    ];
    let threshold = prop::sample::select(vec![0.0, 0.05, 0.1, 0.2, 0.5, 1.0]);
    (bits, any::<bool>(), planes, threshold, split, first, scale).prop_map(
        |(bits, progressive, (msb, lsb), threshold, split, msb_first, scale)| QuantPlan {
            bits,
            progressive,
            msb,
            lsb,
            threshold,
            split,
            msb_first,
            scale,
        },
    )
}

/// Any case.
pub fn params() -> impl Strategy<Value = Params> {
    let mode = prop::sample::select(vec![Mode::Encoder, Mode::Causal, Mode::Decode, Mode::Decode]);
    let dim = prop::sample::select(vec![16usize, 32, 5]);
    let shape = (mode, 1..=5usize, 1..=2usize, 1..=2usize, dim, 1..=24usize, any::<prop::sample::Index>());
    let data = (prop::sample::select(vec![0u8, 0, 0, 0, 1, 1, 2, 2, 3]), prop::sample::select(vec![0.3, 1.0, 2.0]));
    let importance = prop_oneof![
        2 => Just(Importance::Sum),
        1 => Just(Importance::ValueWeighted),
        1 => Just(Importance::Mean),
        1 => prop::sample::select(vec![0.0, 0.5, 0.9, 1.0]).prop_map(Importance::Decay),
    ];
    let keep = |most: usize| prop::option::weighted(0.2, prop::collection::vec(0..=most, 4));
    let token_mode = prop::sample::select(vec![TokenMode::Full, TokenMode::KvOnly]);
    let tokens = (shares(), keep(26), pin(), importance, token_mode);
    let heads = (shares(), keep(5), prop::option::weighted(0.2, any::<u32>()));
    let values = prop_oneof![4 => Just(100usize), 1 => Just(0), 5 => 1..100usize];
    let rest = (
        values,
        prop::option::of(quant()),
        prop::sample::select(vec![GenerationCascade::Reselect, GenerationCascade::Evict]),
    );
    (shape, data, any::<u64>(), tokens, heads, rest).prop_map(|(shape, data, seed, tokens, heads, rest)| {
        let (mode, layers, kv_heads, group, dim, keys, row_index) = shape;
        let rows = if mode == Mode::Encoder { keys } else { row_index.index(keys) + 1 };
        let first = |list: Option<Vec<usize>>| list.map(|l| l[..layers - 1].to_vec());
        Params {
            mode,
            layers,
            kv_heads,
            group,
            dim,
            keys,
            rows,
            masking: data.0,
            spread: data.1,
            seed,
            tokens: tokens.0,
            token_keep: first(tokens.1),
            pin: tokens.2,
            importance: tokens.3,
            token_mode: tokens.4,
            heads: heads.0,
            head_keep: first(heads.1),
            head_mask: heads.2,
            values: rest.0,
            quant: rest.1,
            cascade: rest.2,
        }
    })
}
