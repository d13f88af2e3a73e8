//! What host and device tell each other in memory, once: jobs, completions, and the blocks in card memory that jobs name.
//!
//! ```text
//!  host memory                                   card memory
//!  ring of jobs, 64 bytes each ----- layer ----> LayerParameters, HeadFactors [heads]
//!  ring of completions, 16 each      begin ----> maps of real tokens and of pins
//!                                    layer, read_state ----> state block (written), map of refetched rows (written)
//! ```
//! Numbers are little endian and lie on multiples of their size. Bytes of no field are 0. A *word address* names a word of
//! every channel; a block that begins there lies as [`Linear`](crate::layout::Linear) says.
//!
//! A job is checked before anything is done, in this order, and the first fault is its answer: opcode, bytes of no field, fields
//! by offset, relations between fields. What only the device knows comes after that: is there such a context, is it its turn.

mod record;
mod state;
#[cfg(test)]
mod tests;
mod value_keep;

pub use record::{Check, FieldSpec, Limit, Scalar, snake};
pub use state::{HeadState, STATE_HEADER_BYTES, StateLayout, TokenState, context_bytes, refetched_stride};
pub use value_keep::ValueKeep;

use crate::ArchConfig;
use crate::config::MAX_HEADS;
use crate::format::{DECAY_FRACTION, SCALE_MANTISSA_BITS};
use record::{check_unused, enumeration, record};

/// Sequences whose state lives side by side.
pub const CONTEXTS: usize = 16;
/// log2 of the entries of the largest ring; the smallest has 2.
pub const MAX_QUEUE_LEVEL: u32 = 16;
/// Bytes of a job.
pub const JOB_BYTES: usize = 64;
/// Bytes of a completion.
pub const COMPLETION_BYTES: usize = 16;
/// Byte of a job's id, in every job.
pub const ID_OFFSET: usize = 2;
/// Bytes of the fixed part of a layer's parameters; [`HeadFactors`] follow.
pub const PARAMETER_BYTES: usize = 128;

fn most_keys(config: &ArchConfig) -> u64 {
    config.keys_on_chip as u64
}

fn last_key(config: &ArchConfig) -> u64 {
    config.keys_on_chip as u64 - 1
}

fn most_heads(_: &ArchConfig) -> u64 {
    MAX_HEADS as u64
}

fn most_bits(config: &ArchConfig) -> u64 {
    config.datapath_bits.into()
}

enumeration! {
    /// What a job does.
    Opcode {
        /// Nothing.
        Nop = 1;
        /// Begins a sequence in a context that is free: no importance, all heads, its real tokens.
        Begin = 2;
        /// Frees a context.
        End = 3;
        /// Begins a generation step: importances decay, survivors are the whole cache again or what was left, heads are complete.
        Step = 4;
        /// Attention of one layer, its outputs, and who survives it.
        Layer = 5;
        /// Writes a token's K and V rows into a layer's planes.
        Append = 6;
        /// Writes what a context keeps.
        ReadState = 7;
        /// Copies from host memory to card memory.
        CopyIn = 8;
        /// Copies from card memory to host memory.
        CopyOut = 9;
    }
}

enumeration! {
    /// How a job ended.
    Status {
        /// As it should.
        Success = 0;
        /// A byte of no field is not 0, or a field or relation says what means nothing. `detail`: byte of the job, or 256 and
        /// the byte of its parameters.
        Malformed = 1;
        /// There is no such opcode. `detail`: 0.
        BadOpcode = 2;
        /// There is no such context. `detail`: 4.
        BadContext = 3;
        /// More than this configuration has; `detail` as for `malformed`.
        ExceedsConfiguration = 4;
        /// Not this context's turn: a layer that does not follow the one before, a step or an append outside generation.
        /// `detail`: byte of the job.
        BadSequence = 5;
        /// The context has not been ended. `detail`: 4.
        ContextExists = 6;
        /// Card memory answered with an error. `detail`: the channel.
        MemoryError = 7;
        /// Host memory answered with an error.
        HostError = 8;
        /// The device was disabled or reset while the job ran.
        Aborted = 9;
        /// Only in `error`: a doorbell was more entries ahead than its ring has.
        Overrun = 10;
    }
}

enumeration! {
    /// Who sees whom.
    Mode {
        /// Every row sees every key; row i is token i.
        Encoder = 0;
        /// A row sees the keys up to its own token; row i is token i + tokens - rows.
        Causal = 1;
        /// One row per step, which sees the keys up to its own token.
        Decode = 2;
    }
}

