//! A layer to fetch jobs, passes of rows and places of outputs, in time. Siblings: `hw`, `tests/layer_sequencer.rs`.

mod again;
mod fetches;
mod heads;
mod rows;
mod token_lists;
mod visible;

use crate::attention_core::{Name, Row};
use crate::cosim::{Beat, Field, bits_for};
use crate::cycle::CycleModel;
use crate::fetch_path;
use crate::matrix_fetcher::Tokens;
use crate::operand_router::QueryJob;
use again::Again;
use fetches::Fetches;
use heads::Heads;
use rows::{Around, Rows};
use spatten_arch::ArchConfig;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::content::Content;
use spatten_arch::descriptor;
use spatten_arch::element::READING_BITS;
use spatten_arch::format::Formats;
use spatten_arch::layout::{ADDRESS_BITS, TOKEN_BITS};
use spatten_arch::plan::Split;
use spatten_golden::dot_product::ScaleFactor;
use token_lists::TokenLists;
use visible::Visible;

pub use again::Verdict;
pub use rows::Plane;

/// Addresses of a layer: one per content, and that of outputs.
pub const BASES: usize = Content::ALL.len() + 1;

/// A layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// A list of keys belongs to it.
    pub new_keys: bool,
    /// A list of queries does.
    pub new_queries: bool,
    /// log2(head dimension) - 4.
    pub dim: u32,
    /// Query heads.
    pub heads: usize,
    /// Query heads that share keys and values.
    pub group: usize,
    /// Bit i: head i is computed.
    pub mask: u128,
    /// A row sees the keys up to its own token.
    pub causal: bool,
    /// Token of query row 0.
    pub first_row: u16,
    /// Queries, keys and values have scales.
    pub scaled: bool,
    /// Values have norms.
    pub weighted: bool,
    /// Share of the visible keys whose values are kept.
    pub share: u32,
    /// Flat rows are computed again.
    pub progressive: bool,
    /// Rows whose sum exceeds this are flat.
    pub threshold_inverse: u64,
    /// How MSBs and LSBs belong together.
    pub split: Split,
    /// Bits of an element of K, V and Q, or of its MSBs.
    pub bits: [u32; 3],
    /// Bits of its LSBs; 0: it is not split.
    pub lsb_bits: [u32; 3],
    /// Words at which head 0 begins.
    pub base: [u32; BASES],
    /// Words to the next head.
    pub stride: [u32; BASES],
}

/// Factors of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factors {
    /// From products to logits.
    pub logit: ScaleFactor,
    /// From outputs to head importance.
    pub importance: ScaleFactor,
}

/// Widths that beats are described with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    /// Tokens of a beat.
    pub lanes: usize,
    /// Of a count of tokens.
    pub keys: usize,
    /// Of an operand.
    pub datapath_bits: u32,
    /// Of a threshold.
    pub threshold_bits: u32,
}

impl Widths {
    /// In a configuration.
    pub fn of(config: &ArchConfig) -> Self {
        Self {
            lanes: config.channels,
            keys: config.keys_on_chip,
            datapath_bits: config.datapath_bits,
            threshold_bits: Formats::new(config).threshold_inverse.width(),
        }
    }

    fn verdict(&self, name: &Name, flat: bool) -> [Field; 3] {
        [
            Field::value("index", name.index as u64, bits_for(self.keys - 1)),
            Field::value("head", name.head as u64, bits_for(MAX_HEADS - 1)),
            Field::flag("flat", flat),
        ]
    }

    /// Lanes behind the last token hold 0: what is written there comes back.
    fn tokens(&self, tokens: &Tokens) -> Vec<Field> {
        let mut index: Vec<u64> = tokens.index.iter().map(|&t| t.into()).collect();
        index.resize(self.lanes, 0);
        vec![
            Field::lanes("index", &index, TOKEN_BITS as u32),
            Field::value("count", tokens.index.len() as u64, bits_for(self.lanes)),
            Field::flag("last", tokens.last),
        ]
    }
}

