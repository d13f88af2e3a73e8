//! Recorded traces of all-MiniLM-L6-v2 with the results of an independent f64 program.
#![allow(dead_code)] // each test file uses its own part

use safetensors::SafeTensors;
use spatten::workload::{self, Workload};
use spatten_arch::Plan;
use spatten_arch::plan::ceil_count;
use spatten_golden::trace::Trace;
use spatten_testkit::reference_data;
use std::path::PathBuf;

/// One recorded sentence.
pub struct Recorded {
    pub name: String,
    pub trace: Trace,
    pub bytes: Vec<u8>,
    pub expected: serde_json::Value,
}

impl Recorded {
    pub fn f64(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let chunks = file.tensor(name).unwrap_or_else(|e| panic!("{}: {name}: {e}", self.name)).data().chunks_exact(8);
        chunks.map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect()
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let chunks = file.tensor(name).unwrap().data().chunks_exact(4);
        chunks.map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
    }

    pub fn i64(&self, name: &str) -> Vec<i64> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let chunks = file.tensor(name).unwrap().data().chunks_exact(8);
        chunks.map(|c| i64::from_le_bytes(c.try_into().unwrap())).collect()
    }

    pub fn u8(&self, name: &str) -> Vec<u8> {
        SafeTensors::deserialize(&self.bytes).unwrap().tensor(name).unwrap().data().to_vec()
    }

    pub fn replay(&self, setting: &str) -> &serde_json::Value {
        &self.expected[setting]["replay"]
    }
}

/// A recorded setting as a plan for a sentence of `tokens` tokens.
pub fn plan_of(setting: &serde_json::Value, tokens: usize) -> Plan {
    let list =
        |key: &str| -> Vec<f64> { setting[key].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
    let keep: Vec<usize> = list("keep")[1..].iter().map(|r| ceil_count(r * tokens as f64).max(2)).collect();
    let heads: Vec<usize> = list("heads")[1..].iter().map(|&h| h as usize).collect();
    let mut text = format!(
        "[tokens]\nkeep = {keep:?}\n[heads]\nkeep = {heads:?}\n[values]\nkeep = {}\n",
        setting["vkeep"].as_f64().unwrap()
    );
    let quant = &setting["quant"];
    if !quant.is_null() {
        let number = |key: &str| quant[key].as_u64().unwrap();
        let split = if quant["rnd"] == "bal" { "balanced" } else { "floor" };
        let first = if quant["vmode"] == "msb" { r#"["q", "k", "v"]"# } else { r#"["q", "k"]"# };
        assert_eq!(quant["scale"], "head");
        text += &format!(
            "[quant]\nprogressive = true\nmsb = {}\nlsb = {}\nbits = {}\nthreshold = {}\nsplit = \"{split}\"\nmsb_first = {first}\n",
            number("msb"),
            number("lsb"),
            number("msb") + number("lsb"),
            quant["threshold"].as_f64().unwrap()
        );
    }
    Plan::from_toml(&text, "recorded setting").unwrap()
}

/// All sentences whose trace is there, with the settings; `None` (and a line that says so) without reference data.
pub fn recorded() -> Option<(serde_json::Value, Vec<Recorded>)> {
    let folder: PathBuf = reference_data("minilm-traces")?;
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let mut traces = vec![];
    for sentence in index["sentences"].as_array().unwrap() {
        let name = sentence["file"].as_str().unwrap();
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        let Workload::Trace { trace, .. } = workload::load(&path).unwrap() else { panic!("{name} is a trace") };
        let bytes = std::fs::read(&path).unwrap();
        traces.push(Recorded { name: name.into(), trace, bytes, expected: sentence["expected"].clone() });
    }
    assert!(!traces.is_empty(), "no trace of index.json is in {}", folder.display());
    Some((index["settings"].clone(), traces))
}

pub fn positions(value: &serde_json::Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}
