//! The binary from outside: what it writes for good input, and how it refuses bad input.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use spatten::workload::counts::COLUMNS;
use spatten_testkit::{Checks, Rng, not_run, reference_data};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder in which the program runs, so that names in arguments and messages are short.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_spatten")).current_dir(self.0.path()).args(args).output().unwrap()
    }

    /// Runs what has to work and say nothing on stderr; returns stdout.
    #[track_caller]
    fn good(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn listing(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.bytes(name)).unwrap()
    }

    /// Runs what has to be refused: status 2, one line on stderr with all of `expected`, nothing else anywhere.
    /// Counts [`REFUSAL`] checks and one per expected text.
    #[track_caller]
    fn refused(&self, checks: &mut Checks, args: &[&str], expected: &[&str]) {
        let before = self.listing();
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let about = || format!("{args:?}\n  stderr {stderr:?}");
        checks.eq(output.status.code(), Some(2), about);
        checks.eq(String::from_utf8_lossy(&output.stdout).as_ref(), "", about);
        checks.eq((stderr.matches('\n').count(), stderr.ends_with('\n')), (1, true), about);
        checks.that(!stderr.trim_end_matches('\n').chars().any(char::is_control), about);
        checks.eq(self.listing(), before, about);
        let parts: Vec<&str> = stderr.trim_end().split(": ").collect();
        checks.that(parts.windows(2).all(|pair| pair[0] != pair[1]), || format!("said twice: {}", about()));
        for text in expected {
            checks.that(stderr.contains(text), || format!("{}\n  expected {text:?}", about()));
        }
    }
}

/// Checks of one [`Desk::refused`] beside the expected texts.
const REFUSAL: usize = 6;

// ---- workloads

#[derive(Debug, Clone)]
struct Tensor {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn f32(name: &'static str, shape: [usize; 4], seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let bytes = (0..shape.iter().product()).flat_map(|_| (rng.normal() as f32).to_le_bytes()).collect();
        Self { name, dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    fn mask(values: &[u8]) -> Self {
        Self { name: "mask", dtype: Dtype::U8, shape: vec![values.len()], bytes: values.to_vec() }
    }
}

/// Sizes of a workload.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    layers: usize,
    heads: usize,
    kv_heads: usize,
    rows: usize,
    keys: usize,
    dim: usize,
}

const SMALL: Sizes = Sizes { layers: 3, heads: 4, kv_heads: 4, rows: 8, keys: 8, dim: 16 };

impl Sizes {
    fn tensors(self) -> Vec<Tensor> {
        let Self { layers, heads, kv_heads, rows, keys, dim } = self;
        vec![
            Tensor::f32("q", [layers, heads, rows, dim], 1),
            Tensor::f32("k", [layers, kv_heads, keys, dim], 2),
            Tensor::f32("v", [layers, kv_heads, keys, dim], 3),
        ]
    }
}

fn file(tensors: &[Tensor], metadata: &[(&str, &str)]) -> Vec<u8> {
    let metadata: HashMap<String, String> = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let views = tensors.iter().map(|t| (t.name, TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap()));
    safetensors::serialize(views, Some(metadata)).unwrap()
}

fn small() -> Vec<u8> {
    file(&SMALL.tensors(), &[])
}

// ---- good runs

const PLAN: &str = r#"
[tokens]
keep_first_layers = 0.0
r_start = 0.25
r_end = 0.5
[heads]
keep_first_layers = 0.0
r_start = 0.25
r_end = 0.5
[values]
keep = 0.6
[quant]
progressive = true
msb = 6
lsb = 4
threshold = 0.4
"#;

/// Every key of a report that needs cycles.
const SIMULATOR_KEYS: [&str; 10] = [
    "cycles",
    "max_cycles",
    "clock_hz",
    "latency_s",
    "ops_per_s",
    "bandwidth_utilization",
    "multiplier_utilization",
    "stall_cycles",
    "energy_j",
    "energy",
];

fn all_keys(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                into.push(key.clone());
                all_keys(inner, into);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| all_keys(inner, into)),
        _ => {}
    }
}

fn numbers(list: &Value) -> Vec<usize> {
    list.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

struct Loaded<'a>(SafeTensors<'a>);

impl Loaded<'_> {
    fn f32(&self, name: &str) -> Vec<f32> {
        let view = self.0.tensor(name).unwrap();
        view.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    }

    fn u8(&self, name: &str) -> &[u8] {
        self.0.tensor(name).unwrap().data()
    }
}

struct Good {
    name: &'static str,
    sizes: Sizes,
    mode: &'static str,
    mask: Option<Vec<u8>>,
    evict: bool,
}

