//! Registers and descriptors as a C header, for drivers that are not in Rust.

use crate::descriptor::{
    FieldSpec, HeadFactors, HeadState, Importance, JOB_BYTES, Job, LayerParameters, MAX_QUEUE_LEVEL, Mode, Opcode,
    PARAMETER_BYTES, STATE_HEADER_BYTES, Split, Status, TokenState, ValueKeep, snake,
};
use crate::registers::{self, Counter, MAGIC, MAP_VERSION, PAGE_BYTES, Page};
use std::fmt::Write;

/// `driver/include/spatten.h`
pub fn text() -> String {
    let mut s = String::from(
        "/* Registers, jobs and completions. Written by `spatten docs` from arch/src/registers.rs and\n \
         * arch/src/descriptor.rs; do not edit. What each thing means: docs/registers.md. */\n\
         #ifndef SPATTEN_H\n#define SPATTEN_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n",
    );
    let mut define = |name: &str, value: String| {
        let _ = writeln!(s, "#define SPATTEN_{} {value}", name.to_uppercase());
    };
    define("MAGIC", format!("0x{MAGIC:08x}u"));
    define("VERSION_MAJOR", MAP_VERSION.0.to_string());
    define("VERSION_MINOR", MAP_VERSION.1.to_string());
    define("PAGE_BYTES", PAGE_BYTES.to_string());
    define("MAX_QUEUE_LEVEL", MAX_QUEUE_LEVEL.to_string());
    define("KEEP_VALUES_FRACTION", ValueKeep::FRACTION.to_string());
    for page in Page::ALL {
        let _ = writeln!(s, "\n/* BAR{} */", page.bar());
        for r in registers::all().iter().filter(|r| r.page == page) {
            let _ = writeln!(s, "#define SPATTEN_REG_{} 0x{:03x}", r.name.to_uppercase(), r.offset);
            for f in r.fields {
                let name = format!("SPATTEN_REG_{}_{}", r.name, f.name).to_uppercase();
                let _ = writeln!(s, "#define {name}_SHIFT {}\n#define {name}_MASK 0x{:08x}u", f.low, f.mask());
            }
        }
    }
    let _ = writeln!(s, "\n/* 64-bit counters: SPATTEN_REG_<NAME>_LOW, then _HIGH */");
    let _ = writeln!(s, "#define SPATTEN_COUNTERS {}", Counter::ALL.len());
    for (name, values) in [
        ("opcode", Opcode::VALUES),
        ("status", Status::VALUES),
        ("mode", Mode::VALUES),
        ("importance", Importance::VALUES),
        ("split", Split::VALUES),
    ] {
        let _ = writeln!(s, "\nenum spatten_{name} {{");
        for (word, value, _) in values {
            let _ = writeln!(s, "    SPATTEN_{} = {value},", format!("{name}_{}", snake(word)).to_uppercase());
        }
        s += "};\n";
    }
    let frame = [("opcode", 0, 1), ("id", 2, 2)];
    for opcode in Opcode::ALL {
        structure(&mut s, &snake(opcode.name()), &frame, Job::fields(*opcode), JOB_BYTES);
    }
    structure(&mut s, "layer_parameters", &[], LayerParameters::FIELDS, PARAMETER_BYTES);
    structure(&mut s, "head_factors", &[], HeadFactors::FIELDS, HeadFactors::BYTES);
    s += "\n/* The device writes `end` last: status in bits 23..16, phase in bit 31. */\n\
          struct spatten_completion {\n    uint32_t result;\n    uint32_t detail;\n    uint32_t head;\n    uint32_t end;\n};\n\
          #define SPATTEN_COMPLETION_ID(end) ((uint16_t)(end))\n\
          #define SPATTEN_COMPLETION_STATUS(end) (((end) >> 16) & 0xffu)\n\
          #define SPATTEN_COMPLETION_PHASE(end) ((end) >> 31)\n";
    let _ = writeln!(s, "\n/* State block: 64 bits per token, then per head; `keys` as in the register `limits`. */");
    let _ = writeln!(s, "#define SPATTEN_STATE_TOKEN(token) ({STATE_HEADER_BYTES} + 8 * (token))");
    let _ = writeln!(s, "#define SPATTEN_STATE_HEAD(keys, head) ({STATE_HEADER_BYTES} + 8 * (keys) + 8 * (head))");
    for (of, fields) in [("token", TokenState::FIELDS), ("head", HeadState::FIELDS)] {
        for (name, low, bits, _) in fields {
            let name = format!("SPATTEN_STATE_{of}_{name}").to_uppercase();
            let mask = (u64::MAX >> (64 - bits)) << low;
            let _ = writeln!(s, "#define {name}_SHIFT {low}\n#define {name}_MASK 0x{mask:016x}ull");
        }
    }
    s += "\n#endif\n";
    s
}

/// A structure with its holes named, so that a compiler has none to add.
fn structure(s: &mut String, name: &str, frame: &[(&str, usize, usize)], fields: &[FieldSpec], bytes: usize) {
    let own = fields.iter().map(|f| (f.name, f.offset, f.bytes));
    let mut all: Vec<_> = frame.iter().copied().chain(own).collect();
    all.sort_by_key(|(_, offset, _)| *offset);
    let _ = writeln!(s, "\nstruct spatten_{name} {{");
    let mut next = 0;
    let hole = |s: &mut String, from: usize, to: usize| {
        if to > from {
            let _ = writeln!(s, "    uint8_t zero_{from}[{}];", to - from);
        }
    };
    for (field, offset, size) in &all {
        hole(s, next, *offset);
        let _ = writeln!(s, "    uint{}_t {field};", 8 * size);
        next = offset + size;
    }
    hole(s, next, bytes);
    s.push_str("};\n");
    let _ = writeln!(s, "_Static_assert(sizeof(struct spatten_{name}) == {bytes}, \"spatten_{name}\");");
    for (field, offset, _) in &all {
        let _ = writeln!(s, "_Static_assert(offsetof(struct spatten_{name}, {field}) == {offset}, \"{field}\");");
    }
}
