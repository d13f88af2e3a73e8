//! The job that everything is for.

use super::check::offset;
use super::jobs::READ;
use super::{
    DETAIL, DIRTY, FACTORS, Firmware, HEADS, INNER, KEYS_SENT, LINK, LOADED, PARAMETERS, QUERIES_SENT, QUERY_COUNT,
    Word,
};
use crate::content::Content;
use crate::descriptor::{HeadFactors, Importance, Job, Mode, Opcode, PARAMETER_BYTES, Status, refetched_stride};
use crate::firmware::names::{Field, Pop, Port, Push};
use crate::token_store::{Op, QUERIES_REAL_BIT};

const OPCODE: Opcode = Opcode::Layer;
/// Rows that were computed again; nothing that a layer does afterwards uses it.
const FLAT: u8 = 15;

impl Firmware {
    pub(super) fn layer(&mut self) {
        let (otherwise, done) = (self.a.label(), self.parts.done);
        self.opcode(OPCODE, otherwise);
        self.check_job(OPCODE);
        self.job_context(OPCODE);
        self.turn();
        self.parameters();
        let turn_to = self.parts.turn_to;
        self.a.call(LINK, turn_to);
        let load_importance = self.parts.load_importance;
        self.a.call(INNER, load_importance);
        self.offer();
        self.lists();
        self.factors();
        self.a.pop(Pop::Done.at());
        self.look(FLAT, Port::FlatRows);
        self.a.set(DIRTY, 1);
        self.flush();
        self.context(1, Word::NextLayer);
        self.a.add_n(1, 1, 1);
        self.set_context(Word::NextLayer, 1);
        self.tokens();
        self.heads();
        self.result();
        self.a.copy(DETAIL, FLAT);
        self.a.jump(done);
        self.a.here(otherwise);
    }

    /// Whether it is this layer's turn.
    fn turn(&mut self) {
        let (bad, ok) = (self.a.label(), self.a.label());
        self.job_field(1, OPCODE, "layer");
        self.context(2, Word::NextLayer);
        self.a.if_different(1, 2, bad);
        self.context(1, Word::Mode);
        self.a.set(2, Mode::Decode as u64);
        self.a.if_different(1, 2, ok);
        self.context(1, Word::Steps);
        self.a.if_different(1, 0, ok);
        self.a.here(bad);
        let detail = offset(Job::fields(OPCODE), "layer") as u64;
        self.fail(Status::BadSequence, detail);
        self.a.here(ok);
    }

    /// Reads and checks parameters and factors.
    fn parameters(&mut self) {
        let (read_words, per) = (self.parts.read_words, self.elements());
        self.a.set(1, 0);
        self.job_field(2, OPCODE, "parameters");
        self.a.set(3, (PARAMETER_BYTES / self.word_bytes()) as u64);
        self.a.set(4, PARAMETERS as u64);
        self.a.call(INNER, read_words);
        self.check_parameters();
        // A head's factors are 8 bytes; words are read as a whole.
        self.a.set(1, (PARAMETER_BYTES / self.word_bytes()) as u64);
        self.job_field(2, OPCODE, "parameters");
        self.context(3, Word::Heads);
        self.a.add_n(3, 3, per as i16 - 1);
        self.a.shift_right(3, 3, per.ilog2() as u16);
        self.a.set(4, FACTORS as u64);
        self.a.call(INNER, read_words);
        // 3: the head, 4: how many, 5: the byte for a fault.
        self.a.set(3, 0);
        self.context(4, Word::Heads);
        self.a.set(5, 256 + PARAMETER_BYTES as u64);
        let next = self.a.begin();
        let (bad, ok) = (self.a.label(), self.a.label());
        self.a.load(1, 3, FACTORS);
        for field in HeadFactors::FIELDS {
            self.a.field(2, 1, 8 * field.offset as u32 + 24, 8);
            self.a.copy(DETAIL, 5);
            if field.offset > 0 {
                self.a.add_n(DETAIL, DETAIL, field.offset as i16);
            }
            self.a.if_different(2, 0, bad);
        }
        self.a.jump(ok);
        self.a.here(bad);
        self.a.set(super::STATUS, Status::Malformed as u64);
        let fault = self.parts.fault;
        self.a.jump(fault);
        self.a.here(ok);
        self.a.add_n(5, 5, 8);
        self.a.add_n(3, 3, 1);
        self.a.if_less(3, 4, next);
    }

