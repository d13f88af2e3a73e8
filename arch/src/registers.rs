//! The registers of the PCIe function, once: RTL decode, simulator, driver, C header and `docs/registers.md` come from here.
//!
//! BAR0 holds [`REGISTERS`] and the [`Counter`]s, BAR2 the doorbells, alone in their page so that it can be mapped into a
//! process that must not see the rest. The block `csr` has both in one address space ([`Page::base`]); BAR4 is the MSI-X
//! table of the PCIe core. Every register has 32 bits and is read and written with 32-bit accesses; 64-bit values are two
//! registers, the low half first.

use crate::ArchConfig;
use crate::config::MAX_HEADS;
use crate::descriptor::{CONTEXTS, MAX_QUEUE_LEVEL};

/// Bytes of a page.
pub const PAGE_BYTES: u32 = 4096;
/// Bits of a byte address in the two pages together.
pub const ADDRESS_BITS: usize = 13;
/// What [`IDENTITY`] holds: `SPAT` in ASCII, the first letter in the lowest byte.
pub const MAGIC: u32 = u32::from_le_bytes(*b"SPAT");
/// Version of this map and of the descriptors: major (users of another one must refuse) and minor (only additions).
pub const MAP_VERSION: (u16, u16) = (1, 0);

/// A mappable page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Registers.
    Registers,
    /// Doorbells.
    Doorbells,
}

impl Page {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Registers, Self::Doorbells];

    /// The base address register behind which it lies.
    pub const fn bar(self) -> u32 {
        match self {
            Self::Registers => 0,
            Self::Doorbells => 2,
        }
    }

    /// Its first byte in the address space of the block `csr`.
    pub const fn base(self) -> u32 {
        match self {
            Self::Registers => 0,
            Self::Doorbells => PAGE_BYTES,
        }
    }
}

/// What a register is in hardware; its access follows from that.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A number that the configuration gives.
    Constant(fn(&ArchConfig) -> u32),
    /// Software writes it, hardware reads it. Bits outside its fields read 0.
    Value,
    /// Hardware sets bits, software clears those that it writes as 1.
    Event,
    /// Written bits do something once. Reads 0.
    Command,
    /// Hardware writes it.
    Input,
    /// Low half of a counter; reading it keeps the high half for the next read of that.
    CounterLow(Counter),
    /// High half, as it was when a low half was last read.
    CounterHigh(Counter),
}

/// What software may do with a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read; a write is answered with an error and changes nothing.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read; a 1 that is written clears its bit.
    WriteOneToClear,
    /// Write; reads 0.
    Write,
}

impl Access {
    /// Word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "ro",
            Self::ReadWrite => "rw",
            Self::WriteOneToClear => "w1c",
            Self::Write => "wo",
        }
    }
}

/// Bits of a register.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Name.
    pub name: &'static str,
    /// Lowest bit.
    pub low: u32,
    /// How many.
    pub bits: u32,
    /// What they say.
    pub meaning: &'static str,
}

impl Field {
    /// The bits in their place.
    pub const fn mask(&self) -> u32 {
        (u32::MAX >> (32 - self.bits)) << self.low
    }
}

/// One register.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    /// Name.
    pub name: &'static str,
    /// Its page.
    pub page: Page,
    /// Byte in the page.
    pub offset: u32,
    /// What it is.
    pub kind: Kind,
    /// Its value after reset, where it is a value.
    pub reset: u32,
    /// Its fields from bit 0 up; none: one of 32 bits.
    pub fields: &'static [Field],
    /// What it is for.
    pub meaning: &'static str,
}

impl Register {
    /// Byte in the address space of the block `csr`.
    pub const fn address(&self) -> u32 {
        self.page.base() + self.offset
    }

    /// What software may do with it.
    pub fn access(&self) -> Access {
        match self.kind {
            Kind::Constant(_) | Kind::Input | Kind::CounterLow(_) | Kind::CounterHigh(_) => Access::Read,
            Kind::Value => Access::ReadWrite,
            Kind::Event => Access::WriteOneToClear,
            Kind::Command => Access::Write,
        }
    }

    /// Bits that mean something.
    pub fn mask(&self) -> u32 {
        if self.fields.is_empty() { u32::MAX } else { self.fields.iter().fold(0, |all, field| all | field.mask()) }
    }

