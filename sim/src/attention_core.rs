//! Attention of one head after another, in time. Siblings: `hw`, `tests/attention_core.rs`.
//!
//! The blocks' own cycle models, moved by the same handshakes as in the RTL. What a row's values are is found once per row,
//! where it first matters; timing never looks at them, but where it must (decisions, and which values are kept).

mod repack;
mod values;

use crate::cosim::{self, Field, bits_for};
use crate::cycle::{CreditPipe, CycleModel, Fifo};
use crate::halves::{Events, Halves};
use crate::importance_accumulator::{self as importance, HeadRow, ImportanceAccumulator, TokenBeat};
use crate::softmax::{self, LogitBeat, Scores, Softmax};
use crate::{dot_product, key_buffer, multiply_value, requant_decision, value_buffer};
use repack::Repack;
use spatten_arch::ArchConfig;
use spatten_arch::config::{HEAD_DIMS, MAX_HEADS};
use spatten_arch::format::{Formats, OUTPUT_BITS, TOKEN_SCALE_FRACTION, VALUE_NORM_BITS};
use spatten_golden::dot_product::{ScaleFactor, integer, scale};
use spatten_golden::multiply_value::{fixed, round, weight};
use std::collections::VecDeque;
use std::sync::Arc;
use values::{LocalValues, Marker, Route, ValueRequests};

/// Sizes of the RTL's queues.
const ROWS: usize = 64;
const VERDICTS: usize = 4;
const HEAD_ROWS: usize = 4;
/// Cycles and places of the norms' memory.
const NORMS: [usize; 2] = [2, 4];

/// Selection engines of a configuration.
pub fn engines(config: &ArchConfig) -> usize {
    let rate = config.softmax_lanes.min(config.multipliers / HEAD_DIMS[0]);
    (4 * rate / config.topk_lanes).max(1)
}

/// What stays the same during a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pins {
    /// log2(D) - 4.
    pub dim: u32,
    /// There are scales of keys.
    pub scaled_keys: bool,
    /// There are scales of values.
    pub scaled_values: bool,
    /// Importance is weighted with norms.
    pub weighted: bool,
    /// Rows whose sum exceeds this are dropped.
    pub threshold_inverse: u64,
}

/// Whose outputs they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// Row of the head.
    pub index: usize,
    /// The head.
    pub head: usize,
}

/// A beat of `row`: a pass of a query row, or the end of a head of values.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Keys that it sees.
    pub visible: usize,
    /// Values that it keeps.
    pub keep: usize,
    /// Its name.
    pub name: Name,
    /// Factor of its magnitude.
    pub factor: ScaleFactor,
    /// It is kept whatever its scores.
    pub last_pass: bool,
    /// The last pass over these keys.
    pub release_keys: bool,
    /// No pass.
    pub release_values: bool,
    /// No pass: the keys are added to.
    pub again_keys: bool,
    /// No pass: the values are added to.
    pub again_values: bool,
    /// Keys on chip: widths follow.
    pub keys: usize,
}

impl Row {
    /// No pass.
    fn is_marker(&self) -> bool {
        self.release_values || self.again_keys || self.again_values
    }

    /// A pass, or what the values are told.
    fn has_tag(&self) -> bool {
        !self.is_marker() || self.release_values || self.again_values
    }
}