fn packed(factor: ScaleFactor) -> u64 {
    u64::from(factor.shift) << 18 | u64::from(factor.mantissa)
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum Input {
    /// On streams 0 and 1, `key_list` and `query_list`.
    List(Tokens, Widths),
    /// On stream 2, `layer`.
    Layer(Box<Layer>, Widths),
    /// On stream 3, `factor`.
    Factors(Factors),
    /// On stream 4, `verdict`: a row, and whether it is flat.
    Verdict(Name, bool, Widths),
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::List(tokens, widths) => widths.tokens(tokens),
            Self::Layer(layer, widths) => {
                let number = bits_for(MAX_HEADS);
                let mask: Vec<u64> = (0..MAX_HEADS).map(|i| (layer.mask >> i) as u64 & 1).collect();
                let lanes = |values: &[u32]| values.iter().map(|&v| v.into()).collect::<Vec<u64>>();
                vec![
                    Field::flag("new_keys", layer.new_keys),
                    Field::flag("new_queries", layer.new_queries),
                    Field::value("dim", layer.dim.into(), 2),
                    Field::value("heads", layer.heads as u64, number),
                    Field::value("group", layer.group as u64, number),
                    Field::lanes("mask", &mask, 1),
                    Field::flag("causal", layer.causal),
                    Field::value("first_row", layer.first_row.into(), TOKEN_BITS as u32),
                    Field::flag("scaled", layer.scaled),
                    Field::flag("weighted", layer.weighted),
                    Field::value("share", layer.share.into(), 32),
                    Field::flag("progressive", layer.progressive),
                    Field::value("threshold_inverse", layer.threshold_inverse, widths.threshold_bits),
                    Field::value("split", descriptor::Split::from(layer.split) as u64, 2),
                    Field::lanes("lsb_bits", &lanes(&layer.lsb_bits), bits_for(widths.datapath_bits as usize)),
                    Field::lanes("bits", &lanes(&layer.bits), bits_for(widths.datapath_bits as usize)),
                    Field::lanes("base", &lanes(&layer.base), ADDRESS_BITS as u32),
                    Field::lanes("stride", &lanes(&layer.stride), ADDRESS_BITS as u32),
                ]
            }
            Self::Factors(factors) => vec![
                Field::value("logit", packed(factors.logit), 24),
                Field::value("importance", packed(factors.importance), 24),
            ],
            Self::Verdict(name, flat, widths) => widths.verdict(name, *flat).into(),
        }
    }
}

/// What comes out, on streams in this order.
#[derive(Debug, Clone)]
pub enum Output {
    /// `fetch`
    Fetch(fetch_path::Job, Widths),
    /// `token`
    Tokens(Tokens, Widths),
    /// `query_job`
    QueryJob(QueryJob),
    /// `row`
    Row(Row),
    /// `plane`
    Plane(Plane),
    /// `accumulate`
    Accumulate(u32),
    /// `refetched`
    Refetched(Verdict, Widths),
}

impl Beat for Output {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Fetch(job, widths) => vec![
                Field::value("base", job.base.into(), ADDRESS_BITS as u32),
                Field::value("dim", job.dim.into(), 2),
                Field::value("bits", job.element.bits.into(), bits_for(widths.datapath_bits as usize)),
                Field::value("above", job.element.above.into(), bits_for(widths.datapath_bits as usize)),
                Field::value("reading", job.element.reading as u64, READING_BITS as u32),
                Field::value("tag", job.tag.into(), 4),
            ],
            Self::Tokens(tokens, widths) => widths.tokens(tokens),
            Self::QueryJob(job) => job.fields(),
            Self::Row(row) => crate::attention_core::Input::Row(*row).fields(),
            Self::Plane(plane) => vec![
                Field::value("base", plane.base.into(), ADDRESS_BITS as u32),
                Field::value("head", plane.head as u64, bits_for(MAX_HEADS - 1)),
            ],
            Self::Accumulate(rows) => vec![Field::value("rows", (*rows).into(), 24)],
            Self::Refetched(verdict, widths) => {
                let mut fields = widths.verdict(&verdict.name, verdict.flat).to_vec();
                fields.push(Field::flag("last", verdict.last));
                fields
            }
        }
    }
}

