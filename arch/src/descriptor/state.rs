//! What a context keeps of its tokens and heads, as it lies in memory: all by number, so that the device copies its own memories
//! and a token that was pruned still shows its last importance.

use crate::ArchConfig;
use crate::config::MAX_HEADS;
use crate::layout::Linear;

/// Bytes before the tokens: of a state block how many are left; of a context's storage the device's own registers.
pub const STATE_HEADER_BYTES: usize = 128;

/// Where the parts of a state block lie, in bytes from its beginning.
///
/// Bytes 0 to 3 are the number of tokens that are left, 4 to 7 that of heads; the others of the header are 0. A context's
/// `storage` has the same parts behind a header of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateLayout {
    /// [`TokenState`] of token 0; others follow. Written up to the sequence's `tokens`.
    pub tokens: usize,
    /// [`HeadState`] of head 0; others follow. Written up to the sequence's `heads`.
    pub heads: usize,
    /// Bytes of the block.
    pub bytes: usize,
}

impl StateLayout {
    /// In a configuration. Parts begin on multiples of 128 bytes: in a new word, whatever a word is.
    pub fn new(config: &ArchConfig) -> Self {
        let part = |from: usize, bytes: usize| (from + bytes).next_multiple_of(128);
        let tokens = STATE_HEADER_BYTES;
        let heads = part(tokens, TokenState::BYTES * config.keys_on_chip);
        Self { tokens, heads, bytes: part(heads, HeadState::BYTES * MAX_HEADS) }
    }

    /// First byte of a token.
    pub fn token(&self, token: usize) -> usize {
        self.tokens + TokenState::BYTES * token
    }

    /// First byte of a head.
    pub fn head(&self, head: usize) -> usize {
        self.heads + HeadState::BYTES * head
    }
}

/// Bytes of card memory that a context needs while others run.
pub fn context_bytes(config: &ArchConfig) -> usize {
    StateLayout::new(config).bytes
}

/// Words of a channel from the map of refetched rows of a head to that of the next: a bit per row.
pub fn refetched_stride(config: &ArchConfig) -> u32 {
    Linear::new(config).depth(config.keys_on_chip / 8) as u32
}

/// Eight bytes of named bits. The table, the C header and the encoding come from one list.
macro_rules! packed {
    ($(#[doc = $doc:literal])* $name:ident {
        $($(#[doc = $meaning:literal])* $field:ident: $type:ty = $low:literal, $bits:literal;)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $meaning])* pub $field: $type,)*
        }

        impl $name {
            /// Bytes.
            pub const BYTES: usize = 8;
            /// Its parts: name, lowest bit, how many, meaning.
            pub const FIELDS: &'static [(&'static str, u32, u32, &'static str)] =
                &[$((stringify!($field), $low, $bits, concat!($($meaning),*).trim_ascii())),*];

            /// As it lies in memory.
            ///
            /// # Panics   where a part has too many bits
            #[track_caller]
            pub fn encode(&self) -> [u8; 8] {
                let mut word = 0;
                $(
                    let part = u64::from(self.$field);
                    assert!(part >> $bits == 0, "{} = {part:#x} has more than {} bits", stringify!($field), $bits);
                    word |= part << $low;
                )*
                word.to_le_bytes()
            }

            /// From memory. Other bits are not looked at.
            pub fn decode(bytes: [u8; 8]) -> Self {
                let word = u64::from_le_bytes(bytes);
                let part = |low: u32, bits: u32| word >> low & ((1 << bits) - 1);
                Self { $($field: Part::from_part(part($low, $bits)),)* }
            }
        }
    };
}

/// What the bits of a part are read as.
trait Part {
    fn from_part(bits: u64) -> Self;
}

impl Part for u64 {
    fn from_part(bits: u64) -> Self {
        bits
    }
}

impl Part for u32 {
    fn from_part(bits: u64) -> Self {
        bits as u32
    }
}

impl Part for bool {
    fn from_part(bits: u64) -> Self {
        bits == 1
    }
}

packed! {
    /// A token of a context.
    TokenState {
        /// sum of importances, `token_importance`; the host divides it where the mode is `mean`
        importance: u64 = 0, 36;
        /// rows of computed heads that could see it
        rows: u32 = 36, 24;
        /// it is there and no padding; in mode `decode` a step's token from its step on
        real: bool = 60, 1;
        /// it is in the map of pins
        pin_map: bool = 61, 1;
        /// it is real and pinned now, by rank, by the map or as the current token
        pinned: bool = 62, 1;
        /// it goes on to the next layer
        alive: bool = 63, 1;
    }
}

packed! {
    /// A head of a context.
    HeadState {
        /// importance, `head_importance`
        importance: u64 = 0, 48;
        /// it goes on to the next layer, unless that has a mask of its own
        alive: bool = 63, 1;
    }
}