fn name_fields(name: &Name, index_bits: u32) -> [Field; 2] {
    let head_bits = bits_for(MAX_HEADS - 1);
    [Field::value("index", name.index as u64, index_bits), Field::value("head", name.head as u64, head_bits)]
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum Input {
    /// On stream 0, `row`.
    Row(Row),
    /// On stream 1, `query`.
    Query(dot_product::Query),
    /// On streams 2 and 3, `keys` and `key_scales`.
    Keys(key_buffer::Input),
    /// On streams 4 and 5, `values` and `value_scales`.
    Values(value_buffer::Input),
    /// On stream 6, `norms`: lanes, and are they the head's last?
    Norms(Box<[u32]>, bool),
    /// On streams 7 to 9, `command`, `load`, `head_load`.
    Importance(importance::Input),
    /// On streams 10 and 11, `key_lsbs` and `value_lsbs`.
    Lsbs(Lsbs),
}

/// A beat of LSBs.
#[derive(Debug, Clone)]
pub struct Lsbs {
    /// Two's complement in the low bits.
    pub lanes: Box<[u16]>,
    /// Width of an operand.
    pub bits: u32,
    /// The head's last beat.
    pub last: bool,
}

impl cosim::Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Row(row) => {
                let count_bits = bits_for(row.keys);
                let [index, head] = name_fields(&row.name, bits_for(row.keys - 1));
                vec![
                    Field::value("visible", row.visible as u64, count_bits),
                    Field::value("keep", row.keep as u64, count_bits),
                    index,
                    head,
                    Field::value("mantissa", row.factor.mantissa.into(), 18),
                    Field::value("shift", row.factor.shift.into(), 6),
                    Field::flag("final", row.last_pass),
                    Field::flag("release_keys", row.release_keys),
                    Field::flag("release_values", row.release_values),
                    Field::flag("again_keys", row.again_keys),
                    Field::flag("again_values", row.again_values),
                ]
            }
            Self::Query(query) => dot_product::Input::Query(query.clone()).fields(),
            Self::Keys(beat) => beat.fields(),
            Self::Values(beat) => beat.fields(),
            Self::Norms(norms, last) => {
                let lanes: Vec<u64> = norms.iter().map(|&n| n.into()).collect();
                vec![Field::lanes("data", &lanes, VALUE_NORM_BITS), Field::flag("last", *last)]
            }
            Self::Importance(beat) => beat.fields(),
            Self::Lsbs(Lsbs { lanes, bits, last }) => {
                let lanes: Vec<u64> = lanes.iter().map(|&lane| lane.into()).collect();
                vec![Field::lanes("data", &lanes, *bits), Field::flag("last", *last)]
            }
        }
    }
}

/// Outputs of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// Whose they are.
    pub name: Name,
    /// Bits of a row's index.
    pub index_bits: u32,
    /// 128, of which those from D on are 0.
    pub outputs: Box<[i32]>,
    /// How many did not fit.
    pub saturated: u32,
    /// Sum of their magnitudes.
    pub magnitude: u32,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// On stream 0, `verdict`: is the row to come again? And bits of its index.
    Verdict(Name, bool, u32),
    /// On stream 1, `out`.
    Outputs(Outputs),
    /// On streams 2 to 4, `read`, `head_read`, `done`.
    Importance(importance::Output),
}

impl cosim::Beat for Output {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Verdict(name, flat, index_bits) => {
                let [index, head] = name_fields(name, *index_bits);
                vec![index, head, Field::flag("flat", *flat)]
            }
            Self::Outputs(row) => {
                let outputs: Vec<i64> = row.outputs.iter().map(|&x| x.into()).collect();
                let [index, head] = name_fields(&row.name, row.index_bits);
                vec![
                    index,
                    head,
                    Field::signed_lanes("outputs", &outputs, OUTPUT_BITS),
                    Field::value("saturated", row.saturated.into(), 8),
                    Field::value("magnitude", row.magnitude.into(), 23),
                ]
            }
            Self::Importance(beat) => beat.fields(),
        }
    }
}

/// Keys or values of a head, and their scales.
#[derive(Debug, Clone, Default)]
struct Head {
    operands: Vec<i16>,
    scales: Vec<u32>,
}

impl Head {
    fn write(&mut self, lanes: &[u16], bits: u32) {
        let up = 16 - bits;
        self.operands.extend(lanes.iter().map(|&lane| (lane << up) as i16 >> up));
    }
}

/// A head that is written, and those that are full, by half.
#[derive(Debug, Clone, Default)]
struct Heads {
    writing: Head,
    full: [Arc<Head>; 2],
    added: Vec<i16>,
}

