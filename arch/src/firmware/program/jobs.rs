//! Jobs that are no layer.

use super::check::offset;
use super::{CONTEXT, DETAIL, DIRTY, Firmware, HERE, INNER, KEYS_SENT, LINK, LOADED, QUERIES_SENT, RESULT, Word};
use crate::descriptor::{Importance, Job, Mode, Opcode, Status};
use crate::firmware::names::{Field, Pop, Port, Push};
use crate::token_store::{Op, scan_bit};

/// Number of a command to `importance_accumulator`.
pub(super) const CLEAR: u64 = 1;
pub(super) const DECAY: u64 = 2;
pub(super) const READ: u64 = 3;
pub(super) const LOAD: u64 = 4;

impl Firmware {
    /// A relation does not hold: the fault is of the job's field.
    fn malformed(&mut self, opcode: Opcode, name: &str) {
        let detail = offset(Job::fields(opcode), name) as u64;
        self.fail(Status::Malformed, detail);
    }

    /// Gives `token_store` a command over tokens (registers) and waits for its end; `E` and `F` are set before. Uses 13.
    pub(super) fn store(&mut self, op: Op, listed: bool, from: u8, to: u8) {
        self.start_store(op, listed, from, to);
        self.a.pop(Pop::StoreDone.at());
    }

    /// The same without waiting.
    pub(super) fn start_store(&mut self, op: Op, listed: bool, from: u8, to: u8) {
        self.a.set(13, op as u64);
        self.out(Field::A, 13);
        self.a.set(13, listed.into());
        self.out(Field::B, 13);
        self.out(Field::C, from);
        self.out(Field::D, to);
        self.push(Push::Store);
    }

    /// Gives `importance_accumulator` a command; `count` is a register, `D` is set before. Uses 13.
    pub(super) fn command(&mut self, op: u64, flags: u8, count: u8) {
        self.a.set(13, op);
        self.out(Field::A, 13);
        self.out(Field::B, flags);
        self.out(Field::C, count);
        self.push(Push::Command);
    }

    /// `d` = the smaller of two registers.
    fn least(&mut self, d: u8, a: u8, b: u8) {
        let (first, end) = (self.a.label(), self.a.label());
        self.a.if_less(a, b, first);
        self.a.copy(d, b);
        self.a.jump(end);
        self.a.here(first);
        self.a.copy(d, a);
        self.a.here(end);
    }

    /// Sets flags for a step, and the list. 1: the current token, 2: whether it joins, 3: whether all real ones are left again.
    fn scan(&mut self) {
        self.a.shift_left(4, 1, 32);
        for (register, bit) in [(2, scan_bit::JOINS), (3, scan_bit::RESELECT)] {
            self.a.shift_left(5, register, bit as u16);
            self.a.or(4, 4, 5);
        }
        self.context(5, Word::PinCurrent);
        self.a.shift_left(5, 5, scan_bit::PIN_CURRENT as u16);
        self.a.or(4, 4, 5);
        self.a.set(5, 1 << scan_bit::SETS);
        self.a.or(4, 4, 5);
        self.context(5, Word::PinFirst);
        self.a.or(4, 4, 5);
        // Real tokens before the last ones: those from there on are pinned.
        let (some, given) = (self.a.label(), self.a.label());
        self.a.set(6, 0xffff);
        self.context(5, Word::PinLast);
        self.a.if_equal(5, 0, given);
        self.a.set(6, 0);
        self.context(7, Word::Real);
        self.a.if_less(5, 7, some);
        self.a.jump(given);
        self.a.here(some);
        self.a.sub(6, 7, 5);
        self.a.here(given);
        self.a.shift_left(6, 6, 16);
        self.a.or(4, 4, 6);
        self.out(Field::E, 4);
        self.context(5, Word::Tokens);
        self.start_store(Op::Scan, false, 0, 5);
        self.a.wait(Pop::StoreDone.at());
        self.look(5, Port::StoreCount);
        self.a.pop(Pop::StoreDone.at());
        self.set_context(Word::Left, 5);
        self.a.set(KEYS_SENT, 0);
        self.a.set(QUERIES_SENT, 0);
        self.a.set(LOADED, 0);
        self.a.set(DIRTY, 0);
    }

    /// All heads are left, layer 0 is next; `RESULT` says what is left.
    fn fresh_heads(&mut self) {
        self.context(1, Word::Heads);
        self.set_context(Word::HeadsLeft, 1);
        self.ones(2, 3, 1);
        self.set_context(Word::AliveLow, 2);
        self.set_context(Word::AliveHigh, 3);
        self.set_context(Word::NextLayer, 0);
        self.result();
    }

