//! Commands of `token_store`: what it does with each token of a walk, and what its command's numbers say.

/// Bits of a command's number.
pub const OP_BITS: usize = 4;
/// Bits of the number of rows that could see a token.
pub const ROW_BITS: usize = 24;
/// Bits of a token's flags.
pub const FLAG_BITS: usize = 4;

/// Flags of a token, as bits; above its importance and rows in its word of the state block.
pub mod flag {
    /// Not padding, and seen so far.
    pub const REAL: u64 = 1;
    /// Its sequence says that it is always kept.
    pub const PIN_MAP: u64 = 2;
    /// It is always kept now.
    pub const PINNED: u64 = 4;
    /// It is left.
    pub const ALIVE: u64 = 8;
}

/// What is done with each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Op {
    /// Everything is forgotten; real where bit i of `x` is, pinned by its sequence where bit i of `y` is, i from the walk's first on (up to
    /// 64). Counts real ones.
    Init = 0,
    /// With [`Scan`]: sets flags for a step. The list becomes those that are left. Counts them.
    Scan = 1,
    /// Gives `key_list`. Counts them.
    Keys = 2,
    /// Gives `query_list`, as [`Queries`] says. Counts them.
    Queries = 3,
    /// Gives `list`. Counts them.
    Candidates = 4,
    /// Importance and rows become what `read` gives, one after the other.
    Save = 5,
    /// Those that `kept` gives are left, the others are not; a walk over all tokens. The list becomes those that are left. Counts them.
    Take = 6,
    /// Gives `load`. Counts them.
    Load = 7,
    /// Gives `word`: 8 bytes each, from channel `y` of word address `x` on, as `layout::Linear` says.
    Dump = 8,
    /// Value and flags become `x` (as `Dump` gives them).
    Put = 9,
}

impl Op {
    /// All of them, by number.
    pub const ALL: [Self; 10] = [
        Self::Init,
        Self::Scan,
        Self::Keys,
        Self::Queries,
        Self::Candidates,
        Self::Save,
        Self::Take,
        Self::Load,
        Self::Dump,
        Self::Put,
    ];
}

/// `x` of [`Op::Scan`]: bits from 0 on are `pin_first`, from 16 `pin_from`, from 32 `current`, then flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scan {
    /// Real tokens before this one, counted from the first, are pinned.
    pub pin_first: u16,
    /// And those from this one on.
    pub pin_from: u16,
    /// The step's token.
    pub current: u16,
    /// It is real from now on, and left.
    pub joins: bool,
    /// It is pinned.
    pub pin_current: bool,
    /// Flags are set; otherwise they stay as they are.
    pub sets: bool,
    /// All real tokens are left again.
    pub reselect: bool,
}

/// Where the flags of a [`Scan`] are.
pub mod scan_bit {
    /// `joins`
    pub const JOINS: u32 = 48;
    /// `pin_current`
    pub const PIN_CURRENT: u32 = 49;
    /// `sets`
    pub const SETS: u32 = 50;
    /// `reselect`
    pub const RESELECT: u32 = 51;
}

impl Scan {
    /// As it stands in `x`.
    pub fn pack(&self) -> u64 {
        let flags = [self.joins, self.pin_current, self.sets, self.reselect];
        let flags = flags.iter().rev().fold(0, |all, &f| all << 1 | u64::from(f));
        u64::from(self.pin_first) | u64::from(self.pin_from) << 16 | u64::from(self.current) << 32 | flags << 48
    }
}

/// `x` of [`Op::Queries`]: bits from 0 on are `bound`, from 16 `first_row`, bit 32 `real`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queries {
    /// Tokens from this one on.
    pub bound: u16,
    /// Token of row 0: what is subtracted.
    pub first_row: u16,
    /// Only real ones.
    pub real: bool,
}

/// Where `real` of [`Queries`] is.
pub const QUERIES_REAL_BIT: u32 = 32;

impl Queries {
    /// As it stands in `x`.
    pub fn pack(&self) -> u64 {
        u64::from(self.bound) | u64::from(self.first_row) << 16 | u64::from(self.real) << QUERIES_REAL_BIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_they_are_said_to_be() {
        for (i, op) in Op::ALL.into_iter().enumerate() {
            assert_eq!((op as usize, i >> OP_BITS), (i, 0));
        }
        let bit = |scan: Scan| scan.pack();
        assert_eq!(bit(Scan { joins: true, ..Scan::default() }), 1 << scan_bit::JOINS);
        assert_eq!(bit(Scan { pin_current: true, ..Scan::default() }), 1 << scan_bit::PIN_CURRENT);
        assert_eq!(bit(Scan { sets: true, ..Scan::default() }), 1 << scan_bit::SETS);
        assert_eq!(bit(Scan { reselect: true, ..Scan::default() }), 1 << scan_bit::RESELECT);
        assert_eq!(bit(Scan { pin_first: 1, pin_from: 2, current: 3, ..Scan::default() }), 3 << 32 | 2 << 16 | 1);
        assert_eq!(Queries { bound: 5, first_row: 6, real: true }.pack(), 1 << 32 | 6 << 16 | 5);
    }
}