enumeration! {
    /// How token importance is accumulated.
    Importance {
        /// Sum of probabilities.
        Sum = 0;
        /// Sum of probability times value norm.
        ValueWeighted = 1;
        /// Sum divided by the number of rows that could see the key.
        Mean = 2;
        /// Sum times `gamma` at the start of every step but the first.
        Decay = 3;
    }
}

enumeration! {
    /// How an operand is split into planes.
    Split {
        /// MSB = value >> LSB bits, LSB unsigned.
        Floor = 0;
        /// The same planes; MSB alone reads as the middle of its cell.
        Mid = 1;
        /// MSB rounded, LSB a signed remainder.
        Balanced = 2;
    }
}

impl From<crate::plan::Split> for Split {
    fn from(split: crate::plan::Split) -> Self {
        match split {
            crate::plan::Split::Floor => Self::Floor,
            crate::plan::Split::Mid => Self::Mid,
            crate::plan::Split::Balanced => Self::Balanced,
        }
    }
}

impl From<Split> for crate::plan::Split {
    fn from(split: Split) -> Self {
        match split {
            Split::Floor => Self::Floor,
            Split::Mid => Self::Mid,
            Split::Balanced => Self::Balanced,
        }
    }
}

record! {
    /// Nothing.
    Nop in JOB_BYTES {}
}

record! {
    /// Begins a sequence.
    Begin in JOB_BYTES {
        /// who sees whom
        mode: Mode = 1, Check::Any;
        /// a free one
        context: u16 = 4, Check::Context;
        /// query heads
        heads: u16 = 6, Check::OneTo(most_heads);
        /// key and value heads; a divisor of `heads`
        kv_heads: u16 = 8, Check::OneTo(most_heads);
        /// log2(head dimension) - 4
        dim: u8 = 10, Check::Most(3);
        /// how token importance is accumulated
        importance: Importance = 11, Check::Any;
        /// keys (`L1`), padding and steps to come included
        tokens: u16 = 12, Check::OneTo(most_keys);
        /// query rows (`L0`), the last ones of the tokens; in mode `encoder` all of them, in mode `decode` one per step to come
        rows: u16 = 14, Check::OneTo(most_keys);
        /// a pruned token goes on as a query
        kv_only: bool = 16, Check::Any;
        /// what a step drops is gone, and its row of the planes is free
        evict: bool = 17, Check::Any;
        /// there is a map of real tokens; otherwise all that are there are real
        padded: bool = 18, Check::Any;
        /// in mode `decode` the step's own token is always kept, if it is real
        pin_current: bool = 19, Check::Any;
        /// word address of a map of tokens that are real, bit i for token i; in mode `decode` of those before the first step
        real_map: u32 = 20, Check::Any;
        /// decay factor, `U1.16`
        gamma: u32 = 24, Check::Most(1 << DECAY_FRACTION);
        /// the first so many real tokens of those that are there are always kept
        pin_first: u16 = 28, Check::Any;
        /// and the last so many; in mode `decode` those that a step sees are there
        pin_last: u16 = 30, Check::Any;
        /// word address of a map of tokens that are always kept, bit i for token i
        pin_map: u32 = 32, Check::Any;
        /// there is such a map
        pinned: bool = 36, Check::Any;
        /// word address of `context_bytes` that the device has for itself while other contexts run
        storage: u32 = 40, Check::Any;
    }
}

record! {
    /// Frees a context.
    End in JOB_BYTES {
        /// which
        context: u16 = 4, Check::Context;
    }
}

record! {
    /// Begins a generation step: the first makes token `tokens - rows` the current one, each other the next. In mode `decode`
    /// layers follow steps; there is none before the first.
    Step in JOB_BYTES {
        /// the current token becomes a key (it is not padding)
        joins: bool = 1, Check::Any;
        /// whose
        context: u16 = 4, Check::Context;
        /// row of the planes that holds its K and V: the token's number
        slot: u16 = 6, Check::UpTo(last_key);
    }
}