    /// `low`, `high` = as many ones as register `count` says, up to 128. Uses 4, 5.
    fn ones(&mut self, low: u8, high: u8, count: u8) {
        let (less, full, end) = (self.a.label(), self.a.label(), self.a.label());
        self.a.add_n(4, 0, -1);
        self.a.set(5, 64);
        self.a.if_less(count, 5, less);
        self.a.copy(low, 4);
        self.a.sub(5, count, 5);
        self.a.set(high, 64);
        self.a.if_equal(5, high, full);
        self.a.shift_left_by(high, 4, 5);
        self.a.xor(high, high, 4);
        self.a.jump(end);
        self.a.here(full);
        self.a.copy(high, 4);
        self.a.jump(end);
        self.a.here(less);
        self.a.shift_left_by(low, 4, count);
        self.a.xor(low, low, 4);
        self.a.set(high, 0);
        self.a.here(end);
    }

    /// `RESULT` = tokens and heads that are left. Uses 1, 2.
    pub(super) fn result(&mut self) {
        self.context(1, Word::Left);
        self.context(2, Word::HeadsLeft);
        self.a.shift_left(2, 2, 16);
        self.a.or(RESULT, 1, 2);
    }

    /// `CONTEXT` = the job's. 1: its number.
    pub(super) fn job_context(&mut self, opcode: Opcode) {
        self.job_field(1, opcode, "context");
        let find = self.parts.find_context;
        self.a.call(LINK, find);
    }

    pub(super) fn begin(&mut self) {
        let (opcode, otherwise, done) = (Opcode::Begin, self.a.label(), self.parts.done);
        self.opcode(opcode, otherwise);
        self.check_job(opcode);
        // Heads share keys and values in groups of one size.
        self.job_field(1, opcode, "heads");
        self.job_field(2, opcode, "kv_heads");
        self.a.set(3, 0);
        let (divide, divided, ok) = (self.a.begin(), self.a.label(), self.a.label());
        self.a.if_less(1, 2, divided);
        self.a.sub(1, 1, 2);
        self.a.add_n(3, 3, 1);
        self.a.jump(divide);
        self.a.here(divided);
        self.a.if_equal(1, 0, ok);
        self.malformed(opcode, "kv_heads");
        self.a.here(ok);
        let (bad, ok) = (self.a.label(), self.a.label());
        self.job_field(1, opcode, "rows");
        self.job_field(2, opcode, "tokens");
        self.a.if_less(2, 1, bad);
        self.a.if_equal(1, 2, ok);
        self.job_field(4, opcode, "mode");
        self.a.set(5, Mode::Encoder as u64);
        self.a.if_different(4, 5, ok);
        self.a.here(bad);
        self.malformed(opcode, "rows");
        self.a.here(ok);

        // A context that is free.
        self.job_field(1, opcode, "context");
        self.a.shift_left(CONTEXT, 1, super::CONTEXT_LEVEL);
        self.a.add_n(CONTEXT, CONTEXT, super::CONTEXTS_AT as i16);
        let free = self.a.label();
        self.context(1, Word::Exists);
        self.a.if_equal(1, 0, free);
        let detail = offset(Job::fields(opcode), "context") as u64;
        self.fail(Status::ContextExists, detail);
        self.a.here(free);
        self.a.copy(15, 3);
        let save = self.parts.save;
        self.a.call(LINK, save);
        self.set_context(Word::Group, 15);
        self.a.set(1, 1);
        self.set_context(Word::Exists, 1);
        for (word, name) in [
            (Word::Mode, "mode"),
            (Word::Heads, "heads"),
            (Word::Dim, "dim"),
            (Word::Importance, "importance"),
            (Word::Tokens, "tokens"),
            (Word::Rows, "rows"),
            (Word::KvOnly, "kv_only"),
            (Word::Evict, "evict"),
            (Word::PinCurrent, "pin_current"),
            (Word::Gamma, "gamma"),
            (Word::PinFirst, "pin_first"),
            (Word::PinLast, "pin_last"),
            (Word::Storage, "storage"),
        ] {
            self.job_field(1, opcode, name);
            self.set_context(word, 1);
        }
        self.set_context(Word::Steps, 0);
        self.set_context(Word::Joined, 0);
        self.job_field(1, opcode, "context");
        self.a.add_n(HERE, 1, 1);

        // Tokens, 64 at a time: 8 is the first, 9 those that are there, 10 how many are real, 15 the number of the piece.
        self.context(9, Word::Tokens);
        let encoder = self.a.label();
        self.context(1, Word::Mode);
        self.a.set(2, Mode::Decode as u64);
        self.a.if_different(1, 2, encoder);
        self.context(1, Word::Rows);
        self.a.sub(9, 9, 1);
        self.a.here(encoder);
        self.a.set(8, 0);
        self.a.set(10, 0);
        self.a.set(15, 0);
        let pieces = self.a.begin();
        let (all, known, clip) = (self.a.label(), self.a.label(), self.a.label());
        let read_element = self.parts.read_element;
        self.job_field(1, opcode, "padded");
        self.a.if_equal(1, 0, all);
        self.job_field(2, opcode, "real_map");
        self.a.copy(1, 15);
        self.a.call(LINK, read_element);
        self.a.copy(11, 1);
        self.a.jump(known);
        self.a.here(all);
        self.a.add_n(11, 0, -1);
        self.a.here(known);
        // Of the tokens that are there.
        self.a.set(1, 0);
        self.a.if_not_less(8, 9, clip);
        self.a.sub(2, 9, 8);
        self.a.set(3, 64);
        self.a.add_n(1, 0, -1);
        self.a.if_not_less(2, 3, clip);
        self.a.shift_left_by(3, 1, 2);
        self.a.xor(1, 3, 1);
        self.a.here(clip);
        self.a.and(11, 11, 1);
        self.a.set(12, 0);
        let unpinned = self.a.label();
        self.job_field(1, opcode, "pinned");
        self.a.if_equal(1, 0, unpinned);
        self.job_field(2, opcode, "pin_map");
        self.a.copy(1, 15);
        self.a.call(LINK, read_element);
        self.a.copy(12, 1);
        self.a.here(unpinned);
        self.out(Field::E, 11);
        self.out(Field::F, 12);
        self.context(1, Word::Tokens);
        self.a.add_n(2, 8, 64);
        self.least(2, 2, 1);
        self.start_store(Op::Init, false, 8, 2);
        self.a.wait(Pop::StoreDone.at());
        self.look(3, Port::StoreCount);
        self.a.pop(Pop::StoreDone.at());
        self.a.add(10, 10, 3);
        self.a.add_n(8, 8, 64);
        self.a.add_n(15, 15, 1);
        self.context(1, Word::Tokens);
        self.a.if_less(8, 1, pieces);
        self.set_context(Word::Real, 10);
        self.a.set(1, 0xffff);
        self.a.set(2, 0);
        self.a.set(3, 1);
        self.scan();
        self.context(1, Word::Heads);
        self.a.set(2, 1);
        self.command(CLEAR, 2, 1);
        self.a.pop(Pop::Done.at());
        self.fresh_heads();
        self.a.jump(done);
        self.a.here(otherwise);
    }

