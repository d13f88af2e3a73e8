//! A card without time: jobs interpreted byte by byte from card memory, with golden's arithmetic and nothing of the host's.
//!
//! It is what `arch::descriptor` says, as short as it can be said. Its counters of cycles and bytes are made up, but not 0.

#[path = "functional/reader.rs"]
mod reader;

use reader::{Planes, Reader, Row};
use spatten::card::{CardDevice, CardMemory, Counters, DeviceError};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::descriptor::{
    Begin, CONTEXTS, Completion, Entry, Fault, HeadFactors, HeadState, Importance, JOB_BYTES, Job, Layer,
    LayerParameters, Mode, PARAMETER_BYTES, StateLayout, Status, Step, TokenState, ValueKeep, refetched_stride,
};
use spatten_arch::format::{Formats, TOKEN_SCALE_FRACTION};
use spatten_arch::registers::Counter;
use spatten_golden::dot_product::{self, ScaleFactor};
use spatten_golden::{importance_accumulator, multiply_value, requant_decision, softmax, top_k};

/// How a job ends that cannot be done: status and detail.
type Refusal = (Status, u32);

fn refusal(fault: Fault) -> Refusal {
    (fault.status, fault.detail())
}

/// What a card may do wrong, to show that it would be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// All tokens are real.
    Padding,
    /// The token of every step is.
    Joins,
    /// No pins by rank,
    PinRank,
    /// by map,
    PinMap,
    /// of the step's own token.
    PinCurrent,
    /// Dropped tokens come back.
    Evict,
    /// Dropped heads do not.
    Heads,
    /// Importances stay from step to step.
    Decay,
    /// Pruned tokens do not ask.
    KvOnly,
    /// Heads of a mask are those of the cascade.
    Mask,
    /// Values have no norms.
    Norms,
    /// Means are sums.
    Mean,
    /// Queries share a factor.
    QueryScales,
    /// Keys share a scale.
    KeyScales,
    /// Values share one.
    ValueScales,
    /// A refetched row has its MSBs only.
    Lsb,
    /// The first pass has all bits.
    Msb,
    /// All values are kept.
    Values,
    /// Of equals the last ones are kept.
    Ties,
    /// A row sees the tokens behind it.
    Causal,
    /// All heads have keys of their own.
    Group,
}

impl Broken {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Padding,
        Self::Joins,
        Self::PinRank,
        Self::PinMap,
        Self::PinCurrent,
        Self::Evict,
        Self::Heads,
        Self::Decay,
        Self::KvOnly,
        Self::Mask,
        Self::Norms,
        Self::Mean,
        Self::QueryScales,
        Self::KeyScales,
        Self::ValueScales,
        Self::Lsb,
        Self::Msb,
        Self::Values,
        Self::Ties,
        Self::Causal,
        Self::Group,
    ];
}

/// What a context keeps.
#[derive(Debug, Clone)]
struct Context {
    broken: Option<Broken>,
    begin: Begin,
    tokens: Vec<TokenState>,
    heads: Vec<HeadState>,
    /// Rows of the planes, by token.
    slots: Vec<usize>,
    /// The layer that is next; `None` before the first step.
    next: Option<u16>,
    /// Steps so far.
    steps: usize,
}

/// The card.
pub struct Functional {
    config: ArchConfig,
    formats: Formats,
    memory: CardMemory,
    contexts: Vec<Option<Context>>,
    counters: Counters,
    broken: Option<Broken>,
}

/// A card, as after power-up.
pub fn make(config: &ArchConfig) -> Result<Box<dyn CardDevice>, DeviceError> {
    Ok(Box::new(Functional::new(config)))
}

impl CardDevice for Functional {
    fn memory(&mut self) -> &mut CardMemory {
        &mut self.memory
    }

