//! One sequence in one context of a card: its jobs, and what they answer. The host's counterpart of `golden::cascade`.
//!
//! What a report counts and the host knows is counted here by golden's rules; bytes, cycles and saturations are the card's own
//! counters. Several sequences may run on one card by turns.

use super::planes::{LayerPlanes, LayerRows};
use super::{CardDevice, CardMemory, Counters, DeviceError};
use ndarray::{Array2, Array3, s};
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::descriptor::{
    self, Begin, Completion, End, Entry, HeadState, Job, Layer, StateLayout, Status, Step, TokenState, ValueKeep,
    context_bytes, refetched_stride,
};
use spatten_arch::layout::{Linear, OutputLayout};
use spatten_arch::plan::{GenerationCascade, Importance, Scale, Split, Tensor, TokenMode};
use spatten_arch::registers::Counter;
use spatten_arch::{ArchConfig, Plan};
use spatten_golden::attention::{LayerInput, LayerOutput};
use spatten_golden::cascade::{Backend, LayerContext, LayerReport, Saturations, ScoreKind, Sequence};
use spatten_golden::fixed::{Fixed, FixedLayer};
use spatten_golden::importance_accumulator::decay_factor;
use spatten_golden::quantiser::{Calibration, Quantiser};
use spatten_golden::trace::Mode;

/// Count of tokens or heads in a job that stands for all of them.
const ALL: u16 = u16::MAX;

/// A plan or a shape that a card has no form for, although golden has.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitError {
    /// See [`ValueKeep::new`].
    #[error(
        "values.keep = {keep}: no share of 31 bits gives its counts for up to {keys} keys, expected one that is not just above a fraction"
    )]
    Share {
        /// The share.
        keep: f64,
        /// Most keys.
        keys: usize,
    },
    /// Zeros that fill a short head are read as the middle of their cell.
    #[error(
        "head dimension {dim}: with split = \"mid\" and q or v in msb_first it cannot be filled up with zeros, expected one of {HEAD_DIMS:?}"
    )]
    Padding {
        /// Head dimension.
        dim: usize,
    },
}

/// Whether a card computes what golden computes.
pub fn check(plan: &Plan, keys: usize, head_dim: usize) -> Result<(), UnfitError> {
    if ValueKeep::new(plan.values.keep, keys).is_none() {
        return Err(UnfitError::Share { keep: plan.values.keep, keys });
    }
    let middles = |q: &spatten_arch::plan::QuantPlan| {
        q.split == Split::Mid && [Tensor::Q, Tensor::V].into_iter().any(|tensor| q.splits(tensor))
    };
    if !HEAD_DIMS.contains(&head_dim) && plan.quant.as_ref().is_some_and(middles) {
        return Err(UnfitError::Padding { dim: head_dim });
    }
    Ok(())
}

/// Blocks of a sequence besides its layers' planes: word addresses.
#[derive(Debug, Clone, Copy)]
struct Blocks {
    storage: u32,
    real_map: u32,
    pin_map: u32,
    state: u32,
    refetched: u32,
    output: u32,
    output_stride: u32,
    base: u32,
    words: u32,
}

/// A sequence on a card.
#[derive(Debug)]
pub struct CardSequence {
    config: ArchConfig,
    context: u16,
    plan: Plan,
    quantiser: Quantiser,
    calibration: Option<Calibration>,
    sequence: Sequence,
    /// The head dimension on the card.
    dim: usize,
    share: ValueKeep,
    numbers: Fixed,
    blocks: Blocks,
    /// By layer in generation, where they hold the cache; otherwise one for all.
    planes: Vec<LayerPlanes>,
    next_id: u16,
    layer: usize,
    step: usize,
    survivors: Vec<usize>,
    queries: Vec<usize>,
    heads: Vec<usize>,
    token_counts: Vec<usize>,
    head_counts: Vec<usize>,
    /// As the last state block said.
    tokens: Vec<TokenState>,
    head_states: Vec<HeadState>,
    reports: Vec<LayerReport>,
    timing: Vec<Counters>,
}

/// Bit i for every i that is set.
fn map(bits: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut bytes = vec![];
    for (i, bit) in bits.enumerate() {
        if i % 8 == 0 {
            bytes.push(0);
        }
        bytes[i / 8] |= u8::from(bit) << (i % 8);
    }
    bytes
}

