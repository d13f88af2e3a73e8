//! Every block by name, built for a configuration: what `spatten rtl`, co-simulation and synthesis ask for.

use crate::attention_core::AttentionCore;
use crate::axi_master::AxiMaster;
use crate::bitwidth_converter::BitwidthConverter;
use crate::chip::Chip;
use crate::controller::Controller;
use crate::crossbar::Crossbar;
use crate::csr::Csr;
use crate::dot_product::DotProduct;
use crate::emit::{Design, EmitError, emit};
use crate::fetch_path::FetchPath;
use crate::fifo::Fifo;
use crate::hdl::bits_for;
use crate::importance_accumulator::ImportanceAccumulator;
use crate::key_buffer::KeyBuffer;
use crate::layer_engine::LayerEngine;
use crate::layer_sequencer::LayerSequencer;
use crate::matrix_fetcher::MatrixFetcher;
use crate::multiply_value::MultiplyValue;
use crate::operand_router::OperandRouter;
use crate::prefix_sum::PrefixSum;
use crate::quick_select::QuickSelect;
use crate::radix_select::RadixSelect;
use crate::ram::{Ram, ReadPort};
use crate::requant_decision::RequantDecision;
use crate::softmax::Softmax;
use crate::survivor_select::SurvivorSelect;
use crate::token_store::TokenStore;
use crate::top_k::TopK;
use crate::value_buffer::ValueBuffer;
use crate::verdict_map::VerdictMap;
use crate::write_back::WriteBack;
use crate::zero_eliminator::ZeroEliminator;
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;

type Build = fn(&ArchConfig) -> Result<Design, EmitError>;

/// Blocks that have RTL, in the order of `arch::blocks`.
const BLOCKS: &[(&str, Build)] = &[
    ("chip", |c| emit(Chip::new(c))),
    ("csr", |c| emit(Csr::new(c))),
    ("controller", |c| emit(Controller::of(c))),
    ("dot_product", |c| emit(DotProduct::new(c))),
    ("multiply_value", |c| emit(MultiplyValue::new(c))),
    ("layer_engine", |c| emit(LayerEngine::new(c))),
    ("layer_sequencer", |c| emit(LayerSequencer::new(c))),
    ("fetch_path", |c| emit(FetchPath::new(c))),
    ("attention_core", |c| emit(AttentionCore::new(c))),
    ("matrix_fetcher", |c| emit(MatrixFetcher::new(c))),
    ("crossbar", |c| emit(Crossbar::of(c))),
    ("bitwidth_converter", |c| emit(BitwidthConverter::of(c))),
    ("operand_router", |c| emit(OperandRouter::new(c))),
    ("key_buffer", |c| emit(KeyBuffer::of(c))),
    ("value_buffer", |c| emit(ValueBuffer::of(c))),
    ("verdict_map", |c| emit(VerdictMap::new(c))),
    ("write_back", |c| emit(WriteBack::new(c))),
    ("axi_master", |c| emit(AxiMaster::new(c))),
    // The queue between fetcher and multipliers: 64 beats of one channel.
    ("fifo", |c| emit(Fifo::new(8 * c.channel_bytes, 64))),
    ("quick_select", |c| emit(QuickSelect::of(c))),
    // Lanes hold a probability and its index, as behind local value pruning.
    ("zero_eliminator", |c| {
        emit(ZeroEliminator::new(c.topk_lanes, probability_bits(c) + bits_for(c.keys_on_chip - 1)))
    }),
    ("top_k", |c| emit(TopK::new(probability_bits(c), c.topk_lanes, c.keys_on_chip))),
    ("survivor_select", |c| emit(SurvivorSelect::new(c))),
    ("token_store", |c| emit(TokenStore::new(c))),
    ("radix_select", |c| emit(RadixSelect::new(probability_bits(c), c.topk_lanes, c.keys_on_chip))),
    ("prefix_sum", |c| emit(PrefixSum::new(c.topk_lanes))),
    // One channel's worth of the key buffer.
    ("ram", |c| emit(Ram::new(8 * c.channel_bytes, c.key_buffer_bytes / c.channel_bytes, ReadPort::Registered))),
    ("softmax", |c| emit(Softmax::new(c))),
    ("requant_decision", |c| emit(RequantDecision::new(c))),
    ("importance_accumulator", |c| emit(ImportanceAccumulator::new(c))),
];

fn probability_bits(config: &ArchConfig) -> usize {
    Formats::new(config).probability.width() as usize
}

/// Names that [`block`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    BLOCKS.iter().map(|(name, _)| *name)
}

/// Verilog of a block at the size that a configuration gives it; `None` where there is no such block.
///
/// # Errors
/// Where its kernel cannot be printed: a defect of the block.
pub fn block(name: &str, config: &ArchConfig) -> Option<Result<Design, EmitError>> {
    BLOCKS.iter().find(|(n, _)| *n == name).map(|(_, build)| build(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_printed_in_every_configuration() {
        for name in names() {
            for config in ArchConfig::NAMES {
                let design = block(name, &ArchConfig::named(config).unwrap()).unwrap();
                let design = design.unwrap_or_else(|e| panic!("{name} {config}: {e}"));
                assert!(design.ports.iter().any(|p| p.name == "clock"), "{name}");
            }
        }
        assert!(block("nothing", &ArchConfig::tiny()).is_none());
    }
}