/// Checks `OUT` and `REPORT` against the interface and against each other.
fn check_run(checks: &mut Checks, good: &Good, device: &str, out: &[u8], report: &Value) {
    let about = |what: &str| format!("{} on {device}: {what}", good.name);
    let Sizes { layers, heads, rows, keys, dim, .. } = good.sizes;
    let decode = good.mode == "decode";
    let passes = if decode { rows } else { 1 };
    let loaded = Loaded(SafeTensors::deserialize(out).unwrap());

    let per_pass = |width: usize| if decode { vec![rows, layers + 1, width] } else { vec![layers + 1, width] };
    let mut expected = vec![
        ("heads_alive", Dtype::U8, per_pass(heads)),
        ("head_importance", Dtype::F32, vec![layers, heads]),
        ("out", Dtype::F32, vec![layers, heads, rows, dim]),
        ("refetched", Dtype::U8, vec![layers, heads, rows]),
        ("survivors", Dtype::U8, per_pass(keys)),
        ("token_importance", Dtype::F32, vec![layers, keys]),
    ];
    expected.sort_by_key(|e| e.0);
    let mut names = loaded.0.names();
    names.sort();
    checks.eq(names, expected.iter().map(|e| e.0).collect(), || about("names"));
    for (name, dtype, shape) in expected {
        let view = loaded.0.tensor(name).unwrap();
        checks.eq((view.dtype(), view.shape()), (dtype, shape.as_slice()), || about(name));
    }

    let mask = good.mask.clone().unwrap_or_else(|| vec![1; keys]);
    let (survivors, alive) = (loaded.u8("survivors"), loaded.u8("heads_alive"));
    let survivors_of = |pass: usize, layer: usize| &survivors[(pass * (layers + 1) + layer) * keys..][..keys];
    let alive_of = |pass: usize, layer: usize| &alive[(pass * (layers + 1) + layer) * heads..][..heads];
    for pass in 0..passes {
        let seen = if decode { keys - rows + pass + 1 } else { keys };
        let visible: Vec<u8> = mask.iter().enumerate().map(|(p, &m)| if p < seen { m } else { 0 }).collect();
        let start = survivors_of(pass, 0);
        if good.evict {
            checks.that(start.iter().zip(&visible).all(|(s, v)| s <= v), || about("survivors of a step"));
        } else {
            checks.eq(start, visible.as_slice(), || about("survivors of layer 0"));
        }
        checks.that(alive_of(pass, 0).iter().all(|&a| a == 1), || about("heads of layer 0"));
        for layer in 0..layers {
            let fewer = |a: &[u8], b: &[u8]| a.iter().zip(b).all(|(after, before)| after <= before);
            checks.that(fewer(survivors_of(pass, layer + 1), survivors_of(pass, layer)), || about("survivors shrink"));
            checks.that(fewer(alive_of(pass, layer + 1), alive_of(pass, layer)), || about("heads shrink"));
        }
    }
    let values = loaded.f32("out");
    let refetched = loaded.u8("refetched");
    let (mut pruned, mut computed) = (0, 0);
    for layer in 0..layers {
        for head in 0..heads {
            for row in 0..rows {
                let at = (layer * heads + head) * rows + row;
                let token = keys - rows + row;
                let pass = if decode { row } else { 0 };
                let query = if decode { mask[token] } else { survivors_of(0, layer)[token] };
                let out = &values[at * dim..][..dim];
                if query == 0 || alive_of(pass, layer)[head] == 0 {
                    pruned += 1;
                    let zero = out.iter().all(|x| x.to_bits() == 0) && refetched[at] == 0;
                    checks.that(zero, || about(&format!("pruned row {layer} {head} {row}: {out:?}")));
                } else {
                    computed += 1;
                    let there = out.iter().all(|x| x.is_finite()) && out.iter().any(|&x| x != 0.0);
                    checks.that(there && refetched[at] <= 1, || about(&format!("row {layer} {head} {row}: {out:?}")));
                }
            }
        }
    }
    checks.that(pruned > 0 && computed > 0, || about("rows of both kinds"));
    let again = refetched.iter().map(|&r| u64::from(r)).sum::<u64>();
    checks.that(again > 0 && again < computed, || about(&format!("{again} rows refetched of {computed}")));
    let importance = loaded.f32("token_importance");
    let padding_scored = (0..keys).filter(|&p| mask[p] == 0).any(|p| importance[(layers - 1) * keys + p] != 0.0);
    checks.that(!padding_scored, || about("padding has importance"));

    let count = |key: &str| report.pointer(key).unwrap_or_else(|| panic!("{key}")).as_u64().unwrap();
    checks.eq(report["arch"].as_str(), Some("paper"), || about("arch"));
    checks.eq(report["device"].as_str(), Some(device), || about("device"));
    checks.eq(count("/seed"), 0, || about("seed"));
    checks.eq(count("/refetched_rows"), again, || about("refetched_rows"));
    checks.eq(count("/rows"), computed, || about("rows"));
    checks.eq(count("/saturations"), 0, || about("saturations"));
    for key in ["/ops", "/dram/read_bytes/q", "/dram/read_bytes/k_msb", "/dram/read_bytes/k_lsb", "/dram/read_bytes/v"]
    {
        checks.that(count(key) > 0, || about(key));
    }
    for key in ["/dram/write_bytes", "/dram/dense_12bit_bytes", "/dram/dense_fp32_bytes", "/topk/calls"] {
        checks.that(count(key) > 0, || about(key));
    }
    let kept = |of: &dyn Fn(usize) -> Vec<u8>| -> Vec<usize> {
        (0..layers).map(|layer| of(layer).iter().filter(|&&a| a == 1).count()).collect()
    };
    let tokens_kept = kept(&|layer| survivors_of(passes - 1, layer).to_vec());
    let heads_kept = kept(&|layer| alive_of(passes - 1, layer).to_vec());
    checks.eq(numbers(&report["tokens_kept"]), tokens_kept, || about("tokens_kept"));
    checks.eq(numbers(&report["heads_kept"]), heads_kept, || about("heads_kept"));
    let of_layers = report["layers"].as_array().unwrap();
    checks.eq(of_layers.len(), layers, || about("layers"));
    for key in ["/ops", "/refetched_rows", "/dram/read_bytes/k_msb", "/dram/write_bytes", "/topk/calls"] {
        let sum: u64 = of_layers.iter().map(|l| l.pointer(key).unwrap().as_u64().unwrap()).sum();
        checks.eq(sum, count(key), || about(&format!("layers sum to {key}")));
    }
    let steps = report.get("steps").map_or(0, |s| s.as_array().unwrap().len());
    checks.eq(steps, if decode { rows } else { 0 }, || about("steps"));
    let mut keys_there = vec![];
    all_keys(report, &mut keys_there);
    for key in SIMULATOR_KEYS {
        checks.that(!keys_there.iter().any(|k| k == key), || about(&format!("{key} without a simulator")));
    }
}

