use super::*;
use crate::plan::ceil_count;
use proptest::prelude::*;
use spatten_testkit::{Checks, Rng};

/// Structures by name: their fields, bytes and what else is in them.
fn structures() -> Vec<(&'static str, &'static [FieldSpec], usize, &'static [usize])> {
    let job =
        |&opcode: &Opcode| (opcode.name(), Job::fields(opcode), JOB_BYTES, [0, ID_OFFSET, ID_OFFSET + 1].as_slice());
    let mut all: Vec<_> = Opcode::ALL.iter().map(job).collect();
    all.push(("LayerParameters", LayerParameters::FIELDS, PARAMETER_BYTES, &[]));
    all.push(("HeadFactors", HeadFactors::FIELDS, 8, &[]));
    all
}

/// A number that a field may hold.
fn valid(f: &FieldSpec, config: &ArchConfig, rng: &mut Rng) -> u64 {
    let below = |bound: u128, rng: &mut Rng| (u128::from(rng.bits()) % bound) as u64;
    // The ends of a range are half of the numbers.
    let range = |low: u64, high: u64, rng: &mut Rng| match rng.below(4) {
        0 => low,
        1 => high,
        _ => low + below(u128::from(high - low) + 1, rng),
    };
    if !f.values.is_empty() {
        return f.values[rng.below(f.values.len() as u64) as usize].1;
    }
    match f.check {
        Check::Any => range(0, u64::MAX >> (64 - 8 * f.bytes), rng),
        Check::Context => range(0, CONTEXTS as u64 - 1, rng),
        Check::Most(most) => range(0, most, rng),
        Check::UpTo(limit) => range(0, limit(config), rng),
        Check::OneTo(limit) => range(1, limit(config), rng),
    }
}

/// Numbers that it must not hold, and how a job with one ends.
fn invalid(f: &FieldSpec, config: &ArchConfig) -> Vec<(u64, Status)> {
    let most = u64::MAX >> (64 - 8 * f.bytes);
    let mut all = vec![];
    let mut above = |limit: u64, status: Status| {
        all.extend([limit + 1, most].into_iter().filter(|&x| x > limit && x <= most).map(|x| (x, status)));
    };
    if let Some(&(_, last, _)) = f.values.last() {
        above(last, Status::Malformed);
    }
    match f.check {
        Check::Any => {}
        Check::Context => above(CONTEXTS as u64 - 1, Status::BadContext),
        Check::Most(limit) => above(limit, Status::Malformed),
        Check::UpTo(limit) => above(limit(config), Status::ExceedsConfiguration),
        Check::OneTo(limit) => {
            above(limit(config), Status::ExceedsConfiguration);
            all.push((0, Status::Malformed));
        }
    }
    all
}

fn write(bytes: &mut [u8], f: &FieldSpec, value: u64) {
    bytes[f.offset..f.offset + f.bytes].copy_from_slice(&value.to_le_bytes()[..f.bytes]);
}

/// Makes relations hold that a draw of every field on its own breaks.
fn relate(opcode: Opcode, bytes: &mut [u8; JOB_BYTES]) {
    let number = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let mut set = |at: usize, value: u16| bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    match opcode {
        Opcode::Begin => {
            let (mode, heads, kv_heads) = (bytes[1], number(bytes, 6), number(bytes, 8));
            let (tokens, rows) = (number(bytes, 12), number(bytes, 14));
            let mut set = |at: usize, value: u16| bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
            let divisor = (1..=heads).filter(|d| heads % d == 0 && *d <= kv_heads).max().unwrap();
            set(8, divisor);
            set(14, if mode == 0 { tokens } else { rows.min(tokens) });
        }
        Opcode::CopyIn | Opcode::CopyOut => {
            set(8, 64);
            set(20, 128);
        }
        _ => {}
    }
}

fn job(opcode: Opcode, config: &ArchConfig, rng: &mut Rng) -> [u8; JOB_BYTES] {
    let mut bytes = [0; JOB_BYTES];
    bytes[0] = opcode as u8;
    bytes[ID_OFFSET..ID_OFFSET + 2].copy_from_slice(&(rng.bits() as u16).to_le_bytes());
    for f in Job::fields(opcode) {
        write(&mut bytes, f, valid(f, config, rng));
    }
    relate(opcode, &mut bytes);
    bytes
}