record! {
    /// Attention of one layer.
    Layer in JOB_BYTES {
        /// the state block is written when the layer is done
        write_state: bool = 1, Check::Any;
        /// whose
        context: u16 = 4, Check::Context;
        /// number of the layer: one more than before, 0 after `begin` and `step`
        layer: u16 = 6, Check::Any;
        /// word address of its `LayerParameters`
        parameters: u32 = 8, Check::Any;
        /// in mode `decode`: the step's row in the planes of Q
        query: u16 = 12, Check::UpTo(last_key);
        /// tokens that go on to the next layer, as many as are pinned at least; where there are no more, all (65535: all)
        keep_tokens: u16 = 14, Check::Any;
        /// heads that go on; where there are no more, all
        keep_heads: u16 = 16, Check::Any;
        /// the map of refetched rows is written
        write_refetched: bool = 18, Check::Any;
        /// share of the keys that a row sees whose V it reads (`ValueKeep`), `U1.31`
        keep_values: u32 = 20, Check::Most(1 << ValueKeep::FRACTION);
        /// word address of the outputs of head 0: row i is the layer's query number i (of those left); 0 where it sees no key
        output: u32 = 24, Check::Any;
        /// words of a channel from the outputs of a head to those of the next
        output_stride: u32 = 28, Check::Any;
        /// word address of the state block
        state: u32 = 32, Check::Any;
        /// word address of the map of refetched rows: `keys_on_chip / 8` bytes per head, rounded up to whole word addresses
        /// (`refetched_stride`), bit i for row i of the outputs; only of heads that are computed
        refetched: u32 = 36, Check::Any;
    }
}

record! {
    /// Writes a token's rows into a layer's planes.
    Append in JOB_BYTES {
        /// whose
        context: u16 = 4, Check::Context;
        /// row of the planes
        slot: u16 = 6, Check::UpTo(last_key);
        /// word address of the layer's `LayerParameters`, which name the planes
        parameters: u32 = 8, Check::Any;
        /// word address of the rows: head after head, plane after plane as in the parameters, each from a word on
        source: u32 = 12, Check::Any;
    }
}

record! {
    /// Writes what a context keeps.
    ReadState in JOB_BYTES {
        /// whose
        context: u16 = 4, Check::Context;
        /// word address of the state block
        state: u32 = 8, Check::Any;
    }
}

record! {
    /// Copies between host and card memory.
    Copy in JOB_BYTES {
        /// host address, a multiple of 64
        host: u64 = 8, Check::Any;
        /// word address in card memory
        card: u32 = 16, Check::Any;
        /// bytes, a multiple of 64 and not 0
        bytes: u32 = 20, Check::Any;
    }
}

record! {
    /// What a layer's jobs share, in card memory; `HeadFactors` of every head follow.
    LayerParameters in PARAMETER_BYTES {
        /// a row whose sum of exponentials exceeds this is flat: `1 / threshold` in format `threshold_inverse`
        threshold_inverse: u64 = 0, Check::UpTo(largest_threshold);
        /// bits of Q, or of its MSBs
        q_msb: u8 = 8, Check::OneTo(most_bits);
        /// bits of Q's LSBs; 0: not split
        q_lsb: u8 = 9, Check::UpTo(most_bits);
        /// bits of K, or of its MSBs
        k_msb: u8 = 10, Check::OneTo(most_bits);
        /// bits of K's LSBs
        k_lsb: u8 = 11, Check::UpTo(most_bits);
        /// bits of V, or of its MSBs
        v_msb: u8 = 12, Check::OneTo(most_bits);
        /// bits of V's LSBs
        v_lsb: u8 = 13, Check::UpTo(most_bits);
        /// how they are split
        split: Split = 14, Check::Any;
        /// flat rows are computed again with all bits
        progressive: bool = 15, Check::Any;
        /// heads that are computed, instead of those that the cascade left: bit i for head i
        head_mask_low: u64 = 16, Check::Any;
        /// heads from 64 on
        head_mask_high: u64 = 24, Check::Any;
        /// there is such a mask
        masked: bool = 32, Check::Any;
        /// Q, K and V have a scale per token
        scaled: bool = 33, Check::Any;
        /// keys have norms
        normed: bool = 34, Check::Any;
        /// word address of the plane of Q (of its MSBs) of head 0, on every channel
        q_msb_base: u32 = 40, Check::Any;
        /// words of a channel from a head's plane to the next
        q_msb_stride: u32 = 44, Check::Any;
        /// the same for Q's LSBs
        q_lsb_base: u32 = 48, Check::Any;
        /// stride of it
        q_lsb_stride: u32 = 52, Check::Any;
        /// the same for K
        k_msb_base: u32 = 56, Check::Any;
        /// stride of it
        k_msb_stride: u32 = 60, Check::Any;
        /// the same for K's LSBs
        k_lsb_base: u32 = 64, Check::Any;
        /// stride of it
        k_lsb_stride: u32 = 68, Check::Any;
        /// the same for V
        v_msb_base: u32 = 72, Check::Any;
        /// stride of it
        v_msb_stride: u32 = 76, Check::Any;
        /// the same for V's LSBs
        v_lsb_base: u32 = 80, Check::Any;
        /// stride of it
        v_lsb_stride: u32 = 84, Check::Any;
        /// scale factor of every query row, one granule each (`HeadFactors::pack`), where `scaled`
        q_scale_base: u32 = 88, Check::Any;
        /// stride of it
        q_scale_stride: u32 = 92, Check::Any;
        /// scale of every key, one granule each
        k_scale_base: u32 = 96, Check::Any;
        /// stride of it
        k_scale_stride: u32 = 100, Check::Any;
        /// scale of every value, one granule each
        v_scale_base: u32 = 104, Check::Any;
        /// stride of it
        v_scale_stride: u32 = 108, Check::Any;
        /// norm of every value, one granule each, where `normed`
        norm_base: u32 = 112, Check::Any;
        /// stride of it
        norm_stride: u32 = 116, Check::Any;
    }
}