#[test]
fn runs_write_what_the_interface_promises() {
    let mut checks = Checks::new("cli_good_runs");
    let gqa = Sizes { kv_heads: 2, ..SMALL };
    let tail = |sizes: Sizes| Sizes { rows: 5, keys: 12, ..sizes };
    let padded = vec![1, 1, 0, 1, 1, 1, 1, 0];
    let runs = [
        Good { name: "encoder", sizes: SMALL, mode: "encoder", mask: Some(padded.clone()), evict: false },
        Good { name: "encoder with shared keys", sizes: gqa, mode: "encoder", mask: None, evict: false },
        Good { name: "causal", sizes: gqa, mode: "causal", mask: Some(padded), evict: false },
        Good { name: "causal with a past", sizes: tail(SMALL), mode: "causal", mask: None, evict: false },
        Good { name: "reselect", sizes: tail(gqa), mode: "decode", mask: None, evict: false },
        Good {
            name: "evict",
            sizes: tail(gqa),
            mode: "decode",
            mask: Some(vec![0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1]),
            evict: true,
        },
    ];
    let mut expected = 0;
    for good in &runs {
        let desk = Desk::new();
        let mut tensors = good.sizes.tensors();
        tensors.extend(good.mask.as_deref().map(Tensor::mask));
        desk.write("w.safetensors", file(&tensors, &[("mode", good.mode)]));
        let cascade = if good.evict { "[generation]\ncascade = \"evict\"\n" } else { "" };
        desk.write("plan.toml", format!("{PLAN}{cascade}"));
        for device in ["golden", "reference"] {
            let run = |n: u8| {
                let (out, report) = (format!("out{n}"), format!("report{n}.json"));
                let args = ["run", "w.safetensors", "--plan", "plan.toml", "--device", device];
                let stdout = desk.good(&[&args[..], &["--out", &out, "--report", &report]].concat());
                (stdout, desk.bytes(&out), desk.bytes(&report))
            };
            let (first, second) = (run(1), run(2));
            checks.that(first == second, || format!("{} on {device}: two runs differ", good.name));
            checks.eq(first.0.as_str(), "", || "stdout beside a report".into());
            let report = serde_json::from_slice(&first.2).unwrap();
            check_run(&mut checks, good, device, &first.1, &report);
            let Sizes { layers, heads, rows, .. } = good.sizes;
            let passes = if good.mode == "decode" { rows } else { 1 };
            // Two above; names and 6 tensors; per pass 2 and 2 per layer; per row 1; 3 about rows; then the report's.
            expected += 2 + 7 + passes * (2 + 2 * layers) + layers * heads * rows + 3;
            expected += 6 + 9 + 2 + 1 + 5 + 1 + SIMULATOR_KEYS.len();
        }
        let names = ["out1", "out2", "plan.toml", "report1.json", "report2.json", "w.safetensors"];
        checks.eq(desk.listing(), names.map(String::from).to_vec(), || "nothing else is left".into());
        expected += 1;
    }
    checks.finish(expected as u64);
}

#[test]
fn a_run_without_files_prints_a_summary() {
    let mut checks = Checks::new("cli_summary");
    let desk = Desk::new();
    let mut tensors = SMALL.tensors();
    tensors.push(Tensor { name: "ids", dtype: Dtype::U8, shape: vec![2], bytes: vec![1, 2] });
    desk.write("w.safetensors", file(&tensors, &[("scale", "0.5"), ("other", "word")]));
    let summary = desk.good(&["run", "w.safetensors"]);
    for text in ["3 layers, 4 heads, D 16", "encoder", "device golden, arch paper", "refetched rows         0 of 96"] {
        checks.that(summary.contains(text), || format!("{text}\n{summary}"));
    }
    checks.eq(desk.listing(), vec!["w.safetensors".to_string()], || "no file".into());
    desk.good(&["run", "w.safetensors", "--seed", "7", "--report", "r.json"]);
    let report = desk.json("r.json");
    checks.eq(report["seed"].as_u64(), Some(7), || "seed".into());
    checks.eq(report["workload"]["ignored_tensors"].clone(), serde_json::json!(["ids"]), || "ignored".into());
    checks.that(!report["notes"].as_array().unwrap().is_empty(), || "a note names what was ignored".into());
    for args in [vec!["--help"], vec!["--version"], vec!["run", "--help"]] {
        checks.that(desk.good(&args).contains("spatten"), || format!("{args:?}"));
    }
    checks.finish(4 + 1 + 3 + 3);
}

/// The default scale and the stated one are the same number, so their results are the same bytes.
#[test]
fn metadata_and_defaults_mean_the_same() {
    let mut checks = Checks::new("cli_defaults");
    let desk = Desk::new();
    desk.write("bare", small());
    desk.write("said", file(&SMALL.tensors(), &[("mode", "encoder"), ("scale", "0.25")]));
    let with_mask = [SMALL.tensors(), vec![Tensor::mask(&[1; 8])]].concat();
    desk.write("masked", file(&with_mask, &[]));
    desk.write("empty.toml", "");
    desk.write("twelve.toml", "[quant]\nbits = 12\nscale = \"head\"\n");
    for device in ["golden", "reference"] {
        desk.good(&["run", "bare", "--device", device, "--out", "base"]);
        for args in [vec!["said"], vec!["masked"], vec!["bare", "--plan", "empty.toml"], vec!["bare", "--arch", "tiny"]]
        {
            desk.good(&[&["run"], &args[..], &["--device", device, "--out", "other"]].concat());
            checks.that(desk.bytes("base") == desk.bytes("other"), || format!("{device} {args:?}"));
        }
        desk.good(&["run", "bare", "--plan", "twelve.toml", "--device", device, "--out", "other"]);
        let same = desk.bytes("base") == desk.bytes("other");
        checks.eq(same, device == "golden", || format!("{device}: [quant] of 12 bits is what golden does without"));
    }
    checks.finish(2 * 5);
}

