//! What outlives a job: contexts in and out, state blocks; and the subroutines that they share.

use super::jobs::{LOAD, READ};
use super::{CONTEXT, DIRTY, Firmware, HEADS, HERE, INNER, INNERMOST, KEYS_SENT, LINK, LOADED, QUERIES_SENT, Word};
use crate::descriptor::{STATE_HEADER_BYTES, StateLayout, Status};
use crate::firmware::names::{Field, Pop, Port, Push};
use crate::token_store::Op;

impl Firmware {
    pub(super) fn subroutines(&mut self) {
        self.read_words();
        self.read_element();
        self.find_context();
        self.save_importance();
        self.load_importance();
        self.read_heads();
        self.write_state();
        self.save();
        self.turn_to();
    }

    /// Words of card memory to scratch: 1 the first's number, 2 the block's address, 3 how many, 4 the scratch address. Uses 5, 14. `INNER`
    fn read_words(&mut self) {
        let (here, per) = (self.parts.read_words, self.elements());
        self.a.here(here);
        self.out_place(1, 2);
        self.push(Push::Read);
        self.a.wait(Pop::Word.at());
        for element in 0..per {
            let port = self.seen_data() + element;
            self.a.input(5, port);
            self.a.store(4, element, 5);
        }
        self.a.pop(Pop::Word.at());
        self.a.add_n(1, 1, 1);
        self.a.add_n(4, 4, per as i16);
        self.a.add_n(3, 3, -1);
        self.a.if_different(3, 0, here);
        self.a.give_back(INNER);
    }

    /// 1 = 8 bytes of card memory: 1 their number, 2 the block's address. Uses 3, 4, 5, 14. `LINK`
    fn read_element(&mut self) {
        let (here, per) = (self.parts.read_element, self.elements());
        self.a.here(here);
        self.a.shift_right(3, 1, per.ilog2() as u16);
        self.out_place(3, 2);
        self.a.set(4, per as u64 - 1);
        self.a.and(4, 1, 4);
        self.push(Push::Read);
        self.a.wait(Pop::Word.at());
        let end = self.a.label();
        for element in 0..per {
            let port = self.seen_data() + element;
            self.a.input(1, port);
            self.a.set(5, element as u64);
            self.a.if_equal(4, 5, end);
        }
        self.a.here(end);
        self.a.pop(Pop::Word.at());
        self.a.give_back(LINK);
    }

    /// `CONTEXT` = that of number 1, which exists. `LINK`
    fn find_context(&mut self) {
        let here = self.parts.find_context;
        self.a.here(here);
        self.a.shift_left(CONTEXT, 1, super::CONTEXT_LEVEL);
        self.a.add_n(CONTEXT, CONTEXT, super::CONTEXTS_AT as i16);
        let ok = self.a.label();
        self.context(2, Word::Exists);
        self.a.if_different(2, 0, ok);
        // Every job has its context at this byte.
        self.fail(Status::BadContext, 4);
        self.a.here(ok);
        self.a.give_back(LINK);
    }

    /// `token_store` = the sums, where they are newer. Uses 1, 2. `INNER`
    fn save_importance(&mut self) {
        let here = self.parts.save_importance;
        self.a.here(here);
        let (end, none) = (self.a.label(), self.a.label());
        self.a.if_equal(DIRTY, 0, end);
        self.context(1, Word::Left);
        self.a.if_equal(1, 0, none);
        self.a.set(2, 0);
        self.out(Field::ReadToSelect, 2);
        self.start_store(Op::Save, true, 0, 1);
        self.command(READ, 0, 1);
        self.a.pop(Pop::Done.at());
        self.a.pop(Pop::StoreDone.at());
        self.a.here(none);
        self.a.set(DIRTY, 0);
        self.a.here(end);
        self.a.give_back(INNER);
    }

    /// Sums = those of the tokens of the list, where they are not there. Uses 1. `INNER`
    fn load_importance(&mut self) {
        let here = self.parts.load_importance;
        self.a.here(here);
        let (end, none) = (self.a.label(), self.a.label());
        self.a.if_different(LOADED, 0, end);
        self.context(1, Word::Left);
        self.a.if_equal(1, 0, none);
        self.start_store(Op::Load, true, 0, 1);
        self.command(LOAD, 0, 1);
        self.a.pop(Pop::Done.at());
        self.a.pop(Pop::StoreDone.at());
        self.a.here(none);
        self.a.set(LOADED, 1);
        self.a.here(end);
        self.a.give_back(INNER);
    }

    /// Scratch = importances of all heads. Uses 1 to 4. `INNER`
    fn read_heads(&mut self) {
        let here = self.parts.read_heads;
        self.a.here(here);
        self.context(1, Word::Heads);
        self.a.set(2, 1);
        self.command(READ, 2, 1);
        self.a.set(3, 0);
        let next = self.a.begin();
        self.a.wait(Pop::HeadRead.at());
        self.look(4, Port::HeadImportance);
        self.a.pop(Pop::HeadRead.at());
        self.a.store(3, HEADS, 4);
        self.a.add_n(3, 3, 1);
        self.a.if_less(3, 1, next);
        self.a.pop(Pop::Done.at());
        self.a.give_back(INNER);
    }