    /// One of its fields.
    ///
    /// # Panics
    /// Where it has none of this name.
    #[track_caller]
    pub fn field(&self, name: &str) -> &'static Field {
        let found = self.fields.iter().find(|field| field.name == name);
        found.unwrap_or_else(|| panic!("register {} has no field {name:?}", self.name))
    }
}

const fn field(name: &'static str, low: u32, bits: u32, meaning: &'static str) -> Field {
    Field { name, low, bits, meaning }
}

const fn register(
    name: &'static str,
    offset: u32,
    kind: Kind,
    fields: &'static [Field],
    meaning: &'static str,
) -> Register {
    Register { name, page: Page::Registers, offset, kind, reset: 0, fields, meaning }
}

const fn doorbell(name: &'static str, offset: u32, meaning: &'static str) -> Register {
    Register { name, page: Page::Doorbells, offset, kind: Kind::Value, reset: 0, fields: &[], meaning }
}

macro_rules! registers {
    ($($name:ident = $value:expr;)*) => {
        $(
            #[doc = concat!("Register `", stringify!($name), "`; see its `meaning`.")]
            pub const $name: Register = $value;
        )*
        /// All registers but the counters, by page and offset.
        pub const REGISTERS: &[Register] = &[$($name),*];
    };
}

const EVENTS: &[Field] = &[
    field("completion", 0, 1, "a completion was written"),
    field("failed", 1, 1, "a job ended with an error"),
    field("stopped", 2, 1, "the device stopped; `error` says why"),
    field("overrun", 3, 1, "a doorbell was more entries ahead than its ring has"),
];