impl CardSequence {
    /// Begins a sequence (in generation its first step) in a free context of a card.
    ///
    /// # Errors
    /// Where the card does not do what it is told.
    ///
    /// # Panics
    /// Where plan, calibration or shape do not fit; `Plan::check_for`, `Calibration::check`, `Fixed::check` and [`check`] say so
    /// beforehand.
    #[track_caller]
    pub fn begin(
        card: &mut dyn CardDevice,
        config: &ArchConfig,
        context: u16,
        sequence: Sequence,
        plan: &Plan,
        calibration: Option<Calibration>,
    ) -> Result<Self, DeviceError> {
        let tokens = sequence.mask.len();
        plan.check_for("plan", sequence.layers, sequence.heads, config.datapath_bits).unwrap_or_else(|e| panic!("{e}"));
        Fixed::check(config, sequence.heads, tokens, sequence.head_dim).unwrap_or_else(|e| panic!("{e}"));
        check(plan, tokens, sequence.head_dim).unwrap_or_else(|e| panic!("{e}"));
        assert!((1..=tokens).contains(&sequence.rows), "{} rows of {tokens} tokens", sequence.rows);
        let calibrated = matches!(plan.quant.as_ref().map(|q| &q.scale), Some(Scale::Static(_)));
        assert!(!calibrated || calibration.is_some(), "the plan's static scale without its calibration");
        if let Some(c) = &calibration {
            c.check(sequence.layers, sequence.heads, sequence.kv_heads).unwrap_or_else(|e| panic!("calibration: {e}"));
        }
        let dim = HEAD_DIMS.into_iter().find(|&d| d >= sequence.head_dim).expect("checked above");
        let quantiser = Quantiser::new(plan.quant.clone().unwrap_or_default());
        let decode = sequence.mode == Mode::Decode;
        let normed = plan.tokens.importance == Importance::ValueWeighted;
        let memory = card.memory();
        let layers = if decode { sequence.layers } else { 1 };
        let planes = (0..layers)
            .map(|_| LayerPlanes::take(memory, config, &sequence, dim, &quantiser, (normed, decode)))
            .collect();
        let mut this = Self {
            blocks: Blocks::take(memory, config, &sequence, dim),
            config: config.clone(),
            context,
            plan: plan.clone(),
            quantiser,
            calibration,
            dim,
            share: ValueKeep::new(plan.values.keep, tokens).expect("checked above"),
            numbers: Fixed::new(config),
            planes,
            next_id: 0,
            layer: 0,
            step: 0,
            survivors: vec![],
            queries: vec![],
            heads: vec![],
            token_counts: vec![],
            head_counts: plan.head_counts(sequence.layers, sequence.heads),
            tokens: vec![TokenState::default(); tokens],
            head_states: vec![HeadState::default(); sequence.heads],
            reports: vec![],
            timing: vec![],
            sequence,
        };
        this.send_begin(card)?;
        this.start(card)?;
        Ok(this)
    }

    /// Tokens that are there from the beginning.
    fn prompt(&self) -> usize {
        let tokens = self.sequence.mask.len();
        if self.sequence.mode == Mode::Decode { tokens - self.sequence.rows } else { tokens }
    }