    /// Gives the sequencer the layer.
    fn offer(&mut self) {
        // Lists that it does not have; a step's query may be any row.
        let known = self.a.label();
        self.context(1, Word::Mode);
        self.a.set(2, Mode::Decode as u64);
        self.a.if_different(1, 2, known);
        self.a.set(QUERIES_SENT, 0);
        self.a.here(known);
        self.a.set(1, 1);
        self.a.xor(2, KEYS_SENT, 1);
        self.a.xor(3, QUERIES_SENT, 1);
        self.a.shift_left(3, 3, 1);
        self.a.or(2, 2, 3);
        self.out(Field::NewLists, 2);
        for (field, word) in [(Field::Dim, Word::Dim), (Field::Heads, Word::Heads), (Field::Group, Word::Group)] {
            self.context(1, word);
            self.out(field, 1);
        }
        // Heads.
        let (own, given) = (self.a.label(), self.a.label());
        self.parameter(1, "masked");
        self.a.if_equal(1, 0, own);
        self.parameter(6, "head_mask_low");
        self.parameter(7, "head_mask_high");
        self.a.jump(given);
        self.a.here(own);
        self.context(6, Word::AliveLow);
        self.context(7, Word::AliveHigh);
        self.a.here(given);
        self.out(Field::MaskLow, 6);
        self.out(Field::MaskHigh, 7);
        self.a.or(8, 6, 7);
        // Kinds.
        let (plain, causal) = (self.a.label(), self.a.label());
        self.parameter(1, "scaled");
        self.a.shift_left(1, 1, 1);
        self.context(2, Word::Mode);
        self.a.set(3, Mode::Causal as u64);
        self.a.if_different(2, 3, causal);
        self.a.add_n(1, 1, 1);
        self.a.here(causal);
        self.context(2, Word::Importance);
        self.a.set(3, Importance::ValueWeighted as u64);
        self.a.if_different(2, 3, plain);
        self.a.add_n(1, 1, 4);
        self.a.here(plain);
        self.out(Field::Kind, 1);
        self.context(1, Word::Tokens);
        self.context(2, Word::Rows);
        self.a.sub(1, 1, 2);
        self.out(Field::FirstRow, 1);
        self.job_field(1, OPCODE, "keep_values");
        self.out(Field::Share, 1);
        for (field, name) in [
            (Field::Progressive, "progressive"),
            (Field::Threshold, "threshold_inverse"),
            (Field::Split, "split"),
            (Field::BitsK, "k_msb"),
            (Field::BitsV, "v_msb"),
            (Field::BitsQ, "q_msb"),
            (Field::LsbsK, "k_lsb"),
            (Field::LsbsV, "v_lsb"),
            (Field::LsbsQ, "q_lsb"),
        ] {
            self.parameter(1, name);
            self.out(field, 1);
        }
        for content in Content::ALL {
            let name = match content {
                Content::Keys => "k_msb",
                Content::KeyScales => "k_scale",
                Content::Values => "v_msb",
                Content::ValueScales => "v_scale",
                Content::Norms => "norm",
                Content::Queries => "q_msb",
                Content::QueryScales => "q_scale",
                Content::KeyLsbs => "k_lsb",
                Content::ValueLsbs => "v_lsb",
                Content::QueryLsbs => "q_lsb",
            };
            self.parameter(1, &format!("{name}_base"));
            self.a.out(Field::Base0.at() + content as usize, 1);
            self.parameter(1, &format!("{name}_stride"));
            self.a.out(Field::Stride0.at() + content as usize, 1);
        }
        self.job_field(1, OPCODE, "output");
        self.out(Field::Base10, 1);
        self.job_field(1, OPCODE, "output_stride");
        self.out(Field::Stride10, 1);
        self.push(Push::Layer);
    }