#[test]
fn the_devices_agree_about_the_numbers() {
    let mut checks = Checks::new("cli_devices_agree");
    let desk = Desk::new();
    desk.write("w", file(&SMALL.tensors(), &[("mode", "causal")]));
    desk.good(&["run", "w", "--device", "golden", "--out", "golden"]);
    desk.good(&["run", "w", "--device", "reference", "--out", "reference"]);
    let (golden, reference) = (desk.bytes("golden"), desk.bytes("reference"));
    let [golden, reference] = [&golden, &reference].map(|b| Loaded(SafeTensors::deserialize(b).unwrap()));
    let (a, b) = (golden.f32("out"), reference.f32("out"));
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    let per_layer = a.len() / SMALL.layers;
    for (layer, (a, b)) in a.chunks(per_layer).zip(b.chunks(per_layer)).enumerate() {
        let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        checks.that(cosine > 0.9995, || format!("layer {layer}: cosine {cosine}"));
    }
    checks.eq(golden.u8("survivors"), reference.u8("survivors"), || "survivors".into());
    checks.finish(4);
}

#[test]
fn datapaths_of_other_widths_run() {
    let mut checks = Checks::new("cli_datapaths");
    let desk = Desk::new();
    desk.write("w", small());
    desk.write("wide.toml", "datapath_bits = 16");
    desk.write("narrow.toml", "base = \"tiny\"\ndatapath_bits = 4");
    desk.write("12+4.toml", "[quant]\nprogressive = true\nmsb = 12\nlsb = 4\nthreshold = 0.5");
    desk.write("16.toml", "[quant]\nbits = 16");
    desk.write("4.toml", "[quant]\nbits = 4");
    desk.write("2+2.toml", "[quant]\nbits = 4\nprogressive = true\nmsb = 2\nlsb = 2\nsplit = \"mid\"");
    desk.good(&["run", "w", "--device", "reference", "--out", "exact"]);
    let exact_bytes = desk.bytes("exact");
    let exact = Loaded(SafeTensors::deserialize(&exact_bytes).unwrap()).f32("out");
    // Relative error of all outputs: about 2^-bits of a value; 12-bit probabilities limit the wide datapath.
    for (arch, plan, tolerance) in [
        ("wide.toml", None, 2e-3),
        ("wide.toml", Some("12+4.toml"), 2e-3),
        ("wide.toml", Some("16.toml"), 1e-3),
        ("narrow.toml", Some("4.toml"), 0.2),
        ("narrow.toml", Some("2+2.toml"), 1.0),
    ] {
        let mut args = vec!["run", "w", "--arch", arch, "--out", "out", "--report", "r.json"];
        args.extend(plan.iter().flat_map(|p| ["--plan", *p]));
        desk.good(&args);
        let bytes = desk.bytes("out");
        let out = Loaded(SafeTensors::deserialize(&bytes).unwrap()).f32("out");
        let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let off = norm(&mut out.iter().zip(&exact).map(|(a, b)| a - b)) / norm(&mut exact.iter().copied());
        checks.that(off > 0.0 && off < tolerance, || format!("{arch} {plan:?}: relative error {off}"));
        let report = desk.json("r.json");
        checks.eq(report["arch"].as_str(), Some(arch.trim_end_matches(".toml")), || "name".into());
    }
    // Without [quant] the machine computes on 12 bits, which this datapath does not have.
    desk.refused(&mut checks, &["run", "w", "--arch", "narrow.toml", "--out", "o"], &["12", "4-bit datapath"]);
    checks.finish(5 * 2 + REFUSAL as u64 + 2);
}

// ---- the authors' count files

const ROW: &str = "0,1,2,64.0,993,921,6,16,0.05,True,4,204,6,True,False,True,716";

fn csv(rows: &[&str]) -> String {
    format!("{}\n{}\nconfigs/a.yml,,,,,,,,,,,,,,,,\n", COLUMNS.join(","), rows.join("\n"))
}

#[test]
fn count_files_are_reported_as_the_file_counts() {
    let mut checks = Checks::new("cli_counts");
    let desk = Desk::new();
    let dense = "0,0,0,64.0,100,100,-1,-1,-1,False,-1,100,-1,False,False,False,-1";
    desk.write("c.csv", csv(&[dense, ROW]));
    desk.good(&["run", "c.csv", "--report", "r.json"]);
    let report = desk.json("r.json");
    let bytes = |key: &str| report.pointer(key).unwrap().as_u64().unwrap();
    // Unquantised tensors move at the datapath's 12 bits = 96 bytes per row of 64.
    checks.eq(bytes("/dram/read_bytes/q"), 96 + 128, || "q: 12 and 16 bits".into());
    checks.eq(bytes("/dram/read_bytes/k_msb"), 9600 + 921 * 48, || "k: 12 and 6 bits".into());
    checks.eq(bytes("/dram/read_bytes/k_lsb"), 921 * 32, || "4 bits more where the row was requantised".into());
    checks.eq(bytes("/dram/read_bytes/v"), 9600 + 204 * 48, || "v".into());
    checks.eq(bytes("/dram/dense_12bit_bytes"), (201 + 1987) * 96, || "dense".into());
    checks.eq(bytes("/dram/dense_fp32_bytes"), (201 + 1987) * 256, || "dense".into());
    checks.eq(bytes("/ops"), 2 * 64 * (200 + 2 * 921 + 204), || "ops".into());
    checks.eq((bytes("/rows"), bytes("/refetched_rows")), (2, 1), || "rows".into());
    let notes = report["notes"].to_string();
    checks.that(notes.contains("configs/a.yml") && notes.contains("no tensors"), || notes.clone());
    let mut keys = vec![];
    all_keys(&report, &mut keys);
    checks.that(!keys.iter().any(|k| SIMULATOR_KEYS.contains(&k.as_str())), || format!("{keys:?}"));
    checks.that(desk.good(&["run", "c.csv"]).contains("2 layers, 3 heads"), || "summary".into());
    checks.finish(11);
}