fn largest_threshold(config: &ArchConfig) -> u64 {
    crate::format::Formats::new(config).threshold_inverse.max_raw() as u64
}

/// Bits of a factor: mantissa, then shift.
const FACTOR_BITS: u32 = SCALE_MANTISSA_BITS + 6;

record! {
    /// Factors of one head.
    HeadFactors in 8 {
        /// from products to logits: mantissa in bits 17..0, right shift in bits 23..18
        logit: u32 = 0, Check::Most((1 << FACTOR_BITS) - 1);
        /// from outputs to head importance, likewise
        importance: u32 = 4, Check::Most((1 << FACTOR_BITS) - 1);
    }
}

impl HeadFactors {
    /// A factor `mantissa * 2^-shift` as its fields carry it.
    ///
    /// # Panics
    /// Where one of them has too many bits.
    #[track_caller]
    pub fn pack(mantissa: u32, shift: u32) -> u32 {
        assert!(mantissa >> SCALE_MANTISSA_BITS == 0 && shift < 64, "factor {mantissa:#x} >> {shift}");
        shift << SCALE_MANTISSA_BITS | mantissa
    }

    /// Mantissa and shift of a factor.
    pub fn unpack(factor: u32) -> (u32, u32) {
        (factor & ((1 << SCALE_MANTISSA_BITS) - 1), factor >> SCALE_MANTISSA_BITS)
    }
}

/// Why a job or its parameters are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}: {} at byte {offset}", snake(status.name()), if *parameters { "parameters" } else { "job" })]
pub struct Fault {
    /// How the job ends.
    pub status: Status,
    /// The first byte of the field; of a relation, the later field.
    pub offset: usize,
    /// In the parameters, not in the job.
    pub parameters: bool,
}

impl Fault {
    fn new(status: Status, offset: usize) -> Self {
        Self { status, offset, parameters: false }
    }

    /// What the completion says.
    pub fn detail(&self) -> u32 {
        self.offset as u32 + if self.parameters { 256 } else { 0 }
    }
}

fn relation(holds: bool, status: Status, fields: &[FieldSpec], name: &str) -> Result<(), Fault> {
    if holds {
        return Ok(());
    }
    let field = fields.iter().find(|f| f.name == name).expect("a relation names a field");
    Err(Fault::new(status, field.offset))
}

macro_rules! jobs {
    ($($opcode:ident $record:ident;)*) => {
        /// A job without its id.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Job {
            $(#[doc = concat!("[`Opcode::", stringify!($opcode), "`]")] $opcode($record),)*
        }

        impl Job {
            /// Fields of jobs of an opcode, besides opcode and id.
            pub fn fields(opcode: Opcode) -> &'static [FieldSpec] {
                match opcode { $(Opcode::$opcode => $record::FIELDS),* }
            }

            /// Its opcode.
            pub fn opcode(&self) -> Opcode {
                match self { $(Self::$opcode(_) => Opcode::$opcode),* }
            }

            fn put(&self, bytes: &mut [u8]) {
                match self { $(Self::$opcode(record) => record.put(bytes)),* }
            }

            fn get(opcode: Opcode, bytes: &[u8], config: &ArchConfig) -> Result<Self, Fault> {
                Ok(match opcode { $(Opcode::$opcode => Self::$opcode($record::get(bytes, config)?)),* })
            }
        }
    };
}