    /// And its lists. Leaves in 9 how many queries there are, in 8 whether there are heads.
    fn lists(&mut self) {
        let sent = self.a.label();
        self.a.if_different(KEYS_SENT, 0, sent);
        self.context(1, Word::Left);
        self.store(Op::Keys, true, 0, 1);
        self.a.set(KEYS_SENT, 1);
        self.a.here(sent);
        let (sent, pruned, full, end) = (self.a.label(), self.a.label(), self.a.label(), self.a.label());
        self.context(1, Word::Mode);
        self.a.set(2, Mode::Decode as u64);
        self.a.if_different(1, 2, pruned);
        // A step's own row, if it is a query.
        let none = self.a.label();
        self.a.set(1, 0);
        self.a.set(2, 0);
        self.out(Field::E, 2);
        self.context(9, Word::Joined);
        self.a.if_equal(9, 0, none);
        self.job_field(1, OPCODE, "query");
        self.a.add_n(2, 1, 1);
        self.a.here(none);
        self.store(Op::Queries, false, 1, 2);
        self.a.jump(end);
        self.a.here(pruned);
        self.a.if_different(QUERIES_SENT, 0, sent);
        self.context(1, Word::Tokens);
        self.context(2, Word::Rows);
        self.a.sub(1, 1, 2);
        self.a.shift_left(2, 1, 16);
        self.a.or(3, 1, 2);
        self.context(4, Word::KvOnly);
        self.a.if_equal(4, 0, full);
        // All real tokens are queries.
        self.a.set(2, 1 << QUERIES_REAL_BIT);
        self.a.or(3, 3, 2);
        self.out(Field::E, 3);
        self.context(1, Word::Tokens);
        self.start_store(Op::Queries, false, 0, 1);
        let wait = self.a.label();
        self.a.jump(wait);
        self.a.here(full);
        self.out(Field::E, 3);
        self.context(1, Word::Left);
        self.start_store(Op::Queries, true, 0, 1);
        self.a.here(wait);
        self.a.wait(Pop::StoreDone.at());
        self.look(9, Port::StoreCount);
        self.a.pop(Pop::StoreDone.at());
        self.a.set(QUERIES_SENT, 1);
        self.a.store(0, QUERY_COUNT, 9);
        self.a.here(sent);
        self.a.load(9, 0, QUERY_COUNT);
        self.a.here(end);
    }

    /// Factors of all heads, where something is computed.
    fn factors(&mut self) {
        let nothing = self.a.label();
        self.a.if_equal(8, 0, nothing);
        self.a.if_equal(9, 0, nothing);
        // Which rows are computed again: only then do verdicts come.
        let (plain, told) = (self.a.label(), self.a.label());
        self.parameter(6, "progressive");
        self.a.if_equal(6, 0, plain);
        self.job_field(1, OPCODE, "write_refetched");
        self.out(Field::A, 1);
        self.job_field(1, OPCODE, "refetched");
        self.out(Field::B, 1);
        let stride = refetched_stride(&self.config);
        self.a.set(1, stride.into());
        self.out(Field::C, 1);
        self.out(Field::D, 9);
        self.push(Push::Map);
        self.a.here(plain);
        self.a.set(3, 0);
        self.context(4, Word::Heads);
        let next = self.a.begin();
        self.a.load(1, 3, FACTORS);
        self.out(Field::A, 1);
        self.a.shift_right(1, 1, 32);
        self.out(Field::B, 1);
        self.push(Push::Factor);
        self.a.add_n(3, 3, 1);
        self.a.if_less(3, 4, next);
        self.a.if_equal(6, 0, told);
        self.a.pop(Pop::MapDone.at());
        self.a.here(told);
        self.a.here(nothing);
    }