impl Heads {
    /// LSBs of the head in a half: what was read before has not got them.
    fn add(&mut self, half: usize, lsbs: &Lsbs) {
        let up = 16 - lsbs.bits;
        self.added.extend(lsbs.lanes.iter().map(|&lane| (lane << up) as i16));
        if lsbs.last {
            let mut head = Head::clone(&self.full[half]);
            for (operand, lsb) in head.operands.iter_mut().zip(self.added.drain(..)) {
                *operand = (*operand << up).wrapping_add(lsb) >> up;
            }
            self.full[half] = Arc::new(head);
        }
    }

    /// After the edge on which a head may have become full.
    fn settle(&mut self, half: usize, before: u64, after: u64) {
        if after & !before & 1 << half != 0 {
            self.full[half] = Arc::new(std::mem::take(&mut self.writing));
        }
    }
}

/// A pass: its logits, and the places of those that did not fit.
#[derive(Debug)]
struct Pass {
    logits: Arc<[i32]>,
    saturated: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Issue {
    row: Row,
    at: usize,
    end: usize,
}

/// A word of keys on its way to the multipliers.
#[derive(Debug, Clone)]
struct Word {
    head: Arc<Head>,
    visible: usize,
    count: usize,
    last: bool,
}

/// Logits of a word.
#[derive(Debug, Clone)]
struct Logits {
    pass: Arc<Pass>,
    from: usize,
    count: usize,
    last: bool,
}

/// Cycles and values of the block.
#[derive(Debug, Clone)]
pub struct AttentionCore {
    pins: Pins,
    formats: Formats,
    head_dim: usize,
    keys_of_word: usize,
    words_of_key: usize,
    score_lanes: usize,
    index_bits: u32,
    sum_bits: u32,

    issue: Option<Issue>,
    sum_tags: Fifo<(bool, Name)>,
    tags: Fifo<Row>,
    verdicts: Fifo<Output>,
    keys: key_buffer::Timing<Word>,
    key_heads: Heads,
    dots: dot_product::Timing<Logits>,
    queries: VecDeque<dot_product::Query>,
    pass: Option<Arc<Pass>>,
    scored: usize,
    busy: bool,
    saturations: [u32; 3],
    logits: Repack<Arc<Pass>>,
    logit_word: usize,
    softmax: Softmax,
    requant: requant_decision::RequantDecision,

    routes: Fifo<Route<Name>>,
    marks: Fifo<bool>,
    names: Fifo<(Name, ScaleFactor)>,
    norm_halves: Halves,
    norm_writing: Vec<u32>,
    norms: [Arc<[u32]>; 2],
    tokens: CreditPipe<TokenBeat>,
    scores: Repack<Arc<Scores>>,
    local_values: LocalValues<Name>,
    requests: ValueRequests<Name>,
    values: value_buffer::Timing<Option<Output>>,
    value_heads: Heads,
    value_rows: usize,
    value_lanes: usize,
    sums: Vec<i32>,
    outputs: multiply_value::Timing<Output>,
    head_rows: Fifo<HeadRow>,
    importance: ImportanceAccumulator,

    reads: [Option<Output>; 3],
}

impl AttentionCore {
    /// Other pins, which is only allowed while nothing is inside. Importance stays, and so does the count of saturations.
    pub fn set(&mut self, config: &ArchConfig, pins: Pins) {
        if self.pins == pins {
            return;
        }
        let fresh = Self::new(config, pins);
        let old = std::mem::replace(self, fresh);
        self.importance = old.importance;
        self.saturations = old.saturations;
        self.reads = old.reads;
    }