/// The block; see `hw::layer_sequencer` for the streams.
///
/// # Timing   that of its parts, which all move by the state before the edge
#[derive(Debug, Clone)]
pub struct LayerSequencer {
    widths: Widths,
    /// Keys and query rows, as they are and as they are being written.
    lists: [Vec<u16>; 2],
    writing: [Vec<u16>; 2],
    fresh: [bool; 2],
    /// It has not begun.
    held: bool,
    layer: Option<Box<Layer>>,
    token_lists: TokenLists,
    visible: Visible,
    heads: Heads,
    fetches: Fetches,
    rows: Rows,
    again: Again,
    never: u64,
    out: [Option<Output>; 7],
}

impl LayerSequencer {
    /// As after reset.
    pub fn new(config: &ArchConfig) -> Self {
        let widths = Widths::of(config);
        Self {
            widths,
            lists: Default::default(),
            writing: Default::default(),
            fresh: [false; 2],
            held: false,
            layer: None,
            token_lists: TokenLists::new(widths.lanes),
            visible: Visible::new(widths.keys),
            heads: Heads::new(),
            fetches: Fetches::new(widths.lanes, widths.keys),
            rows: Rows::new(),
            again: Again::new(widths.keys),
            never: Formats::new(config).threshold_inverse.max_raw() as u64,
            out: Default::default(),
        }
    }

    fn idle(&self) -> bool {
        self.token_lists.idle() && self.visible.idle() && self.fetches.idle() && self.rows.idle()
    }

    fn needs(&self) -> [bool; 2] {
        self.layer.as_ref().map_or([false; 2], |layer| [layer.new_keys, layer.new_queries])
    }

    /// Ports beside the streams.
    pub fn status(&self, widths: &Widths) -> Vec<Field> {
        let [scaled, weighted] = self.kinds();
        vec![
            Field::value("dim", self.dim().into(), 2),
            Field::flag("scaled", scaled),
            Field::flag("weighted", weighted),
            Field::value("threshold_inverse", self.threshold_inverse(), widths.threshold_bits),
            Field::value("flat_rows", self.flat_rows().into(), 24),
        ]
    }

    /// log2(D) - 4 of the layer.
    pub fn dim(&self) -> u32 {
        self.layer.as_ref().map_or(0, |layer| layer.dim)
    }

    /// Whether the layer has scales, and norms.
    pub fn kinds(&self) -> [bool; 2] {
        self.layer.as_ref().map_or([false; 2], |layer| [layer.scaled, layer.weighted])
    }

    /// Rows whose sum exceeds this are flat.
    pub fn threshold_inverse(&self) -> u64 {
        let progressive = self.layer.as_ref().filter(|layer| layer.progressive);
        progressive.map_or(self.never, |layer| layer.threshold_inverse)
    }

    /// Rows of the layer that are computed again, so far.
    pub fn flat_rows(&self) -> u32 {
        self.again.total()
    }
}

