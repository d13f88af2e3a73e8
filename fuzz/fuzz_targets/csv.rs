//! Any bytes as a count file, and as the lines below a good header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spatten::workload::{Workload, WorkloadError, counts, from_csv, parse};

fuzz_target!(|bytes: &[u8]| {
    check(from_csv(bytes, "fuzz"));
    check(parse(bytes, "fuzz"));
    let header = counts::COLUMNS.join(",");
    check(from_csv(&[header.as_bytes(), b"\n", bytes].concat(), "fuzz"));
});

fn check(result: Result<Workload, WorkloadError>) {
    match result {
        Ok(Workload::Counts(trace)) => {
            assert!(!trace.rows.is_empty());
            for row in &trace.rows {
                assert!(row.values_fetched <= row.keys_fetched && row.keys_fetched <= row.sentence_length, "{row:?}");
            }
        }
        Ok(_) => {}
        Err(e) => assert!(!e.to_string().chars().any(char::is_control), "{e:?}"),
    }
}
