//! Search for plans that save as much as a quality allows: greedy steps on the tune half, each the one that saves most per
//! loss, until none fits. What is saved is the product of bytes and operations, an energy-delay product: energy goes with
//! bytes of DRAM, time of an encoder with operations.

use super::{Evaluator, Half, Table, say};
use crate::cli::Failure;
use crate::output::{self, progress};
use spatten_arch::Plan;
use spatten_golden::cascade::LayerReport;
use std::path::Path;

/// Mean cosines of the two plans on the test half, and what is held back on the tune half so that the test half keeps them.
const TARGETS: [(&str, f64, f64); 2] = [("minilm-safe", 0.99, 0.0012), ("minilm-fast", 0.95, 0.006)];

/// A plan as the search moves it.
#[derive(Debug, Clone, PartialEq)]
struct Choice {
    kv_only: bool,
    /// Per mille of tokens pruned in the last layer.
    pruned: u32,
    heads_removed: usize,
    /// Per cent of values kept.
    values: u32,
    q_bits: u32,
    v_bits: u32,
    k_msb: u32,
    /// 0: K is static.
    k_lsb: u32,
    /// In per cent.
    threshold: u32,
    /// One scale per token instead of one per head.
    per_token: bool,
}

impl Choice {
    /// The sweep shows that these widths cost less than 1e-3 of cosine; everything else starts unpruned.
    fn start() -> Self {
        Self {
            kv_only: true,
            pruned: 0,
            heads_removed: 0,
            values: 100,
            q_bits: 5,
            v_bits: 6,
            k_msb: 6,
            k_lsb: 0,
            threshold: 5,
            per_token: true,
        }
    }

    fn toml(&self, order: &[(usize, usize)], layers: usize, heads: usize) -> String {
        let mut s = String::new();
        if self.pruned > 0 {
            let r_end = f64::from(self.pruned) / 1000.0;
            let mode = if self.kv_only { "kv_only" } else { "full" };
            s += &format!(
                "[tokens]\nr_start = {:.3}\nr_end = {r_end:.3}\npin = \"first:1\"\nimportance = \"value_weighted\"\nmode = \"{mode}\"\n",
                r_end * 0.2
            );
        }
        if self.heads_removed > 0 {
            let mask = mask_without(&order[..self.heads_removed], layers, heads);
            let rows: Vec<String> = mask.iter().map(|r| format!("    {r:?},\n")).collect();
            s += &format!("[heads]\nmask = [\n{}]\n", rows.concat());
        }
        if self.values < 100 {
            s += &format!("[values]\nkeep = {:.2}\n", f64::from(self.values) / 100.0);
        }
        let k_bits = self.k_msb + self.k_lsb;
        s += &format!("[quant]\nbits = {{ q = {}, k = {k_bits}, v = {} }}\n", self.q_bits, self.v_bits);
        if self.per_token {
            s += "scale = \"token\"\n";
        }
        if self.k_lsb > 0 {
            s += &format!(
                "progressive = true\nmsb = {}\nlsb = {}\nthreshold = {:.2}\nsplit = \"balanced\"\nmsb_first = [\"k\"]\n",
                self.k_msb,
                self.k_lsb,
                f64::from(self.threshold) / 100.0
            );
        }
        s
    }

    /// The next step in every direction.
    fn steps(&self, most_heads: usize) -> Vec<Self> {
        let mut next = vec![];
        let mut push = |change: &dyn Fn(&mut Self)| {
            let mut c = self.clone();
            change(&mut c);
            if c != *self {
                next.push(c);
            }
        };
        if self.pruned < 800 {
            push(&|c| c.pruned += 50);
            push(&|c| c.pruned += 150);
        }
        if self.pruned > 0 && self.kv_only {
            push(&|c| c.kv_only = false);
        }
        push(&|c| c.heads_removed = (c.heads_removed + 2).min(most_heads));
        if self.values > 10 {
            push(&|c| c.values -= 10);
        }
        if self.q_bits > 3 {
            push(&|c| c.q_bits -= 1);
        }
        if self.v_bits > 3 {
            push(&|c| c.v_bits -= 1);
        }
        if self.k_msb > 3 {
            push(&|c| c.k_msb -= 1);
        }
        if !self.per_token {
            // Its words cost bytes, so it only pays together with narrower rows.
            for fewer in 1..=2 {
                push(&|c| {
                    c.per_token = true;
                    for bits in [&mut c.q_bits, &mut c.v_bits, &mut c.k_msb] {
                        *bits = (*bits - fewer).max(3);
                    }
                });
            }
        }
        if self.k_lsb == 0 {
            push(&|c| {
                (c.k_lsb, c.k_msb) = (3, c.k_msb.min(5) - 1);
            });
        } else {
            push(&|c| c.k_lsb -= 1);
        }
        next
    }
}

/// What the search maximises.
fn saving(total: &LayerReport, dense_ops: u64) -> f64 {
    total.dense_fp32_bytes as f64 / total.read_bytes() as f64 * dense_ops as f64 / total.ops as f64
}

