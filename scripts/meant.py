"""Which multipliers and memories the RTL means, and whether ECP5's netlist has them: for scripts/fmax.py.

The emitter writes every multiplier as a module `multiplier_AxB` and every memory as `ram_*` or `lane_ram_*`, whose text
asks for `block` or `distributed` words. So what is meant can be read off the tree of instances: one MULT18X18D for each
multiplier, DP16KD for block words and TRELLIS_DPR16X4 for distributed ones, each as many as their size takes. Tables
(`rom_*`) may lie in either: they are counted apart.
"""

import collections
import math
import re

import flow

# Words and bits of a DP16KD, simple dual port.
SHAPES = [(512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)]


def modules(files):
    """Per module its text and its instances (module, name)."""
    found = {}
    for file in files:
        for match in re.finditer(r"^module (\w+)\b(.*?)^endmodule", file.read_text(), re.S | re.M):
            found[match[1]] = (match[2], re.findall(r"^\s*(\w+) (u_\w+)\($", match[2], re.M))
    return found


def leaves(found, top, path=()):
    """(module, text, path) of every leaf below."""
    text, instances = found[top]
    for module, name in instances:
        if module in found:
            yield from leaves(found, module, (*path, name))
    if not instances:
        yield top, text, ".".join(path)


def block_rams(words, bits):
    return min(math.ceil(words / w) * math.ceil(bits / b) for w, b in SHAPES)


def compare(files, top, netlist):
    """(what is there, complaints); of Verilog that is not the emitter's nothing is known."""
    if not all("Written by `spatten rtl" in file.read_text() for file in files):
        return {}, []
    found = modules(files)
    meant, kinds = collections.Counter(), {}
    for module, text, path in leaves(found, top):
        if factors := re.fullmatch(r"multiplier_(\d+)x(\d+)", module):
            if max(int(factor) for factor in factors.groups()) > 18:
                flow.fail(f"{module}: more than one MULT18X18D, and meant.py knows one")
            meant["multipliers"] += 1
        elif re.match(r"(lane_)?ram_", module):
            style = re.search(r'ram_style = "(\w+)"', text)[1]
            bits, last = (int(n) for n in re.search(r"reg \[(\d+):0\] words \[0:(\d+)\]", text).groups())
            kinds[path] = style
            if style == "block":
                meant["block_rams"] += block_rams(last + 1, bits + 1)
            else:
                meant["table_rams"] += math.ceil((last + 1) / 16) * math.ceil((bits + 1) / 4)
                meant["largest_table_ram_bits"] = max(meant["largest_table_ram_bits"], (last + 1) * (bits + 1))

    there, complaints = collections.Counter(), []
    for name, cell in netlist["modules"][top]["cells"].items():
        if cell["type"] == "MULT18X18D":
            there["multipliers"] += 1
        elif cell["type"] in ("DP16KD", "PDPW16KD", "TRELLIS_DPR16X4"):
            kind = "table_rams" if cell["type"] == "TRELLIS_DPR16X4" else "block_rams"
            memory = re.match(r"(.*?)\.?words\.", name)
            if kind == "block_rams" and "proc_rom" in name:
                there["tables"] += 1
            elif not memory or (kinds.get(memory[1]) == "block") != (kind == "block_rams"):
                complaints.append(f"{cell['type']} {name} is not meant")
            else:
                there[kind] += 1
    complaints += [f"{there[kind]} {kind}, {meant[kind]} are meant" for kind in ("multipliers", "block_rams", "table_rams")
                   if there[kind] != meant[kind]]
    there["largest_table_ram_bits"] = meant["largest_table_ram_bits"]
    return dict(there), complaints
