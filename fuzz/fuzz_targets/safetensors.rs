//! Any bytes as a safetensors workload, and any JSON as its header: the first form reaches the length field, the second
//! everything behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spatten::workload::{Workload, WorkloadError, from_safetensors, parse};

fuzz_target!(|bytes: &[u8]| {
    check(from_safetensors(bytes, "fuzz"));
    check(parse(bytes, "fuzz"));
    // Header up to the first 0 byte, with the right length before it; data behind it.
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let data = bytes.get(end + 1..).unwrap_or_default();
    let file = [&(end as u64).to_le_bytes(), &bytes[..end], data].concat();
    check(from_safetensors(&file, "fuzz"));
});

fn check(result: Result<Workload, WorkloadError>) {
    match result {
        Ok(Workload::Trace { trace, .. }) => assert!(trace.q.iter().all(|x| x.is_finite()) && trace.keys() > 0),
        Ok(_) => {}
        Err(e) => assert!(!e.to_string().chars().any(char::is_control), "{e:?}"),
    }
}
