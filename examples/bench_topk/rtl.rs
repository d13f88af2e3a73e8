//! Rows through a Verilated engine, everything offered as early as it can be, every answer compared with golden.

use crate::engines::{Engine, Size};
use crate::rows::Row;
use anyhow::{Result, ensure};
use spatten_sim::cosim::{Bits, Cache, Init, Model, Optimise, Pin, Verilog, beats};

/// Cycles of one row.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    /// From the cycle of its first beat to the cycle of its last beat out.
    pub latency: u64,
    /// From its first beat to that of the next row.
    pub period: u64,
}

/// A Verilated engine with its pins.
pub struct Rtl<'e> {
    engine: &'e dyn Engine,
    model: Model,
    size: Size,
    /// `in_valid`, `in_ready`, `in_scores`, `in_count`, `in_last`
    input: [Pin; 5],
    /// `k_valid`, `k_ready`, `k_count`
    k: [Pin; 3],
    out_valid: Pin,
    out: Vec<Pin>,
}

impl<'e> Rtl<'e> {
    pub fn new(engine: &'e dyn Engine, size: Size) -> Result<Self> {
        let design = engine.design(size)?;
        let verilog = Verilog::new(&design.top).optimise(Optimise::O2);
        let verilog = design.modules.iter().fold(verilog, |v, m| v.file(format!("{}.v", m.name), &m.text));
        let mut model = Model::load(&Cache::default().build(&verilog)?, Init::Random(1))?;
        let pin = |name: &str| model.pin(name);
        let input = [pin("in_valid")?, pin("in_ready")?, pin("in_scores")?, pin("in_count")?, pin("in_last")?];
        let k = [pin("k_valid")?, pin("k_ready")?, pin("k_count")?];
        let out = engine.ports().iter().map(|name| model.pin(name)).collect::<Result<_, _>>()?;
        let (out_valid, out_ready) = (pin("out_valid")?, pin("out_ready")?);
        model.set(out_ready, 1);
        Ok(Self { engine, model, size, input, k, out_valid, out })
    }

    /// All rows one after the other. Times are those of the rows between the ones that fill the pipeline and the last.
    pub fn run(&mut self, rows: &[Row]) -> Result<Vec<Time>> {
        let (model, size) = (&mut self.model, self.size);
        let [in_valid, in_ready, in_scores, in_count, in_last] = self.input;
        let [k_valid, k_ready, k_count] = self.k;
        model.reset(2)?;
        let stream: Vec<(usize, Bits, usize, bool)> = rows
            .iter()
            .enumerate()
            .flat_map(|(i, row)| {
                beats(&row.scores, size.lanes).into_iter().map(move |(mut scores, last)| {
                    let count = scores.len();
                    scores.resize(size.lanes, 0);
                    (i, Bits::from_lanes(&scores, size.bits as u32), count, last)
                })
            })
            .collect();
        let (mut beat, mut k) = (0, 0);
        let (mut first, mut done) = (vec![], vec![]);
        let mut answer = self.engine.answer(&rows[0], size).into_iter();
        let mut moved = 0;
        for cycle in 0u64.. {
            ensure!(cycle - moved < 50_000_000, "stuck at row {}", done.len());
            model.set(in_valid, u64::from(beat < stream.len()));
            if let Some((_, scores, count, last)) = stream.get(beat) {
                model.set_bits(in_scores, scores);
                model.set(in_count, *count as u64);
                model.set(in_last, u64::from(*last));
            }
            model.set(k_valid, u64::from(k < rows.len()));
            if let Some(row) = rows.get(k) {
                model.set(k_count, row.k as u64);
            }
            model.eval()?;
            if beat < stream.len() && model.get(in_ready) == 1 {
                if stream[beat].0 == first.len() {
                    first.push(cycle);
                }
                beat += 1;
                moved = cycle;
            }
            k += usize::from(k < rows.len() && model.get(k_ready) == 1);
            if model.get(self.out_valid) == 1 {
                let row = done.len();
                let Some(golden) = answer.next() else { anyhow::bail!("a beat too many in row {row}") };
                for (pin, golden) in self.out.iter().zip(&golden) {
                    let found = model.get_bits(*pin);
                    ensure!(found == *golden, "row {row}: {} {found}, golden {golden}", model.port(*pin).name);
                }
                moved = cycle;
                if answer.len() == 0 {
                    done.push(cycle);
                    let Some(next) = rows.get(row + 1) else { break };
                    answer = self.engine.answer(next, size).into_iter();
                }
            }
            model.step()?;
        }
        let time = |i: usize| Time { latency: done[i] - first[i], period: first[i + 1] - first[i] };
        Ok((self.engine.warm_up()..rows.len() - 1).map(time).collect())
    }
}
