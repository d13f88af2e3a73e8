//! One layer's inputs in card memory: planes, scales, norms, parameters.

use super::memory::{CardMemory, Plane, granules, words};
use spatten_arch::ArchConfig;
use spatten_arch::descriptor::{HeadFactors, LayerParameters, PARAMETER_BYTES};
use spatten_arch::layout::{Layout, Linear};
use spatten_arch::plan::{QuantPlan, Scale, Split, Tensor};
use spatten_golden::cascade::Sequence;
use spatten_golden::dot_product::ScaleFactor;
use spatten_golden::fixed::{FixedLayer, Operands};
use spatten_golden::quantiser::Quantiser;

/// Planes of every head of one content: word of head 0, and words from a head to the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    base: u32,
    stride: u32,
}

impl Place {
    fn of(&self, head: usize) -> u32 {
        self.base + self.stride * head as u32
    }
}

/// Planes of one tensor. What a plan does not have takes no words.
#[derive(Debug, Clone, Copy)]
struct TensorPlanes {
    msb: (Place, Plane),
    lsb: Option<(Place, Plane)>,
    scales: Option<Place>,
    bits: (u32, u32),
}

/// Which rows of a key-value head are there, and of which step their integers are.
#[derive(Debug, Clone, Default)]
struct Written {
    unit: f64,
    rows: Vec<bool>,
}

/// Where one layer's inputs lie. A row of a plane is a token's number (of Q: counted from the first query row).
#[derive(Debug, Clone)]
pub struct LayerPlanes {
    base: u32,
    words: u32,
    granules: Layout,
    parameters: u32,
    tensors: [TensorPlanes; 3],
    norms: Option<Place>,
    split: Split,
    progressive: bool,
    group: usize,
    /// Of K and V by key-value head, where rows stay from one step to the next.
    written: Option<[Vec<Written>; 2]>,
}

/// What a layer is written from.
#[derive(Debug, Clone, Copy)]
pub struct LayerRows<'a> {
    /// The tensors as integers.
    pub layer: &'a FixedLayer,
    /// Rows of Q's planes that the rows of its tensors are.
    pub queries: &'a [usize],
    /// The same for K and V.
    pub survivors: &'a [usize],
    /// Query heads that are computed.
    pub heads: &'a [usize],
    /// The plan names the heads.
    pub masked: bool,
}

impl LayerPlanes {
    /// Takes memory for a layer of a sequence. With `cached`, rows of K and V are written once and stay.
    pub fn take(
        memory: &mut CardMemory,
        config: &ArchConfig,
        sequence: &Sequence,
        dim: usize,
        quantiser: &Quantiser,
        (normed, cached): (bool, bool),
    ) -> Self {
        let quant: &QuantPlan = quantiser.plan();
        let scaled = quant.scale == Scale::Token;
        let grains = granules(config);
        let mut next = 0;
        let mut room = |words: u32, heads: usize| {
            let place = Place { base: next, stride: words };
            next += words * heads as u32;
            place
        };
        let parameters =
            room(Linear::new(config).depth(PARAMETER_BYTES + HeadFactors::BYTES * sequence.heads) as u32, 1);
        let mut tensors = Tensor::ALL.map(|tensor| {
            let (rows, heads) = rows_and_heads(sequence, tensor);
            let (msb, lsb) = quantiser.plane_bits(tensor);
            let mut plane = |bits| {
                let plane = Plane::new(config, dim, bits);
                (room(plane.words(config, rows), heads), plane)
            };
            let (upper, lower) = (plane(msb), (lsb > 0).then(|| plane(lsb)));
            let scales = scaled.then(|| room(words(config, &grains, rows), heads));
            TensorPlanes { msb: upper, lsb: lower, scales, bits: (msb, lsb) }
        });
        let mut norms = normed.then(|| room(words(config, &grains, sequence.mask.len()), sequence.kv_heads));
        let base = memory.take(next);
        for t in &mut tensors {
            t.msb.0.base += base;
            t.lsb.iter_mut().for_each(|(place, _)| place.base += base);
            t.scales.iter_mut().for_each(|place| place.base += base);
        }
        norms.iter_mut().for_each(|place| place.base += base);
        let none = || vec![Written { unit: 0.0, rows: vec![false; sequence.mask.len()] }; sequence.kv_heads];
        Self {
            base,
            words: next,
            granules: grains,
            parameters: base + parameters.base,
            tensors,
            norms,
            split: quant.split,
            progressive: quant.progressive,
            group: sequence.heads / sequence.kv_heads,
            written: cached.then(|| [none(), none()]),
        }
    }

    /// Gives the memory back.
    pub fn give_back(self, memory: &mut CardMemory) {
        memory.give_back(self.base, self.words);
    }

    /// Word address of the `LayerParameters`.
    pub fn parameters(&self) -> u32 {
        self.parameters
    }

