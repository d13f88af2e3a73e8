//! Any text as a pruning plan; a plan that is accepted also yields its schedules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spatten_arch::plan::Plan;

fuzz_target!(|text: &str| {
    match Plan::from_toml(text, "fuzz") {
        Ok(plan) => {
            let (layers, heads, tokens) = (4, 3, 50);
            if plan.check_for("fuzz", layers, heads, 12).is_ok() {
                assert_eq!(plan.token_counts(layers, tokens).len(), layers, "{plan:?}");
                assert_eq!(plan.head_counts(layers, heads).len(), layers, "{plan:?}");
                assert!(plan.value_count(tokens) <= tokens, "{plan:?}");
                if let Some(pin) = &plan.tokens.pin {
                    pin.holds(3, 3, tokens);
                }
            }
        }
        Err(e) => assert!(!e.to_string().contains('\n'), "{e:?}"),
    }
});