    pub(super) fn end(&mut self) {
        let (opcode, otherwise, done) = (Opcode::End, self.a.label(), self.parts.done);
        self.opcode(opcode, otherwise);
        self.check_job(opcode);
        self.job_context(opcode);
        self.set_context(Word::Exists, 0);
        self.a.add_n(1, 1, 1);
        self.a.if_different(1, HERE, done);
        self.a.set(HERE, 0);
        self.a.jump(done);
        self.a.here(otherwise);
    }

    pub(super) fn step(&mut self) {
        let (opcode, otherwise, done) = (Opcode::Step, self.a.label(), self.parts.done);
        self.opcode(opcode, otherwise);
        self.check_job(opcode);
        self.job_context(opcode);
        let (bad, ok) = (self.a.label(), self.a.label());
        self.context(2, Word::Mode);
        self.a.set(3, Mode::Decode as u64);
        self.a.if_different(2, 3, bad);
        self.context(2, Word::Steps);
        self.context(3, Word::Rows);
        self.a.if_less(2, 3, ok);
        self.a.here(bad);
        self.fail(Status::BadSequence, 0);
        self.a.here(ok);
        let (turn_to, save_importance) = (self.parts.turn_to, self.parts.save_importance);
        self.a.call(LINK, turn_to);
        self.a.call(INNER, save_importance);

        // The current token is 8; how many tokens a step sees, 9.
        self.context(8, Word::Tokens);
        self.context(1, Word::Rows);
        self.a.sub(8, 8, 1);
        self.context(1, Word::Steps);
        self.a.add(8, 8, 1);
        self.a.add_n(9, 8, 1);
        let still = self.a.label();
        self.a.if_equal(1, 0, still);
        self.context(1, Word::Importance);
        self.a.set(2, Importance::Decay as u64);
        self.a.if_different(1, 2, still);
        self.start_store(Op::Load, false, 0, 9);
        self.command(LOAD, 0, 9);
        self.a.pop(Pop::Done.at());
        self.a.pop(Pop::StoreDone.at());
        self.context(1, Word::Gamma);
        self.out(Field::D, 1);
        self.command(DECAY, 0, 9);
        self.a.pop(Pop::Done.at());
        self.start_store(Op::Save, false, 0, 9);
        self.a.set(1, 0);
        self.out(Field::ReadToSelect, 1);
        self.command(READ, 0, 9);
        self.a.pop(Pop::Done.at());
        self.a.pop(Pop::StoreDone.at());
        self.a.here(still);

        self.job_field(2, opcode, "joins");
        self.set_context(Word::Joined, 2);
        self.context(1, Word::Real);
        self.a.add(1, 1, 2);
        self.set_context(Word::Real, 1);
        // All real tokens, where none is gone for good: also in the first step.
        let (kept, known) = (self.a.label(), self.a.label());
        self.a.set(3, 1);
        self.context(1, Word::Steps);
        self.a.if_equal(1, 0, known);
        self.context(1, Word::Evict);
        self.a.if_different(1, 0, kept);
        self.a.jump(known);
        self.a.here(kept);
        self.a.set(3, 0);
        self.a.here(known);
        self.context(1, Word::Steps);
        self.a.add_n(1, 1, 1);
        self.set_context(Word::Steps, 1);
        self.a.copy(1, 8);
        self.scan();
        self.fresh_heads();
        self.a.jump(done);
        self.a.here(otherwise);
    }