    fn send_begin(&mut self, card: &mut dyn CardDevice) -> Result<(), DeviceError> {
        let (s, plan) = (&self.sequence, &self.plan.tokens);
        let prompt = &s.mask[..self.prompt()];
        let real = prompt.iter().filter(|real| **real).count();
        let pin = plan.pin.clone().unwrap_or_default();
        let most = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let memory = card.memory();
        let bits = |holds: &dyn Fn(usize) -> bool| map((0..s.mask.len()).map(holds));
        memory.write_block(self.blocks.real_map, &bits(&|p| prompt.get(p).is_some_and(|real| *real)));
        memory.write_block(self.blocks.pin_map, &bits(&|p| pin.positions.contains(&p)));
        let begin = Begin {
            mode: match s.mode {
                Mode::Encoder => descriptor::Mode::Encoder,
                Mode::Causal => descriptor::Mode::Causal,
                Mode::Decode => descriptor::Mode::Decode,
            },
            context: self.context,
            heads: s.heads as u16,
            kv_heads: s.kv_heads as u16,
            dim: (self.dim.ilog2() - HEAD_DIMS[0].ilog2()) as u8,
            importance: match plan.importance {
                Importance::Sum => descriptor::Importance::Sum,
                Importance::ValueWeighted => descriptor::Importance::ValueWeighted,
                Importance::Mean => descriptor::Importance::Mean,
                Importance::Decay(_) => descriptor::Importance::Decay,
            },
            tokens: s.mask.len() as u16,
            rows: s.rows as u16,
            kv_only: plan.mode == TokenMode::KvOnly,
            evict: self.plan.generation.cascade == GenerationCascade::Evict,
            padded: real < prompt.len(),
            pin_current: plan.pin.is_none() && s.mode == Mode::Decode,
            real_map: self.blocks.real_map,
            gamma: if let Importance::Decay(gamma) = plan.importance { decay_factor(gamma) } else { 0 },
            pin_first: most(pin.first),
            pin_last: most(pin.last),
            pin_map: self.blocks.pin_map,
            pinned: !pin.positions.is_empty(),
            storage: self.blocks.storage,
        };
        let heads = s.heads;
        let answer = self.run(card, Job::Begin(begin))?;
        left(&answer, real, heads)
    }

    /// Sets survivors, queries and heads for layer 0 of the current step, which in generation begins with a job.
    fn start(&mut self, card: &mut dyn CardDevice) -> Result<(), DeviceError> {
        let s = &self.sequence;
        let (tokens, heads) = (s.mask.len(), s.heads);
        let first_row = tokens - s.rows;
        let decode = s.mode == Mode::Decode;
        let seen = if decode { first_row + self.step + 1 } else { tokens };
        let real = |range: std::ops::Range<usize>| range.filter(|&p| s.mask[p]).collect::<Vec<usize>>();
        let evict = decode && self.plan.generation.cascade == GenerationCascade::Evict && self.step > 0;
        let real_tokens = real(0..seen).len();
        let mut survivors = std::mem::take(&mut self.survivors);
        match evict {
            true => survivors.extend(real(seen - 1..seen)),
            false => survivors = real(0..seen),
        }
        self.queries = real(if decode { seen - 1..seen } else { first_row..tokens });
        self.survivors = survivors;
        self.token_counts = self.plan.token_counts(s.layers, real_tokens);
        self.heads = self.plan.masked_heads(0).unwrap_or_else(|| (0..heads).collect());
        self.layer = 0;
        if decode {
            let step = Step { joins: s.mask[seen - 1], context: self.context, slot: (seen - 1) as u16 };
            let answer = self.run(card, Job::Step(step))?;
            left(&answer, self.survivors.len(), heads)?;
        }
        Ok(())
    }

    /// Begins the next generation step.
    ///
    /// # Errors
    /// Where the card does not do what it is told.
    ///
    /// # Panics   where layers of this step are left, no step is, or in another mode
    #[track_caller]
    pub fn next_step(&mut self, card: &mut dyn CardDevice) -> Result<(), DeviceError> {
        assert_eq!(self.sequence.mode, Mode::Decode, "steps exist in decode mode");
        assert_eq!(self.layer, self.sequence.layers, "layers done before the next step");
        assert!(self.step + 1 < self.sequence.rows, "all {} steps are done", self.sequence.rows);
        self.step += 1;
        self.start(card)
    }

    /// Ends the sequence: its context is free, and its memory too.
    ///
    /// # Errors
    /// Where the card does not do what it is told.
    pub fn end(mut self, card: &mut dyn CardDevice) -> Result<(), DeviceError> {
        self.run(card, Job::End(End { context: self.context }))?;
        let memory = card.memory();
        memory.give_back(self.blocks.base, self.blocks.words);
        self.planes.into_iter().for_each(|planes| planes.give_back(memory));
        Ok(())
    }