fn parameters(config: &ArchConfig, rng: &mut Rng) -> [u8; PARAMETER_BYTES] {
    let mut bytes = [0; PARAMETER_BYTES];
    for f in LayerParameters::FIELDS {
        write(&mut bytes, f, valid(f, config, rng));
    }
    for msb in [8, 10, 12] {
        bytes[msb + 1] = bytes[msb + 1].min(config.datapath_bits as u8 - bytes[msb]);
    }
    bytes
}

fn configurations() -> impl Iterator<Item = ArchConfig> {
    let own = ArchConfig::from_toml("datapath_bits = 16\nkeys_on_chip = 4096", "own.toml").unwrap();
    ArchConfig::NAMES.iter().map(|name| ArchConfig::named(name).unwrap()).chain([own])
}

#[test]
fn fields_are_aligned_in_order_and_do_not_overlap() {
    let mut checks = Checks::new("descriptor_fields");
    for (name, fields, bytes, others) in structures() {
        let mut next = 0;
        for f in fields {
            checks.that(f.offset >= next && f.offset + f.bytes <= bytes, || format!("{name}.{} overlaps", f.name));
            checks.eq(f.offset % f.bytes, 0, || format!("{name}.{} is not aligned", f.name));
            let frame = others.iter().any(|o| (f.offset..f.offset + f.bytes).contains(o));
            checks.that(!frame, || format!("{name}.{} lies on opcode or id", f.name));
            checks.that(!f.meaning.trim().is_empty(), || format!("{name}.{} says nothing", f.name));
            next = f.offset + f.bytes;
        }
    }
    checks.finish_any();
}

#[test]
fn every_field_refuses_what_it_must_not_hold_and_says_where() {
    let (mut checks, mut rng) = (Checks::new("descriptor_faults"), Rng::new(4));
    for config in configurations() {
        for &opcode in Opcode::ALL {
            let good = job(opcode, &config, &mut rng);
            checks.that(Entry::decode(&good, &config).is_ok(), || format!("{opcode:?} {good:02x?}"));
            for f in Job::fields(opcode) {
                for (value, status) in invalid(f, &config) {
                    let mut bytes = good;
                    write(&mut bytes, f, value);
                    let fault = Fault { status, offset: f.offset, parameters: false };
                    checks
                        .eq(Entry::decode(&bytes, &config), Err(fault), || format!("{opcode:?}.{} = {value}", f.name));
                }
            }
            let used: Vec<usize> = Job::fields(opcode).iter().flat_map(|f| f.offset..f.offset + f.bytes).collect();
            for at in (0..JOB_BYTES).filter(|at| ![0, 2, 3].contains(at) && !used.contains(at)) {
                let mut bytes = good;
                bytes[at] = 1 << (at % 8);
                let fault = Fault::new(Status::Malformed, at);
                checks.eq(Entry::decode(&bytes, &config), Err(fault), || format!("{opcode:?} byte {at}"));
            }
        }
        let good = parameters(&config, &mut rng);
        checks.that(LayerParameters::decode(&good, &config).is_ok(), || format!("{good:02x?}"));
        for f in LayerParameters::FIELDS {
            for (value, status) in invalid(f, &config) {
                let mut bytes = good;
                write(&mut bytes, f, value);
                let fault = Fault { status, offset: f.offset, parameters: true };
                checks.eq(LayerParameters::decode(&bytes, &config), Err(fault), || format!("{} = {value}", f.name));
            }
        }
        for opcode in (0..=255).filter(|&b| Opcode::from_raw(b).is_none()) {
            let mut bytes = job(Opcode::Nop, &config, &mut rng);
            bytes[0] = opcode as u8;
            let fault = Fault::new(Status::BadOpcode, 0);
            checks.eq(Entry::decode(&bytes, &config), Err(fault), || format!("opcode {opcode}"));
        }
    }
    checks.finish_any();
}