    pub(super) fn read_state(&mut self) {
        let (opcode, otherwise, done) = (Opcode::ReadState, self.a.label(), self.parts.done);
        self.opcode(opcode, otherwise);
        self.check_job(opcode);
        self.job_context(opcode);
        let (turn_to, save_importance, write_state) =
            (self.parts.turn_to, self.parts.save_importance, self.parts.write_state);
        let read_heads = self.parts.read_heads;
        self.a.call(LINK, turn_to);
        self.a.call(INNER, save_importance);
        self.a.call(INNER, read_heads);
        self.job_field(10, opcode, "state");
        self.a.call(LINK, write_state);
        self.a.jump(done);
        self.a.here(otherwise);
    }

    /// Copies, a word at a time.
    pub(super) fn copy(&mut self) {
        for opcode in [Opcode::CopyIn, Opcode::CopyOut] {
            let (otherwise, done) = (self.a.label(), self.parts.done);
            self.opcode(opcode, otherwise);
            self.check_job(opcode);
            for name in ["host", "bytes"] {
                let (bad, ok) = (self.a.label(), self.a.label());
                self.job_field(1, opcode, name);
                self.a.field(2, 1, 0, 6);
                self.a.if_different(2, 0, bad);
                if name == "host" {
                    self.a.jump(ok);
                } else {
                    self.a.if_different(1, 0, ok);
                }
                self.a.here(bad);
                self.malformed(opcode, name);
                self.a.here(ok);
            }
            // Words left 1, host address 2, card address 3, number of the word 4.
            let (bytes, per) = (self.word_bytes(), self.elements());
            self.job_field(1, opcode, "bytes");
            self.a.shift_right(1, 1, bytes.ilog2() as u16);
            self.job_field(2, opcode, "host");
            self.job_field(3, opcode, "card");
            self.a.set(4, 0);
            self.out_all_bytes();
            let next = self.a.begin();
            let (from, read) = match opcode {
                Opcode::CopyIn => (Pop::HostWord, Push::HostRead),
                _ => (Pop::Word, Push::Read),
            };
            if opcode == Opcode::CopyIn {
                self.out(Field::B, 2);
            } else {
                self.out_place(4, 3);
            }
            self.push(read);
            self.a.wait(from.at());
            for element in 0..per {
                let (seen, field) = (self.seen_data() + element, self.data() + element);
                self.a.input(5, seen);
                self.a.out(field, 5);
            }
            self.a.pop(from.at());
            if opcode == Opcode::CopyIn {
                self.out_place(4, 3);
                self.push(Push::Write);
            } else {
                self.out(Field::B, 2);
                self.push(Push::HostWrite);
                self.a.pop(Pop::HostWritten.at());
            }
            self.a.add_n(2, 2, bytes as i16);
            self.a.add_n(4, 4, 1);
            self.a.if_less(4, 1, next);
            if opcode == Opcode::CopyIn {
                self.flush();
            }
            self.a.jump(done);
            self.a.here(otherwise);
        }
        // Anything else is none, or is not done yet.
        self.fail(Status::BadOpcode, 0);
    }

    /// Waits until what was written is there; a channel that failed is a fault. Uses 1, 2.
    pub(super) fn flush(&mut self) {
        self.push(Push::Flush);
        self.a.wait(Pop::Written.at());
        self.look(1, Port::WriteErrors);
        self.a.pop(Pop::Written.at());
        let ok = self.a.label();
        self.a.if_equal(1, 0, ok);
        self.a.set(DETAIL, 0);
        let (next, found) = (self.a.begin(), self.a.label());
        self.a.field(2, 1, 0, 1);
        self.a.if_different(2, 0, found);
        self.a.shift_right(1, 1, 1);
        self.a.add_n(DETAIL, DETAIL, 1);
        self.a.jump(next);
        self.a.here(found);
        self.a.set(super::STATUS, Status::MemoryError as u64);
        let fault = self.parts.fault;
        self.a.jump(fault);
        self.a.here(ok);
    }
}
