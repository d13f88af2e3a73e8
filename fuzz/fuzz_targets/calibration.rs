//! Any text as a calibration table; one that is accepted has a finite number for every head.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spatten_arch::toml_file;
use spatten_golden::quantiser::Calibration;

fuzz_target!(|text: &str| {
    match toml_file::parse::<Calibration>(text, "fuzz") {
        Ok(mut table) => match table.check(2, 2, 1) {
            Ok(()) => {
                for (tensor, heads) in [(&table.q, 2), (&table.k, 1), (&table.v, 1)] {
                    assert!(tensor.len() == 2 && tensor.iter().all(|row| row.len() == heads), "{table:?}");
                    assert!(tensor.iter().flatten().all(|x| x.is_finite() && *x >= 0.0), "{table:?}");
                }
                let same = table.clone();
                table.merge(&same);
                assert_eq!(table, same);
            }
            Err(e) => assert!(!e.chars().any(char::is_control), "{e:?}"),
        },
        Err(e) => assert!(!e.to_string().chars().any(char::is_control), "{e:?}"),
    }
});