    /// Computes the next layer and prunes; see [`spatten_golden::attention::Attention`].
    ///
    /// # Errors
    /// Where the card does not do what it is told.
    ///
    /// # Panics   where shapes differ from what is alive, or no layer is left
    #[track_caller]
    pub fn layer(&mut self, card: &mut dyn CardDevice, input: LayerInput<'_>) -> Result<LayerOutput, DeviceError> {
        let s = &self.sequence;
        let (queries, keys, dim) = (self.queries.len(), self.survivors.len(), s.head_dim);
        assert!(self.layer < s.layers, "all {} layers are done", s.layers);
        assert_eq!(input.q.dim(), (s.heads, queries, dim), "shape of q in layer {}", self.layer);
        assert_eq!(input.k.dim(), (s.kv_heads, keys, dim), "shape of k in layer {}", self.layer);
        assert_eq!(input.v.dim(), (s.kv_heads, keys, dim), "shape of v in layer {}", self.layer);

        let (layer, norm_saturations) = self.quantise(&input);
        let first_row = self.sequence.mask.len() - self.sequence.rows;
        let rows: Vec<usize> = self.queries.iter().map(|p| p - first_row).collect();
        let masked = self.plan.heads.mask.is_some();
        let number = if self.sequence.mode == Mode::Decode { self.layer } else { 0 };
        let rows = LayerRows { layer: &layer, queries: &rows, survivors: &self.survivors, heads: &self.heads, masked };
        self.planes[number].write(card.memory(), rows);

        let before = card.counters();
        let job = self.job(self.planes[number].parameters());
        let answer = self.run(card, Job::Layer(job))?;
        let timing = card.counters().since(&before);

        let output = self.output(card.memory(), &layer, job.write_refetched);
        let refetched = output.refetched.iter().filter(|again| **again).count() as u64;
        expect("the number of rows that were computed again", answer.detail.into(), refetched)?;
        let mut report = self.report(&output, &timing);
        report.saturations.value_norm = norm_saturations;
        self.prune(card.memory(), &answer, &job, &mut report)?;
        self.reports.push(report);
        self.timing.push(timing);
        Ok(output)
    }

    fn quantise(&mut self, input: &LayerInput<'_>) -> (FixedLayer, u64) {
        let (used, used_kv) = self.sequence.used(&self.heads);
        let calibration = self.calibration.as_ref();
        let absmax = Tensor::ALL.map(|t| calibration.map(|c| &*c.of(t)[self.layer]));
        let context = LayerContext {
            scale: self.sequence.scale,
            used: &used,
            used_kv: &used_kv,
            absmax,
            importance: self.plan.tokens.importance,
        };
        self.numbers.load(input, Some(&self.quantiser), &context)
    }

    fn job(&self, parameters: u32) -> Layer {
        let (next, masked) = (self.layer + 1, self.plan.heads.mask.is_some());
        let count = |counts: &[usize]| counts.get(next).map_or(ALL, |&n| n.min(ALL.into()) as u16);
        let computes = !self.queries.is_empty() && !self.heads.is_empty();
        Layer {
            write_state: true,
            context: self.context,
            layer: self.layer as u16,
            parameters,
            query: self.step as u16,
            keep_tokens: count(&self.token_counts),
            keep_heads: if masked { ALL } else { count(&self.head_counts) },
            write_refetched: self.quantiser.plan().progressive && computes,
            keep_values: self.share.raw(),
            output: self.blocks.output,
            output_stride: self.blocks.output_stride,
            state: self.blocks.state,
            refetched: self.blocks.refetched,
        }
    }

    fn output(&self, memory: &CardMemory, layer: &FixedLayer, refetched_written: bool) -> LayerOutput {
        let shape = &self.sequence;
        let plane = OutputLayout::new(&self.config, self.dim);
        let mut out = Array3::zeros((shape.heads, self.queries.len(), shape.head_dim));
        let mut refetched = Array2::from_elem((shape.heads, self.queries.len()), false);
        for &head in &self.heads {
            let step = self.numbers.output_step(layer, head / (shape.heads / shape.kv_heads));
            let base = self.blocks.output + self.blocks.output_stride * head as u32;
            let bits = match refetched_written {
                true => {
                    let base = self.blocks.refetched + refetched_stride(&self.config) * head as u32;
                    memory.read_block(base, 0, self.queries.len().div_ceil(8))
                }
                false => vec![0; self.queries.len().div_ceil(8)],
            };
            for row in 0..self.queries.len() {
                let to = out.slice_mut(s![head, row, ..]);
                for (to, x) in to.into_iter().zip(memory.read_outputs(base, &plane, row)) {
                    *to = f64::from(x) * step;
                }
                refetched[[head, row]] = bits[row / 8] >> (row % 8) & 1 == 1;
            }
        }
        LayerOutput { out, refetched }
    }

