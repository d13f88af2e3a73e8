//! Layers of attention as planes in card memory and beats of `layer_engine`, and what golden says comes of them.

use super::heads::{Head, Job, Kind, Query, head_factor, random_head, random_query};
use super::tokens::ascending;
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::content::Content;
use spatten_arch::descriptor::HeadFactors;
use spatten_arch::layout::{GRANULE_BYTES, Layout, OutputLayout};
use spatten_golden::bitwidth_converter::pack;
use spatten_sim::attention_core::{Name, Output};
use spatten_sim::cosim::Coverage;
use spatten_sim::layer_sequencer::{BASES, Factors, Layer};
use spatten_testkit::Rng;
use std::collections::HashMap;

/// Words of card memory by channel and address.
pub type Words = HashMap<(usize, u32), Vec<u8>>;

/// A layer: what is offered for it, and what comes of it.
pub struct Case {
    pub layer: Layer,
    pub keys: Vec<u16>,
    pub queries: Vec<u16>,
    pub factors: Vec<Factors>,
    /// `done` of its command: importances of tokens and heads that did not fit.
    pub saturations: [u64; 2],
    /// Importance and rows of tokens, and importance of heads, when it is done.
    pub tokens: Vec<(u64, u64)>,
    pub heads: Vec<u64>,
}

/// What a layer is like.
#[derive(Debug, Clone, Copy)]
pub struct Like {
    pub dim: u32,
    pub heads: usize,
    pub group: usize,
    pub mask: u128,
    pub causal: bool,
    pub scaled: bool,
    pub weighted: bool,
    /// Tokens of the sequence; query row 0 is token `first_row`.
    pub tokens: usize,
    pub first_row: usize,
    /// Of those, keys and queries that are left.
    pub keys: usize,
    pub rows: usize,
    pub share: u32,
}

/// Layers one after another on one device.
pub struct Layers {
    config: ArchConfig,
    rng: Rng,
    next: u32,
    /// What the host wrote.
    pub memory: Words,
    /// What the device has to write: bytes, and which of them.
    pub outputs: HashMap<(usize, u32), (Vec<u8>, u128)>,
    golden: Job,
    pub cases: Vec<Case>,
}

fn kind(like: &Like) -> Kind {
    let scaled = like.scaled;
    Kind {
        dim: like.dim,
        scaled_keys: scaled,
        scaled_values: scaled,
        weighted: like.weighted,
        progressive: false,
        split_values: false,
    }
}

/// Rows of a head that are listed.
fn listed<T: Copy>(rows: &[T], width: usize, list: &[u16]) -> Vec<T> {
    list.iter().flat_map(|&row| rows[usize::from(row) * width..][..width].iter().copied()).collect()
}

impl Layers {
    pub fn new(config: &ArchConfig, seed: u64) -> Self {
        let first = Kind {
            dim: 0,
            scaled_keys: false,
            scaled_values: false,
            weighted: false,
            progressive: false,
            split_values: false,
        };
        Self {
            config: config.clone(),
            rng: Rng::new(seed),
            // Addresses wrap.
            next: 0u32.wrapping_sub(100),
            memory: HashMap::new(),
            outputs: HashMap::new(),
            golden: Job::new(config, first),
            cases: vec![],
        }
    }

    fn put(&mut self, base: u32, channel: usize, from: usize, bytes: &[u8]) {
        let (size, rng) = (self.config.channel_bytes, &mut self.rng);
        for (i, &byte) in bytes.iter().enumerate() {
            let word = base.wrapping_add(((from + i) / size) as u32);
            let fresh = || (0..size).map(|_| rng.bits() as u8).collect::<Vec<u8>>();
            self.memory.entry((channel, word)).or_insert_with(fresh)[(from + i) % size] = byte;
        }
    }

    /// A plane of operands of `dim`, `bits` of them kept.
    fn plane(&mut self, base: u32, operands: &[i16], dim: usize, bits: u32) {
        let layout = Layout::new(&self.config, dim, bits as usize);
        let down = self.config.datapath_bits - bits;
        for (number, row) in operands.chunks(dim).enumerate() {
            for chunk in 0..layout.chunks() {
                let (channel, granule) = layout.place(number, chunk);
                // A short row is half a chunk.
                let part = row.iter().chain(&[0; 32]).skip(32 * chunk).take(32).map(|&x| i32::from(x) >> down);
                self.put(base, channel, granule * GRANULE_BYTES, &pack(part, bits));
            }
        }
    }

