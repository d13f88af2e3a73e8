//! The blocks of the chip: one name, four places (`golden/src`, `hw/src`, `sim/src`, `tests`). The README's table is
//! generated from here and checked against the files that exist.

/// How far a block is. Each stage includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Named and specified; nothing is built.
    Planned,
    /// The golden model computes it and is tested against the f64 reference.
    Golden,
    /// RTL exists and equals golden bit for bit, and its cycle model beat for beat.
    Rtl,
}

impl Status {
    /// Word in the README's table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Golden => "golden model",
            Self::Rtl => "RTL = golden = cycle model",
        }
    }
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Name of its files, modules and traces.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    /// Where the paper describes it, or why it is here although the paper does not.
    pub paper: &'static str,
    /// How far it is.
    pub status: Status,
    /// Whether it computes values (and therefore has a golden model of its own); wiring and control do not.
    pub computes: bool,
}

const fn block(name: &'static str, does: &'static str, paper: &'static str, status: Status, computes: bool) -> Block {
    Block { name, does, paper, status, computes }
}

/// All blocks, along the data's way through the chip.
pub const BLOCKS: [Block; 31] = {
    use Status::{Planned, Rtl};
    [
        block("csr", "registers, doorbells, performance counters", "not in the paper; host interface", Rtl, false),
        block("chip", "registers, controller, tokens, layers, AXI: all of it", "IV-A, Fig. 8", Rtl, false),
        block("controller", "runs jobs: a small machine with a program", "IV-A, Fig. 8", Rtl, false),
        block("layer_engine", "layers from memory to memory", "IV-A, Fig. 8", Rtl, false),
        block("layer_sequencer", "a layer to fetch jobs, rows and places of outputs", "IV-A, Fig. 8", Rtl, false),
        block("fetch_path", "matrix_fetcher and a converter per lane: token lists to operands", "IV-D", Rtl, false),
        block("matrix_fetcher", "turns token lists into memory beats and restores their order", "IV-D", Rtl, false),
        block("crossbar", "lanes to memory channels and back", "IV-D, Table I", Rtl, false),
        block("bitwidth_converter", "packed MSB and LSB planes to on-chip operands", "IV-D", Rtl, true),
        block("operand_router", "fetched operands to keys, values, queries, scales, norms", "IV-A, Fig. 8", Rtl, false),
        block("key_buffer", "double-buffered K SRAM", "IV-E, Table I", Rtl, false),
        block("value_buffer", "double-buffered V SRAM", "IV-G, Table I", Rtl, false),
        block("dot_product", "query times keys, reconfigurable adder tree, score scale", "IV-E, Fig. 11", Rtl, true),
        block(
            "attention_core",
            "one head after another, from keys to outputs and importance",
            "IV-A, Fig. 8",
            Rtl,
            false,
        ),
        block("softmax", "row maximum, exponential, sum, reciprocal", "IV-F, Fig. 12", Rtl, true),
        block("requant_decision", "does this row need its LSBs?", "III-D, IV-F", Rtl, true),
        block("importance_accumulator", "cumulative token and head scores", "III-A, III-B", Rtl, true),
        block("quick_select", "the paper's selection engine", "IV-B, Algorithm 3, Fig. 9", Rtl, true),
        block(
            "radix_select",
            "histogram selection, deterministic time",
            "replaces quick_select; not in the paper",
            Rtl,
            true,
        ),
        block("zero_eliminator", "closes the gaps in a stream, order kept", "IV-C, Fig. 10", Rtl, true),
        block("prefix_sum", "counts of valid lanes for zero_eliminator", "IV-C, Fig. 10", Rtl, true),
        block("top_k", "the k largest in input order, exact number of ties", "IV-B, Fig. 9", Rtl, true),
        block("survivor_select", "the most important tokens of a list, pinned ones first", "III-A, IV-B", Rtl, false),
        block("token_store", "importance and flags of every token; who is left", "III-A", Rtl, false),
        block("multiply_value", "probabilities times values", "IV-G", Rtl, true),
        block("verdict_map", "which rows were computed again, as bits in memory", "III-D", Rtl, false),
        block("write_back", "outputs, survivors and completions to memory", "IV-A", Rtl, false),
        block("axi_master", "a memory channel as an AXI4 master", "Table I", Rtl, false),
        block("fifo", "valid/ready queue", "IV-A (64- and 128-deep)", Rtl, false),
        block("ram", "the one wrapper of every memory", "Table I", Rtl, false),
        block("dram", "memory model behind the AXI ports", "V-A (HBM2)", Planned, false),
    ]
};

/// The README's table.
pub fn markdown() -> String {
    let mut out = String::from("| block | does | paper | state |\n| --- | --- | --- | --- |\n");
    for b in &BLOCKS {
        out += &format!("| `{}` | {} | {} | {} |\n", b.name, b.does, b.paper, b.status.word());
    }
    out
}