    /// What a layer moved and decided: its decisions as golden counts them, the rest as the card does.
    fn report(&self, output: &LayerOutput, timing: &Counters) -> LayerReport {
        let (s, heads) = (&self.sequence, self.heads.len());
        let mut report =
            LayerReport { tokens: self.survivors.len(), queries: self.queries.len(), heads, ..LayerReport::default() };
        report.rows = (self.queries.len() * heads) as u64;
        let visible = s.visible(&self.queries, &self.survivors);
        for (&head, (row, &visible)) in
            self.heads.iter().flat_map(|head| visible.iter().enumerate().map(move |row| (head, row)))
        {
            let again = output.refetched[[head, row]];
            let kept = self.share.count(visible);
            let products = if again { 2 * visible } else { visible } + kept;
            report.refetched_rows += u64::from(again);
            report.ops += 2 * (products * s.head_dim) as u64;
            report.topk_calls += u64::from(kept < visible);
        }
        (report.dense_12bit_bytes, report.dense_fp32_bytes) = s.dense_bytes(self.step);
        report.q_bytes = timing[Counter::ReadQ];
        report.k_msb_bytes = timing[Counter::ReadKMsb];
        report.k_lsb_bytes = timing[Counter::ReadKLsb];
        report.v_bytes = timing[Counter::ReadV];
        report.write_bytes = timing[Counter::Write];
        report.saturations = Saturations {
            logit: timing[Counter::SaturatedLogit],
            output: timing[Counter::SaturatedOutput],
            importance: timing[Counter::SaturatedImportance],
            value_norm: 0,
        };
        report
    }