    /// As after reset, with all importances 0.
    pub fn new(config: &ArchConfig, pins: Pins) -> Self {
        let formats = Formats::new(config);
        let head_dim = HEAD_DIMS[pins.dim as usize];
        let keys_of_word = (config.multipliers / head_dim).max(1);
        let value_size = key_buffer::Size::of(config, config.value_buffer_bytes);
        Self {
            pins,
            head_dim,
            keys_of_word,
            words_of_key: (head_dim / config.multipliers).max(1),
            score_lanes: config.softmax_lanes,
            index_bits: bits_for(config.keys_on_chip - 1),
            sum_bits: formats.exp_sum.width(),
            issue: None,
            sum_tags: Fifo::new(ROWS),
            tags: Fifo::new(ROWS),
            verdicts: Fifo::new(VERDICTS),
            keys: key_buffer::Timing::new(pins.dim, pins.scaled_keys),
            key_heads: Heads::default(),
            dots: dot_product::Timing::new(config, head_dim),
            queries: VecDeque::new(),
            pass: None,
            scored: 0,
            busy: false,
            saturations: [0; 3],
            logits: Repack::new(keys_of_word, config.softmax_lanes),
            logit_word: 0,
            softmax: Softmax::new(config),
            requant: requant_decision::RequantDecision::new(pins.threshold_inverse),
            routes: Fifo::new(ROWS),
            marks: Fifo::new(ROWS),
            names: Fifo::new(ROWS),
            norm_halves: Halves::new(false, false),
            norm_writing: vec![],
            norms: [Arc::new([]), Arc::new([])],
            tokens: CreditPipe::new(NORMS[0], NORMS[1]),
            scores: Repack::new(config.softmax_lanes, config.topk_lanes),
            local_values: LocalValues::new(formats.probability.width(), config.topk_lanes, engines(config)),
            requests: ValueRequests::new(keys_of_word),
            values: value_buffer::Timing::new(&value_size, pins.dim, pins.scaled_values),
            value_heads: Heads::default(),
            value_rows: keys_of_word,
            value_lanes: value_size.lanes,
            sums: vec![0; head_dim],
            outputs: multiply_value::Timing::new(config),
            head_rows: Fifo::new(HEAD_ROWS),
            importance: ImportanceAccumulator::new(config),
            reads: [None, None, None],
            formats,
        }
    }

    /// Outputs outside streams.
    pub fn status(&self) -> Vec<Field> {
        vec![
            Field::value("logit_saturations", self.saturations[2].into(), 32),
            Field::flag("busy", self.busy),
            Field::value("full_keys", self.keys.halves().full(), 2),
            Field::value("full_values", self.values.halves().full(), 2),
            Field::value("full_norms", self.norm_halves.full(), 2),
        ]
    }

    /// In the last cycle a word of keys entered the multipliers.
    pub fn busy(&self) -> bool {
        self.busy
    }

    /// Logits that did not fit, so far.
    pub fn logit_saturations(&self) -> u32 {
        self.saturations[2]
    }

