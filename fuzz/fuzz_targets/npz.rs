//! Any bytes as an npz archive, and as each of the three npy files. Checksums are not enforced under `cfg(fuzzing)`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spatten::workload::{Workload, WorkloadError, from_npy, from_npz, parse};

fuzz_target!(|bytes: &[u8]| {
    check(from_npz(bytes, "fuzz"));
    check(parse(bytes, "fuzz"));
    check(from_npy(bytes, bytes, bytes, None, "fuzz"));
    check(from_npy(bytes, bytes, bytes, Some(bytes), "fuzz"));
});

fn check(result: Result<Workload, WorkloadError>) {
    match result {
        Ok(Workload::Trace { trace, .. }) => assert!(trace.q.iter().all(|x| x.is_finite()) && trace.keys() > 0),
        Ok(_) => {}
        Err(e) => assert!(!e.to_string().chars().any(char::is_control), "{e:?}"),
    }
}
