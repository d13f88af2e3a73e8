//! Writes small valid inputs into `fuzz/corpus/`, from which the fuzzer starts. Run by `fuzz/run.sh`.

#[path = "../tests/common/tiny_model.rs"]
mod tiny_model;

use npyz::WriterBuilder;
use safetensors::tensor::Dtype;
use serde_json::json;
use spatten::output::OutTensors;
use spatten::workload::counts::COLUMNS;
use std::io::{Cursor, Result, Write};
use std::path::Path;
use tiny_model::Model;

fn npy<T: npyz::AutoSerialize + Copy>(shape: &[u64], values: &[T]) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes).begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()?;
    Ok(bytes)
}

fn npz(entries: &[(&str, Vec<u8>)], method: zip::CompressionMethod) -> Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(vec![]));
    for (name, data) in entries {
        archive.start_file(*name, zip::write::FileOptions::default().compression_method(method))?;
        archive.write_all(data)?;
    }
    Ok(archive.finish()?.into_inner())
}

/// A safetensors file in the second form of two targets: header, a 0, data.
fn without_length(file: &[u8]) -> Vec<u8> {
    let header_bytes = u64::from_le_bytes(std::array::from_fn(|i| file[i])) as usize;
    let (header, data) = file[8..].split_at(header_bytes);
    [header, b"\0", data].concat()
}

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let seed = |target: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(root.join(target))?;
        std::fs::write(root.join(target).join(name), bytes)
    };
    let shape = [1, 2, 2, 2];
    let data = [0.5f32, -1.0, 2.0, 0.25, 1.0, -0.5, 3.0, 0.0];
    let tensors = OutTensors::new().f32("q", &shape, &data).f32("k", &shape, &data).f32("v", &shape, &data);
    let whole = tensors
        .clone()
        .u8("mask", &[2], &[1, 1])
        .u8("ignored", &[1], &[7])
        .metadata("mode", "causal")
        .metadata("scale", "0.5")
        .to_bytes();
    seed("safetensors", "plain", &tensors.to_bytes())?;
    seed("safetensors", "whole", &whole)?;
    seed("safetensors", "header", &without_length(&whole))?;

    let four = npy(&[1, 2, 2, 2], &data)?;
    seed("npz", "q", &four)?;
    let mode = b"\x93NUMPY\x01\x00\x37\x00{'descr': '|S6', 'fortran_order': False, 'shape': (), }causal";
    let entries = [
        ("q.npy", four.clone()),
        ("k.npy", four.clone()),
        ("v.npy", four),
        ("mask.npy", npy(&[2], &[1u8, 1])?),
        ("scale.npy", npy(&[], &[0.5f64])?),
        ("mode.npy", mode.to_vec()),
    ];
    seed("npz", "stored", &npz(&entries, zip::CompressionMethod::Stored)?)?;
    seed("npz", "deflated", &npz(&entries, zip::CompressionMethod::Deflated)?)?;

    let rows = "0,0,0,64.0,993,921,6,16,0.05,True,4,204,6,True,False,True,716\n\
                0,0,1,64.0,993,993,-1,-1,-1,False,-1,993,-1,True,False,False,-1\n\
                configs/a.yml,,,,,,,,,,,,,,,,\n";
    seed("csv", "whole", format!("{}\n{rows}", COLUMNS.join(",")).as_bytes())?;
    seed("csv", "rows", rows.as_bytes())?;

    seed(
        "plan",
        "ratios",
        b"[tokens]\nr_start = 0.1\nr_end = 0.5\npin = \"first:1+last:2\"\nimportance = \"decay:0.5\"\n",
    )?;
    seed("plan", "lists", b"[tokens]\nkeep = [9, 8, 7]\npin = [0, 3]\nmode = \"kv_only\"\n[heads]\nmask = [[1,0,1],[1,1,1],[1,1,1],[1,1,1]]\n")?;
    seed("plan", "quant", b"[quant]\nbits = { q = 12, k = 8 }\nprogressive = true\nmsb = 8\nlsb = 4\nsplit = \"mid\"\nmsb_first = [\"q\", \"v\"]\nscale = \"static:cal.toml\"\n[generation]\ncascade = \"evict\"\n[values]\nkeep = 0.5\n")?;
    for name in ["tiny", "eighth", "paper"] {
        let config = spatten_arch::ArchConfig::named(name).expect("a built-in configuration");
        seed("arch_config", name, toml::to_string(&config).map_err(std::io::Error::other)?.as_bytes())?;
    }

    for (name, dtype, prefix) in [("f32", Dtype::F32, ""), ("f16", Dtype::F16, "bert."), ("bf16", Dtype::BF16, "")] {
        let model = Model::new(dtype, prefix);
        let (config, weights) = (model.config.to_string(), model.weights());
        let length = u16::try_from(config.len()).expect("a short text").to_le_bytes();
        seed("model", name, &[&length, config.as_bytes(), &weights].concat())?;
        seed("model", &format!("{name}-header"), &[&length, config.as_bytes(), &without_length(&weights)].concat())?;
    }

    let tokenizer = Model::new(Dtype::F32, "").tokenizer;
    seed("tokenizer", "whole", tokenizer.to_string().as_bytes())?;
    for (name, kind) in [
        ("unigram", json!({ "type": "Unigram", "unk_id": 0, "vocab": [["[UNK]", -1.0], ["a", -2.0], ["b", -3.0]] })),
        (
            "bpe",
            json!({ "type": "BPE", "unk_token": "[UNK]", "vocab": { "[UNK]": 0, "a": 1, "b": 2, "ab": 3 }, "merges": ["a b"] }),
        ),
    ] {
        let mut other = tokenizer.clone();
        other["model"] = kind;
        other["normalizer"] = json!({ "type": "BertNormalizer", "clean_text": true, "lowercase": true });
        other["pre_tokenizer"] =
            json!({ "type": "Split", "pattern": { "Regex": "\\s+" }, "behavior": "Isolated", "invert": false });
        seed("tokenizer", name, other.to_string().as_bytes())?;
    }

    seed("calibration", "whole", b"q = [[1.0, 2.5], [3e2, 0.0]]\nk = [[0.5], [4.0]]\nv = [[0.25], [1e-3]]\n")?;
    seed("calibration", "short", b"q = [[1, 2]]\nk = []\nv = [[inf], [nan]]\n")?;
    Ok(())
}