    /// Streams between the parts, and whether a beat waits on each.
    pub fn waits(&self) -> [(&'static str, bool); 14] {
        let route = self.routes.front();
        let (local_open, mark) = (self.local_values.ready(route), self.marks.front() == Some(&false));
        let scored = self.softmax.output(1).is_some();
        let decides = self.softmax.ready(1) && self.kept_open();
        [
            ("keys wait", self.keys.front().is_some() && !self.dots.key_ready()),
            ("dot products wait", self.dots.front().is_some() && !self.logits.ready(self.softmax.ready(0))),
            ("logits wait", self.logits.front().is_some() && !self.softmax.ready(0)),
            ("a sum waits", self.softmax.output(0).is_some() && !self.requant.ready(0)),
            ("a decision waits", self.requant.output(0).is_some() && !decides),
            ("scores wait for tokens", scored && !(mark && self.norms_open() && self.tokens.ready())),
            ("scores wait for values", scored && !self.scores.ready(local_open)),
            ("tokens wait", self.tokens.front().is_some() && !self.importance.ready(1)),
            ("selection waits", self.scores.front().is_some() && !local_open),
            ("kept values wait", self.local_values.offers() && !self.requests.ready(self.values.ready())),
            ("requests wait", self.requests.front().is_some() && !self.values.ready()),
            ("values wait", self.values.front().is_some() && !self.outputs.ready()),
            ("outputs wait", self.outputs.front().is_some() && !self.head_rows.ready()),
            ("head rows wait", self.head_rows.front().is_some() && !self.importance.ready(2)),
        ]
    }

    fn last_word(&self, row: &Row) -> usize {
        match row.visible {
            0 => 0,
            n if self.words_of_key > 1 => n * self.words_of_key - 1,
            n => (n - 1) / self.keys_of_word,
        }
    }

    /// Logits of the row whose query is the oldest.
    fn score(&self, word: &Word) -> Pass {
        let query = self.queries.front().expect("key_ready: there is a row");
        let dim = self.head_dim;
        let mut saturated = vec![];
        let logits = word.head.operands.chunks_exact(dim).take(word.visible).enumerate().map(|(j, key)| {
            let relative = if self.pins.scaled_keys { word.head.scales[j] } else { 1 << TOKEN_SCALE_FRACTION };
            let (logit, cut) = scale(integer(&query.operands[..dim], key), relative, query.factor, &self.formats);
            if cut {
                saturated.push(j);
            }
            logit as i32
        });
        let logits: Arc<[i32]> = logits.collect();
        assert_eq!(logits.len(), word.visible, "keys of the head");
        Pass { logits, saturated }
    }

    /// Adds the values of a request; the outputs of a row that ends.
    fn add(&mut self, count: usize) -> Option<Output> {
        let half = self.values.halves().read_half().expect("a request is taken from a full half");
        let head = &self.value_heads.full[half];
        let held = self.requests.front().expect("a beat that is cut");
        for &(index, p) in held.values.iter().take(count) {
            let j = index as usize;
            let mut p = p as i32;
            if self.pins.scaled_values {
                let (word, place) = (j / self.value_rows, j % self.value_rows);
                p = weight(p as u32, head.scales[word * self.value_lanes + place]);
            }
            fixed(p, &head.operands[j * self.head_dim..][..self.head_dim], &mut self.sums);
        }
        let name = held.ends.filter(|_| count == held.values.len())?;
        let mut outputs = vec![0; HEAD_DIMS[3]].into_boxed_slice();
        let (mut saturated, mut magnitude) = (0, 0);
        for (out, sum) in outputs.iter_mut().zip(&mut self.sums) {
            let (value, cut) = round(std::mem::take(sum), &self.formats.output);
            *out = value;
            saturated += u32::from(cut);
            magnitude += value.unsigned_abs();
        }
        Some(Output::Outputs(Outputs { name, index_bits: self.index_bits, outputs, saturated, magnitude }))
    }

    fn kept_open(&self) -> bool {
        self.routes.ready() && self.marks.ready() && self.names.ready() && self.verdicts.ready()
    }

    fn norms_open(&self) -> bool {
        !self.pins.weighted || self.norm_halves.read_half().is_some()
    }
}

impl CycleModel for AttentionCore {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        match port {
            0 => {
                let free = self.issue.as_ref().is_none_or(|i| self.keys.ready() && i.at == i.end);
                free && self.tags.ready() && self.sum_tags.ready()
            }
            1 => self.dots.query_ready(),
            2 => self.keys.halves().data_open(),
            3 => self.keys.halves().scale_open(),
            4 => self.values.halves().data_open(),
            5 => self.values.halves().scale_open(),
            6 => self.norm_halves.data_open(),
            7 => self.importance.ready(0),
            8 => self.importance.ready(3),
            10 => self.keys.halves().add_open(),
            11 => self.values.halves().add_open(),
            _ => self.importance.ready(4),
        }
    }

