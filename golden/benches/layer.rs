//! Speed of the golden model: one BERT-base attention layer (12 heads, L 384, d 64), and the blocks in it.
//! Comparisons are ratios within one run; nothing here asserts a time.

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array4;
use spatten_arch::{ArchConfig, Plan};
use spatten_golden::fixed::Fixed;
use spatten_golden::quick_select;
use spatten_golden::reference::Reference;
use spatten_golden::run::run;
use spatten_golden::trace::{Mode, Trace};
use spatten_golden::{radix_select, softmax};
use spatten_testkit::Rng;
use std::hint::black_box;

fn trace(layers: usize, heads: usize, tokens: usize, dim: usize) -> Trace {
    let mut rng = Rng::new(0x5eed_0010);
    let mut random =
        |spread: f64| Array4::from_shape_fn((layers, heads, tokens, dim), |_| (rng.normal() * spread) as f32);
    let (q, k, v) = (random(1.5), random(1.5), random(1.0));
    Trace::new(q, k, v, None, Mode::Encoder, None).unwrap()
}

fn layer(c: &mut Criterion) {
    let bert = trace(1, 12, 384, 64);
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut group = c.benchmark_group("bert_base_layer_L384");
    group.sample_size(10);
    let dense = Plan::default();
    let pruned = Plan::from_toml(
        "[values]\nkeep = 0.5\n[quant]\nprogressive = true\nmsb = 6\nlsb = 4\nthreshold = 0.1",
        "bench",
    )
    .unwrap();
    let fixed = || Fixed::new(&ArchConfig::paper());
    group.bench_function("fixed_dense_one_core", |b| b.iter(|| one_core.install(|| run(&bert, &dense, fixed(), None))));
    group.bench_function("fixed_dense_all_cores", |b| b.iter(|| run(&bert, &dense, fixed(), None)));
    group.bench_function("fixed_pruned_one_core", |b| {
        b.iter(|| one_core.install(|| run(&bert, &pruned, fixed(), None)))
    });
    group.bench_function("reference_one_core", |b| b.iter(|| one_core.install(|| run(&bert, &dense, Reference, None))));
    group.finish();
}

fn blocks(c: &mut Criterion) {
    let mut rng = Rng::new(0x5eed_0011);
    let logits: Vec<i32> = (0..1024).map(|_| (rng.normal() * 40_000.0) as i32).collect();
    let scores: Vec<u64> = softmax::fixed(&logits).into_iter().map(u64::from).collect();
    let mut group = c.benchmark_group("row_of_1024");
    group.bench_function("softmax", |b| b.iter(|| softmax::fixed(black_box(&logits))));
    group.bench_function("radix_select", |b| b.iter(|| radix_select::fixed(black_box(&scores), 512, 13, |_| ())));
    group.bench_function("quick_select", |b| {
        let mut generator = spatten_arch::lfsr::Lfsr::default();
        b.iter(|| quick_select::fixed(black_box(&scores), 512, &mut generator))
    });
    group.finish();
}

criterion_group!(benches, layer, blocks);
criterion_main!(benches);