#[test]
fn the_authors_traffic_is_reproduced() {
    let Some(folder) = reference_data("authors-traces") else { return };
    let mut checks = Checks::new("cli_authors_counts");
    let desk = Desk::new();
    let path = folder.join("summary-gpt2-small-wikitext2-per8.csv").canonicalize().unwrap();
    desk.good(&["run", path.to_str().unwrap(), "--report", "r.json"]);
    let report = desk.json("r.json");
    // The figure to meet is of K and V; 4608 queries of 64 numbers at 16 bits come on top (0.7 %).
    let read = report["dram"]["read_bytes"].as_object().unwrap();
    let keys_and_values: u64 = read.iter().filter(|(k, _)| *k != "q").map(|(_, n)| n.as_u64().unwrap()).sum();
    checks.near(keys_and_values as f64, 82.4e6, 82.4e6 * 0.005, || "bytes of K and V read".into());
    checks.eq(read["q"].as_u64(), Some(4608 * 64 * 2), || "bytes of Q".into());
    let dense = report["dram"]["dense_12bit_bytes"].as_f64().unwrap();
    checks.near(dense, 892e6, 892e6 * 0.005, || "dense bytes".into());
    checks.eq(report["refetched_rows"].as_u64(), Some(323), || "refetched rows".into());
    checks.eq(report["rows"].as_u64(), Some(4608), || "rows".into());
    checks.finish(5);
}

// ---- bad input

