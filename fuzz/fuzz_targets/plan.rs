//! Any text as a pruning plan; a plan that is accepted also yields its schedules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spatten_arch::plan::Plan;

fuzz_target!(|text: &str| {
    match Plan::from_toml(text, "fuzz") {
        Ok(plan) => {
            let (layers, heads, tokens) = (4, 3, 50);
            if plan.check_for("fuzz", layers, heads, 12).is_ok() {
                assert!(plan.token_counts(layers, tokens).iter().all(|&n| (1..=tokens).contains(&n)), "{plan:?}");
                assert!(plan.head_counts(layers, heads).iter().all(|&n| n <= heads), "{plan:?}");
                assert!((1..=tokens).contains(&plan.value_count(tokens)), "{plan:?}");
            }
        }
        Err(e) => assert!(!e.to_string().contains('\n'), "{e:?}"),
    }
});