    /// Reads who goes on, and counts the selections that the plan asked for.
    fn prune(
        &mut self,
        memory: &CardMemory,
        answer: &Completion,
        job: &Layer,
        report: &mut LayerReport,
    ) -> Result<(), DeviceError> {
        let s = &self.sequence;
        let places = StateLayout::new(&self.config);
        let block = memory.read_block(self.blocks.state, 0, places.head(s.heads));
        let eight = |at: usize| block[at..at + 8].try_into().expect("eight bytes");
        let tokens: Vec<TokenState> =
            (0..self.tokens.len()).map(|i| TokenState::decode(eight(places.token(i)))).collect();
        let heads: Vec<HeadState> = (0..s.heads).map(|i| HeadState::decode(eight(places.head(i)))).collect();
        let pinned = self.survivors.iter().filter(|&&p| tokens[p].pinned).count();
        let (before, heads_before) = (self.survivors.len(), self.heads.len());
        let survivors: Vec<usize> = (0..tokens.len()).filter(|&p| tokens[p].alive).collect();
        let heads_left: Vec<usize> = (0..s.heads).filter(|&h| heads[h].alive).collect();

        // Heads of a mask are no cascade's: that one keeps all.
        let cascade = if self.plan.heads.mask.is_some() { (0..s.heads).collect() } else { self.heads.clone() };
        let wanted = usize::from(job.keep_tokens).max(pinned);
        some_of("the list of tokens left", &survivors, &self.survivors, wanted.min(before))?;
        some_of("the list of heads left", &heads_left, &cascade, cascade.len().min(job.keep_heads.into()))?;
        let count = |at: usize| u64::from(u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes")));
        expect("the state block's number of tokens", count(0), survivors.len() as u64)?;
        expect("the state block's number of heads", count(4), heads_left.len() as u64)?;
        left(answer, survivors.len(), heads_left.len())?;

        self.layer += 1;
        let last = self.layer == s.layers;
        report.clamped_counts += u64::from(!last && self.plan.tokens.keep.is_some() && wanted > before);
        report.topk_calls += u64::from(!last && wanted < before);
        self.survivors = survivors;
        if self.plan.tokens.mode == TokenMode::Full && s.mode != Mode::Decode {
            self.queries.retain(|&p| tokens[p].alive);
        }
        (self.tokens, self.head_states) = (tokens, heads);
        if last {
            return Ok(());
        }
        match self.plan.masked_heads(self.layer) {
            Some(masked) => self.heads = masked,
            None => {
                let wanted = self.head_counts[self.layer];
                report.clamped_counts += u64::from(self.plan.heads.keep.is_some() && wanted > heads_before);
                report.topk_calls += u64::from(wanted < heads_before);
                self.heads = heads_left;
            }
        }
        Ok(())
    }

    fn run(&mut self, card: &mut dyn CardDevice, job: Job) -> Result<Completion, DeviceError> {
        let entry = Entry { id: self.next_id, job };
        self.next_id = self.next_id.wrapping_add(1);
        let answer = card.run(&entry)?;
        expect("the completion's id", answer.id.into(), entry.id.into())?;
        if answer.status != Status::Success {
            return Err(DeviceError::Refused { opcode: job.opcode(), status: answer.status, detail: answer.detail });
        }
        Ok(answer)
    }

    /// Original positions whose rows are queries of the next layer.
    pub fn queries(&self) -> &[usize] {
        &self.queries
    }

    /// Original positions whose rows are keys and values of the next layer.
    pub fn survivors(&self) -> &[usize] {
        &self.survivors
    }

    /// Heads that the next layer computes.
    pub fn heads_alive(&self) -> &[usize] {
        &self.heads
    }

    /// Shape of the sequence.
    pub fn shape(&self) -> &Sequence {
        &self.sequence
    }

    /// Token scores as they were ranked after the last layer, real values, `[L1]`.
    pub fn token_importance(&self) -> Vec<f64> {
        let importance = self.plan.tokens.importance;
        let rank = |t: &TokenState| match importance {
            Importance::Mean => self.numbers.mean(t.importance, t.rows.into()),
            _ => t.importance,
        };
        self.tokens.iter().map(|t| self.numbers.value(ScoreKind::Token, rank(t), importance)).collect()
    }

    /// Head scores, real values, `[heads]`.
    pub fn head_importance(&self) -> Vec<f64> {
        let value = |h: &HeadState| self.numbers.value(ScoreKind::Head, h.importance, Importance::Sum);
        self.head_states.iter().map(value).collect()
    }

    /// One report per layer and step so far.
    pub fn reports(&self) -> &[LayerReport] {
        &self.reports
    }

    /// What the card counted in each of them.
    pub fn timing(&self) -> &[Counters] {
        &self.timing
    }
}

impl Blocks {
    fn take(memory: &mut CardMemory, config: &ArchConfig, s: &Sequence, dim: usize) -> Self {
        let linear = Linear::new(config);
        let mut next = 0;
        let mut room = |words: usize| {
            let base = next;
            next += words as u32;
            base
        };
        let output_stride = OutputLayout::new(config, dim).depth(s.rows);
        let storage = room(linear.depth(context_bytes(config)));
        let [real_map, pin_map] = [(); 2].map(|()| room(linear.depth(s.mask.len().div_ceil(8))));
        let state = room(linear.depth(StateLayout::new(config).bytes));
        let refetched = room(refetched_stride(config) as usize * s.heads);
        let output = room(output_stride * s.heads);
        let base = memory.take(next);
        Self {
            storage: base + storage,
            real_map: base + real_map,
            pin_map: base + pin_map,
            state: base + state,
            refetched: base + refetched,
            output: base + output,
            output_stride: output_stride as u32,
            base,
            words: next,
        }
    }
}

fn expect(what: &'static str, found: u64, expected: u64) -> Result<(), DeviceError> {
    if found == expected {
        return Ok(());
    }
    Err(DeviceError::Impossible { what, found: found.to_string(), expected: expected.to_string() })
}

/// Whether a completion says how many tokens and heads are left.
fn left(answer: &Completion, tokens: usize, heads: usize) -> Result<(), DeviceError> {
    expect("the number of tokens left", (answer.result & 0xffff).into(), tokens as u64)?;
    expect("the number of heads left", (answer.result >> 16).into(), heads as u64)
}

/// Whether a list is so many of those before it.
fn some_of(what: &'static str, found: &[usize], of: &[usize], count: usize) -> Result<(), DeviceError> {
    if found.len() == count && found.iter().all(|x| of.binary_search(x).is_ok()) {
        return Ok(());
    }
    Err(DeviceError::Impossible { what, found: format!("{found:?}"), expected: format!("{count} of {of:?}") })
}