impl CycleModel for LayerSequencer {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        match port {
            0 | 1 => self.held && self.needs()[port] && !self.fresh[port],
            2 => self.idle() && !self.held,
            4 => self.again.verdict_ready(),
            _ => self.heads.factor_ready(),
        }
    }

    fn output(&self, port: usize) -> Option<&Output> {
        self.out[port].as_ref()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let needs = self.needs();
        let begins = self.held && (0..2).all(|l| self.fresh[l] || !needs[l]);
        let [keys, queries] = [self.lists[0].len(), self.lists[1].len()];
        let begun = self.layer.as_deref().filter(|_| begins);
        let something = begun.filter(|layer| layer.mask != 0 && queries > 0);

        // What the parts tell each other in this cycle.
        let to_fetches = self.heads.to_fetches().copied().filter(|_| self.fetches.takes());
        let next_head = self.heads.to_fetches().copied();
        let to_rows = self.heads.to_rows().copied().filter(|_| self.rows.takes());
        let known = self.visible.known();
        let counts = self.rows.read(&self.visible);
        let command_room = self.token_lists.ready();
        let flat = self.again.to_fetches().copied();
        let job = match &self.layer {
            Some(layer) => self.fetches.issue(layer, next_head.as_ref(), flat.as_ref(), [keys, queries], command_room),
            None => None,
        };
        let flat_fetched = self
            .layer
            .as_ref()
            .is_some_and(|layer| self.fetches.takes_again(layer, flat.is_some(), queries, command_room));
        let outcome = self.rows.tell().copied().filter(|_| self.fetches.takes_outcome());
        let flat_row = self.again.to_rows().copied().filter(|_| self.rows.takes_again());
        let (settled, most) = (self.again.settled(), self.again.most());
        let progressive = self.layer.as_ref().is_some_and(|layer| layer.progressive);
        let issued = self.rows.issues(progressive, taken[3]);
        let (closing, go) = (self.rows.closing(), self.rows.goes());
        let verdict = match accepted[4].take() {
            Some(Input::Verdict(name, flat, _)) => Some((name, flat)),
            Some(other) => panic!("{other:?} on `verdict`"),
            None => None,
        };
        let factors = match accepted[3].take() {
            Some(Input::Factors(factors)) => Some(factors),
            Some(other) => panic!("{other:?} on `factor`"),
            None => None,
        };

        self.token_lists.clock(job.as_ref().and_then(|job| job.command), &self.lists, taken[1]);
        if let Some(layer) = &self.layer {
            self.fetches.clock(
                layer,
                something.is_some(),
                to_fetches,
                next_head.as_ref(),
                job,
                outcome,
                flat.as_ref(),
                [keys, queries],
                command_room,
                [taken[0], taken[2]],
            );
            self.rows.clock(
                Around {
                    start: something.is_some(),
                    head: to_rows,
                    count: queries,
                    known,
                    progressive,
                    lsbs: [layer.lsb_bits[0] > 0, layer.lsb_bits[1] > 0],
                    settled,
                    most,
                    again: flat_row,
                },
                counts,
                [taken[3], taken[4], outcome.is_some()],
                self.widths.keys,
            );
            self.heads.clock(layer, something.is_some(), factors, to_fetches.is_some(), to_rows.is_some());
            self.visible.clock(layer, begins, &self.lists, taken[5]);
            let flat_taken = [flat_fetched, flat_row.is_some()];
            self.again.clock(begins, queries, issued, closing, verdict, go, taken[6], flat_taken);
        }

        // Lists and layers.
        if begins {
            self.held = false;
            self.fresh = [false; 2];
        }
        for (l, list) in accepted[..2].iter_mut().enumerate() {
            match list.take() {
                Some(Input::List(tokens, _)) => {
                    self.writing[l].extend(&tokens.index);
                    if tokens.last {
                        self.lists[l] = std::mem::take(&mut self.writing[l]);
                        self.fresh[l] = true;
                    }
                }
                Some(other) => panic!("{other:?} on a list"),
                None => {}
            }
        }
        match accepted[2].take() {
            Some(Input::Layer(layer, _)) => {
                self.layer = Some(layer);
                self.held = true;
            }
            Some(other) => panic!("{other:?} on `layer`"),
            None => {}
        }

        let widths = self.widths;
        self.out = [
            self.fetches.job().map(|job| Output::Fetch(*job, widths)),
            self.token_lists.front().map(|tokens| Output::Tokens(tokens.clone(), widths)),
            self.fetches.query_job().copied().map(Output::QueryJob),
            self.rows.row().map(Output::Row),
            self.rows.plane().map(|base| Output::Plane(*base)),
            self.visible.total().map(Output::Accumulate),
            self.again.refetched().map(|verdict| Output::Refetched(*verdict, widths)),
        ];
    }
}