#[test]
fn relations_between_fields_are_checked() {
    let (mut checks, mut rng, config) = (Checks::new("descriptor_relations"), Rng::new(5), ArchConfig::eighth());
    type Changes = &'static [(usize, u16)];
    let cases: [(Opcode, Changes, usize); 7] = [
        (Opcode::Begin, &[(6, 12), (8, 5)], 8),
        (Opcode::Begin, &[(6, 4), (8, 8)], 8),
        (Opcode::Begin, &[(12, 64), (14, 65)], 14),
        (Opcode::CopyIn, &[(8, 32)], 8),
        (Opcode::CopyIn, &[(20, 0), (22, 0)], 20),
        (Opcode::CopyOut, &[(20, 65)], 20),
        (Opcode::CopyOut, &[(8, 63)], 8),
    ];
    for (opcode, changes, offset) in cases {
        let mut bytes = job(opcode, &config, &mut rng);
        for (at, value) in changes {
            bytes[*at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        let fault = Fault::new(Status::Malformed, offset);
        checks.eq(Entry::decode(&bytes, &config), Err(fault), || format!("{opcode:?} {changes:?}"));
    }
    // An encoder has a row per token.
    let mut bytes = job(Opcode::Begin, &config, &mut rng);
    (bytes[1], bytes[12], bytes[13], bytes[14], bytes[15]) = (Mode::Encoder as u8, 8, 0, 7, 0);
    checks.eq(Entry::decode(&bytes, &config), Err(Fault::new(Status::Malformed, 14)), || "rows of an encoder".into());
    for msb in [8, 10, 12] {
        let mut bytes = parameters(&config, &mut rng);
        (bytes[msb], bytes[msb + 1]) = (9, 4);
        let fault = Fault { status: Status::ExceedsConfiguration, offset: msb + 1, parameters: true };
        checks.eq(LayerParameters::decode(&bytes, &config), Err(fault), || format!("13 bits at {msb}"));
        checks.eq(fault.detail(), 256 + msb as u32 + 1, || "detail".into());
    }
    let factor = HeadFactors { logit: 1 << 24, importance: 0 };
    let fault = Fault { status: Status::Malformed, offset: 128 + 8 * 3, parameters: true };
    checks.eq(HeadFactors::decode(&factor.encode(), 3, &config), Err(fault), || "a factor of 25 bits".into());
    checks.finish(7 + 1 + 6 + 1);
}

#[test]
fn faults_are_one_line() {
    let bytes = [0; JOB_BYTES];
    let fault = Entry::decode(&bytes, &ArchConfig::tiny()).unwrap_err();
    assert_eq!(fault.to_string(), "bad_opcode: job at byte 0");
}

#[test]
fn parts_of_a_state_block_do_not_overlap() {
    for config in configurations() {
        let s = StateLayout::new(&config);
        assert!(8 <= s.tokens && s.token(config.keys_on_chip) <= s.heads && s.head(MAX_HEADS) <= s.bytes);
        for at in [s.tokens, s.heads, s.bytes] {
            assert_eq!(at % 128, 0);
        }
        assert_eq!(context_bytes(&config), s.bytes);
        // As the C header computes them.
        assert_eq!((s.token(3), s.head(5)), (128 + 8 * 3, 128 + 8 * config.keys_on_chip + 8 * 5));
    }
}

#[test]
fn states_of_tokens_and_heads_lie_where_the_table_says() {
    let (mut checks, mut rng) = (Checks::new("descriptor_states"), Rng::new(7));
    let formats = crate::format::Formats::new(&ArchConfig::paper());
    assert_eq!(TokenState::FIELDS[0].2, formats.token_importance.width());
    assert_eq!(HeadState::FIELDS[0].2, formats.head_importance.width());
    for fields in [TokenState::FIELDS, HeadState::FIELDS] {
        let ends = fields.iter().map(|(_, low, bits, _)| low + bits);
        checks.that(fields.iter().skip(1).zip(ends).all(|(f, end)| f.1 >= end), || "overlap".into());
    }
    for _ in 0..1000 {
        let word = rng.bits();
        let part = |fields: &[(&str, u32, u32, &str)], i: usize| word >> fields[i].1 & ((1 << fields[i].2) - 1);
        let token = TokenState::decode(word.to_le_bytes());
        let parts = [
            token.importance,
            token.rows.into(),
            token.real.into(),
            token.pin_map.into(),
            token.pinned.into(),
            token.alive.into(),
        ];
        checks.eq(parts, std::array::from_fn(|i| part(TokenState::FIELDS, i)), || format!("{word:#x}"));
        checks.eq(token.encode(), word.to_le_bytes(), || format!("{word:#x}"));
        let head = HeadState::decode(word.to_le_bytes());
        let parts = [head.importance, head.alive.into()];
        checks.eq(parts, std::array::from_fn(|i| part(HeadState::FIELDS, i)), || format!("{word:#x}"));
        checks.eq(HeadState::decode(head.encode()), head, || format!("{word:#x}"));
    }
    checks.finish(2 + 4000);
}

#[test]
#[should_panic(expected = "rows = 0x1000000 has more than 24 bits")]
fn a_state_with_too_many_bits_is_refused() {
    TokenState { rows: 1 << 24, ..TokenState::default() }.encode();
}

#[test]
fn a_share_counts_as_the_plan_does() {
    let mut checks = Checks::new("value_keep");
    let mut rng = Rng::new(6);
    let hundredths = (0..=1000).map(|i| f64::from(i) / 1000.0);
    let fractions = (1..=40).flat_map(|d| (0..=d).map(move |n| f64::from(n) / f64::from(d)));
    let random: Vec<f64> = (0..500).map(|_| rng.bits() as f64 / u64::MAX as f64).collect();
    for keep in hundredths.chain(fractions).chain(random) {
        let share = ValueKeep::new(keep, 4096).unwrap_or_else(|| panic!("{keep} has no share"));
        checks.eq(ValueKeep::from_raw(share.raw()), share, || format!("{keep}"));
        assert!(share.raw() <= 1 << ValueKeep::FRACTION);
        for visible in 0..=4096 {
            let expected = ceil_count(keep * visible as f64).min(visible);
            checks.eq(share.count(visible), expected, || format!("{keep} of {visible}"));
        }
    }
    // An excess that the plan forgives for one key and not for a thousand is no share at all.
    checks.eq(ValueKeep::new(0.5 + 1e-12, 4096), None, || "0.5 + 1e-12".into());
    checks.finish_any();
}

proptest! {
    #[test]
    fn jobs_come_back(seed in any::<u64>(), opcode in 0..Opcode::ALL.len(), arch in 0..3usize) {
        let config = ArchConfig::named(ArchConfig::NAMES[arch]).unwrap();
        let bytes = job(Opcode::ALL[opcode], &config, &mut Rng::new(seed));
        let entry = Entry::decode(&bytes, &config).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(entry.encode(), bytes);
        prop_assert_eq!(Entry::id(&bytes), entry.id);
        prop_assert_eq!(Entry::decode(&entry.encode(), &config), Ok(entry));
    }

    #[test]
    fn parameters_come_back(seed in any::<u64>(), arch in 0..3usize) {
        let config = ArchConfig::named(ArchConfig::NAMES[arch]).unwrap();
        let bytes = parameters(&config, &mut Rng::new(seed));
        let p = LayerParameters::decode(&bytes, &config).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(p.encode(), bytes);
    }

    #[test]
    fn factors_come_back(mantissa in 0u32..1 << 18, shift in 0u32..64, importance in 0u32..1 << 24) {
        let factors = HeadFactors { logit: HeadFactors::pack(mantissa, shift), importance };
        prop_assert_eq!(HeadFactors::decode(&factors.encode(), 0, &ArchConfig::tiny()), Ok(factors));
        prop_assert_eq!(HeadFactors::unpack(factors.logit), (mantissa, shift));
    }

    #[test]
    fn completions_come_back(
        result in any::<u32>(), detail in any::<u32>(), head in any::<u32>(), id in any::<u16>(),
        status in 0..Status::ALL.len(), phase in any::<bool>(),
    ) {
        let completion = Completion { result, detail, head, id, status: Status::ALL[status], phase };
        let bytes = completion.encode();
        prop_assert_eq!(Completion::decode(&bytes), Some(completion));
        // Every part lies where the table says.
        let all = u128::from_le_bytes(bytes);
        let parts = [result, detail, head, id.into(), status as u32, phase.into()];
        for ((name, low, bits, _), part) in COMPLETION_FIELDS.iter().zip(parts) {
            prop_assert_eq!((all >> low & ((1 << bits) - 1)) as u32, part, "{}", name);
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), JOB_BYTES), opcode in 0u8..12) {
        let mut bytes: [u8; JOB_BYTES] = bytes.try_into().unwrap();
        bytes[0] = opcode;
        if let Ok(entry) = Entry::decode(&bytes, &ArchConfig::eighth()) {
            prop_assert_eq!(entry.encode(), bytes);
        }
        let end: [u8; COMPLETION_BYTES] = bytes[..COMPLETION_BYTES].try_into().unwrap();
        if let Some(completion) = Completion::decode(&end) {
            prop_assert_eq!(completion.encode(), end);
        }
    }
}