/// Heads by how little their loss alone costs, as `(layer, head)`: measured one at a time on the shorter half of the tune
/// texts.
pub(super) fn heads_by_loss(evaluator: &Evaluator) -> Result<Vec<(usize, usize)>, Failure> {
    let (layers, heads) = (evaluator.encoder.layers(), evaluator.encoder.heads());
    let bar = progress(layers * heads, "heads one by one");
    let texts = evaluator.short_texts();
    let mut losses = vec![];
    for layer in 0..layers {
        for head in 0..heads {
            let mask = mask_without(&[(layer, head)], layers, heads);
            let plan = Plan::from_toml(&format!("[heads]\nmask = {mask:?}\n"), "head ablation")?;
            losses.push((1.0 - evaluator.sample(&plan, "head ablation", &texts)?.mean_cosine(), (layer, head)));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    losses.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(losses.into_iter().map(|(_, h)| h).collect())
}

/// A mask with some heads off.
pub(super) fn mask_without(off: &[(usize, usize)], layers: usize, heads: usize) -> Vec<Vec<u8>> {
    let mut mask = vec![vec![1; heads]; layers];
    for &(layer, head) in off {
        mask[layer][head] = 0;
    }
    mask
}

/// Searches and writes both plans, with what they measure on both halves in their heads.
pub fn run(evaluator: &Evaluator, folder: &Path) -> Result<(), Failure> {
    let order = heads_by_loss(evaluator)?;
    let (layers, heads) = (evaluator.encoder.layers(), evaluator.encoder.heads());
    let most_heads = layers * heads / 2;
    let quarter: Vec<usize> = evaluator.set.half(Half::Tune).into_iter().step_by(4).collect();
    let mut choice = Choice::start();
    let mut table = Table::new();
    for (name, target, held_back) in TARGETS {
        let bar = progress(40, name);
        let plan_of = |c: &Choice| Plan::from_toml(&c.toml(&order, layers, heads), "search");
        let mut current = evaluator.measure(&plan_of(&choice)?, "search", Half::Tune)?;
        loop {
            // All steps on a quarter of the texts, then on all of them from the most promising one until one holds.
            let glance = |c: &Choice| evaluator.sample(&plan_of(c)?, "search", &quarter);
            let here = glance(&choice)?;
            let mut ranked = vec![];
            for candidate in choice.steps(most_heads) {
                let there = glance(&candidate)?;
                let gain = (saving(&there.total, there.dense_ops) / saving(&here.total, here.dense_ops)).ln();
                if gain > 0.0 {
                    ranked.push((gain / (here.mean_cosine() - there.mean_cosine()).max(1e-5), candidate));
                }
            }
            ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut best = None;
            for (_, candidate) in ranked {
                let q = evaluator.measure(&plan_of(&candidate)?, "search", Half::Tune)?;
                if q.mean_cosine >= target + held_back {
                    best = Some((candidate, q));
                    break;
                }
            }
            bar.inc(1);
            let Some((next, q)) = best else { break };
            // Through the bar: silent where there is no terminal.
            bar.println(format!(
                "{name}: cosine {:.4}, bytes {:.2}x, operations {:.2}x: {next:?}",
                q.mean_cosine,
                q.fp32_saving(),
                q.ops_saving()
            ));
            (choice, current) = (next, q);
        }
        bar.finish_and_clear();
        let toml = choice.toml(&order, layers, heads);
        let plan = Plan::from_toml(&toml, name)?;
        let test = evaluator.measure(&plan, name, Half::Test)?;
        let head = format!(
            "# Written by `spatten eval --search`: the most bytes x operations saved at a mean cosine of at\n\
             # least {target} to dense f64.\n\
             # {}\n\
             # tune half: mean cosine {:.4}, {:.2}x fewer bytes than fp32 dense, {:.2}x fewer operations\n\
             # test half: mean cosine {:.4}, worst {:.4}, Spearman {:.4} (dense {:.4}), top-1 {:.1} %,\n\
             #            {:.2}x fewer bytes than fp32 dense, {:.2}x than 12-bit dense, {:.2}x fewer operations of\n\
             #            attention, {:.1} % of rows refetched\n",
            evaluator.set.summary(),
            current.mean_cosine,
            current.fp32_saving(),
            current.ops_saving(),
            test.mean_cosine,
            test.worst_cosine,
            test.spearman,
            evaluator.dense_spearman(Half::Test),
            100.0 * test.top1_agreement,
            test.fp32_saving(),
            test.bits12_saving(),
            test.ops_saving(),
            100.0 * test.refetched()
        );
        let path = folder.join(format!("{name}.toml"));
        output::write_atomically(&path, format!("{head}{toml}").as_bytes()).map_err(|e| Failure::Job(e.into()))?;
        table.row(&format!("{name}, tune"), &current);
        table.row(&format!("{name}, test"), &test);
    }
    say(&format!("\n{}\n", table.text()))
}
