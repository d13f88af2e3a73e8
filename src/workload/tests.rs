use super::*;
use npyz::WriterBuilder;
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use spatten_testkit::{Checks, reference_data};
use std::collections::HashMap;
use std::io::{Cursor, Write};

/// Shapes and numbers of a small trace.
#[derive(Debug, Clone)]
struct Raw {
    q: (Vec<usize>, Vec<f32>),
    k: (Vec<usize>, Vec<f32>),
    v: (Vec<usize>, Vec<f32>),
    mask: Option<Vec<u8>>,
    mode: Option<&'static str>,
    scale: Option<f64>,
}

fn numbers(shape: [usize; 4], from: f32) -> (Vec<usize>, Vec<f32>) {
    let count = shape.iter().product::<usize>();
    (shape.to_vec(), (0..count).map(|i| from + i as f32 * 0.25).collect())
}

/// GQA, so that q and k differ in shape.
fn raw() -> Raw {
    Raw {
        q: numbers([2, 4, 3, 2], -3.0),
        k: numbers([2, 2, 3, 2], 1.0),
        v: numbers([2, 2, 3, 2], 7.0),
        mask: None,
        mode: None,
        scale: None,
    }
}

fn le(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

fn tensors(raw: &Raw) -> Tensors {
    let mut list: Tensors = [("q", &raw.q), ("k", &raw.k), ("v", &raw.v)]
        .map(|(name, (shape, data))| (name.to_string(), Dtype::F32, shape.clone(), le(data)))
        .into();
    if let Some(mask) = &raw.mask {
        list.push(("mask".into(), Dtype::U8, vec![mask.len()], mask.clone()));
    }
    list
}

fn safetensors_of(list: &Tensors, metadata: &[(&str, &str)]) -> Vec<u8> {
    let views = list.iter().map(|(n, t, s, d)| (n.as_str(), TensorView::new(*t, s.clone(), d).unwrap()));
    let metadata: HashMap<String, String> = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

fn to_safetensors(raw: &Raw) -> Vec<u8> {
    let scale = raw.scale.map(|s| s.to_string());
    let mut metadata = vec![];
    metadata.extend(raw.mode.map(|m| ("mode", m)));
    metadata.extend(scale.as_deref().map(|s| ("scale", s)));
    safetensors_of(&tensors(raw), &metadata)
}

/// A safetensors file with this header text, whatever it says.
fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn npy_of<T: npyz::AutoSerialize + Copy>(shape: &[usize], values: &[T]) -> Vec<u8> {
    let mut bytes = vec![];
    let shape: Vec<u64> = shape.iter().map(|&d| d as u64).collect();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
    bytes
}

/// An npy file with this dictionary, whatever it says.
fn npy_with(dictionary: &str, data: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(dictionary.len() as u16).to_le_bytes()[..], dictionary.as_bytes(), data].concat()
}

fn zip_of(entries: &[(&str, Vec<u8>)], method: zip::CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(vec![]));
    for (name, data) in entries {
        // numpy reserves a zip64 field in the local header, and so does `large_file`.
        let options = zip::write::FileOptions::default().compression_method(method).large_file(true);
        archive.start_file(*name, options).unwrap();
        archive.write_all(data).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn npz_entries(raw: &Raw) -> Vec<(&'static str, Vec<u8>)> {
    let mut entries = vec![
        ("q.npy", npy_of(&raw.q.0, &raw.q.1)),
        ("k.npy", npy_of(&raw.k.0, &raw.k.1)),
        ("v.npy", npy_of(&raw.v.0, &raw.v.1)),
    ];
    entries.extend(raw.mask.as_ref().map(|m| ("mask.npy", npy_of(&[m.len()], m))));
    entries.extend(raw.scale.map(|s| ("scale.npy", npy_of(&[], &[s]))));
    entries.extend(raw.mode.map(|m| ("mode.npy", npy_unicode(m))));
    entries
}

/// What `numpy.savez(mode="causal")` writes.
fn npy_unicode(word: &str) -> Vec<u8> {
    let data: Vec<u8> = word.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    npy_with(&format!("{{'descr': '<U{}', 'fortran_order': False, 'shape': (), }}\n", word.chars().count()), &data)
}

fn to_npz(raw: &Raw, method: zip::CompressionMethod) -> Vec<u8> {
    zip_of(&npz_entries(raw), method)
}

#[track_caller]
fn trace_of(result: Result<Workload, WorkloadError>) -> (Trace, Vec<String>) {
    match result {
        Ok(Workload::Trace { trace, ignored }) => (trace, ignored),
        other => panic!("expected a trace, got {other:?}"),
    }
}

/// The message has all the parts and no line break.
#[track_caller]
fn refused(result: Result<Workload, WorkloadError>, parts: &[&str]) {
    let message = match result {
        Err(e) => e.to_string(),
        Ok(_) => panic!("accepted; expected a message with {parts:?}"),
    };
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(message.len() < 600, "{message}");
}

#[track_caller]
fn assert_same(trace: &Trace, raw: &Raw) {
    for (array, (shape, data)) in [(&trace.q, &raw.q), (&trace.k, &raw.k), (&trace.v, &raw.v)] {
        assert_eq!(array.shape(), shape);
        let bits = |x: &f32| x.to_bits();
        assert_eq!(array.iter().map(bits).collect::<Vec<_>>(), data.iter().map(bits).collect::<Vec<_>>());
    }
    let keys = raw.k.0[2];
    let mask = raw.mask.clone().unwrap_or_else(|| vec![1; keys]);
    assert_eq!(trace.mask, mask.iter().map(|&m| m == 1).collect::<Vec<_>>());
    assert_eq!(trace.mode.name(), raw.mode.unwrap_or("encoder"));
    assert_eq!(trace.scale, raw.scale.unwrap_or(1.0 / (raw.q.0[3] as f64).sqrt()));
}

// ---- safetensors

#[test]
fn safetensors_give_tensors_metadata_and_the_names_of_the_rest() {
    let raw = Raw { mask: Some(vec![1, 0, 1]), mode: Some("causal"), scale: Some(0.125), ..raw() };
    let mut list = tensors(&raw);
    list.push(("z".into(), Dtype::I64, vec![1], vec![0; 8]));
    list.push(("a.b".into(), Dtype::F64, vec![0], vec![]));
    let bytes = safetensors_of(&list, &[("mode", "causal"), ("scale", "0.125"), ("format", "pt")]);
    let (trace, ignored) = trace_of(parse(&bytes, "t"));
    assert_same(&trace, &raw);
    assert_eq!(ignored, ["a.b", "z"]);
    assert_same(&trace_of(parse(&to_safetensors(&self::raw()), "t")).0, &self::raw());
}

#[test]
fn unaligned_tensors_are_read() {
    let raw = raw();
    let (q, k, v) = (le(&raw.q.1), le(&raw.k.1), le(&raw.v.1));
    let ends = [1, 1 + q.len(), 1 + q.len() + k.len(), 1 + q.len() + k.len() + v.len()];
    let header = format!(
        r#"{{"odd":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}},"q":{{"dtype":"F32","shape":{:?},"data_offsets":[{},{}]}},"k":{{"dtype":"F32","shape":{:?},"data_offsets":[{},{}]}},"v":{{"dtype":"F32","shape":{:?},"data_offsets":[{},{}]}}}}"#,
        raw.q.0, ends[0], ends[1], raw.k.0, ends[1], ends[2], raw.v.0, ends[2], ends[3]
    );
    let bytes = with_header(&header, &[vec![9], q, k, v].concat());
    // Every alignment of the file itself, too.
    for shift in 0..8 {
        let moved = [vec![0; shift], bytes.clone()].concat();
        assert_same(&trace_of(from_safetensors(&moved[shift..], "t")).0, &raw);
    }
}

#[test]
fn truncated_header_is_named() {
    let bytes = to_safetensors(&raw());
    refused(from_safetensors(&bytes[..5], "t.st"), &["t.st: header: a file of 5 bytes", "8-byte length"]);
    refused(parse(&bytes[..40], "t.st"), &["t.st: header: length", "with 32 bytes after it", "truncated?"]);
    let huge = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    refused(parse(&huge, "t.st"), &["t.st: header: length 18446744073709551615 with 2 bytes after it"]);
}

#[test]
fn truncated_or_extended_data_is_named_with_both_sizes() {
    let bytes = to_safetensors(&raw());
    let all = (48 + 24 + 24) * 4;
    refused(
        parse(&bytes[..bytes.len() - 4], "t"),
        &[&format!("t: data: {} bytes", all - 4), &format!("the {all} bytes that the header describes (truncated?)")],
    );
    refused(parse(&[&bytes[..], b"more"].concat(), "t"), &["t: data: ", "(something was appended?)"]);
}

#[test]
fn huge_header_is_refused_before_it_is_parsed() {
    let mut bytes = with_header("{", &[]);
    let length = 17u64 << 20;
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    bytes.resize(8 + length as usize, b' ');
    refused(parse(&bytes, "t"), &["t: a header of 17825792 bytes is too large, expected at most 16777216"]);
}

#[test]
fn damaged_header_is_named_in_one_line() {
    for header in
        ["{not json", "{\"q\n\u{1b}[31m\":3}", "{\"q\":{\"dtype\":\"F7\",\"shape\":[1],\"data_offsets\":[0,4]}}"]
    {
        refused(parse(&with_header(header, &[0; 4]), "t"), &["t: header: ", "expected JSON with dtype, shape"]);
    }
    let deep = "{\"a\":".repeat(100_000);
    refused(parse(&with_header(&deep, &[]), "t"), &["t: header: "]);
    let mut not_utf8 = with_header("{\"abc\":1}", &[]);
    not_utf8[10] = 0xff;
    refused(parse(&not_utf8, "t"), &["t: header: invalid UTF-8"]);
}

#[test]
fn names_that_are_there_twice_are_refused() {
    let entry = |shape: &str| format!(r#""q":{{"dtype":"U8","shape":{shape},"data_offsets":[0,4]}}"#);
    // The crate accepts both, since the last one alone is a file without gaps.
    let tensor = format!("{{{},{}}}", entry("[4]"), entry("[2,2]"));
    refused(parse(&with_header(&tensor, &[0; 4]), "t"), &["t: header: \"q\" twice", "expected each name once"]);
    let metadata = format!(r#"{{"__metadata__":{{"mode":"causal","mode":"decode"}},{}}}"#, entry("[4]"));
    refused(parse(&with_header(&metadata, &[0; 4]), "t"), &["t: header: \"mode\" twice"]);
    let null = format!(r#"{{"__metadata__":null,{}}}"#, entry("[4]"));
    refused(parse(&with_header(&null, &[0; 4]), "t"), &["t: tensor q: type U8"]);
    let more = r#"{"q":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"a":-1,"b":1.5,"c":true,"d":null,"e":[{}],"f":{"a":"b"}}}"#;
    refused(parse(&with_header(more, &[0; 4]), "t"), &["t: tensor q: type U8"]);
}

#[test]
fn overlapping_offsets_and_gaps_name_the_tensor() {
    let entry = |name: &str, from: usize, to: usize| {
        format!(r#""{name}":{{"dtype":"U8","shape":[4],"data_offsets":[{from},{to}]}}"#)
    };
    let overlap = format!("{{{},{}}}", entry("a", 0, 4), entry("b\\n", 2, 6));
    refused(
        parse(&with_header(&overlap, &[0; 8]), "t"),
        &["t: data_offsets: tensor \"b\\n\"", "without overlap or gap"],
    );
    let gap = format!("{{{},{}}}", entry("a", 0, 4), entry("b", 5, 9));
    refused(parse(&with_header(&gap, &[0; 9]), "t"), &["t: data_offsets: tensor \"b\""]);
    let backwards = format!("{{{}}}", entry("a", 4, 0));
    refused(parse(&with_header(&backwards, &[0; 4]), "t"), &["t: data_offsets: tensor \"a\""]);
}

#[test]
fn offsets_that_do_not_fit_the_shape_name_the_tensor() {
    let file = |dtype: &str, shape: &str, end: u64, data: usize| {
        let header = format!(r#"{{"q":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
        with_header(&header, &vec![0; data])
    };
    refused(parse(&file("F32", "[2,2]", 12, 12), "t"), &["t: tensor \"q\": F32 [2, 2] in bytes 0..12"]);
    let huge = format!("[{0},{0},{0},{0}]", u64::MAX);
    refused(parse(&file("F32", &huge, 16, 16), "t"), &["t: tensor \"q\": F32 [18446744073709551615", "0..16"]);
    refused(parse(&file("F32", "[1]", u64::MAX, 16), "t"), &["t: tensor \"q\": F32 [1]"]);
    // 0 elements, but the product of the other dimensions overflows.
    let zero = format!("[0,{},{},2]", 1u64 << 62, 1);
    refused(parse(&file("F32", &zero, 0, 0), "t"), &["t: tensor q: shape [0, ", "no dimension 0"]);
}

#[test]
fn missing_tensor_is_named_with_what_is_there() {
    let mut list = tensors(&raw());
    list.remove(1);
    refused(
        parse(&safetensors_of(&list, &[]), "t"),
        &["t: tensor k is missing, expected q, k and v; found \"q\", \"v\""],
    );
    refused(parse(&with_header("{}", &[]), "t"), &["t: tensor q is missing", "found no tensors"]);
    let many: Tensors = (0..20).map(|i| (format!("x{i:02}\n"), Dtype::U8, vec![1], vec![0])).collect();
    refused(parse(&safetensors_of(&many, &[]), "t"), &["tensor q is missing", "\"x00\\n\"", "and 12 more"]);
}

#[test]
fn wrong_type_is_named() {
    let change = |name: &str, dtype: Dtype, bytes: usize| {
        let mut list = tensors(&Raw { mask: Some(vec![1; 3]), ..raw() });
        let tensor = list.iter_mut().find(|t| t.0 == name).unwrap();
        let count = tensor.2.iter().product::<usize>();
        (tensor.1, tensor.3) = (dtype, vec![1; count * bytes]);
        parse(&safetensors_of(&list, &[]), "t")
    };
    refused(change("q", Dtype::F16, 2), &["t: tensor q: type F16, expected F32"]);
    refused(change("v", Dtype::F64, 8), &["t: tensor v: type F64, expected F32"]);
    refused(change("mask", Dtype::F32, 4), &["t: tensor mask: type F32, expected U8 or BOOL"]);
    assert!(change("mask", Dtype::BOOL, 1).is_ok());
}

#[test]
fn wrong_rank_and_zero_dimensions_are_named() {
    let change = |name: &str, shape: Vec<usize>| {
        let mut list = tensors(&Raw { mask: Some(vec![1; 3]), ..raw() });
        let tensor = list.iter_mut().find(|t| t.0 == name).unwrap();
        let size = if name == "mask" { 1 } else { 4 };
        (tensor.3, tensor.2) = (vec![0; shape.iter().product::<usize>() * size], shape);
        parse(&safetensors_of(&list, &[]), "t")
    };
    refused(
        change("q", vec![4, 3, 2]),
        &["t: tensor q: shape [4, 3, 2], expected 4 dimensions [layers, heads, L0, D]"],
    );
    refused(change("k", vec![]), &["t: tensor k: shape [], expected 4 dimensions [layers, kv_heads, L1, D]"]);
    refused(change("v", vec![2, 2, 0, 2]), &["t: tensor v: shape [2, 2, 0, 2]", "no dimension 0"]);
    refused(change("mask", vec![1, 3]), &["t: tensor mask: shape [1, 3], expected 1 dimension [L1]"]);
    refused(change("q", vec![2, 4, 5, 2]), &["t: tensor q: shape [2, 4, 5, 2], expected L0 = L1 in encoder mode"]);
    refused(change("v", vec![2, 2, 4, 2]), &["t: tensor v: shape [2, 2, 4, 2], expected [2, 2, 3, 2]"]);
    refused(change("q", vec![1; 200]), &["t: tensor q: shape [1, 1,", "...", "expected 4 dimensions"]);
}

#[test]
fn numbers_that_are_not_finite_are_named_with_index() {
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut raw = raw();
        raw.k.1[13] = value;
        refused(parse(&to_safetensors(&raw), "t"), &[&format!("t: tensor k: {word} at [1, 0, 0, 1], expected finite")]);
        refused(parse(&to_npz(&raw, zip::CompressionMethod::Stored), "t"), &[&format!("t: tensor k: {word} at")]);
    }
}

#[test]
fn bad_mask_is_named() {
    let with = |mask: Vec<u8>| parse(&to_safetensors(&Raw { mask: Some(mask), ..raw() }), "t");
    refused(with(vec![1, 1]), &["t: tensor mask: shape [2], expected [3], one per key"]);
    refused(with(vec![]), &["t: tensor mask: shape [0], expected [3]"]);
    refused(with(vec![1, 2, 1]), &["t: tensor mask: 2 at [1], expected 0 (padding) or 1 (a real token)"]);
    assert!(with(vec![0, 0, 0]).is_ok(), "no real token has a defined answer: all outputs 0");
}

#[test]
fn unknown_metadata_words_are_refused() {
    let with = |key, value| parse(&safetensors_of(&tensors(&raw()), &[(key, value)]), "t");
    refused(with("mode", "Encoder"), &["t: metadata mode = \"Encoder\", expected encoder, causal or decode"]);
    refused(with("mode", "a\nb"), &["t: metadata mode = \"a\\nb\""]);
    let long = "x".repeat(5000);
    refused(with("mode", &long), &["xxx\"..., expected encoder"]);
    refused(with("scale", "big"), &["t: metadata scale = \"big\", expected a number"]);
    for text in ["nan", "inf", "0", "-0.5"] {
        refused(with("scale", text), &["t: scale = ", "expected a finite number above 0"]);
    }
}

// ---- npz and npy

#[test]
fn npz_gives_the_same_as_safetensors() {
    let raw = Raw { mask: Some(vec![0, 1, 1]), mode: Some("decode"), scale: Some(0.3), ..raw() };
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        let mut entries = npz_entries(&raw);
        entries.push(("other.npy", vec![1, 2, 3]));
        entries.push(("notes.txt", vec![1, 2, 3]));
        let (trace, ignored) = trace_of(parse(&zip_of(&entries, method), "t"));
        assert_same(&trace, &raw);
        assert_eq!(ignored, ["notes.txt", "other"]);
    }
    assert_same(&trace_of(parse(&to_npz(&self::raw(), zip::CompressionMethod::Deflated), "t")).0, &self::raw());
}

#[test]
fn a_zip_comment_does_not_hide_the_directory() {
    let mut bytes = to_npz(&raw(), zip::CompressionMethod::Stored);
    let comment = b"PK\x05\x06 is in this comment";
    let at = bytes.len() - 2;
    bytes[at..].copy_from_slice(&(comment.len() as u16).to_le_bytes());
    bytes.extend(comment);
    assert_same(&trace_of(parse(&bytes, "t")).0, &raw());
}

#[test]
fn fortran_order_is_turned_round() {
    let raw = raw();
    let fortran = |(shape, data): &(Vec<usize>, Vec<f32>)| {
        let array = ndarray::ArrayD::from_shape_vec(shape.clone(), data.clone()).unwrap();
        let turned: Vec<f32> = array.t().iter().copied().collect();
        let shape: Vec<String> = shape.iter().map(|d| d.to_string()).collect();
        let header = format!("{{'descr': '<f4', 'fortran_order': True, 'shape': ({}), }}  \n", shape.join(", "));
        npy_with(&header, &le(&turned))
    };
    let result = from_npy(&fortran(&raw.q), &fortran(&raw.k), &npy_of(&raw.v.0, &raw.v.1), None, "t");
    assert_same(&trace_of(result).0, &raw);
}

#[test]
fn npy_headers_of_every_version_are_read() {
    let raw = raw();
    let v1 = npy_of(&raw.q.0, &raw.q.1);
    let length = u16::from_le_bytes([v1[8], v1[9]]);
    let (k, v) = (npy_of(&raw.k.0, &raw.k.1), npy_of(&raw.v.0, &raw.v.1));
    for major in [2, 3] {
        let other = [b"\x93NUMPY", &[major, 0][..], &u32::from(length).to_le_bytes(), &v1[10..]].concat();
        assert_same(&trace_of(from_npy(&other, &k, &v, None, "t")).0, &raw);
    }
    for (major, minor) in [(0, 0), (4, 0), (1, 1)] {
        let other = [b"\x93NUMPY", &[major, minor][..], &v1[8..]].concat();
        let found = format!("t: npy header of q: version {major}.{minor}, expected version 1.0, 2.0 or 3.0");
        refused(from_npy(&other, &k, &v, None, "t"), &[&found]);
    }
}

#[test]
fn bad_npy_headers_are_named() {
    let with_q = |q: &[u8]| {
        let raw = raw();
        from_npy(q, &npy_of(&raw.k.0, &raw.k.1), &npy_of(&raw.v.0, &raw.v.1), None, "t")
    };
    let good = npy_of(&raw().q.0, &raw().q.1);
    refused(with_q(b""), &["t: npy header of q: 0 bytes beginning with \"\", expected the magic"]);
    refused(with_q(&good[..7]), &["t: npy header of q: 7 bytes", "truncated?"]);
    refused(with_q(&good[..60]), &["t: npy header of q: length", "with 50 bytes after it"]);
    refused(with_q(&good[..good.len() - 1]), &["t: tensor q: 191 bytes of data for shape [2, 4, 3, 2], expected 192"]);
    let big = [b"\x93NUMPY\x02\x00", &u32::MAX.to_le_bytes()[..], b"{}"].concat();
    refused(with_q(&big), &["t: npy header of q: length 4294967295 with 2 bytes after it"]);
    let long = npy_with(&format!("{{{}}}", " ".repeat(20_000)), &[]);
    refused(with_q(&long), &["t: npy header of q: length 20002, expected at most 10000"]);
    for (dictionary, expected) in [
        ("[]", "a dictionary in braces"),
        ("{}", "the keys descr, fortran_order and shape"),
        ("{descr: 1}", "quoted keys"),
        ("{'descr' '<f4'}", "a colon"),
        ("{'descr': 4}", "a quoted type"),
        ("{'descr': [('a', '<f4')]}", "not a structured one"),
        ("{'fortran_order': 0}", "True or False"),
        ("{'shape': [1]}", "a shape in parentheses"),
        ("{'shape': (1, -1)}", "whole numbers"),
        ("{'shape': (99999999999999999999,)}", "whole numbers"),
        ("{'shape': (1,) 'descr': '<f4'}", "commas"),
        ("{'shape': (1,), 'shape': (1,)}", "each key once"),
        ("{'other': 1}", "only the keys"),
        ("{'\u{e9}", "a dictionary in braces"),
        ("{\u{e9}}", "quoted keys"),
    ] {
        refused(with_q(&npy_with(dictionary, &[])), &["t: npy header of q: ", expected]);
    }
    let huge = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({0}, {0}, {0}, {0})}}", u64::MAX);
    refused(with_q(&npy_with(&huge, &[])), &["t: tensor q: 0 bytes of data", "a shape that fits memory"]);
    let zero = format!("{{'descr': '<f4', 'fortran_order': True, 'shape': (0, {}, 1, 1)}}", u64::MAX >> 3);
    refused(with_q(&npy_with(&zero, &[])), &["t: tensor q: shape [0, ", "no dimension 0"]);
}

#[test]
fn npz_types_are_named() {
    let with = |name: &str, data: Vec<u8>| {
        let mut entries = npz_entries(&Raw { mask: Some(vec![1; 3]), mode: Some("causal"), scale: Some(1.0), ..raw() });
        entries.iter_mut().find(|e| e.0 == format!("{name}.npy")).unwrap().1 = data;
        parse(&zip_of(&entries, zip::CompressionMethod::Stored), "t")
    };
    let shape = raw().q.0;
    refused(
        with("q", npy_of(&shape, &[1.0f64; 48])),
        &["t: tensor q: type \"<f8\", expected f32 little-endian ('<f4')"],
    );
    refused(with("k", npy_of(&[2, 2, 3, 2], &[1i32; 24])), &["t: tensor k: type \"<i4\""]);
    refused(with("mask", npy_of(&[3], &[1i64; 3])), &["t: tensor mask: type \"<i8\", expected u8 ('|u1') or bool"]);
    refused(with("mask", npy_of(&[3], &[1u8, 3, 1])), &["t: tensor mask: 3 at [1]"]);
    refused(with("scale", npy_of(&[], &[1i64])), &["t: tensor scale: type \"<i8\", expected f32 or f64"]);
    refused(with("scale", npy_of(&[2], &[1f64; 2])), &["t: tensor scale: shape [2], expected a single value"]);
    refused(with("scale", npy_of(&[], &[f64::NAN])), &["t: scale = NaN"]);
    refused(with("mode", npy_of(&[], &[1f64])), &["t: tensor mode: type \"<f8\", expected a string"]);
    refused(with("mode", npy_unicode("later")), &["t: metadata mode = \"later\", expected encoder, causal or decode"]);
    refused(
        with("mode", npy_with("{'descr': '<U99999999999', 'fortran_order': False, 'shape': ()}", &[])),
        &["type \"<U9"],
    );
    let bytes_word = npy_with("{'descr': '|S8', 'fortran_order': False, 'shape': ()}", b"decode\0\0");
    assert_eq!(trace_of(with("mode", bytes_word)).0.mode, Mode::Decode);
    assert_eq!(trace_of(with("scale", npy_of(&[1], &[0.5f32]))).0.scale, 0.5);
    let bools = npy_with("{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}", &[1, 0, 1]);
    assert_eq!(trace_of(with("mask", bools)).0.mask, [true, false, true]);
}

#[test]
fn damaged_npz_is_named() {
    let bytes = to_npz(&raw(), zip::CompressionMethod::Deflated);
    refused(parse(&bytes[..bytes.len() - 1], "t"), &["t: npz directory: ", "without an end record", "truncated?"]);
    refused(parse(b"PK", "t"), &["t: npz directory: 2 bytes without an end record"]);
    let find = |magic: &[u8], from: usize| from + bytes[from..].windows(4).position(|w| w == magic).unwrap();
    let (directory, end) = (find(b"PK\x01\x02", 0), find(b"PK\x05\x06", 0));
    let edit = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        parse(&bytes, "t")
    };
    refused(edit(end + 10, &[0xff, 0xff]), &["t: npz directory: a zip64 archive", "safetensors"]);
    refused(edit(end + 8, &[9, 0, 9, 0]), &["t: npz directory: 0 bytes left at entry 3 of 9"]);
    refused(edit(end + 8, &[1, 0, 1, 0]), &["bytes after the last of 1 entries"]);
    refused(edit(end + 4, &[1]), &["several parts"]);
    refused(edit(end + 12, &[1, 0, 0, 0]), &["t: npz directory: 1 bytes at", "ends at its end record"]);
    refused(edit(directory + 8, &[1]), &["t: npz entry q: an encrypted entry"]);
    refused(edit(directory + 10, &[14]), &["t: npz entry q: compression method 14, expected 0 (stored) or 8"]);
    refused(edit(directory + 16, &[0, 0, 0, 0]), &["t: npz entry q: CRC-32", "00000000, as the directory says"]);
    refused(edit(directory + 20, &[0, 0, 0, 99]), &["t: npz entry q: ", "truncated?"]);
    refused(edit(directory + 42, &[1, 0, 0, 0]), &["t: npz entry q: no local header at byte 1"]);
    refused(edit(directory + 42, &[0xff; 4]), &["no local header at byte 4294967295"]);
    refused(edit(directory + 24, &[0xff; 4]), &["t: npz entry q: a zip64 entry"]);
    refused(edit(directory + 28, &[0xff, 0xff]), &["t: npz directory: ", "bytes left at entry 0 of 3"]);
    let twice = zip_of(&[("q.npy", vec![]), ("Q.npy", vec![])], zip::CompressionMethod::Stored);
    let twice: Vec<u8> = String::from_utf8_lossy(&twice)
        .contains("Q.npy")
        .then(|| {
            let mut t = twice.clone();
            for at in 0..t.len() - 5 {
                if t[at..].starts_with(b"Q.npy") {
                    t[at] = b'q';
                }
            }
            t
        })
        .unwrap();
    refused(parse(&twice, "t"), &["t: npz directory: \"q.npy\" twice, expected each array once"]);
    let empty = zip_of(&[], zip::CompressionMethod::Stored);
    refused(parse(&empty, "t"), &["t: tensor q is missing", "no tensors"]);
}

/// Found by fuzzing: the slice of an entry of 0 bytes began beyond the end of the file.
#[test]
fn a_local_header_that_reaches_beyond_the_file_is_refused() {
    let mut bytes = zip_of(&[("q.npy", vec![])], zip::CompressionMethod::Stored);
    bytes[26..30].fill(0xff);
    refused(parse(&bytes, "t"), &["t: npy header of q: 0 bytes beginning with"]);
}

#[test]
fn an_archive_that_lies_about_its_size_is_cut() {
    let zeros = vec![0u8; 1 << 20];
    let bytes = zip_of(&[("q.npy", zeros)], zip::CompressionMethod::Deflated);
    let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let claim = |size: u32| {
        let mut bytes = bytes.clone();
        bytes[directory + 24..directory + 28].copy_from_slice(&size.to_le_bytes());
        parse(&bytes, "t")
    };
    refused(claim(1000), &["t: npz entry q: at least 1001 bytes, expected 1000, as the directory says"]);
    refused(claim(1_060_000), &["t: npz entry q: 1048576 bytes, expected 1060000"]);
    refused(claim(0xffff_fff0), &["t: npz entry q: 4294967280 bytes said to come from", "1032 times"]);
    let mut stored = zip_of(&[("q.npy", vec![0u8; 16])], zip::CompressionMethod::Stored);
    let directory = stored.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    stored[directory + 24..directory + 28].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
    refused(parse(&stored, "t"), &["t: npz entry q: 16 bytes, expected 4294967280"]);
}

#[test]
fn npy_folder_is_read_through_q() {
    let folder = tempfile::tempdir().unwrap();
    let raw = Raw { mask: Some(vec![1, 1, 0]), ..raw() };
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("q.npy", &npy_of(&raw.q.0, &raw.q.1));
    let q = folder.path().join("q.npy");
    refused(load(&q), &["k.npy: cannot read the workload"]);
    write("k.npy", &npy_of(&raw.k.0, &raw.k.1));
    write("v.npy", &npy_of(&raw.v.0, &raw.v.1));
    assert_same(&trace_of(load(&q)).0, &Raw { mask: None, ..raw.clone() });
    write("mask.npy", &npy_of(&[3], &[1u8, 1, 0]));
    assert_same(&trace_of(load(&q)).0, &raw);
    refused(load(&folder.path().join("k.npy")), &["k.npy: npy: a file with one tensor, expected the path of q.npy"]);
    refused(parse(&npy_of(&raw.q.0, &raw.q.1), "t"), &["t: npy: one tensor, expected q, k and v"]);
}

// ---- count files

const ROW: &str = "0,1,2,64.0,993,921,6,16,0.05,True,4,204,6,True,False,True,716";
const SOURCE: &str = "configs/a.yml,,,,,,,,,,,,,,,,";

fn header() -> String {
    counts::COLUMNS.join(",")
}

#[test]
fn count_rows_are_typed() {
    let text =
        format!("{}\n{ROW}\n0,1,3,64,993,993,-1,-1,-1,False,-1,993,-1,False,True,False,-1\n{SOURCE}\n", header());
    for text in [text.clone(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        let Ok(Workload::Counts(trace)) = parse(text.as_bytes(), "t") else { panic!("{text}") };
        assert_eq!(trace.source.as_deref(), Some("configs/a.yml"));
        assert_eq!(trace.rows.len(), 2);
        let first = &trace.rows[0];
        assert_eq!((first.iteration, first.layer, first.head, first.head_dim), (0, 1, 2, 64));
        assert_eq!((first.sentence_length, first.keys_fetched, first.values_fetched), (993, 921, 204));
        assert_eq!((first.key_bits, first.query_bits, first.value_bits), (Some(6), Some(16), Some(6)));
        assert_eq!((first.requant_threshold, first.requantised, first.requant_bits), (Some(0.05), true, Some(4)));
        assert_eq!((first.accumulates_importance, first.rescales_importance, first.top_k), (true, false, Some(716)));
        let second = &trace.rows[1];
        assert_eq!((second.key_bits, second.query_bits, second.value_bits), (None, None, None));
        assert_eq!((second.requant_threshold, second.requant_bits, second.top_k), (None, None, None));
        assert!(!second.requantised && !second.accumulates_importance && second.rescales_importance);
    }
    // The last line may be absent.
    let Ok(Workload::Counts(trace)) = parse(format!("{}\n{ROW}", header()).as_bytes(), "t") else { panic!() };
    assert_eq!((trace.rows.len(), trace.source), (1, None));
}

#[test]
fn bad_count_fields_are_named_with_line_and_column() {
    let good: Vec<&str> = ROW.split(',').collect();
    let mut checks = Checks::new("bad_count_fields");
    for (column, text, expected) in [
        (0, "-1", "a whole number from 0 to 16777215"),
        (0, "x", "a whole number"),
        (1, "4096", "a whole number from 0 to 4095"),
        (2, "1.5", "a whole number"),
        (2, "1e99", "a whole number"),
        (3, "0", "a whole number from 1 to 1024"),
        (3, "inf", "a whole number"),
        (4, "0", "a whole number from 1 to 1048576"),
        (4, "99999999999", "a whole number from 1 to 1048576"),
        (5, "994", "a whole number from 0 to 993, the sentence length"),
        (5, "-1", "a whole number"),
        (6, "0", "-1 or a whole number from 1 to 32"),
        (6, "33", "-1 or a whole number"),
        (7, "-2", "-1 or a whole number"),
        (8, "nan", "-1 or a probability from 0 to 1"),
        (8, "1.01", "-1 or a probability"),
        (9, "yes", "True or False"),
        (10, "-1", "a number of bits, because if_requant is True"),
        (11, "922", "a whole number from 0 to 921, the keys fetched"),
        (12, "", "-1 or a whole number"),
        (13, "1", "True or False"),
        (14, "\u{1b}[31m", "True or False"),
        (15, "", "True or False"),
        (16, "-1", "a count, because if_topk is True"),
        (16, "994", "-1 or a whole number from 1 to 993, the sentence length"),
    ] {
        let mut fields = good.clone();
        fields[column] = text;
        let file = format!("{}\n{ROW}\n{}\n{SOURCE}\n", header(), fields.join(","));
        let message = parse(file.as_bytes(), "t.csv").unwrap_err().to_string();
        let place = format!("t.csv:3: column {}: ", counts::COLUMNS[column]);
        checks.that(message.starts_with(&place) && message.contains(expected), || message.clone());
        checks.that(!message.chars().any(char::is_control), || message.clone());
    }
    checks.finish(50);
}

#[test]
fn bad_count_headers_are_named() {
    let with = |header: &str| parse(format!("{header}\n{ROW}\n").as_bytes(), "t.csv");
    let h = header();
    refused(with(&h.replace(",head_id", "")), &["t.csv:1: column head_id: missing, expected the authors' 17 columns"]);
    let swapped = h.replace("layer_id,head_id", "head_id,layer_id");
    refused(with(&swapped), &["t.csv:1: column layer_id: \"head_id\" at position 2, expected the authors' order"]);
    refused(with(&format!("{h},colour")), &["t.csv:1: column \"colour\": unknown"]);
    refused(with("iteration_id"), &["t.csv:1: column layer_id: missing"]);
    refused(from_csv(b"", "t.csv"), &["t.csv:1: column iteration_id: missing"]);
    refused(from_csv(b"\xff\xfe\x00", "t.csv"), &["t.csv:1: column iteration_id: missing"]);
}

#[test]
fn count_files_without_rows_or_with_broken_lines_are_refused() {
    let with = |rest: &str| parse(format!("{}\n{rest}", header()).as_bytes(), "t.csv");
    refused(with(""), &["t.csv:2: line: no data, expected at least one row"]);
    refused(with(SOURCE), &["no data"]);
    refused(with(&format!("{ROW}\n0,1,2,64.0,9")), &["t.csv:3: line: 5 fields, expected 17 (truncated?)"]);
    refused(with(&format!("{ROW}\n0")), &["t.csv:3: line: 1 fields, expected 17"]);
    refused(with(&format!("{ROW},1")), &["t.csv:2: line: 18 fields, expected 17"]);
    refused(with(&format!("{ROW}\n{SOURCE}\n{ROW}")), &["t.csv:4: line: another line after", "configs/a.yml"]);
    // An open quote swallows the rest of the file.
    refused(with(&format!("{ROW}\n\"{ROW}\n{SOURCE}")), &["t.csv:3: line: 1 fields"]);
}

// ---- files

#[test]
fn things_that_are_no_workload_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    refused(load(folder.path()), &["expected a workload file, found a directory"]);
    refused(load(&folder.path().join("no\nne")), &["no\\nne: cannot read the workload: ", "o such file"]);
    refused(load(Path::new("")), &["cannot read the workload"]);
    refused(load(Path::new("/dev/zero")), &["/dev/zero: expected a workload file, found a pipe, device or socket"]);
    let empty = folder.path().join("empty");
    std::fs::write(&empty, b"").unwrap();
    refused(
        load(&empty),
        &["empty: the format is not recognised: an empty file, expected safetensors, npz, npy or a CSV"],
    );
    std::fs::write(&empty, b"\x7fELF\n\x1b and so on and on and on").unwrap();
    refused(load(&empty), &["30 bytes that begin with", "\\u{7f}ELF\\n\\u{1b}"]);
    let sparse = folder.path().join("sparse");
    std::fs::File::create(&sparse).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    refused(load(&sparse), &["sparse: a file of 8589934593 bytes is too large, expected at most 8589934592"]);
}

#[test]
fn content_decides_and_the_name_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("misnamed.csv");
    std::fs::write(&path, to_safetensors(&raw())).unwrap();
    assert_same(&trace_of(load(&path)).0, &raw());
    std::fs::write(&path, to_npz(&raw(), zip::CompressionMethod::Deflated)).unwrap();
    assert_same(&trace_of(load(&path)).0, &raw());
}

// ---- properties

fn any_raw() -> impl Strategy<Value = Raw> {
    let sizes = (1..3usize, 1..4usize, 1..3usize, 1..5usize, 0..3usize, 1..9usize);
    let modes = prop_oneof![Just(None), Just(Some("encoder")), Just(Some("causal")), Just(Some("decode"))];
    (sizes, modes, prop::option::of(0.001..10.0f64), any::<u64>(), any::<bool>()).prop_map(
        |((layers, kv_heads, group, rows, past, dim), mode, scale, seed, masked)| {
            let mut rng = spatten_testkit::Rng::new(seed);
            let past = if matches!(mode, None | Some("encoder")) { 0 } else { past };
            let mut tensor = |heads: usize, rows: usize| {
                let shape = vec![layers, heads, rows, dim];
                let count = shape.iter().product::<usize>();
                (shape, (0..count).map(|_| (rng.normal() * 1e3) as f32).collect::<Vec<_>>())
            };
            let q = tensor(kv_heads * group, rows);
            let (k, v) = (tensor(kv_heads, rows + past), tensor(kv_heads, rows + past));
            let mut mask = vec![1];
            mask.extend((1..rows + past).map(|_| rng.below(2) as u8));
            Raw { q, k, v, mask: masked.then_some(mask), mode, scale }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn traces_survive_safetensors_and_npz(raw in any_raw()) {
        assert_same(&trace_of(parse(&to_safetensors(&raw), "t")).0, &raw);
        assert_same(&trace_of(parse(&to_npz(&raw, zip::CompressionMethod::Stored), "t")).0, &raw);
        assert_same(&trace_of(parse(&to_npz(&raw, zip::CompressionMethod::Deflated), "t")).0, &raw);
    }

    #[test]
    fn damage_never_panics_and_is_told_in_one_line(
        kind in 0..4usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let raw = Raw { mask: Some(vec![1, 0, 1]), mode: Some("causal"), scale: Some(0.5), ..raw() };
        let mut bytes = match kind {
            0 => to_safetensors(&raw),
            1 => to_npz(&raw, zip::CompressionMethod::Stored),
            2 => to_npz(&raw, zip::CompressionMethod::Deflated),
            _ => format!("{}\n{ROW}\n{ROW}\n{SOURCE}\n", header()).into_bytes(),
        };
        for (at, with) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Err(e) = parse(&bytes, "t") {
            let message = e.to_string();
            prop_assert!(!message.chars().any(char::is_control), "{message:?}");
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for result in [
            parse(&bytes, "t"),
            from_safetensors(&bytes, "t"),
            from_npz(&bytes, "t"),
            from_csv(&bytes, "t"),
            from_npy(&bytes, &bytes, &bytes, Some(&bytes), "t"),
        ] {
            prop_assert!(result.is_err());
        }
    }
}

// ---- reference data

#[test]
fn recorded_traces_load() {
    let Some(folder) = reference_data("minilm-traces") else { return };
    let mut checks = Checks::new("recorded_traces_load");
    for (name, tokens) in [("s00_L12", 12), ("s04_L24", 24), ("s07_L49", 49), ("s09_L119", 119)] {
        let (trace, ignored) = trace_of(load(&folder.join(format!("{name}.safetensors"))));
        checks.eq(trace.q.dim(), (6, 12, tokens, 32), || name.into());
        checks.eq(trace.k.dim(), (6, 12, tokens, 32), || name.into());
        checks.eq(trace.mask.iter().all(|&m| m), true, || name.into());
        checks.eq(trace.mode, Mode::Encoder, || name.into());
        checks.near(trace.scale, 1.0 / 32f64.sqrt(), 0.0, || name.into());
        checks.that(ignored.contains(&"ids".to_string()) && ignored.is_sorted(), || format!("{ignored:?}"));
    }
    checks.finish(24);
}

#[test]
fn the_authors_count_files_load() {
    let Some(folder) = reference_data("authors-traces") else { return };
    let mut checks = Checks::new("the_authors_count_files_load");
    for (name, rows, source) in [
        ("small.csv", 1, "configs/gpt2/ptb/medium_baseline_train+eval.yml"),
        ("summary-gpt2-medium-ptb-per0.csv", 32 * 24 * 16, "configs/gpt2/ptb/medium_baseline_train+eval.yml"),
        (
            "summary-gpt2-small-wikitext2-per8.csv",
            32 * 12 * 12,
            "configs/gpt2/wikitext2/gpt2_pp11+consider1000+pstart1+insp0p2+qlinear_k6b_v6b_q16b_sym+requant0p05_inc4_k+vtie+part8+batch8.yml",
        ),
    ] {
        let Ok(Workload::Counts(trace)) = load(&folder.join(name)) else { panic!("{name}") };
        checks.eq(trace.rows.len(), rows, || name.into());
        checks.eq(trace.source.as_deref(), Some(source), || name.into());
        checks.eq(trace.rows[0].sentence_length, 993, || name.into());
        checks.that(trace.rows.iter().all(|r| r.head_dim == 64), || name.into());
        let top_ks = trace.rows.iter().filter(|r| r.top_k.is_some()).count();
        let requantised = trace.rows.iter().filter(|r| r.requantised).count();
        let expected = if name.contains("per8") { (124, 323) } else { (0, 0) };
        checks.eq((top_ks, requantised), expected, || name.into());
    }
    checks.finish(15);
}