    /// A plane of granules.
    fn granules(&mut self, base: u32, words: &[u32]) {
        let layout = Layout::new(&self.config, 32, 1);
        for (number, word) in words.iter().enumerate() {
            let (channel, granule) = layout.place(number, 0);
            self.put(base, channel, granule * GRANULE_BYTES, &word.to_le_bytes());
        }
    }

    /// Room for a plane of each of `heads`: where the first begins, and words from one to the next.
    fn room(&mut self, heads: usize, words: usize) -> (u32, u32) {
        let stride = (words + self.rng.below(3) as usize).max(1) as u32;
        let base = self.next;
        self.next = base.wrapping_add(stride * heads as u32);
        (base, stride)
    }

    /// Adds a layer.
    pub fn add(&mut self, like: Like, coverage: &mut Coverage) {
        let config = self.config.clone();
        let dim = HEAD_DIMS[like.dim as usize];
        let kv_heads = like.heads / like.group;
        let rows_of_plane = like.tokens - like.first_row;
        let keys = ascending(like.keys, like.tokens, &mut self.rng);
        let queries = ascending(like.rows, rows_of_plane, &mut self.rng);
        let bits = [0; 3].map(|_| match self.rng.below(3) {
            0 => config.datapath_bits,
            _ => 2 + self.rng.below(u64::from(config.datapath_bits) - 1) as u32,
        });
        let (mut base, mut stride) = ([0; BASES], [0; BASES]);
        let size = config.channel_bytes;
        for content in Content::ALL {
            let rows = if content.of_queries() { rows_of_plane } else { like.tokens };
            let layout = match content {
                Content::Keys => Layout::new(&config, dim, bits[0] as usize),
                Content::Values => Layout::new(&config, dim, bits[1] as usize),
                Content::Queries => Layout::new(&config, dim, bits[2] as usize),
                _ => Layout::new(&config, 32, 1),
            };
            let words = (layout.granules(rows) * GRANULE_BYTES).div_ceil(size);
            let heads = if content.of_queries() { like.heads } else { kv_heads };
            (base[content as usize], stride[content as usize]) = self.room(heads, words);
        }
        let place = OutputLayout::new(&config, dim);
        (base[BASES - 1], stride[BASES - 1]) = self.room(like.heads, place.depth(queries.len()));
        let layer = Layer {
            new_keys: true,
            new_queries: true,
            dim: like.dim,
            heads: like.heads,
            group: like.group,
            mask: like.mask,
            causal: like.causal,
            first_row: like.first_row as u16,
            scaled: like.scaled,
            weighted: like.weighted,
            share: like.share,
            bits,
            base,
            stride,
        };
        let at = |content: Content, number: usize| {
            let i = content as usize;
            base[i].wrapping_add(stride[i].wrapping_mul(number as u32))
        };
        let cut = |operands: Vec<i16>, bits: u32| -> Vec<i16> {
            let down = config.datapath_bits - bits;
            operands.into_iter().map(|x| x >> down << down).collect()
        };
        let computes = !queries.is_empty() && like.mask != 0;
        let mut factors = vec![];
        self.golden.turn(Job::new(&config, kind(&like)).pins);
        let before = self.golden.outputs[1].len();
        for kv_head in 0..kv_heads {
            let mut head = random_head(&config, like.tokens, dim, false, &mut self.rng);
            (head.full, head.values) = (cut(head.full, bits[0]), cut(head.values, bits[1]));
            self.plane(at(Content::Keys, kv_head), &head.full, dim, bits[0]);
            self.plane(at(Content::Values, kv_head), &head.values, dim, bits[1]);
            self.granules(at(Content::KeyScales, kv_head), &head.key_scales);
            self.granules(at(Content::ValueScales, kv_head), &head.value_scales);
            self.granules(at(Content::Norms, kv_head), &head.norms);
            let left = Head {
                keys: keys.len(),
                full: listed(&head.full, dim, &keys),
                first: vec![],
                key_scales: listed(&head.key_scales, 1, &keys),
                values: listed(&head.values, dim, &keys),
                first_values: vec![],
                value_scales: listed(&head.value_scales, 1, &keys),
                norms: listed(&head.norms, 1, &keys),
            };
            let mut passes = vec![];
            for number in kv_head * like.group..(kv_head + 1) * like.group {
                let name = Name { index: 0, head: number };
                let random = |rng: &mut Rng| {
                    let spread = rng.below(5);
                    random_query(&config, dim, spread, 0, 0, name, rng)
                };
                let mut rows: Vec<Query> = (0..rows_of_plane).map(|_| random(&mut self.rng)).collect();
                let factor = random(&mut self.rng).factor;
                for row in &mut rows {
                    row.operands = cut(std::mem::take(&mut row.operands), bits[2]);
                    row.factor = if like.scaled { row.factor } else { factor };
                }
                let operands: Vec<i16> = rows.iter().flat_map(|row| row.operands[..dim].iter().copied()).collect();
                self.plane(at(Content::Queries, number), &operands, dim, bits[2]);
                let scales: Vec<u32> =
                    rows.iter().map(|row| HeadFactors::pack(row.factor.mantissa, row.factor.shift)).collect();
                self.granules(at(Content::QueryScales, number), &scales);
                factors.push(Factors { logit: factor, importance: head_factor(number) });
                if like.mask >> number & 1 == 0 {
                    continue;
                }
                for (index, &row) in queries.iter().enumerate() {
                    let token = usize::from(row) + like.first_row;
                    let visible = match like.causal {
                        true => keys.iter().filter(|&&key| usize::from(key) <= token).count(),
                        false => keys.len(),
                    };
                    let keep = (u64::from(like.share) * visible as u64).div_ceil(1 << 31) as usize;
                    let name = Name { index, head: number };
                    passes.push(Query { visible, keep, name, ..rows[usize::from(row)].clone() });
                }
            }
            if computes && !passes.is_empty() {
                self.golden.head(&left, &passes, &mut self.rng, coverage);
            }
        }
        coverage.add("heads that share keys", u64::from(like.group > 1));
        coverage.add("causal", u64::from(like.causal));
        coverage.add("scales per token", u64::from(like.scaled));
        coverage.add("weighted", u64::from(like.weighted));
        coverage.add("no query", u64::from(queries.is_empty()));
        coverage.add("no head", u64::from(like.mask == 0));
        coverage.add("no key", u64::from(keys.is_empty()));
        let rows: Vec<_> = self.golden.outputs[1].drain(before..).collect();
        for row in rows {
            let Output::Outputs(row) = row else { panic!("{row:?} among outputs") };
            let bytes: Vec<u8> = row.outputs[..dim].iter().flat_map(|&x| (x as i16).to_le_bytes()).collect();
            let plane = base[BASES - 1].wrapping_add(stride[BASES - 1].wrapping_mul(row.name.head as u32));
            for word in 0..place.words() {
                let (channel, address) = place.place(row.name.index, word);
                let part = bytes.iter().skip(word * size).take(size).copied().collect::<Vec<u8>>();
                let strobe = u128::MAX >> (128 - part.len());
                let old = self.outputs.insert((channel, plane.wrapping_add(address as u32)), (part, strobe));
                assert_eq!(old, None, "outputs do not overlap");
            }
        }
        let saturations = self.golden.saturations();
        let (tokens, heads) = self.golden.importance();
        let (tokens, heads) = (tokens.to_vec(), heads.to_vec());
        self.cases.push(Case { layer, keys, queries, factors, saturations, tokens, heads });
    }