    /// Who goes on.
    fn tokens(&mut self) {
        let end = self.a.label();
        let save_importance = self.parts.save_importance;
        self.job_field(6, OPCODE, "keep_tokens");
        self.context(7, Word::Left);
        self.a.if_not_less(6, 7, end);
        self.a.call(INNER, save_importance);
        // Ranks, pinned ones first of all.
        self.out(Field::A, 6);
        self.push(Push::Select);
        self.store(Op::Candidates, true, 0, 7);
        self.a.set(1, 1);
        self.out(Field::ReadToSelect, 1);
        self.context(2, Word::Importance);
        self.a.set(3, Importance::Mean as u64);
        let sum = self.a.label();
        self.a.set(1, 0);
        self.a.if_different(2, 3, sum);
        self.a.set(1, 2);
        self.a.here(sum);
        self.command(READ, 1, 7);
        self.context(2, Word::Tokens);
        self.start_store(Op::Take, false, 0, 2);
        self.a.pop(Pop::Done.at());
        self.a.wait(Pop::StoreDone.at());
        self.look(1, Port::StoreCount);
        self.a.pop(Pop::StoreDone.at());
        self.set_context(Word::Left, 1);
        self.a.set(LOADED, 0);
        self.a.set(KEYS_SENT, 0);
        self.context(1, Word::KvOnly);
        self.a.if_different(1, 0, end);
        self.a.set(QUERIES_SENT, 0);
        self.a.here(end);
    }

    /// Which heads go on; and the state block.
    fn heads(&mut self) {
        let (needed, next, end) = (self.a.label(), self.a.label(), self.a.label());
        let (read_heads, save_importance, write_state) =
            (self.parts.read_heads, self.parts.save_importance, self.parts.write_state);
        let selected = self.a.label();
        self.job_field(6, OPCODE, "keep_heads");
        self.context(7, Word::HeadsLeft);
        self.a.if_less(6, 7, needed);
        self.job_field(1, OPCODE, "write_state");
        self.a.if_equal(1, 0, end);
        self.a.here(needed);
        self.a.call(INNER, read_heads);
        // The least important of those that are left goes, of equals the last, until so many are left.
        self.a.here(next);
        self.job_field(6, OPCODE, "keep_heads");
        self.context(7, Word::HeadsLeft);
        self.a.if_not_less(6, 7, selected);
        self.a.add_n(8, 0, -1);
        self.a.set(3, 0);
        self.context(4, Word::Heads);
        let (look, skip, low) = (self.a.begin(), self.a.label(), self.a.label());
        self.context(1, Word::AliveLow);
        self.a.set(2, 64);
        self.a.if_less(3, 2, low);
        self.context(1, Word::AliveHigh);
        self.a.here(low);
        self.a.shift_right_by(1, 1, 3);
        self.a.field(1, 1, 0, 1);
        self.a.if_equal(1, 0, skip);
        self.a.load(1, 3, HEADS);
        self.a.if_less(8, 1, skip);
        self.a.copy(8, 1);
        self.a.copy(9, 3);
        self.a.here(skip);
        self.a.add_n(3, 3, 1);
        self.a.if_less(3, 4, look);
        self.a.set(1, 1);
        self.a.shift_left_by(1, 1, 9);
        let high = self.a.label();
        let removed = self.a.label();
        self.a.set(2, 64);
        self.a.if_not_less(9, 2, high);
        self.context(2, Word::AliveLow);
        self.a.xor(2, 2, 1);
        self.set_context(Word::AliveLow, 2);
        self.a.jump(removed);
        self.a.here(high);
        self.context(2, Word::AliveHigh);
        self.a.xor(2, 2, 1);
        self.set_context(Word::AliveHigh, 2);
        self.a.here(removed);
        self.a.add_n(7, 7, -1);
        self.set_context(Word::HeadsLeft, 7);
        self.a.jump(next);
        self.a.here(selected);
        self.job_field(1, OPCODE, "write_state");
        self.a.if_equal(1, 0, end);
        self.a.call(INNER, save_importance);
        self.job_field(10, OPCODE, "state");
        self.a.call(LINK, write_state);
        self.a.here(end);
    }
}