    fn output(&self, port: usize) -> Option<&Output> {
        match port {
            0 => self.verdicts.front(),
            1 => self.outputs.front().filter(|_| self.head_rows.ready()),
            _ => self.reads[port - 2].as_ref(),
        }
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        // What moves is decided by the state before the edge.
        let reads = self.issue.is_some() && self.keys.ready();
        let enters = self.keys.front().is_some() && self.dots.key_ready();
        let to_softmax = self.logits.front().is_some() && self.softmax.ready(0);
        let to_logits = self.dots.front().is_some() && self.logits.ready(self.softmax.ready(0));
        let sums = self.softmax.output(0).is_some() && self.requant.ready(0);
        let marker = self.tags.front().is_some_and(Row::is_marker);
        let kept_open = self.kept_open();
        let marks = marker && kept_open;
        let decision = match self.requant.output(0) {
            Some(requant_decision::Output::Decision(keep)) if self.softmax.ready(1) && !marker && kept_open => {
                Some(*keep)
            }
            _ => None,
        };
        let route = self.routes.front().copied();
        let local_open = self.local_values.ready(route.as_ref());
        let to_local = self.scores.front().is_some() && local_open;
        let releases = self.local_values.releases(route.as_ref());
        let mark = self.marks.front().copied().filter(|_| self.norms_open());
        let norm_mark = mark == Some(true);
        let forks = self.softmax.output(1).is_some()
            && mark == Some(false)
            && self.tokens.ready()
            && self.scores.ready(local_open);
        let to_requests = self.local_values.offers() && self.requests.ready(self.values.ready());
        let requests = self.requests.front().is_some() && self.values.ready();
        let multiplies = self.values.front().is_some() && self.outputs.ready();
        let leaves = taken[1];
        let to_heads = self.head_rows.front().is_some() && self.importance.ready(2);
        let to_tokens = self.tokens.front().is_some() && self.importance.ready(1);

        // Importance.
        let importance_of = |input: Option<Input>| match input {
            Some(Input::Importance(input)) => Some(input),
            Some(other) => panic!("{other:?} on a stream of importance"),
            None => None,
        };
        let mut inputs = [
            importance_of(accepted[7].take()),
            None,
            None,
            importance_of(accepted[8].take()),
            importance_of(accepted[9].take()),
        ];

        let lsbs_of = |input: Option<Input>| match input {
            Some(Input::Lsbs(lsbs)) => Some(lsbs),
            Some(other) => panic!("{other:?} on a stream of LSBs"),
            None => None,
        };

        // Outputs.
        let mut head_row = None;
        if leaves && let (Some(Output::Outputs(row)), Some((name, factor))) = (self.outputs.front(), self.names.front())
        {
            debug_assert_eq!(row.name, *name);
            head_row = Some(HeadRow { head: name.head, magnitude: row.magnitude, factor: *factor });
        }
        inputs[2] = self.head_rows.exchange(head_row, to_heads).map(importance::Input::Head);

        // Values.
        let request = requests.then(|| {
            let count = self.requests.count();
            let marker = self.requests.front().and_then(|held| held.marker);
            let [release, again] = [Marker::Release, Marker::Again].map(|of| marker == Some(of));
            key_buffer::Request { answer: Some(self.add(count)), release, again }
        });
        let mut ends = [false; 2];
        if let Some(Input::Values(value_buffer::Input::Write { lanes, bits, last })) = accepted[4].take() {
            self.value_heads.writing.write(&lanes, bits);
            ends[0] = last;
        }
        if let Some(Input::Values(value_buffer::Input::Scale { lanes, last })) = accepted[5].take() {
            self.value_heads.writing.scales.extend_from_slice(&lanes);
            ends[1] = last;
        }
        let (half, before) = (self.values.halves().write_half(), self.values.halves().full());
        let lsbs = lsbs_of(accepted[11].take());
        let added = lsbs.as_ref().map(|lsbs| lsbs.last);
        if let Some(lsbs) = lsbs {
            self.value_heads.add(self.values.halves().add_half(), &lsbs);
        }
        let row = self.values.clock(ends, added, request, multiplies).flatten().flatten();
        self.value_heads.settle(half, before, self.values.halves().full());
        self.outputs.clock(row, leaves);
        let scores = self.scores.front().map(|(row, count, last)| (row.clone(), count, last)).filter(|_| to_local);
        let route_done = releases || scores.as_ref().is_some_and(|(.., last)| *last);
        let beat = scores.as_ref().map(|(row, count, last)| (row, *count, *last));
        let kept = self.local_values.clock(route, beat, releases, to_requests);
        self.requests.clock(kept, requests);

        // Scores, two ways.
        let mut push = None;
        let mut token = None;
        let mut mark_done = norm_mark;
        if forks && let Some(softmax::Output::Scores(beat)) = self.softmax.output(1) {
            let count = (beat.row.probability.len() - beat.word * beat.lanes).min(beat.lanes);
            push = Some(repack::Beat { row: beat.row.clone(), count, last: beat.last() });
            let norms = match self.norm_halves.read_half() {
                Some(half) if self.pins.weighted => self.norms[half].clone(),
                _ => Arc::new([]),
            };
            token = Some(TokenBeat { row: beat.row.clone(), norms, word: beat.word });
            mark_done = beat.last();
        }
        self.scores.clock(push, to_local);
        let lanes = self.score_lanes;
        inputs[1] = self.tokens.exchange(token, to_tokens).map(|beat| importance::Input::Scores(beat, lanes));
        let mut norm_ends = false;
        let half = self.norm_halves.write_half();
        if let Some(Input::Norms(norms, last)) = accepted[6].take() {
            self.norm_writing.extend_from_slice(&norms);
            norm_ends = last;
            if last {
                self.norms[half] = std::mem::take(&mut self.norm_writing).into();
            }
        }
        self.norm_halves.clock(Events {
            data_ends: norm_ends,
            freed: norm_mark && self.pins.weighted,
            ..Events::default()
        });
        self.importance.clock(&mut inputs, &taken[2..]);

        // Decisions.
        let tag = self.tags.front().copied().filter(|_| marks || decision.is_some());
        let keeps = tag.filter(|_| marks || decision == Some(true));
        let kept_route = keeps.map(|row| match (row.release_values, row.again_values) {
            (true, _) => Route::Marker(Marker::Release),
            (_, true) => Route::Marker(Marker::Again),
            _ => Route::Row { keep: (row.keep < row.visible).then_some(row.keep), name: row.name },
        });
        self.routes.clock(kept_route, route_done);
        self.marks.clock(keeps.filter(|row| !row.again_values).map(|row| row.release_values), mark_done);
        self.names.clock(keeps.filter(|row| !row.is_marker()).map(|row| (row.name, row.factor)), leaves);
        let decided = tag.zip(decision).filter(|(row, _)| !row.last_pass);
        let index_bits = self.index_bits;
        self.verdicts.clock(decided.map(|(row, keep)| Output::Verdict(row.name, !keep, index_bits)), taken[0]);
        let sum = match self.softmax.output(0) {
            Some(softmax::Output::Sum(sum, _)) if sums => {
                let &(last_pass, name) = self.sum_tags.front().expect("a tag is there before its sum");
                let row = (name.head << self.index_bits | name.index) as u64;
                Some(requant_decision::Input { sum: *sum, last_pass, row, bits: [self.sum_bits, 0] })
            }
            _ => None,
        };
        let refetch = self.requant.output(1).is_some();
        self.requant.clock(&mut [sum], &[decision.is_some(), refetch]);

        // Logits.
        let mut to_softmax_beat = None;
        if to_softmax && let Some((pass, _, last)) = self.logits.front() {
            let beat = LogitBeat { row: pass.logits.clone(), word: self.logit_word, lanes };
            to_softmax_beat = Some(softmax::Input::Logits(beat));
            self.logit_word = if last { 0 } else { self.logit_word + 1 };
        }
        self.softmax.clock(&mut [to_softmax_beat, decision.map(softmax::Input::Decision)], &[sums, forks]);
        let [held, counted, total] = &mut self.saturations;
        *total = total.wrapping_add(*counted);
        *counted = std::mem::take(held);
        let mut beat = None;
        if to_logits && let Some(Logits { pass, from, count, last }) = self.dots.front() {
            let within = |j: &&usize| (*from..from + count).contains(*j);
            *held = pass.saturated.iter().filter(within).count() as u32;
            beat = Some(repack::Beat { row: pass.clone(), count: *count, last: *last });
        }
        self.logits.clock(beat, to_softmax);

        // Keys.
        let mut key = None;
        if enters && let Some(word) = self.keys.front() {
            if self.pass.is_none() {
                self.pass = Some(Arc::new(self.score(word)));
                self.scored = 0;
            }
            let pass = self.pass.as_ref().expect("just found");
            let (count, last) = (word.count, word.last);
            let logits =
                self.dots.completes(last).then(|| Logits { pass: pass.clone(), from: self.scored, count, last });
            self.scored += logits.as_ref().map_or(0, |l| l.count);
            key = Some((last, logits));
        }
        if let Some((true, _)) = key {
            self.pass = None;
            self.queries.pop_front();
        }
        let query = match accepted[1].take() {
            Some(Input::Query(query)) => Some(query),
            Some(other) => panic!("{other:?} on `query`"),
            None => None,
        };
        self.dots.clock(query.is_some(), key, to_logits);
        self.queries.extend(query);
        self.busy = enters;
        let mut request = None;
        if reads && let (Some(issue), Some(half)) = (&mut self.issue, self.keys.halves().read_half()) {
            let (visible, last) = (issue.row.visible, issue.at == issue.end);
            let done = issue.at * self.keys_of_word;
            let count = if visible == 0 {
                0
            } else if self.words_of_key > 1 {
                1
            } else {
                (visible - done).min(self.keys_of_word)
            };
            let head = self.key_heads.full[half].clone();
            let answer = (!issue.row.is_marker()).then_some(Word { head, visible, count, last });
            let release = last && issue.row.release_keys && !issue.row.again_keys;
            request = Some(key_buffer::Request { answer, release, again: issue.row.again_keys });
            issue.at += 1;
            if last {
                self.issue = None;
            }
        }
        let mut ends = [false; 2];
        if let Some(Input::Keys(key_buffer::Input::Write { lanes, bits, last })) = accepted[2].take() {
            self.key_heads.writing.write(&lanes, bits);
            ends[0] = last;
        }
        if let Some(Input::Keys(key_buffer::Input::Scale { lanes, last })) = accepted[3].take() {
            self.key_heads.writing.scales.extend_from_slice(&lanes);
            ends[1] = last;
        }
        let (half, before) = (self.keys.halves().write_half(), self.keys.halves().full());
        let lsbs = lsbs_of(accepted[10].take());
        let added = lsbs.as_ref().map(|lsbs| lsbs.last);
        if let Some(lsbs) = lsbs {
            self.key_heads.add(self.keys.halves().add_half(), &lsbs);
        }
        self.keys.clock(ends, added, request, enters);
        self.key_heads.settle(half, before, self.keys.halves().full());
        let row = match accepted[0].take() {
            Some(Input::Row(row)) => Some(row),
            Some(other) => panic!("{other:?} on `row`"),
            None => None,
        };
        let pass = row.filter(|row| !row.is_marker());
        let marks = row.filter(|row| row.again_keys || (row.release_values && row.release_keys));
        if let Some(row) = pass.or(marks) {
            let end = if row.is_marker() { 0 } else { self.last_word(&row) };
            self.issue = Some(Issue { row, at: 0, end });
        }
        self.sum_tags.clock(pass.map(|row| (row.last_pass, row.name)), sums);
        self.tags.clock(row.filter(Row::has_tag), tag.is_some());

        // What is offered, as this block's streams have it.
        for (port, read) in self.reads.iter_mut().enumerate() {
            *read = self.importance.output(port).cloned().map(Output::Importance);
        }
    }
}
