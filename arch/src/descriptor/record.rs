//! Structures in memory: one list gives the Rust type, its encoding, its checks and its table.

use super::{CONTEXTS, Fault, Status};
use crate::ArchConfig;

/// The largest number that a configuration allows.
pub type Limit = fn(&ArchConfig) -> u64;

/// What a field may hold besides what its type says.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// Anything.
    Any,
    /// The number of a context; others are `bad_context`.
    Context,
    /// At most this; more means nothing in any configuration (`malformed`).
    Most(u64),
    /// At most this, or the configuration is exceeded.
    UpTo(Limit),
    /// The same, and at least 1 (`malformed`).
    OneTo(Limit),
}

impl Check {
    fn run(self, value: u64, offset: usize, config: &ArchConfig) -> Result<(), Fault> {
        let status = match self {
            Self::Context if value >= CONTEXTS as u64 => Status::BadContext,
            Self::Most(most) if value > most => Status::Malformed,
            Self::OneTo(_) if value == 0 => Status::Malformed,
            Self::UpTo(limit) | Self::OneTo(limit) if value > limit(config) => Status::ExceedsConfiguration,
            _ => return Ok(()),
        };
        Err(Fault::new(status, offset))
    }
}

/// One field of a structure.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    /// Name.
    pub name: &'static str,
    /// First byte.
    pub offset: usize,
    /// How many.
    pub bytes: usize,
    /// What it may hold.
    pub check: Check,
    /// Names of its values, where it is an enumeration.
    pub values: &'static [(&'static str, u64, &'static str)],
    /// What it says.
    pub meaning: &'static str,
}

impl FieldSpec {
    /// What it may hold, for tables; limits of configurations at `paper`.
    pub fn allowed(&self) -> String {
        let paper = ArchConfig::paper();
        let named =
            || self.values.iter().map(|(name, value, _)| format!("{value} {}", snake(name))).collect::<Vec<_>>();
        match self.check {
            _ if !self.values.is_empty() => named().join(", "),
            Check::Any => String::new(),
            Check::Context => format!("0..{}", CONTEXTS - 1),
            Check::Most(most) => format!("0..{most}"),
            Check::UpTo(limit) => format!("0..{} at `paper`", limit(&paper)),
            Check::OneTo(limit) => format!("1..{} at `paper`", limit(&paper)),
        }
    }
}

/// `ReadState` to `read_state`: names of values outside Rust.
pub fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The type of a field.
pub trait Scalar: Copy {
    /// Its size.
    const BYTES: usize;
    /// Names of its values; empty where it is a number.
    const NAMED: &'static [(&'static str, u64, &'static str)];
    /// As a number.
    fn raw(self) -> u64;
    /// From a number; `None` where it has no such value.
    fn from_raw(raw: u64) -> Option<Self>;
}

macro_rules! number {
    ($($type:ty),*) => { $(
        impl Scalar for $type {
            const BYTES: usize = size_of::<$type>();
            const NAMED: &'static [(&'static str, u64, &'static str)] = &[];
            fn raw(self) -> u64 {
                self.into()
            }
            fn from_raw(raw: u64) -> Option<Self> {
                raw.try_into().ok()
            }
        }
    )* };
}
number!(u8, u16, u32, u64);

impl Scalar for bool {
    const BYTES: usize = 1;
    const NAMED: &'static [(&'static str, u64, &'static str)] = &[("no", 0, ""), ("yes", 1, "")];
    fn raw(self) -> u64 {
        self.into()
    }
    fn from_raw(raw: u64) -> Option<Self> {
        (raw < 2).then_some(raw == 1)
    }
}

/// Writes a field.
pub(super) fn put(bytes: &mut [u8], offset: usize, value: impl Scalar) {
    fn size<T: Scalar>(_: &T) -> usize {
        T::BYTES
    }
    let n = size(&value);
    bytes[offset..offset + n].copy_from_slice(&value.raw().to_le_bytes()[..n]);
}

/// Reads and checks a field.
pub(super) fn get<T: Scalar>(bytes: &[u8], offset: usize, check: Check, config: &ArchConfig) -> Result<T, Fault> {
    let mut raw = [0; 8];
    raw[..T::BYTES].copy_from_slice(&bytes[offset..offset + T::BYTES]);
    let raw = u64::from_le_bytes(raw);
    let value = T::from_raw(raw).ok_or(Fault::new(Status::Malformed, offset))?;
    check.run(raw, offset, config)?;
    Ok(value)
}

/// Refuses a byte of no field that is not 0; `others` belong to fields of the frame.
pub(super) fn check_unused(bytes: &[u8], fields: &[FieldSpec], others: &[usize]) -> Result<(), Fault> {
    let used = |at: usize| others.contains(&at) || fields.iter().any(|f| (f.offset..f.offset + f.bytes).contains(&at));
    match (0..bytes.len()).find(|&at| bytes[at] != 0 && !used(at)) {
        Some(at) => Err(Fault::new(Status::Malformed, at)),
        None => Ok(()),
    }
}

/// A structure of so many bytes: fields with offset and check, in the order of their offsets.
macro_rules! record {
    ($(#[doc = $doc:literal])* $name:ident in $bytes:tt {
        $($(#[doc = $meaning:literal])* $field:ident: $type:ty = $offset:literal, $check:expr;)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $meaning])* pub $field: $type,)*
        }

        impl $name {
            /// Its fields by offset.
            pub const FIELDS: &'static [FieldSpec] = &[$(FieldSpec {
                name: stringify!($field),
                offset: $offset,
                bytes: <$type as Scalar>::BYTES,
                check: $check,
                values: <$type as Scalar>::NAMED,
                meaning: concat!($($meaning),*).trim_ascii(),
            }),*];
            /// Bytes of the structure that it is a part of.
            pub const BYTES: usize = $bytes;

            #[allow(unused_variables)] // a structure without fields
            fn put(&self, bytes: &mut [u8]) {
                $($crate::descriptor::record::put(bytes, $offset, self.$field);)*
            }

            #[allow(unused_variables)]
            fn get(bytes: &[u8], config: &ArchConfig) -> Result<Self, Fault> {
                $(let $field = $crate::descriptor::record::get(bytes, $offset, $check, config)?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}

/// An enumeration of one byte.
macro_rules! enumeration {
    ($(#[doc = $doc:literal])* $name:ident {
        $($(#[doc = $meaning:literal])* $variant:ident = $value:literal;)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name {
            $($(#[doc = $meaning])* $variant = $value,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// Names, values and meanings.
            pub const VALUES: &'static [(&'static str, u64, &'static str)] =
                &[$((stringify!($variant), $value, concat!($($meaning),*).trim_ascii())),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                Self::VALUES[self as usize - Self::ALL[0] as usize].0
            }
        }

        impl Scalar for $name {
            const BYTES: usize = 1;
            const NAMED: &'static [(&'static str, u64, &'static str)] = Self::VALUES;
            fn raw(self) -> u64 {
                self as u64
            }
            fn from_raw(raw: u64) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.raw() == raw)
            }
        }
    };
}

pub(super) use {enumeration, record};