    /// The state block at 10, from `token_store` and the heads in scratch memory. Uses 1 to 9. `LINK`
    fn write_state(&mut self) {
        let here = self.parts.write_state;
        self.a.here(here);
        let (bytes, per, layout) = (self.word_bytes(), self.elements(), StateLayout::new(&self.config));
        let channels = self.config.channels;
        self.out_all_bytes();
        self.context(1, Word::Left);
        self.context(2, Word::HeadsLeft);
        self.a.shift_left(2, 2, 32);
        self.a.or(1, 1, 2);
        for element in 0..per {
            let field = self.data() + element;
            self.a.out(field, if element == 0 { 1 } else { 0 });
        }
        for word in 0..STATE_HEADER_BYTES / bytes {
            self.a.set(3, word as u64);
            self.out_place(3, 10);
            self.push(Push::Write);
            if word == 0 {
                let field = self.data();
                self.a.out(field, 0);
            }
        }
        // Tokens.
        let first = layout.tokens / bytes;
        self.a.add_n(1, 10, (first / channels) as i16);
        self.out(Field::E, 1);
        self.a.set(1, (first % channels) as u64);
        self.out(Field::F, 1);
        self.context(1, Word::Tokens);
        self.store(Op::Dump, false, 0, 1);
        // Heads: 3 is the first of a word, 4 the word's number.
        self.out_all_bytes();
        self.a.set(3, 0);
        self.a.set(4, (layout.heads / bytes) as u64);
        let next = self.a.begin();
        for element in 0..per {
            let (none, low) = (self.a.label(), self.a.label());
            self.a.set(7, 0);
            self.a.add_n(5, 3, element as i16);
            self.context(6, Word::Heads);
            self.a.if_not_less(5, 6, none);
            self.a.load(7, 5, HEADS);
            self.context(8, Word::AliveLow);
            self.a.set(9, 64);
            self.a.if_less(5, 9, low);
            self.context(8, Word::AliveHigh);
            self.a.here(low);
            self.a.shift_right_by(8, 8, 5);
            self.a.shift_left(8, 8, 63);
            self.a.or(7, 7, 8);
            self.a.here(none);
            let field = self.data() + element;
            self.a.out(field, 7);
        }
        self.out_place(4, 10);
        self.push(Push::Write);
        self.a.add_n(4, 4, 1);
        self.a.add_n(3, 3, per as i16);
        self.context(6, Word::Heads);
        self.a.if_less(3, 6, next);
        self.flush();
        self.a.give_back(LINK);
    }

    /// Writes the context that is here to its storage; `CONTEXT` stays. Uses 1 to 12. `LINK`
    fn save(&mut self) {
        let here = self.parts.save;
        let (save_importance, read_heads, write_state) =
            (self.parts.save_importance, self.parts.read_heads, self.parts.write_state);
        self.a.here(here);
        let some = self.a.label();
        self.a.if_different(HERE, 0, some);
        self.a.give_back(LINK);
        self.a.here(some);
        self.a.copy(12, CONTEXT);
        self.a.copy(INNERMOST, LINK);
        self.a.add_n(1, HERE, -1);
        self.a.shift_left(CONTEXT, 1, super::CONTEXT_LEVEL);
        self.a.add_n(CONTEXT, CONTEXT, super::CONTEXTS_AT as i16);
        self.a.call(INNER, save_importance);
        self.a.call(INNER, read_heads);
        self.context(10, Word::Storage);
        self.a.call(LINK, write_state);
        self.a.set(HERE, 0);
        self.a.copy(CONTEXT, 12);
        self.a.give_back(INNERMOST);
    }

    /// What is here is that of `CONTEXT`. Uses 1 to 15. `LINK`
    fn turn_to(&mut self) {
        let here = self.parts.turn_to;
        let (save, read_element) = (self.parts.save, self.parts.read_element);
        self.a.here(here);
        let other = self.a.label();
        self.a.add_n(1, CONTEXT, -(super::CONTEXTS_AT as i16));
        self.a.shift_right(1, 1, super::CONTEXT_LEVEL);
        self.a.add_n(1, 1, 1);
        self.a.if_different(1, HERE, other);
        self.a.give_back(LINK);
        self.a.here(other);
        self.a.copy(28, LINK);
        self.a.copy(27, 1);
        self.a.call(LINK, save);
        self.a.copy(HERE, 27);
        let layout = StateLayout::new(&self.config);
        // Tokens: 6 the next, 7 how many.
        self.a.set(6, 0);
        self.context(7, Word::Tokens);
        let next = self.a.begin();
        self.a.add_n(1, 6, (layout.tokens / 8) as i16);
        self.context(2, Word::Storage);
        self.a.call(LINK, read_element);
        self.out(Field::E, 1);
        self.a.add_n(2, 6, 1);
        self.store(Op::Put, false, 6, 2);
        self.a.copy(6, 2);
        self.a.if_less(6, 7, next);
        // Heads.
        self.context(7, Word::Heads);
        self.a.set(1, 1);
        self.command(LOAD, 1, 7);
        self.a.set(6, 0);
        let next = self.a.begin();
        self.a.set(1, (layout.heads / 8) as u64);
        self.a.add(1, 1, 6);
        self.context(2, Word::Storage);
        self.a.call(LINK, read_element);
        self.a.field(1, 1, 0, 48);
        self.out(Field::A, 1);
        self.push(Push::HeadLoad);
        self.a.add_n(6, 6, 1);
        self.a.if_less(6, 7, next);
        self.a.pop(Pop::Done.at());
        // The list.
        self.a.set(1, 0);
        self.out(Field::E, 1);
        self.context(1, Word::Tokens);
        self.store(Op::Scan, false, 0, 1);
        self.a.set(KEYS_SENT, 0);
        self.a.set(QUERIES_SENT, 0);
        self.a.set(LOADED, 0);
        self.a.set(DIRTY, 0);
        self.a.give_back(28);
    }
}