registers! {
    IDENTITY = register("identity", 0x000, Kind::Constant(|_| MAGIC), &[], "`SPAT` in ASCII: is this the device?");
    VERSION = register("version", 0x004, Kind::Constant(|_| u32::from(MAP_VERSION.0) << 16 | u32::from(MAP_VERSION.1)), &[
        field("minor", 0, 16, "additions since the major version"),
        field("major", 16, 16, "refuse another one"),
    ], "version of this map and of the descriptors");
    MULTIPLIERS = register("multipliers", 0x008, Kind::Constant(|c| (c.datapath_bits << 16) | c.multipliers as u32), &[
        field("each", 0, 16, "multipliers of `dot_product`, and as many of `multiply_value`"),
        field("datapath_bits", 16, 8, "bits of Q, K and V on chip"),
    ], "size of the datapath");
    LANES = register("lanes", 0x00c, Kind::Constant(|c| ((c.topk_lanes as u32) << 16) | c.softmax_lanes as u32), &[
        field("softmax", 0, 16, "scores per cycle through `softmax`"),
        field("top_k", 16, 16, "scores per cycle through `top_k`"),
    ], "size of the row engines");
    MEMORY = register("memory", 0x010, Kind::Constant(|c| {
        ((c.words_in_flight as u32) << 16) | ((c.channel_bytes as u32) << 8) | c.channels as u32
    }), &[
        field("channels", 0, 8, "memory channels"),
        field("word_bytes", 8, 8, "bytes of a word: what a channel moves per cycle"),
        field("words_in_flight", 16, 16, "words that a lane of the fetcher may have asked for"),
    ], "size of the memory system");
    LIMITS = register("limits", 0x014, Kind::Constant(|c| ((MAX_HEADS as u32) << 16) | c.keys_on_chip as u32), &[
        field("keys", 0, 16, "keys of a head that can be attended to"),
        field("heads", 16, 16, "heads of a layer"),
    ], "largest job");
    QUEUES = register("queues", 0x018, Kind::Constant(|_| (MAX_QUEUE_LEVEL << 16) | CONTEXTS as u32), &[
        field("contexts", 0, 16, "sequences whose state lives side by side"),
        field("most", 16, 8, "log2 of the entries of the largest ring"),
    ], "size of the host interface");
    KEY_BUFFER = register("key_buffer", 0x01c, Kind::Constant(|c| c.key_buffer_bytes as u32), &[], "bytes of K SRAM");
    VALUE_BUFFER = register("value_buffer", 0x020, Kind::Constant(|c| c.value_buffer_bytes as u32), &[], "bytes of V SRAM");
    CLOCK = register("clock", 0x024, Kind::Constant(|c| (c.clock_hz / 1000) as u32), &[], "clock in kHz");
    SCRATCH = register("scratch", 0x040, Kind::Value, &[],
        "nothing in hardware: a driver's nonce, which a reset that it did not ask for takes away. `command.reset` does not");
    CONTROL = register("control", 0x044, Kind::Value, &[
        field("enable", 0, 1, "jobs are fetched; bases and sizes of the rings are taken when it becomes 1"),
    ], "what the device does");
    COMMAND = register("command", 0x048, Kind::Command, &[
        field("reset", 0, 1, "as after power-up, but for `scratch`; `status.resetting` until it has happened"),
        field("clear_counters", 1, 1, "all counters begin again at 0"),
    ], "what is done once");
    STATUS = register("status", 0x04c, Kind::Input, &[
        field("enabled", 0, 1, "jobs are fetched"),
        field("busy", 1, 1, "a job is being run"),
        field("stopped", 2, 1, "an error that no completion can report; only `command.reset` goes on"),
        field("resetting", 3, 1, "what was on its way to memory or host is waited for"),
    ], "what the device is doing");
    ERROR = register("error", 0x050, Kind::Input, &[
        field("code", 0, 8, "status code, as in a completion"),
        field("channel", 8, 8, "memory channel, where it is about one"),
        field("job", 16, 16, "id of the job"),
    ], "the first error since reset; 0: none");
    INTERRUPT_STATUS = register("interrupt_status", 0x060, Kind::Event, EVENTS, "what has happened");
    INTERRUPT_ENABLE = register("interrupt_enable", 0x064, Kind::Value, EVENTS,
        "what sends a message: when it happens, and when it is enabled although it has happened before");
    INTERRUPT_SET = register("interrupt_set", 0x068, Kind::Command, EVENTS,
        "as if it had happened: a driver's test of its own way of being told");
    SUBMISSION_BASE_LOW = register("submission_base_low", 0x080, Kind::Value, &[], "host address of the ring of jobs");
    SUBMISSION_BASE_HIGH = register("submission_base_high", 0x084, Kind::Value, &[], "its upper half");
    SUBMISSION_SIZE = register("submission_size", 0x088, Kind::Value, &[field("level", 0, 5, "log2 of its entries, 1 to `queues.most`")],
        "entries of the ring of jobs");
    SUBMISSION_HEAD = register("submission_head", 0x08c, Kind::Input, &[],
        "jobs fetched since `control.enable`, modulo 2^32");
    COMPLETION_BASE_LOW = register("completion_base_low", 0x090, Kind::Value, &[], "host address of the ring of completions");
    COMPLETION_BASE_HIGH = register("completion_base_high", 0x094, Kind::Value, &[], "its upper half");
    COMPLETION_SIZE = register("completion_size", 0x098, Kind::Value, &[field("level", 0, 5, "log2 of its entries, 1 to `queues.most`")],
        "entries of the ring of completions");
    COMPLETION_TAIL = register("completion_tail", 0x09c, Kind::Input, &[],
        "completions written since `control.enable`, modulo 2^32");
    TOPK_LONGEST = register("topk_longest", 0x0a0, Kind::Input, &[], "cycles of the longest selection since `clear_counters`");
    SUBMISSION_TAIL = doorbell("submission_tail", 0x000, "jobs written since `control.enable`, modulo 2^32");
    COMPLETION_HEAD = doorbell("completion_head", 0x004, "completions read since `control.enable`, modulo 2^32");
}

/// Byte at which the counters begin in page [`Page::Registers`].
pub const COUNTERS_OFFSET: u32 = 0x200;