#[test]
fn workloads_that_cannot_be_used_are_refused() {
    let mut checks = Checks::new("cli_bad_workloads");
    let desk = Desk::new();
    std::fs::create_dir(desk.path("folder")).unwrap();
    let with = |change: &dyn Fn(&mut Vec<Tensor>)| {
        let mut tensors = SMALL.tensors();
        change(&mut tensors);
        file(&tensors, &[])
    };
    let float = |at: usize, x: f32| with(&|t| t[1].bytes[4 * at..4 * at + 4].copy_from_slice(&x.to_le_bytes()));
    let good = small();
    let mut corrupted = good.clone();
    corrupted[9] = b'}';
    let mut long_header = good.clone();
    long_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let header_names = |from: &str, to: &str| {
        let text = String::from_utf8_lossy(&good[8..]).find(from).unwrap() + 8;
        let mut bytes = good.clone();
        bytes[text..text + from.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let in_mode = |sizes: Sizes, mode: &str| file(&sizes.tensors(), &[("mode", mode)]);
    let no_last_column = csv(&[ROW]).replace(",topk", "");
    // k [1, 2, 3, 4] is element 3 + 16 * ..., counted over [layers, heads, keys, D].
    let index = ((4 + 2) * 8 + 3) * 16 + 4;
    let files: Vec<(&str, Vec<u8>, Vec<&str>)> = vec![
        ("empty", vec![], vec!["empty: ", "an empty file", "expected safetensors"]),
        ("truncated", good[..good.len() - 100].to_vec(), vec!["truncated: data: ", "truncated?"]),
        ("short", good[..5].to_vec(), vec!["short: ", "5 bytes", "expected"]),
        ("corrupted", corrupted, vec!["corrupted: header: ", "expected JSON"]),
        ("long_header", long_header, vec!["long_header: header: length 18446744073709551615", "expected"]),
        ("type", header_names("F32", "I32"), vec!["type: tensor ", "expected F32"]),
        ("noise", b"\x7fELF\x1b[31m and some more bytes".to_vec(), vec!["noise: the format", "expected safetensors"]),
        ("no_k", with(&|t| t[1].name = "key"), vec!["no_k: tensor k is missing", "\"key\""]),
        ("dimensions", with(&|t| t[0].shape = vec![12, 8, 16]), vec!["tensor q: shape [12, 8, 16]", "4 dimensions"]),
        ("dim", with(&|t| t[1] = Tensor::f32("k", [3, 4, 8, 32], 1)), vec!["tensor k: shape [3, 4, 8, 32]", "16]"]),
        ("layers", with(&|t| t[1] = Tensor::f32("k", [2, 4, 8, 16], 1)), vec!["tensor k: shape [2, 4, 8, 16]"]),
        ("heads", with(&|t| t[1] = Tensor::f32("k", [3, 3, 8, 16], 1)), vec!["tensor k: ", "a divisor of 4 heads"]),
        ("value", with(&|t| t[2] = Tensor::f32("v", [3, 4, 9, 16], 1)), vec!["tensor v: ", "the shape of k"]),
        ("none", with(&|t| t[0] = Tensor::f32("q", [3, 4, 0, 16], 1)), vec!["tensor q: shape [3, 4, 0, 16]", "no dim"]),
        (
            "none_at_all",
            with(&|t| *t = Sizes { rows: 0, keys: 0, ..SMALL }.tensors()),
            vec!["tensor q: shape [3, 4, 0, 16]", "expected"],
        ),
        ("long", in_mode(Sizes { keys: 9, ..SMALL }, "encoder"), vec!["L0 = L1 in encoder mode"]),
        ("few", in_mode(Sizes { keys: 7, ..SMALL }, "causal"), vec!["L0 <= L1 in causal mode"]),
        ("few_decode", in_mode(Sizes { keys: 7, ..SMALL }, "decode"), vec!["L0 <= L1 in decode mode"]),
        ("nan", float(index, f32::NAN), vec!["nan: tensor k: NaN at [1, 2, 3, 4]", "finite"]),
        ("infinity", float(index, f32::NEG_INFINITY), vec!["tensor k: -inf at [1, 2, 3, 4]", "finite"]),
        ("mask", with(&|t| t.push(Tensor::mask(&[1; 7]))), vec!["tensor mask: shape [7]", "expected [8]"]),
        ("mask_2", with(&|t| t.push(Tensor::mask(&[1, 1, 1, 2, 1, 1, 1, 1]))), vec!["tensor mask: 2 at [3]", "0 "]),
        ("mode", in_mode(SMALL, "sideways"), vec!["metadata mode = \"sideways\"", "encoder, causal or decode"]),
        ("scale", file(&SMALL.tensors(), &[("scale", "-0.5")]), vec!["scale = -0.5", "above 0"]),
        ("scale_0", file(&SMALL.tensors(), &[("scale", "0")]), vec!["scale = 0", "above 0"]),
        ("scale_nan", file(&SMALL.tensors(), &[("scale", "nan")]), vec!["scale = NaN", "finite"]),
        ("scale_word", file(&SMALL.tensors(), &[("scale", "wide\n")]), vec!["metadata scale = ", "a number"]),
        ("column", no_last_column.into(), vec!["column:1: column topk: missing"]),
        (
            "text",
            csv(&[ROW, &ROW.replace("921", "many")]).into(),
            vec!["text:3: column key_fetch_num: ", "whole number"],
        ),
        ("rows", csv(&[]).replace("\n\n", "\n").into(), vec!["rows:", "no data"]),
    ];
    let mut expected = 0;
    for (name, bytes, texts) in &files {
        desk.write(name, bytes);
        desk.refused(&mut checks, &["run", name, "--report", "report.json"], texts);
        expected += REFUSAL + texts.len();
    }
    for (name, texts) in [
        ("missing", vec!["missing: cannot read the workload", "o such file"]),
        ("folder", vec!["folder: expected a workload file, found a directory"]),
        ("", vec!["a value is required for '<WORKLOAD>'"]),
        ("/dev/zero", vec!["/dev/zero: expected a workload file, found a pipe, device or socket"]),
        ("line\nbreak\u{1b}[31m", vec!["line\\nbreak\\u{1b}[31m: cannot read the workload"]),
    ] {
        desk.refused(&mut checks, &["run", name, "--out", "out", "--report", "report.json"], &texts);
        expected += REFUSAL + texts.len();
    }
    assert_eq!(files.len(), 30);
    checks.finish(expected as u64);
}

#[test]
fn plans_that_cannot_be_carried_out_are_refused() {
    let mut checks = Checks::new("cli_bad_plans");
    let desk = Desk::new();
    desk.write("w", small());
    desk.write("wrong.toml", "q = [[1.0]]\nk = [[1.0]]\nv = [[1.0]]\n");
    let row = "[1.0, 1.0, 1.0, 1.0]";
    let table = format!("[{row}, {row}, {row}]");
    desk.write("negative.toml", format!("q = {table}\nk = {table}\nv = {}\n", table.replacen("1.0", "-1.0", 1)));
    desk.write("right.toml", format!("q = {table}\nk = {table}\nv = {table}\n"));
    desk.write("other.toml", "queries = []\n");
    let plans: Vec<(&str, Vec<&str>)> = vec![
        ("[tokens]\nr_sart = 0.1", vec!["p.toml:2: ", "unknown field `r_sart`", "expected"]),
        ("[token]\nr_start = 0.1", vec!["p.toml:1: ", "unknown field `token`"]),
        ("[tokens\nr_start = 0.1", vec!["p.toml:1: ", "expected `]`"]),
        ("[tokens]\nr_start = \"much\"", vec!["p.toml:2: ", "string \"much\", expected f64"]),
        ("[tokens]\nr_start = 1.5", vec!["p.toml: tokens.r_start = 1.5, expected a number from 0 to 1"]),
        ("[tokens]\nr_end = nan", vec!["p.toml: tokens.r_end = NaN, expected a number from 0 to 1"]),
        ("[values]\nkeep = -0.1", vec!["p.toml: values.keep = -0.1, expected a number from 0 to 1"]),
        ("[tokens]\nkeep = [8]", vec!["p.toml: tokens.keep = 1 counts, expected 2 counts", "3"]),
        ("[tokens]\nkeep = [8, -1]", vec!["p.toml:2: ", "-1"]),
        ("[heads]\nkeep = [4, 4, 4]", vec!["p.toml: heads.keep = 3 counts, expected 2 counts"]),
        ("[heads]\nmask = [[1, 1, 1, 1]]", vec!["p.toml: heads.mask = 1 lists, expected 3, one per layer"]),
        ("[heads]\nmask = [[1,1,1,1],[1,1,1],[1,1,1,1]]", vec!["heads.mask[1] = 3 entries, expected 4, one per head"]),
        ("[heads]\nmask = [[1,1,1,1],[1,1,1,2],[1,1,1,1]]", vec!["heads.mask[1] = 2, expected 0 or 1"]),
        ("[tokens]\npin = [0, 8]", vec!["p.toml: tokens.pin = [8], expected positions below the 8 tokens of w"]),
        ("[tokens]\npin = \"middle\"", vec!["p.toml:2: ", "pin", "expected none, first:N"]),
        (
            "[tokens]\nimportance = \"luck\"",
            vec!["p.toml:2: ", "\"luck\", expected sum, value_weighted, mean or decay"],
        ),
        ("[tokens]\nimportance = \"decay:2\"", vec!["p.toml: ", "2, expected a number from 0 to 1"]),
        ("[generation]\ncascade = \"forget\"", vec!["p.toml:2: ", "`forget`", "`reselect` or `evict`"]),
        (
            "[quant]\nprogressive = true\nmsb = 12\nlsb = 4",
            vec!["p.toml: quant.msb + quant.lsb = 12+4 = 16, expected at most the 12-bit datapath"],
        ),
        ("[quant]\nbits = 13", vec!["p.toml: quant.bits.q = 13, expected at most the 12-bit datapath"]),
        ("[quant]\nbits = 0", vec!["p.toml: quant.bits.q = 0, expected 1 to"]),
        ("[quant]\nthreshold = 7", vec!["p.toml: quant.threshold = 7, expected a number from 0 to 1"]),
        ("[quant]\nscale = \"static:none.toml\"", vec!["none.toml: cannot read a calibration table", "o such file"]),
        ("[quant]\nscale = \"static:other.toml\"", vec!["other.toml:1: unknown field `queries`"]),
        ("[quant]\nscale = \"static:wrong.toml\"", vec!["p.toml: calibration: q has 1 layers, expected 3 for w"]),
        ("[quant]\nscale = \"static:negative.toml\"", vec!["p.toml: calibration: v[0] has -1", "at least 0"]),
        ("[quant]\nscale = \"static:\"", vec!["p.toml:2: ", "expected head, layer, token or static:FILE"]),
    ];
    let mut expected = 0;
    for device in ["golden", "reference"] {
        for (plan, texts) in &plans {
            desk.write("p.toml", plan);
            let args = ["run", "w", "--plan", "p.toml", "--device", device, "--out", "out", "--report", "report.json"];
            desk.refused(&mut checks, &args, texts);
            expected += REFUSAL + texts.len();
        }
    }
    desk.refused(&mut checks, &["run", "w", "--plan", "no\tplan"], &["no", "plan: cannot read a pruning plan"]);
    desk.refused(&mut checks, &["run", "w", "--plan", "."], &[".: expected a file with a pruning plan"]);
    expected += 2 * REFUSAL + 3;
    // What was refused above for its numbers alone is accepted with other numbers.
    desk.write("p.toml", "[quant]\nscale = \"static:right.toml\"\n[tokens]\npin = [0, 7]\nkeep = [8, 0]\n");
    desk.good(&["run", "w", "--plan", "p.toml"]);
    checks.finish(expected as u64);
}

#[test]
fn machines_that_do_not_exist_are_refused() {
    let mut checks = Checks::new("cli_bad_machines");
    let desk = Desk::new();
    desk.write("w", small());
    let long = Sizes { layers: 1, heads: 1, kv_heads: 1, rows: 65, keys: 65, dim: 16 };
    desk.write("long", file(&long.tensors(), &[]));
    desk.write("deep", file(&Sizes { keys: 3, rows: 3, dim: 129, ..long }.tensors(), &[]));
    desk.write("broad", file(&Sizes { keys: 3, rows: 3, heads: 129, ..long }.tensors(), &[]));
    desk.write("relation.toml", "softmax_lanes = 3");
    desk.write("buffers.toml", "key_buffer_bytes = 1000");
    desk.write("narrow.toml", "channel_bytes = 4");
    desk.write("unknown.toml", "colour = 3");
    desk.write("syntax.toml", "multipliers = ");
    let cases: Vec<(Vec<&str>, Vec<&str>)> = vec![
        (vec!["w", "--arch", "huge"], vec!["unknown configuration \"huge\"", "tiny, eighth, paper"]),
        (vec!["w", "--arch", "none.toml"], vec!["none.toml: cannot read an accelerator configuration"]),
        (vec!["w", "--arch", "relation.toml"], vec!["relation.toml: ", "softmax_lanes = 3, keys_on_chip = 1024"]),
        (vec!["w", "--arch", "buffers.toml"], vec!["key_buffer_bytes = 1000", "= 196608"]),
        (vec!["w", "--arch", "unknown.toml"], vec!["unknown.toml:1: unknown field `colour`"]),
        (vec!["w", "--arch", "syntax.toml"], vec!["syntax.toml:1: "]),
        (vec!["long", "--arch", "tiny"], vec!["long: keys (L1) = 65", "configuration tiny, expected at most 64"]),
        (vec!["deep"], vec!["deep: head dimension (D) = 129", "paper, expected at most 128"]),
        (vec!["broad"], vec!["broad: heads = 129", "expected at most 128"]),
        (vec!["w", "--device", "abacus"], vec!["unknown device \"abacus\"", "expected reference, golden, sim or rtl"]),
        (
            vec!["w", "--arch", "narrow.toml", "--device", "sim"],
            vec!["channel_bytes = 4, expected 8 to 64 for device sim"],
        ),
        (vec!["w", "--timeline", "t.json"], vec!["--timeline: device golden has no cycles", "expected no --timeline"]),
        (
            vec!["w", "--device", "reference", "--timeline", "t.json"],
            vec!["--timeline: device reference has no cycles"],
        ),
        (vec!["w", "--device", "sim", "--timeline", "t.json"], vec!["--timeline: is not written by any device yet"]),
    ];
    let mut expected = 0;
    for (args, texts) in &cases {
        desk.refused(&mut checks, &[&["run"], &args[..], &["--out", "out", "--report", "r.json"]].concat(), texts);
        expected += REFUSAL + texts.len();
    }
    // The f64 reference has no size.
    for workload in ["long", "deep", "broad"] {
        desk.good(&["run", workload, "--arch", "tiny", "--device", "reference"]);
    }
    checks.finish(expected as u64);
}

#[test]
fn arguments_that_mean_nothing_are_refused() {
    let mut checks = Checks::new("cli_bad_arguments");
    let desk = Desk::new();
    desk.write("w", small());
    desk.write("c.csv", csv(&[ROW]));
    desk.write("p.toml", "");
    let cases: Vec<(Vec<&str>, Vec<&str>)> = vec![
        (vec![], vec!["spatten"]),
        (vec!["run"], vec!["required", "<WORKLOAD>"]),
        (vec!["walk", "w"], vec!["unrecognized subcommand 'walk'"]),
        (vec!["run", "w", "--colour"], vec!["unexpected argument '--colour'"]),
        (vec!["run", "w", "w"], vec!["unexpected argument 'w'"]),
        (vec!["run", "w", "--out"], vec!["--out", "value is required"]),
        (vec!["run", "w", "--seed", "-1"], vec!["'-1'"]),
        (vec!["run", "w", "--seed", "many"], vec!["'many'", "--seed"]),
        (vec!["run", "w", "--device", "go\nlden\u{1b}"], vec!["unknown device"]),
        (vec!["run", "c.csv", "--out", "out"], vec!["--out: c.csv has counts and no tensors"]),
        (vec!["run", "c.csv", "--plan", "p.toml"], vec!["--plan: c.csv has counts", "expected no plan"]),
        (vec!["run", "c.csv", "--device", "reference"], vec!["--device reference: c.csv", "device golden"]),
    ];
    let mut expected = 0;
    for (args, texts) in &cases {
        desk.refused(&mut checks, args, texts);
        expected += REFUSAL + texts.len();
    }
    checks.finish(expected as u64);
}

#[test]
fn places_that_cannot_be_written_are_refused_before_any_work() {
    let mut checks = Checks::new("cli_bad_places");
    let desk = Desk::new();
    desk.write("w", small());
    desk.write("c.csv", csv(&[ROW]));
    desk.write("file", "not a folder");
    std::fs::create_dir(desk.path("folder")).unwrap();
    let mut expected = 0;
    for option in ["--out", "--report"] {
        for (place, texts) in [
            ("nowhere/out", vec!["nowhere/out: cannot write: its parent does not exist", "an existing folder"]),
            ("folder", vec!["folder: cannot write: a directory", "a file or nothing there"]),
            ("folder/", vec!["folder/: cannot write: the path of a folder", "a file name"]),
            ("file/out", vec!["file/out: cannot write: "]),
            ("", vec!["a value is required for '", option]),
            ("/dev/null", vec!["/dev/null: cannot write: a pipe, device or socket"]),
            ("no\nwhere/out", vec!["no\\nwhere/out: cannot write: "]),
        ] {
            // The other output could be written: it must not be there either.
            let other = if option == "--out" { ["--report", "r.json"] } else { ["--out", "out"] };
            desk.refused(&mut checks, &["run", "w", option, place, other[0], other[1]], &texts);
            expected += REFUSAL + texts.len();
        }
    }
    desk.refused(&mut checks, &["run", "c.csv", "--report", "nowhere/r"], &["nowhere/r: cannot write: "]);
    expected += REFUSAL + 1;
    // One file for two things.
    desk.write("plan.toml", "");
    for (args, text) in [
        (vec!["--out", "same", "--report", "same"], "same: cannot write: it is also --out, expected a file of its own"),
        (vec!["--out", "same", "--report", "folder/../same"], "it is also --out"),
        (vec!["--report", "./w"], "./w: cannot write: it is also the workload"),
        (vec!["--plan", "plan.toml", "--out", "plan.toml"], "plan.toml: cannot write: it is also --plan"),
    ] {
        desk.refused(&mut checks, &[&["run", "w"], &args[..]].concat(), &[text]);
        expected += REFUSAL + 1;
    }
    checks.eq((desk.bytes("w"), desk.bytes("plan.toml")), (small(), vec![]), || "inputs".into());
    expected += 1;
    expected += read_only_folder(&desk, &mut checks);
    checks.eq(std::fs::read_dir(desk.path("folder")).unwrap().count(), 0, || "something in the folder".into());
    checks.finish(expected as u64 + 1);
}

#[cfg(unix)]
fn read_only_folder(desk: &Desk, checks: &mut Checks) -> usize {
    use std::os::unix::fs::PermissionsExt;
    let locked = desk.path("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(locked.join("probe"), "").is_ok() {
        std::fs::remove_file(locked.join("probe")).unwrap();
        not_run("a folder without write access does not stop this user");
        return 0;
    }
    desk.refused(checks, &["run", "w", "--out", "locked/out"], &["locked/out: cannot write: permission denied"]);
    REFUSAL + 1
}

#[cfg(not(unix))]
fn read_only_folder(_: &Desk, _: &mut Checks) -> usize {
    0
}

#[test]
fn an_existing_output_is_replaced_only_by_a_whole_one() {
    let mut checks = Checks::new("cli_replace");
    let desk = Desk::new();
    desk.write("w", small());
    desk.write("out", "before");
    desk.write("bad", &small()[..100]);
    desk.refused(&mut checks, &["run", "bad", "--out", "out"], &["bad: "]);
    checks.eq(desk.bytes("out"), b"before".to_vec(), || "a refused run".into());
    desk.good(&["run", "w", "--out", "out"]);
    checks.that(SafeTensors::deserialize(&desk.bytes("out")).is_ok(), || "a good run".into());
    checks.eq(desk.listing(), ["bad", "out", "w"].map(String::from).to_vec(), || "no temporary file".into());
    checks.finish(REFUSAL as u64 + 4);
}

/// A reader that goes away is no failure; a full disk behind standard output is one, and no bug.
#[cfg(target_os = "linux")]
#[test]
fn standard_output_may_be_closed_or_full() {
    let mut checks = Checks::new("cli_stdout");
    let desk = Desk::new();
    desk.write("w", small());
    let run = |stdout: std::process::Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spatten"));
        let child = command.current_dir(desk.0.path()).args(["run", "w"]).stdout(stdout);
        let output = child.stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    checks.eq(run(writer.into()), (Some(0), String::new()), || "nobody reads".into());
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (status, stderr) = run(full.into());
    checks.eq(status, Some(1), || stderr.clone());
    checks.that(stderr.starts_with("error: standard output: cannot write: No space left"), || stderr.clone());
    checks.eq(stderr.matches('\n').count(), 1, || stderr.clone());
    checks.finish(4);
}
