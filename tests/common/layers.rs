//! Layers of attention as planes in card memory and beats of `layer_engine`, and what golden says comes of them.

use super::heads::{Head, Job, Kind, Query, head_factor, random_head, random_query};
use super::tokens::ascending;
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::content::Content;
use spatten_arch::descriptor::HeadFactors;
use spatten_arch::element::Element;
use spatten_arch::format::Formats;
use spatten_arch::layout::{GRANULE_BYTES, Layout, OutputLayout};
use spatten_arch::plan::Split;
use spatten_golden::bitwidth_converter::{operand, pack};
use spatten_golden::quantiser;
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
    /// Of each first pass: its row, and whether it is flat.
    pub verdicts: Vec<(Name, bool)>,
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
    pub refetch: Option<Refetch>,
}

/// Flat rows are computed again.
#[derive(Debug, Clone, Copy)]
pub struct Refetch {
    pub threshold_inverse: u64,
    pub split: Split,
    /// K, V and Q are split.
    pub of: [bool; 3],
    /// Bits of their MSBs and LSBs, or any.
    pub widths: Option<[[u32; 2]; 3]>,
}

/// A tensor's planes, and what their elements are worth.
struct Planes {
    msb: Vec<i32>,
    lsb: Vec<i32>,
    first: Vec<i16>,
    full: Vec<i16>,
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
    Kind {
        dim: like.dim,
        scaled_keys: like.scaled,
        scaled_values: like.scaled,
        weighted: like.weighted,
        progressive: like.refetch.is_some(),
        split_values: like.refetch.is_some_and(|refetch| refetch.of[1]),
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

    /// A plane of elements of `bits`, rows of `dim`.
    fn plane(&mut self, base: u32, elements: &[i32], dim: usize, bits: u32) {
        let layout = Layout::new(&self.config, dim, bits as usize);
        for (number, row) in elements.chunks(dim).enumerate() {
            for chunk in 0..layout.chunks() {
                let (channel, granule) = layout.place(number, chunk);
                // A short row is half a chunk.
                let part = row.iter().chain(&[0; 32]).skip(32 * chunk).take(32).copied();
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
        let splits = like.refetch.map_or([false; 3], |refetch| refetch.of);
        let split = like.refetch.map_or(Split::Floor, |refetch| refetch.split);
        let datapath = u64::from(config.datapath_bits);
        let widths = splits.map(|splits| match (splits, self.rng.below(3)) {
            (true, _) => {
                let msb = 2 + self.rng.below(datapath - 5);
                [msb, 1 + self.rng.below(datapath - msb)]
            }
            (_, 0) => [datapath, 0],
            _ => [2 + self.rng.below(datapath - 1), 0],
        });
        let given = like.refetch.and_then(|refetch| refetch.widths);
        let widths = given.map_or(widths, |widths| widths.map(|tensor| tensor.map(u64::from)));
        let (bits, lsb_bits) = (widths.map(|w| w[0] as u32), widths.map(|w| w[1] as u32));
        let (mut base, mut stride) = ([0; BASES], [0; BASES]);
        let size = config.channel_bytes;
        for content in Content::ALL {
            let rows = if content.of_queries() { rows_of_plane } else { like.tokens };
            let layout = match content {
                Content::Keys => Layout::new(&config, dim, bits[0] as usize),
                Content::Values => Layout::new(&config, dim, bits[1] as usize),
                Content::Queries => Layout::new(&config, dim, bits[2] as usize),
                Content::KeyLsbs => Layout::new(&config, dim, lsb_bits[0] as usize),
                Content::ValueLsbs => Layout::new(&config, dim, lsb_bits[1] as usize),
                Content::QueryLsbs => Layout::new(&config, dim, lsb_bits[2] as usize),
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
            progressive: like.refetch.is_some(),
            threshold_inverse: like.refetch.map_or(0, |refetch| refetch.threshold_inverse),
            split,
            bits,
            lsb_bits,
            base,
            stride,
        };
        let at = |content: Content, number: usize| {
            let i = content as usize;
            base[i].wrapping_add(stride[i].wrapping_mul(number as u32))
        };
        // Operands of a tensor to planes and what they are worth.
        let planes = |operands: &[i16], tensor: usize| -> Planes {
            let (msb_bits, lsb_bits) = (bits[tensor], lsb_bits[tensor]);
            let width = msb_bits + lsb_bits;
            let largest = quantiser::largest_integer(width, (lsb_bits > 0).then_some((lsb_bits, split)));
            let mut planes = Planes { msb: vec![], lsb: vec![], first: vec![], full: vec![] };
            for &x in operands {
                let value = (i32::from(x) >> (config.datapath_bits - width)).clamp(-largest - 1, largest);
                let value = if lsb_bits > 0 { value.max(-largest) } else { value };
                let (msb, lsb) = if lsb_bits > 0 { quantiser::split(value, lsb_bits, split) } else { (value, 0) };
                let first = operand(Element::msb(msb_bits, lsb_bits, split), msb, config.datapath_bits);
                let more = match lsb_bits {
                    0 => 0,
                    _ => operand(Element::lsb(msb_bits, lsb_bits, split), lsb, config.datapath_bits),
                };
                planes.msb.push(msb);
                planes.lsb.push(lsb);
                planes.first.push(first as i16);
                planes.full.push((first + more) as i16);
            }
            planes
        };
        let computes = !queries.is_empty() && like.mask != 0;
        let mut factors = vec![];
        self.golden.turn(kind(&like), layer.threshold_inverse);
        let before = self.golden.outputs[1].len();
        for kv_head in 0..kv_heads {
            let head = random_head(&config, like.tokens, dim, false, &mut self.rng);
            let (full, values) = (planes(&head.full, 0), planes(&head.values, 1));
            self.plane(at(Content::Keys, kv_head), &full.msb, dim, bits[0]);
            self.plane(at(Content::Values, kv_head), &values.msb, dim, bits[1]);
            let lsbs = [(Content::KeyLsbs, &full.lsb, lsb_bits[0]), (Content::ValueLsbs, &values.lsb, lsb_bits[1])];
            for (content, lsb, bits) in lsbs.into_iter().filter(|(.., bits)| *bits > 0) {
                self.plane(at(content, kv_head), lsb, dim, bits);
            }
            self.granules(at(Content::KeyScales, kv_head), &head.key_scales);
            self.granules(at(Content::ValueScales, kv_head), &head.value_scales);
            self.granules(at(Content::Norms, kv_head), &head.norms);
            let left = Head {
                keys: keys.len(),
                full: listed(&full.full, dim, &keys),
                first: listed(&full.first, dim, &keys),
                key_scales: listed(&head.key_scales, 1, &keys),
                values: listed(&values.full, dim, &keys),
                first_values: listed(&values.first, dim, &keys),
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
                    row.factor = if like.scaled { row.factor } else { factor };
                }
                let operands: Vec<i16> = rows.iter().flat_map(|row| row.operands[..dim].iter().copied()).collect();
                let operands = planes(&operands, 2);
                for (i, row) in rows.iter_mut().enumerate() {
                    let of_row = |operands: &[i16]| {
                        operands[i * dim..][..dim].iter().copied().chain([0; 128]).take(128).collect::<Vec<i16>>()
                    };
                    (row.operands, row.first) = (of_row(&operands.full), Some(of_row(&operands.first)));
                }
                self.plane(at(Content::Queries, number), &operands.msb, dim, bits[2]);
                if lsb_bits[2] > 0 {
                    self.plane(at(Content::QueryLsbs, number), &operands.lsb, dim, lsb_bits[2]);
                }
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
        let verdict = |beat: Output| match beat {
            Output::Verdict(name, flat, _) => (name, flat),
            other => panic!("{other:?} among verdicts"),
        };
        let verdicts: Vec<(Name, bool)> = self.golden.outputs[0].drain(..).map(verdict).collect();
        let flat = verdicts.iter().filter(|(_, flat)| *flat).count();
        if let Some(refetch) = like.refetch.filter(|_| !verdicts.is_empty()) {
            coverage.add("no row flat", u64::from(flat == 0));
            coverage.add("all rows flat", u64::from(flat == verdicts.len()));
            coverage.add("some rows flat", u64::from(flat > 0 && flat < verdicts.len()));
            let mut hit = |name, holds: bool| coverage.add(name, u64::from(flat > 0 && holds));
            hit("floor", refetch.split == Split::Floor);
            hit("mid", refetch.split == Split::Mid);
            hit("balanced", refetch.split == Split::Balanced);
            hit("no LSBs of K", !refetch.of[0]);
            hit("LSBs of V", refetch.of[1]);
            hit("LSBs of Q", refetch.of[2]);
            hit("again with D = 128", like.dim == 3);
            hit("again, and heads that share keys", like.group > 1);
            hit("again and causal", like.causal);
            hit("again with scales", like.scaled);
            hit("again a single row", queries.len() == 1);
            hit("again single rows of several heads", queries.len() == 1 && verdicts.len() > 1);
            hit("again beside queries behind the next head's keys", queries.len() > 32 && like.dim != 3);
        }
        let saturations = self.golden.saturations();
        let (tokens, heads) = self.golden.importance();
        let (tokens, heads) = (tokens.to_vec(), heads.to_vec());
        self.cases.push(Case { layer, keys, queries, factors, verdicts, saturations, tokens, heads });
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
        let inverses = [0, (1 << 24) + 1, 2 << 24, 4 << 24, Formats::new(config).threshold_inverse.max_raw() as u64];
        let refetch = (rng.below(2) == 0).then(|| Refetch {
            threshold_inverse: inverses[rng.below(5) as usize],
            split: [Split::Floor, Split::Mid, Split::Balanced][rng.below(3) as usize],
            of: [rng.below(6) > 0, rng.below(3) == 0, rng.below(3) == 0],
            widths: None,
        });
        let rows = left(rng, tokens - first_row);
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
            rows: if rng.below(6) == 0 { rows.min(1) } else { rows },
            refetch,
            share: [1 << 31, 1 << 31, 1 << 30, rng.below(1 << 31) as u32][rng.below(4) as usize],
        };
        self.add(like, coverage);
    }
}
