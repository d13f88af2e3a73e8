//! Whatever a plan, a configuration, a calibration table or a model holds: an answer, what is accepted can be used, and an
//! error is one printable line. Workloads have the same in `src/workload/tests.rs`; `fuzz/` has a target for each.

#[path = "common/tiny_model.rs"]
mod tiny_model;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use safetensors::tensor::Dtype;
use spatten::model::{DenseAttention, Encoder};
use spatten_arch::format::Formats;
use spatten_arch::{ArchConfig, Plan, toml_file};
use spatten_golden::quantiser::Calibration;
use std::path::Path;
use tiny_model::Model;

const PLAN: &str = r#"[tokens]
keep_first_layers = 0.15
r_start = 0.1
r_end = 0.5
keep = [40, 30, 20]
pin = "first:1+last:2"
importance = "decay:0.5"
mode = "kv_only"
[heads]
keep_first_layers = 0.3
r_start = 0.0
r_end = 0.1
mask = [[1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 1]]
[values]
keep = 0.5
[quant]
bits = { q = 12, k = 8, v = 6 }
progressive = true
msb = 8
lsb = 4
threshold = 0.1
split = "balanced"
msb_first = ["q", "k"]
scale = "token"
[generation]
cascade = "evict"
"#;

const TABLE: &str = "q = [[1.0, 2.5], [3e2, 0.0]]\nk = [[0.5], [4.0]]\nv = [[0.25], [1e-3]]\n";

/// One change of a text: at a word or number, what stands there instead; or, without a word, one character.
type Damage = (Index, Option<&'static str>, char);

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let words = select(&[
        "",
        "0",
        "1",
        "2",
        "3",
        "13",
        "-1",
        "0.5",
        "1.0001",
        "1e400",
        "-0.0",
        "nan",
        "inf",
        "4294967296",
        "18446744073709551615",
        "99999999999999999999999",
        "true",
        "null",
        "\"\"",
        "\"x\"",
        "[]",
        "[[]]",
        "{}",
        "[tokens]",
        "first:1",
        "last:99999999999999999999",
        "decay:nan",
        "unigram",
        "BPE",
        "Sequence",
        "Precompiled",
        "Split",
    ] as &[_]);
    let character =
        prop_oneof![any::<char>(), select(&['"', '[', ']', '{', '}', ',', '\n', '\0', '=', ':', '.'] as &[_])];
    prop::collection::vec((any::<Index>(), prop::option::weighted(0.8, words), character), 0..5)
}

fn damaged(text: &str, damages: &[Damage]) -> String {
    let mut text = text.to_owned();
    for (at, word, character) in damages {
        if text.is_empty() {
            break;
        }
        // Words and numbers, each as one piece.
        let mut pieces: Vec<String> = vec![];
        let mut inside = false;
        for c in text.chars() {
            let part = word.is_some() && (c.is_alphanumeric() || "_.+-".contains(c));
            match pieces.last_mut() {
                Some(last) if part && inside => last.push(c),
                _ => pieces.push(c.into()),
            }
            inside = part;
        }
        let wanted = |piece: &&mut String| word.is_none() || piece.contains(|c: char| c.is_alphanumeric());
        let mut places: Vec<&mut String> = pieces.iter_mut().filter(wanted).collect();
        if !places.is_empty() {
            let place = at.index(places.len());
            *places[place] = word.map_or_else(|| character.to_string(), str::to_owned);
        }
        text = pieces.concat();
    }
    text
}

fn printable(message: &str) -> bool {
    message.len() < 1000 && !message.is_empty() && !message.chars().any(char::is_control)
}

fn plan(text: &str) -> Result<(), TestCaseError> {
    match Plan::from_toml(text, "a plan") {
        Ok(plan) => {
            let ratios =
                [plan.tokens.r_start, plan.tokens.r_end, plan.heads.r_start, plan.heads.r_end, plan.values.keep];
            prop_assert!(ratios.iter().all(|r| (0.0..=1.0).contains(r)), "{plan:?}");
            if let Err(e) = plan.check_for("a plan", 4, 3, 12) {
                prop_assert!(printable(&e.to_string()), "{e:?}");
                return Ok(());
            }
            prop_assert_eq!(plan.token_counts(4, 50).len(), 4, "{:?}", plan);
            prop_assert_eq!(plan.head_counts(4, 3).len(), 4, "{:?}", plan);
            prop_assert!(plan.value_count(50) <= 50, "{plan:?}");
        }
        Err(e) => prop_assert!(printable(&e.to_string()), "{e:?}"),
    }
    Ok(())
}