    /// Adds a layer of any kind.
    pub fn add_random(&mut self, most: usize, coverage: &mut Coverage) {
        let (config, rng) = (&self.config, &mut self.rng);
        let group = [1, 1, 2, 3][rng.below(4) as usize];
        let heads = group * (1 + rng.below(3) as usize);
        let all = u128::MAX >> (128 - heads);
        let mask = match rng.below(8) {
            0 => 0,
            1 | 2 => all & u128::from(rng.bits()),
            _ => all,
        };
        let tokens = 1 + rng.below(most.min(config.keys_on_chip) as u64) as usize;
        let first_row = if rng.below(2) == 0 { 0 } else { rng.below(tokens as u64) as usize };
        let left = |rng: &mut Rng, all: usize| match rng.below(8) {
            0 => 0,
            1..=3 => all,
            _ => rng.below(all as u64 + 1) as usize,
        };
        let like = Like {
            dim: rng.below(4) as u32,
            heads,
            group,
            mask,
            causal: rng.below(3) == 0,
            scaled: rng.below(3) == 0,
            weighted: rng.below(3) == 0,
            tokens,
            first_row,
            keys: left(rng, tokens),
            rows: left(rng, tokens - first_row),
            share: [1 << 31, 1 << 31, 1 << 30, rng.below(1 << 31) as u32][rng.below(4) as usize],
        };
        self.add(like, coverage);
    }
}