jobs! {
    Nop Nop;
    Begin Begin;
    End End;
    Step Step;
    Layer Layer;
    Append Append;
    ReadState ReadState;
    CopyIn Copy;
    CopyOut Copy;
}

impl Job {
    fn check(&self) -> Result<(), Fault> {
        match self {
            Self::Begin(b) => {
                let require = |holds, name| relation(holds, Status::Malformed, Begin::FIELDS, name);
                require(b.heads % b.kv_heads == 0, "kv_heads")?;
                require(b.rows <= b.tokens && (b.mode != Mode::Encoder || b.rows == b.tokens), "rows")
            }
            Self::CopyIn(c) | Self::CopyOut(c) => {
                let require = |holds, name| relation(holds, Status::Malformed, Copy::FIELDS, name);
                require(c.host % 64 == 0, "host")?;
                require(c.bytes % 64 == 0 && c.bytes > 0, "bytes")
            }
            _ => Ok(()),
        }
    }
}

/// An entry of the ring of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Comes back in the completion.
    pub id: u16,
    /// What is done.
    pub job: Job,
}

impl Entry {
    /// As it lies in the ring.
    pub fn encode(&self) -> [u8; JOB_BYTES] {
        let mut bytes = [0; JOB_BYTES];
        bytes[0] = self.job.opcode() as u8;
        bytes[ID_OFFSET..ID_OFFSET + 2].copy_from_slice(&self.id.to_le_bytes());
        self.job.put(&mut bytes);
        bytes
    }

    /// The id of an entry, whatever else is in it: a fault is reported under it.
    pub fn id(bytes: &[u8; JOB_BYTES]) -> u16 {
        u16::from_le_bytes([bytes[ID_OFFSET], bytes[ID_OFFSET + 1]])
    }

    /// Reads and checks an entry.
    ///
    /// # Errors
    /// The first fault, in the order that the module's documentation says.
    pub fn decode(bytes: &[u8; JOB_BYTES], config: &ArchConfig) -> Result<Self, Fault> {
        let opcode = Opcode::from_raw(bytes[0].into()).ok_or(Fault::new(Status::BadOpcode, 0))?;
        check_unused(bytes, Job::fields(opcode), &[0, ID_OFFSET, ID_OFFSET + 1])?;
        let job = Job::get(opcode, bytes, config)?;
        job.check()?;
        Ok(Self { id: Self::id(bytes), job })
    }
}

impl LayerParameters {
    /// As they lie in card memory.
    pub fn encode(&self) -> [u8; PARAMETER_BYTES] {
        let mut bytes = [0; PARAMETER_BYTES];
        self.put(&mut bytes);
        bytes
    }

    /// Reads and checks the fixed part.
    ///
    /// # Errors
    /// The first fault.
    pub fn decode(bytes: &[u8; PARAMETER_BYTES], config: &ArchConfig) -> Result<Self, Fault> {
        let decode = || {
            check_unused(bytes, Self::FIELDS, &[])?;
            let p = Self::get(bytes, config)?;
            let fits = |msb: u8, lsb: u8, name| {
                let holds = u32::from(msb) + u32::from(lsb) <= config.datapath_bits;
                relation(holds, Status::ExceedsConfiguration, Self::FIELDS, name)
            };
            fits(p.q_msb, p.q_lsb, "q_lsb")?;
            fits(p.k_msb, p.k_lsb, "k_lsb")?;
            fits(p.v_msb, p.v_lsb, "v_lsb")?;
            Ok(p)
        };
        decode().map_err(|fault: Fault| Fault { parameters: true, ..fault })
    }
}

impl HeadFactors {
    /// As they lie behind the fixed part.
    pub fn encode(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        self.put(&mut bytes);
        bytes
    }

    /// Reads and checks those of head `head`.
    ///
    /// # Errors
    /// The first fault; its offset counts from the beginning of the parameters.
    pub fn decode(bytes: &[u8; 8], head: usize, config: &ArchConfig) -> Result<Self, Fault> {
        let behind =
            |fault: Fault| Fault { parameters: true, offset: PARAMETER_BYTES + 8 * head + fault.offset, ..fault };
        Self::get(bytes, config).map_err(behind)
    }
}

/// An entry of the ring of completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// Of `layer`, `begin`, `step`: tokens that are left in bits 15..0, heads in bits 31..16.
    pub result: u32,
    /// Of a layer: rows that were computed again, over all heads. Of a fault: see [`Status`].
    pub detail: u32,
    /// Jobs fetched, as `submission_head`.
    pub head: u32,
    /// Of the job.
    pub id: u16,
    /// How it ended.
    pub status: Status,
    /// Turns with every round of the ring; 1 in the first.
    pub phase: bool,
}