fn configuration(text: &str) -> Result<(), TestCaseError> {
    match ArchConfig::from_toml(text, "a configuration") {
        Ok(config) => prop_assert!(Formats::new(&config).all().iter().all(|f| f.width() <= 64), "{config:?}"),
        Err(e) => prop_assert!(printable(&e.to_string()), "{e:?}"),
    }
    Ok(())
}

fn table(text: &str) -> Result<(), TestCaseError> {
    match toml_file::parse::<Calibration>(text, "a table") {
        Ok(table) => match table.check(2, 2, 1) {
            Ok(()) => {
                let numbers =
                    [&table.q, &table.k, &table.v].into_iter().flatten().flatten().copied().collect::<Vec<f64>>();
                prop_assert_eq!(numbers.len(), 8);
                prop_assert!(numbers.iter().all(|x| x.is_finite() && *x >= 0.0), "{numbers:?}");
            }
            Err(e) => prop_assert!(printable(&e), "{e:?}"),
        },
        Err(e) => prop_assert!(printable(&e.to_string()), "{e:?}"),
    }
    Ok(())
}

/// Loads a model and runs it; whether it could be loaded and its tokenizer took all texts.
fn model(config: &str, weights: &[u8], tokenizer: &str) -> Result<bool, TestCaseError> {
    let encoder = match Encoder::from_parts(config.as_bytes(), weights, tokenizer.as_bytes(), Path::new("mine")) {
        Ok(encoder) => encoder,
        Err(e) => {
            prop_assert!(printable(&e.to_string()), "{e:?}");
            return Ok(false);
        }
    };
    for text in ["", "a b ac", "a b c a b c a b c a b c a b c", "\u{1F600}\0 e\u{301}"] {
        match encoder.tokenize(text) {
            Ok(tokens) => {
                prop_assert!(tokens.ids.len() <= encoder.max_tokens(), "{tokens:?}");
                let mut device = DenseAttention::new(tokens.ids.len(), encoder.heads());
                let embedding = encoder.embed(&tokens.ids, &mut device);
                prop_assert!(embedding.vector.iter().all(|x| x.is_finite()), "{embedding:?}");
            }
            Err(e) => {
                prop_assert!(printable(&e.to_string()), "{e:?}");
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn good() -> (String, Vec<u8>, String) {
    let model = Model::new(Dtype::F32, "");
    (model.config.to_string(), model.weights(), model.tokenizer.to_string())
}

#[test]
fn what_is_damaged_here_is_good() {
    Plan::from_toml(PLAN, "a plan").unwrap().check_for("a plan", 4, 3, 12).unwrap();
    toml_file::parse::<Calibration>(TABLE, "a table").unwrap().check(2, 2, 1).unwrap();
    let (config, weights, tokenizer) = good();
    assert!(model(&config, &weights, &tokenizer).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        plan(&text)?;
        configuration(&text)?;
        table(&text)?;
        prop_assert!(!model(&text, &[], &text)?);
    }

    #[test]
    fn damaged_plans_are_answered(damages in damages()) {
        plan(&damaged(PLAN, &damages))?;
    }

    #[test]
    fn damaged_configurations_are_answered(name in select(&["tiny", "eighth", "paper"] as &[_]), damages in damages()) {
        let whole = toml::to_string(&ArchConfig::named(name).expect("a built-in configuration")).unwrap();
        configuration(&damaged(&whole, &damages))?;
    }

    #[test]
    fn damaged_calibration_tables_are_answered(damages in damages()) {
        table(&damaged(TABLE, &damages))?;
    }

    #[test]
    fn damaged_configurations_of_models_are_answered(damages in damages()) {
        let (config, weights, tokenizer) = good();
        model(&damaged(&config, &damages), &weights, &tokenizer)?;
    }

    #[test]
    fn damaged_tokenizers_are_answered(damages in damages()) {
        let (config, weights, tokenizer) = good();
        model(&config, &weights, &damaged(&tokenizer, &damages))?;
    }

    #[test]
    fn damaged_weights_are_answered(
        flips in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<Index>()),
    ) {
        let (config, mut weights, tokenizer) = good();
        for (at, with) in flips {
            let at = at.index(weights.len());
            weights[at] ^= with;
        }
        if let Some(cut) = cut {
            weights.truncate(cut.index(weights.len()));
        }
        model(&config, &weights, &tokenizer)?;
    }
}