macro_rules! counters {
    ($($(#[doc = $meaning:literal])* $name:ident = $text:literal;)*) => {
        /// What is counted, in 64 bits each. The block `csr` adds `increment [Counter::ALL.len()]` in every cycle.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Counter {
            $($(#[doc = $meaning])* $name,)*
        }

        impl Counter {
            /// All of them, in the order of their registers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Name of its registers, without `_low` and `_high`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// What it counts.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($meaning),*).trim_ascii()),* }
            }

            /// Its registers, low and high.
            pub const fn registers(self) -> [Register; 2] {
                let offset = COUNTERS_OFFSET + 8 * self as u32;
                let (low, high) = match self {
                    $(Self::$name => (concat!($text, "_low"), concat!($text, "_high")),)*
                };
                [
                    register(low, offset, Kind::CounterLow(self), &[], self.meaning()),
                    register(high, offset + 4, Kind::CounterHigh(self), &[], "its upper half"),
                ]
            }
        }
    };
}

counters! {
    /// cycles in which the device was enabled
    Cycles = "cycles";
    /// cycles with a job
    Busy = "busy_cycles";
    /// cycles in which `dot_product` took a beat
    Dot = "dot_product_cycles";
    /// cycles in which `multiply_value` took a beat
    Multiply = "multiply_value_cycles";
    /// bytes of Q read, scales included
    ReadQ = "read_q_bytes";
    /// bytes of K read: MSB planes, or all of K where it is not split; scales included
    ReadKMsb = "read_k_msb_bytes";
    /// bytes of K's LSB planes read
    ReadKLsb = "read_k_lsb_bytes";
    /// bytes of V read, scales included
    ReadV = "read_v_bytes";
    /// bytes of parameters, lists and contexts read
    ReadOther = "read_other_bytes";
    /// bytes written to card memory
    Write = "write_bytes";
    /// busy cycles in which `dot_product` waits for a query
    StallQuery = "stall_query_cycles";
    /// busy cycles in which `dot_product` waits for keys of a first pass
    StallKey = "stall_key_cycles";
    /// busy cycles in which `dot_product` waits for the LSBs of a refetched row
    StallRefetch = "stall_refetch_cycles";
    /// busy cycles in which `dot_product` waits for `softmax`
    StallSoftmax = "stall_softmax_cycles";
    /// busy cycles in which `multiply_value` waits for the selection of values
    StallSelect = "stall_select_cycles";
    /// busy cycles in which `multiply_value` waits for values
    StallValue = "stall_value_cycles";
    /// busy cycles in which a row of outputs waits for `write_back`
    StallWrite = "stall_write_cycles";
    /// busy cycles in which a cascade selection is the only thing that goes on
    StallCascade = "stall_cascade_cycles";
    /// selections, of values and of the cascade
    TopkCalls = "topk_calls";
    /// cycles of all selections
    TopkCycles = "topk_cycles";
    /// query rows of all heads
    Rows = "rows";
    /// query rows that were computed again with their LSBs
    Refetched = "refetched_rows";
    /// logits that did not fit their format
    SaturatedLogit = "saturated_logits";
    /// outputs that did not fit their format
    SaturatedOutput = "saturated_outputs";
    /// additions to an importance that did not fit its format
    SaturatedImportance = "saturated_importances";
    /// jobs completed, with or without an error
    Jobs = "jobs";
}

impl Counter {
    /// Bits of every increment: the largest is the bytes that all channels move in a cycle, or a row of saturated outputs.
    pub fn increment_bits(config: &ArchConfig) -> usize {
        let bytes = config.channels * config.channel_bytes;
        (usize::BITS - bytes.max(crate::config::HEAD_DIMS[3]).leading_zeros()) as usize
    }
}

/// All registers, counters included, by address.
pub fn all() -> Vec<Register> {
    let mut all = REGISTERS.to_vec();
    all.extend(Counter::ALL.iter().flat_map(|counter| counter.registers()));
    all.sort_by_key(Register::address);
    all
}

/// The table of one page.
pub fn markdown(page: Page) -> String {
    let mut out = String::from("| offset | register | bits | access | meaning |\n| --- | --- | --- | --- | --- |\n");
    for r in all().iter().filter(|r| r.page == page && !matches!(r.kind, Kind::CounterLow(_) | Kind::CounterHigh(_))) {
        out += &format!("| `{:#05x}` | `{}` | | {} | {} |\n", r.offset, r.name, r.access().word(), r.meaning);
        for f in r.fields {
            let bits = if f.bits == 1 { f.low.to_string() } else { format!("{}..{}", f.low + f.bits - 1, f.low) };
            out += &format!("| | `{}` | {bits} | | {} |\n", f.name, f.meaning);
        }
    }
    out
}

/// The table of counters.
pub fn counters_markdown() -> String {
    let mut out = String::from("| offset | counter | counts |\n| --- | --- | --- |\n");
    for counter in Counter::ALL {
        let [low, _] = counter.registers();
        out += &format!("| `{:#05x}` | `{}` | {} |\n", low.offset, counter.name(), counter.meaning());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use spatten_testkit::Checks;
    use std::collections::BTreeSet;

    #[test]
    fn registers_are_aligned_and_do_not_overlap() {
        let mut checks = Checks::new("registers_do_not_overlap");
        let (mut addresses, mut names) = (BTreeSet::new(), BTreeSet::new());
        for r in all() {
            checks.that(r.offset % 4 == 0 && r.offset < PAGE_BYTES, || format!("{} at {:#x}", r.name, r.offset));
            checks.that(addresses.insert(r.address()), || format!("{} lies on another register", r.name));
            checks.that(names.insert(r.name), || format!("{} is there twice", r.name));
            checks.that(r.address() < 1 << ADDRESS_BITS, || format!("{} at {:#x}", r.name, r.address()));
        }
        checks.finish(4 * (REGISTERS.len() + 2 * Counter::ALL.len()) as u64);
        let ends = REGISTERS.iter().filter(|r| r.page == Page::Registers).map(|r| r.offset + 4).max().unwrap();
        assert!(ends <= COUNTERS_OFFSET, "registers end at {ends:#x}, counters begin at {COUNTERS_OFFSET:#x}");
    }

    #[test]
    fn fields_do_not_overlap_and_stand_in_order() {
        let mut checks = Checks::new("register_fields");
        for r in all() {
            let mut next = 0;
            for f in r.fields {
                let end = f.low + f.bits;
                checks.that(f.low >= next && f.bits > 0 && end <= 32, || format!("{}.{}", r.name, f.name));
                checks.eq(r.field(f.name).mask().count_ones(), f.bits, || format!("{}.{}", r.name, f.name));
                next = end;
            }
            checks.eq(r.reset & !r.mask(), 0, || format!("reset of {}", r.name));
        }
        checks.finish_any();
    }

    #[test]
    fn values_of_64_bits_are_aligned_pairs() {
        let mut checks = Checks::new("register_pairs");
        let all = all();
        for low in all.iter().filter(|r| r.name.ends_with("_low")) {
            let name = low.name.replace("_low", "_high");
            let high = all.iter().find(|r| r.name == name).unwrap_or_else(|| panic!("no {name}"));
            checks.eq((low.offset % 8, high.offset), (0, low.offset + 4), || name.clone());
            checks.eq(low.access(), high.access(), || name);
        }
        checks.finish(2 * (2 + Counter::ALL.len()) as u64);
    }

    #[test]
    fn capabilities_hold_every_configuration() {
        let mut checks = Checks::new("register_capabilities");
        let own = |text: &str| ArchConfig::from_toml(text, "own.toml").unwrap();
        // The largest number of each kind that a file may say.
        let largest = own("multipliers = 4096\nkeys_on_chip = 4096\nsoftmax_lanes = 256\ntopk_lanes = 4096\n\
                           channels = 64\nchannel_bytes = 128\nwords_in_flight = 1024\nclock_hz = 10000000000");
        let named = ArchConfig::NAMES.map(|name| ArchConfig::named(name).unwrap());
        for config in named.iter().chain([&largest]) {
            let read = |r: Register, name: &str| {
                let Kind::Constant(value) = r.kind else { panic!("{} is a constant", r.name) };
                assert_eq!(value(config) & !r.mask(), 0, "{} of {}", r.name, config.name);
                let f = r.field(name);
                ((value(config) & f.mask()) >> f.low) as usize
            };
            let mut eq = |r: Register, name: &str, expected: usize| {
                checks.eq(read(r, name), expected, || format!("{}.{name} of {}", r.name, config.name));
            };
            eq(MULTIPLIERS, "each", config.multipliers);
            eq(MULTIPLIERS, "datapath_bits", config.datapath_bits as usize);
            eq(LANES, "softmax", config.softmax_lanes);
            eq(LANES, "top_k", config.topk_lanes);
            eq(MEMORY, "channels", config.channels);
            eq(MEMORY, "word_bytes", config.channel_bytes);
            eq(MEMORY, "words_in_flight", config.words_in_flight);
            eq(LIMITS, "keys", config.keys_on_chip);
            eq(LIMITS, "heads", MAX_HEADS);
            eq(QUEUES, "contexts", CONTEXTS);
            eq(QUEUES, "most", MAX_QUEUE_LEVEL as usize);
            let bytes = config.channels * config.channel_bytes;
            checks.that(bytes >> Counter::increment_bits(config) == 0, || format!("{bytes} bytes per cycle"));
        }
        checks.finish(4 * 12);
    }
}