    /// Writes the planes and parameters of a layer. Rows of others than `rows` are 0, or as they were where rows stay.
    pub fn write(&mut self, memory: &mut CardMemory, rows: LayerRows<'_>) {
        if self.written.is_none() {
            memory.clear(self.base, self.words);
        }
        self.write_parameters(memory, rows);
        let [q, k, v] = Tensor::ALL.map(|t| rows.layer.tensor(t));
        for &head in rows.heads {
            let planes = &self.tensors[Tensor::Q as usize];
            write_fields(memory, planes, head, &q[head], rows.queries, |_| true);
            if let Some(scales) = planes.scales {
                for (i, &row) in rows.queries.iter().enumerate() {
                    let factor = packed(rows.layer.logit_factor(head, head / self.group, Some(i)));
                    memory.write_granule(scales.of(head), &self.granules, row, factor);
                }
            }
        }
        let mut kv_heads: Vec<usize> = rows.heads.iter().map(|head| head / self.group).collect();
        kv_heads.dedup();
        for kv_head in kv_heads {
            for (number, (tensor, operands)) in [(Tensor::K, &k[kv_head]), (Tensor::V, &v[kv_head])].iter().enumerate()
            {
                let planes = &self.tensors[*tensor as usize];
                let mut written = self.written.as_mut().map(|w| &mut w[number][kv_head]);
                let new = |row: usize| written.as_deref_mut().is_none_or(|w| w.is_new(row, operands));
                write_fields(memory, planes, kv_head, operands, rows.survivors, new);
                if let Some(scales) = planes.scales {
                    for (&row, &scale) in rows.survivors.iter().zip(operands.token_scales()) {
                        memory.write_granule(scales.of(kv_head), &self.granules, row, scale);
                    }
                }
            }
            if let (Some(place), Some(norms)) = (self.norms, rows.layer.norms(kv_head)) {
                for (&row, &norm) in rows.survivors.iter().zip(norms) {
                    memory.write_granule(place.of(kv_head), &self.granules, row, norm);
                }
            }
        }
    }

    fn write_parameters(&self, memory: &mut CardMemory, rows: LayerRows<'_>) {
        let layer = rows.layer;
        let [q, k, v] = &self.tensors;
        let lsb = |t: &TensorPlanes| t.lsb.map_or(Place::default(), |(place, _)| place);
        let scales = |t: &TensorPlanes| t.scales.unwrap_or_default();
        let mask = if rows.masked { rows.heads.iter().fold(0, |mask, head| mask | 1u128 << head) } else { 0 };
        let norms = self.norms.unwrap_or_default();
        let parameters = LayerParameters {
            threshold_inverse: layer.threshold_inverse().unwrap_or(0),
            q_msb: q.bits.0 as u8,
            q_lsb: q.bits.1 as u8,
            k_msb: k.bits.0 as u8,
            k_lsb: k.bits.1 as u8,
            v_msb: v.bits.0 as u8,
            v_lsb: v.bits.1 as u8,
            split: self.split.into(),
            progressive: self.progressive,
            head_mask_low: mask as u64,
            head_mask_high: (mask >> 64) as u64,
            masked: rows.masked,
            scaled: q.scales.is_some(),
            normed: self.norms.is_some(),
            q_msb_base: q.msb.0.base,
            q_msb_stride: q.msb.0.stride,
            q_lsb_base: lsb(q).base,
            q_lsb_stride: lsb(q).stride,
            k_msb_base: k.msb.0.base,
            k_msb_stride: k.msb.0.stride,
            k_lsb_base: lsb(k).base,
            k_lsb_stride: lsb(k).stride,
            v_msb_base: v.msb.0.base,
            v_msb_stride: v.msb.0.stride,
            v_lsb_base: lsb(v).base,
            v_lsb_stride: lsb(v).stride,
            q_scale_base: scales(q).base,
            q_scale_stride: scales(q).stride,
            k_scale_base: scales(k).base,
            k_scale_stride: scales(k).stride,
            v_scale_base: scales(v).base,
            v_scale_stride: scales(v).stride,
            norm_base: norms.base,
            norm_stride: norms.stride,
        };
        let mut block = parameters.encode().to_vec();
        for head in 0..layer.tensor(Tensor::Q).len() {
            let factors = HeadFactors {
                logit: packed(layer.logit_factor(head, head / self.group, None)),
                importance: packed(layer.head_factor(head / self.group)),
            };
            block.extend(factors.encode());
        }
        memory.write_block(self.parameters, &block);
    }
}

impl Written {
    /// Whether a row has to be written; then it is there. Integers of rows with a scale of their own never change, others do
    /// with their head's step.
    fn is_new(&mut self, row: usize, operands: &Operands) -> bool {
        if operands.token_scales().is_empty() && self.unit != operands.unit() {
            self.unit = operands.unit();
            self.rows.fill(false);
        }
        !std::mem::replace(&mut self.rows[row], true)
    }
}

fn packed(factor: ScaleFactor) -> u32 {
    HeadFactors::pack(factor.mantissa, factor.shift)
}

fn rows_and_heads(sequence: &Sequence, tensor: Tensor) -> (usize, usize) {
    match tensor {
        Tensor::Q => (sequence.rows, sequence.heads),
        Tensor::K | Tensor::V => (sequence.mask.len(), sequence.kv_heads),
    }
}

fn write_fields(
    memory: &mut CardMemory,
    planes: &TensorPlanes,
    head: usize,
    operands: &Operands,
    rows: &[usize],
    mut wanted: impl FnMut(usize) -> bool,
) {
    let (mut msb, mut lsb) = (vec![], vec![]);
    for (i, &row) in rows.iter().enumerate().filter(|(_, row)| wanted(**row)) {
        msb.clear();
        lsb.clear();
        operands.fields(i).for_each(|(upper, lower)| {
            msb.push(upper);
            lsb.push(lower);
        });
        let (place, plane) = &planes.msb;
        memory.write_row(place.of(head), plane, row, &msb);
        if let Some((place, plane)) = &planes.lsb {
            memory.write_row(place.of(head), plane, row, &lsb);
        }
    }
}