    fn run(&mut self, entry: &Entry) -> Result<Completion, DeviceError> {
        Ok(self.run_bytes(&entry.encode()))
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

impl Context {
    fn alive(&self) -> Vec<usize> {
        (0..self.tokens.len()).filter(|&i| self.tokens[i].alive).collect()
    }

    fn heads_alive(&self) -> Vec<usize> {
        (0..self.heads.len()).filter(|&i| self.heads[i].alive).collect()
    }

    fn left(&self) -> u32 {
        self.alive().len() as u32 | (self.heads_alive().len() as u32) << 16
    }

    /// The token of row 0, or of the first step.
    fn first_row(&self) -> usize {
        self.tokens.len() - usize::from(self.begin.rows)
    }

    /// Says of every token whether it is pinned now.
    fn pin(&mut self) {
        let b = &self.begin;
        let current = (b.mode == Mode::Decode && self.steps > 0).then(|| self.first_row() + self.steps - 1);
        let count = self.tokens.iter().filter(|t| t.real).count();
        let (first, last) = (usize::from(b.pin_first), usize::from(b.pin_last));
        let mut rank = 0;
        for (i, t) in self.tokens.iter_mut().enumerate() {
            let is = |broken| self.broken == Some(broken);
            let by_rank = !is(Broken::PinRank) && (rank < first || rank + last >= count);
            let by_map = !is(Broken::PinMap) && t.pin_map;
            let as_current = !is(Broken::PinCurrent) && b.pin_current && current == Some(i);
            t.pinned = t.real && (by_rank || by_map || as_current);
            rank += usize::from(t.real);
        }
    }

    /// Tokens that ask, and their rows of the planes of Q.
    fn queries(&self, job: &Layer) -> Vec<(usize, usize)> {
        let first = self.first_row();
        if self.begin.mode == Mode::Decode {
            let current = first + self.steps - 1;
            return if self.tokens[current].real { vec![(current, job.query.into())] } else { vec![] };
        }
        let asks = |i: &usize| {
            let pruned_too = self.begin.kv_only && self.broken != Some(Broken::KvOnly);
            self.tokens[*i].real && (pruned_too || self.tokens[*i].alive)
        };
        (first..self.tokens.len()).filter(asks).map(|i| (i, i - first)).collect()
    }
}

fn factor(packed: u32) -> ScaleFactor {
    let (mantissa, shift) = HeadFactors::unpack(packed);
    ScaleFactor { mantissa, shift }
}

/// Word address of a head's block.
fn at(base: u32, stride: u32, head: usize) -> u32 {
    base.wrapping_add(stride.wrapping_mul(head as u32))
}

/// Keys and values of a head, by survivor.
struct KeysAndValues {
    k: Vec<Row>,
    v: Vec<Row>,
    /// Scale of the key, of the value, and norm.
    granules: [Vec<Option<u32>>; 3],
}

impl Functional {
    /// As after power-up.
    pub fn new(config: &ArchConfig) -> Self {
        Self {
            config: config.clone(),
            formats: Formats::new(config),
            memory: CardMemory::new(config),
            contexts: vec![None; CONTEXTS],
            counters: Counters::default(),
            broken: None,
        }
    }

    /// One that does something wrong.
    pub fn broken(config: &ArchConfig, broken: Broken) -> Self {
        Self { broken: Some(broken), ..Self::new(config) }
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// Runs a job as it lies in a ring. One that is refused changes no context.
    pub fn run_bytes(&mut self, bytes: &[u8; JOB_BYTES]) -> Completion {
        let end = Entry::decode(bytes, &self.config).map_err(refusal).and_then(|entry| self.job(&entry.job));
        let (status, result, detail) = match end {
            Ok((result, detail)) => (Status::Success, result, detail),
            Err((status, detail)) => (status, 0, detail),
        };
        for (counter, cycles) in [(Counter::Jobs, 1), (Counter::Cycles, 1000), (Counter::Busy, 900)] {
            self.counters[counter] += cycles;
        }
        let head = self.counters[Counter::Jobs] as u32;
        Completion { result, detail, head, id: Entry::id(bytes), status, phase: true }
    }

    fn reader(&self) -> Reader<'_> {
        Reader { config: &self.config, memory: &self.memory }
    }

    fn job(&mut self, job: &Job) -> Result<(u32, u32), Refusal> {
        match job {
            Job::Nop(_) => Ok((0, 0)),
            Job::Begin(begin) => self.begin(begin),
            Job::End(end) => {
                self.contexts[usize::from(end.context)].take().map(|_| (0, 0)).ok_or((Status::BadContext, 4))
            }
            Job::Step(step) => self.step(step),
            Job::Layer(layer) => self.layer(layer),
            Job::ReadState(read) => {
                let context = self.context(read.context)?;
                self.write_state(read.state, &context)?;
                Ok((context.left(), 0))
            }
            Job::Append(_) | Job::CopyIn(_) | Job::CopyOut(_) => panic!("the host of this card has no use for {job:?}"),
        }
    }

    fn context(&self, number: u16) -> Result<Context, Refusal> {
        self.contexts[usize::from(number)].clone().ok_or((Status::BadContext, 4))
    }

    fn begin(&mut self, begin: &Begin) -> Result<(u32, u32), Refusal> {
        if self.contexts[usize::from(begin.context)].is_some() {
            return Err((Status::ContextExists, 4));
        }
        let (tokens, rows) = (usize::from(begin.tokens), usize::from(begin.rows));
        let there = if begin.mode == Mode::Decode { tokens - rows } else { tokens };
        let bytes = tokens.div_ceil(8);
        let bit = |map: &[u8], i: usize| map[i / 8] >> (i % 8) & 1 == 1;
        let padded = begin.padded && !self.is(Broken::Padding);
        let real = if padded { self.reader().block(begin.real_map, bytes)? } else { vec![0xff; bytes] };
        let pins = if begin.pinned { self.reader().block(begin.pin_map, bytes)? } else { vec![0; bytes] };
        let token = |i: usize| {
            let real = i < there && bit(&real, i);
            TokenState { real, alive: real, pin_map: bit(&pins, i), ..TokenState::default() }
        };
        let mut context = Context {
            broken: self.broken,
            begin: *begin,
            tokens: (0..tokens).map(token).collect(),
            heads: vec![HeadState { importance: 0, alive: true }; begin.heads.into()],
            slots: (0..tokens).collect(),
            next: (begin.mode != Mode::Decode).then_some(0),
            steps: 0,
        };
        context.pin();
        let left = context.left();
        self.contexts[usize::from(begin.context)] = Some(context);
        Ok((left, 0))
    }

    fn step(&mut self, step: &Step) -> Result<(u32, u32), Refusal> {
        let mut c = self.context(step.context)?;
        let current = c.first_row() + c.steps;
        if c.begin.mode != Mode::Decode || current >= c.tokens.len() {
            return Err((Status::BadSequence, 4));
        }
        if c.steps > 0 && c.begin.importance == Importance::Decay && !self.is(Broken::Decay) {
            for token in &mut c.tokens {
                token.importance = importance_accumulator::decay(token.importance, c.begin.gamma);
            }
        }
        c.tokens[current].real = step.joins || self.is(Broken::Joins);
        c.slots[current] = step.slot.into();
        for (i, token) in c.tokens.iter_mut().enumerate() {
            let stays = token.alive || !c.begin.evict || i == current || self.is(Broken::Evict);
            token.alive = token.real && stays;
        }
        c.heads.iter_mut().for_each(|head| head.alive |= !self.is(Broken::Heads));
        (c.steps, c.next) = (c.steps + 1, Some(0));
        c.pin();
        let left = c.left();
        self.contexts[usize::from(step.context)] = Some(c);
        Ok((left, 0))
    }

    fn layer(&mut self, job: &Layer) -> Result<(u32, u32), Refusal> {
        let mut c = self.context(job.context)?;
        if c.next != Some(job.layer) {
            return Err((Status::BadSequence, 6));
        }
        let block = self.reader().block(job.parameters, PARAMETER_BYTES + HeadFactors::BYTES * c.heads.len())?;
        let (fixed, factors) = block.split_at(PARAMETER_BYTES);
        let parameters = LayerParameters::decode(fixed.try_into().unwrap(), &self.config).map_err(refusal)?;
        let decode = |(head, bytes): (usize, &[u8])| {
            HeadFactors::decode(bytes.try_into().unwrap(), head, &self.config).map_err(refusal)
        };
        let factors = factors.chunks(HeadFactors::BYTES).enumerate().map(decode).collect::<Result<Vec<_>, _>>()?;
        let mask = u128::from(parameters.head_mask_high) << 64 | u128::from(parameters.head_mask_low);
        let heads = match parameters.masked && !self.is(Broken::Mask) {
            true => (0..c.heads.len()).filter(|head| mask >> head & 1 == 1).collect(),
            false => c.heads_alive(),
        };
        let mut again = 0;
        for head in heads {
            again += self.head(job, &parameters, (head, factors[head]), &mut c)?;
        }
        self.select(job, &mut c);
        c.next = Some(job.layer + 1);
        if job.write_state {
            self.write_state(job.state, &c)?;
        }
        let left = c.left();
        self.contexts[usize::from(job.context)] = Some(c);
        Ok((left, again))
    }

    fn keys_and_values(
        &self,
        p: &LayerParameters,
        kv_head: usize,
        dim: usize,
        rows: &[usize],
    ) -> Result<KeysAndValues, Refusal> {
        let reader = self.reader();
        let k = Planes {
            msb: (at(p.k_msb_base, p.k_msb_stride, kv_head), p.k_msb),
            lsb: (at(p.k_lsb_base, p.k_lsb_stride, kv_head), p.k_lsb),
            split: p.split,
        };
        let v = Planes {
            msb: (at(p.v_msb_base, p.v_msb_stride, kv_head), p.v_msb),
            lsb: (at(p.v_lsb_base, p.v_lsb_stride, kv_head), p.v_lsb),
            split: p.split,
        };
        let granules = |there: bool, base: u32, stride: u32| {
            let read = |&row: &usize| reader.granule(at(base, stride, kv_head), row).map(Some);
            if there { rows.iter().map(read).collect() } else { Ok(vec![None; rows.len()]) }
        };
        Ok(KeysAndValues {
            k: rows.iter().map(|&row| reader.row(&k, dim, row)).collect::<Result<_, _>>()?,
            v: rows.iter().map(|&row| reader.row(&v, dim, row)).collect::<Result<_, _>>()?,
            granules: [
                granules(p.scaled && !self.is(Broken::KeyScales), p.k_scale_base, p.k_scale_stride)?,
                granules(p.scaled && !self.is(Broken::ValueScales), p.v_scale_base, p.v_scale_stride)?,
                granules(p.normed && !self.is(Broken::Norms), p.norm_base, p.norm_stride)?,
            ],
        })
    }

    /// All query rows of a head; says how many were computed again.
    fn head(
        &mut self,
        job: &Layer,
        p: &LayerParameters,
        (head, factors): (usize, HeadFactors),
        c: &mut Context,
    ) -> Result<u32, Refusal> {
        let dim = HEAD_DIMS[usize::from(c.begin.dim)];
        let group = usize::from(c.begin.heads / c.begin.kv_heads);
        let kv_head = if self.is(Broken::Group) { head % usize::from(c.begin.kv_heads) } else { head / group };
        let keys = c.alive();
        let rows: Vec<usize> = keys.iter().map(|&key| c.slots[key]).collect();
        let KeysAndValues { k, v, granules: [key_scales, value_scales, norms] } =
            self.keys_and_values(p, kv_head, dim, &rows)?;
        let q = Planes {
            msb: (at(p.q_msb_base, p.q_msb_stride, head), p.q_msb),
            lsb: (at(p.q_lsb_base, p.q_lsb_stride, head), p.q_lsb),
            split: p.split,
        };
        let mut map = vec![0u8; self.config.keys_on_chip / 8];
        let mut again_rows = 0;
        for (number, (token, row)) in c.queries(job).into_iter().enumerate() {
            let query = self.reader().row(&q, dim, row)?;
            let scale = |reader: Reader<'_>| reader.granule(at(p.q_scale_base, p.q_scale_stride, head), row);
            let own = p.scaled && !self.is(Broken::QueryScales);
            let logit = factor(if own { scale(self.reader())? } else { factors.logit });
            let visible = match c.begin.mode {
                Mode::Encoder => keys.len(),
                _ if self.is(Broken::Causal) => keys.len(),
                _ => keys.iter().filter(|&&key| key <= token).count(),
            };
            let (mut cut_logits, formats) = (0, &self.formats);
            let mut scores = |all: bool| {
                let mut logits = vec![];
                for (key, scale) in k[..visible].iter().zip(&key_scales) {
                    let dot = dot_product::integer(query.operands(all), key.operands(all));
                    let (x, cut) = dot_product::scale(dot, scale.unwrap_or(1 << TOKEN_SCALE_FRACTION), logit, formats);
                    cut_logits += u64::from(cut);
                    logits.push(x as i32);
                }
                let mut row = softmax::Row::default();
                row.load(&logits);
                row
            };
            let mut all = !p.progressive || self.is(Broken::Msb);
            let mut exponentials = scores(all);
            if p.progressive && requant_decision::fixed(exponentials.sum, p.threshold_inverse) {
                all = !self.is(Broken::Lsb);
                exponentials = scores(all);
                map[number / 8] |= 1 << (number % 8);
                again_rows += 1;
            }
            self.counters[Counter::SaturatedLogit] += cut_logits;
            self.counters[Counter::Rows] += 1;

            let mut probabilities = vec![];
            if let Some(divisor) = exponentials.divisor() {
                for ((&e, &key), norm) in exponentials.exponentials.iter().zip(&keys).zip(&norms) {
                    probabilities.push(divisor.probability(e));
                    let plain = divisor.increment(e);
                    let increment = norm.map_or(plain.into(), |n| importance_accumulator::weighted(plain, n));
                    let t = &mut c.tokens[key];
                    t.importance = self.add(t.importance, increment, true);
                    t.rows = (t.rows + 1).min((1 << 24) - 1);
                }
            }
            let keep = ValueKeep::from_raw(job.keep_values).count(visible);
            let keep = if self.is(Broken::Values) { visible } else { keep };
            self.counters[Counter::TopkCalls] += u64::from(keep < visible);
            let mut sums = vec![0; dim];
            for i in top_k::reference(&probabilities, keep) {
                let p = probabilities[i];
                let weight = value_scales[i].map_or(p as i32, |scale| multiply_value::weight(p, scale));
                multiply_value::fixed(weight, v[i].operands(all), &mut sums);
            }
            let rounded: Vec<(i32, bool)> =
                sums.iter().map(|&sum| multiply_value::round(sum, &self.formats.output)).collect();
            self.counters[Counter::SaturatedOutput] += rounded.iter().filter(|(_, cut)| *cut).count() as u64;
            let outputs: Vec<i32> = rounded.into_iter().map(|(x, _)| x).collect();
            let increment = importance_accumulator::head_increment(&outputs, factor(factors.importance));
            c.heads[head].importance = self.add(c.heads[head].importance, increment, false);
            let base = at(job.output, job.output_stride, head);
            reader::write_outputs(&self.config, &mut self.memory, base, number, &outputs)?;
            self.counters[Counter::Write] += 2 * dim as u64;
        }
        self.counters[Counter::Refetched] += u64::from(again_rows);
        for (counter, bits) in [(Counter::ReadQ, p.q_msb), (Counter::ReadKMsb, p.k_msb), (Counter::ReadV, p.v_msb)] {
            self.counters[counter] += (keys.len() * dim * usize::from(bits)).div_ceil(8) as u64;
        }
        if job.write_refetched {
            let base = at(job.refetched, refetched_stride(&self.config), head);
            reader::write_block(&self.config, &mut self.memory, base, 0, &map)?;
        }
        Ok(again_rows)
    }

    /// Sum of importances, of a token or of a head.
    fn add(&mut self, sum: u64, increment: u64, token: bool) -> u64 {
        let format = if token { &self.formats.token_importance } else { &self.formats.head_importance };
        let (sum, cut) = importance_accumulator::fixed(sum, increment, format);
        self.counters[Counter::SaturatedImportance] += u64::from(cut);
        sum
    }

    /// Says who goes on.
    fn select(&mut self, job: &Layer, c: &mut Context) {
        let alive = c.alive();
        let rank = |i: &usize| {
            let t = &c.tokens[*i];
            let mean = || importance_accumulator::mean(t.importance, t.rows.into(), &self.formats.token_mean).0;
            (
                t.pinned,
                if c.begin.importance == Importance::Mean && !self.is(Broken::Mean) { mean() } else { t.importance },
            )
        };
        let mut ranks: Vec<(bool, u64)> = alive.iter().map(rank).collect();
        let mut alive = alive;
        if self.is(Broken::Ties) {
            alive.reverse();
            ranks.reverse();
        }
        let keep = usize::from(job.keep_tokens).max(ranks.iter().filter(|(pinned, _)| *pinned).count());
        if keep < alive.len() {
            alive.iter().for_each(|&i| c.tokens[i].alive = false);
            top_k::reference(&ranks, keep).into_iter().for_each(|i| c.tokens[alive[i]].alive = true);
        }
        let alive = c.heads_alive();
        let ranks: Vec<u64> = alive.iter().map(|&i| c.heads[i].importance).collect();
        alive.iter().for_each(|&i| c.heads[i].alive = false);
        top_k::reference(&ranks, job.keep_heads.into()).into_iter().for_each(|i| c.heads[alive[i]].alive = true);
    }

    fn write_state(&mut self, base: u32, c: &Context) -> Result<(), Refusal> {
        let places = StateLayout::new(&self.config);
        let mut header = vec![0; places.tokens];
        header[0..4].copy_from_slice(&(c.left() & 0xffff).to_le_bytes());
        header[4..8].copy_from_slice(&(c.left() >> 16).to_le_bytes());
        let tokens: Vec<u8> = c.tokens.iter().flat_map(TokenState::encode).collect();
        let heads: Vec<u8> = c.heads.iter().flat_map(HeadState::encode).collect();
        for (from, bytes) in [(0, header), (places.tokens, tokens), (places.heads, heads)] {
            reader::write_block(&self.config, &mut self.memory, base, from, &bytes)?;
        }
        Ok(())
    }
}