/// Where a completion's parts lie, for tables: name, bits from the entry's lowest on, meaning.
pub const COMPLETION_FIELDS: [(&str, u32, u32, &str); 6] = [
    ("result", 0, 32, "of `layer`, `begin` and `step`: tokens left in bits 15..0, heads in bits 31..16"),
    ("detail", 32, 32, "of a layer: rows that were computed again, over all heads; of a fault: see its status"),
    ("head", 64, 32, "jobs fetched, as `submission_head`"),
    ("id", 96, 16, "of the job"),
    ("status", 112, 8, "how it ended"),
    ("phase", 127, 1, "turns with every round of the ring; 1 in the first"),
];

impl Completion {
    /// As it lies in the ring; the device writes the last four bytes last.
    pub fn encode(&self) -> [u8; COMPLETION_BYTES] {
        let end = u32::from(self.id) | (self.status as u32) << 16 | u32::from(self.phase) << 31;
        let mut bytes = [0; COMPLETION_BYTES];
        for (part, word) in bytes.chunks_exact_mut(4).zip([self.result, self.detail, self.head, end]) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads a completion; `None` where a device of this version writes no such thing.
    pub fn decode(bytes: &[u8; COMPLETION_BYTES]) -> Option<Self> {
        let [result, detail, head, end] =
            [0, 4, 8, 12].map(|at| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
        if end >> 24 & 0x7f != 0 {
            return None;
        }
        let status = Status::from_raw((end >> 16 & 0xff).into())?;
        Some(Self { result, detail, head, id: end as u16, status, phase: end >> 31 == 1 })
    }
}

fn table(fields: &[FieldSpec]) -> String {
    let mut out = String::from("| byte | field | bytes | allowed | meaning |\n| --- | --- | --- | --- | --- |\n");
    for f in fields {
        out += &format!("| {} | `{}` | {} | {} | {} |\n", f.offset, f.name, f.bytes, f.allowed(), f.meaning);
    }
    out
}

fn values(values: &[(&str, u64, &str)]) -> String {
    let mut out = String::from("| value | name | meaning |\n| --- | --- | --- |\n");
    for (name, value, meaning) in values {
        out += &format!("| {value} | `{}` | {meaning} |\n", snake(name));
    }
    out
}

/// Opcodes, and the fields of every job.
pub fn jobs_markdown() -> String {
    let mut out = values(Opcode::VALUES);
    for opcode in Opcode::ALL {
        if !Job::fields(*opcode).is_empty() {
            out += &format!("\n### `{}`\n\n{}", snake(opcode.name()), table(Job::fields(*opcode)));
        }
    }
    out
}

/// Fields of a completion, and status codes.
pub fn completions_markdown() -> String {
    let mut out = String::from("| bits | field | meaning |\n| --- | --- | --- |\n");
    for (name, low, bits, meaning) in COMPLETION_FIELDS {
        let range = if bits == 1 { low.to_string() } else { format!("{}..{low}", low + bits - 1) };
        out += &format!("| {range} | `{name}` | {meaning} |\n");
    }
    out + "\n" + &values(Status::VALUES)
}

/// Fields of a layer's parameters.
pub fn parameters_markdown() -> String {
    format!("{}\n{}", table(LayerParameters::FIELDS), table(HeadFactors::FIELDS))
}

/// Where the parts of a state block lie in every named configuration, and what a token's and a head's eight bytes say.
pub fn state_markdown() -> String {
    let mut out = String::from(
        "| configuration | tokens | heads | bytes = `context_bytes` |\n\
         | --- | --- | --- | --- |\n",
    );
    for name in ArchConfig::NAMES {
        let config = ArchConfig::named(name).expect("a named configuration");
        let s = StateLayout::new(&config);
        out += &format!("| `{name}` | {} | {} | {} |\n", s.tokens, s.heads, s.bytes);
    }
    out += "\n| of | bits | field | meaning |\n| --- | --- | --- | --- |\n";
    for (of, fields) in [("token", TokenState::FIELDS), ("head", HeadState::FIELDS)] {
        for (name, low, bits, meaning) in fields {
            let range = if *bits == 1 { low.to_string() } else { format!("{}..{low}", low + bits - 1) };
            out += &format!("| {of} | {range} | `{name}` | {meaning} |\n");
        }
    }
    out
}
