#!/usr/bin/env python3
"""Synthesises one block with yosys, refuses what is never meant, counts cells.

    scripts/synth.py DIR TOP [--target ecp5|generic] [--json OUT] [--check]

DIR holds the Verilog and `files.f`. Refused (status 1, by name): latches, combinational loops, nets with several drivers
or none. An unchanged block is not synthesised again: results are kept under target/synth by the hash of what went in.

Targets: `ecp5` is synth_ecp5, with abc9 where yosys manages it (the line says which). `generic` is LUT6 and flip-flops;
multipliers and memories stay whole and are counted as such, so it compares blocks, not parts.

--check stops before the mapping, in seconds: what is refused above, and an output that an input reaches without a flip-flop
between them (all handshakes of blocks are registered, so that blocks can be wired in any order).
"""

import argparse
import collections
import json
import re
import shutil
import sys
from pathlib import Path

import flow

# LUT4 counts the table cells alone; a CCU2C holds two more tables, a TRELLIS_DPR16X4 four.
ECP5_CELLS = {"lut4": ["LUT4"], "ff": ["TRELLIS_FF"], "dsp": ["MULT18X18D"], "bram": ["DP16KD", "PDPW16KD"],
              "lutram": ["TRELLIS_DPR16X4"], "ccu2c": ["CCU2C"]}
ECP5_LABELS = {"lut4": "LUT4", "ff": "FF", "dsp": "MULT18X18D", "bram": "DP16KD", "lutram": "TRELLIS_DPR16X4", "ccu2c": "CCU2C"}


def front(files, top, lib):
    """Reads and elaborates, then checks. Latches are named by the log, see `latches`."""
    return [
        *(["read_verilog -lib -specify +/ecp5/cells_sim.v +/ecp5/cells_bb.v"] if lib else []),
        *(f'read_verilog "{file}"' for file in files),
        f"hierarchy -check -top {top}",
        "proc",
        "select -assert-none t:$dlatch t:$adlatch t:$dlatchsr t:$sr",
        "flatten",
        "opt_clean",
        # On words, q[1] = ~q[0] looks like a loop: check bits.
        "design -save words",
        "pmuxtree",
        "simplemap",
        "check -assert",
        "design -load words",
    ]


# Memories are read where their address is; a write is seen a cycle later.
REGISTERS = "$dff,$dffe,$adff,$sdff,$memwr,$memwr_v2"


def check(folder, top, timeout):
    """Only what is refused."""
    files = flow.sources(folder)
    kept = flow.CACHE / f"{top}-check-{flow.digest(Path(__file__), *files)[:24]}"
    commands = [*front(files, top, False), f'tee -o {kept}/paths.txt select -list i:* %co*:-{REGISTERS} o:* %i']
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "check.ys").write_text("\n".join(commands) + "\n")
    ran = flow.run([flow.YOSYS, "-s", str(kept / "check.ys")], kept / "check.log", timeout)
    if ran.status != 0:
        flow.fail(f"check {top}: refused\n{refusal(ran.text) or flow.errors_of(ran.text)}")
    if paths := (kept / "paths.txt").read_text().split():
        names = ", ".join(name.split("/", 1)[-1] for name in paths)
        flow.fail(f"check {top}: refused\nreached from an input without a register: {names}")
    print(f"check {top}: no latch, no loop, one driver each, registered outputs ({ran.seconds:.1f} s)")


def script(files, top, target, abc9):
    if target == "ecp5":
        # Up to its last step, of which `autoname` is left out: on wide shifters its names take gigabytes.
        return [*front(files, top, True), f"synth_ecp5 -top {top}{' -abc9' if abc9 else ''} -run coarse:check",
                "hierarchy -check", "check -noinit", "blackbox =A:whitebox"]
    return [
        *front(files, top, False),
        # `synth`, opened up: under another name the mappers leave multipliers and memories alone.
        "opt -nodffe -nosdff", "fsm", "opt", "wreduce", "peepopt", "opt_clean",
        "chtype -set WHOLE_MUL t:$mul",
        "alumacc", "share", "opt", "memory -nomap", "opt_clean",
        "chtype -set WHOLE_MEM t:$mem_v2",
        "opt -fast -full",
        "techmap",
        "opt -fast",
        "simplemap",
        "abc -lut 6",
        "opt_clean",
    ]


def latches(text):
    return sorted({match[1] for match in re.finditer(r"Latch inferred for signal `([^']*)'", text)})


def refusal(text):
    """The reason, as short as its names allow; None when yosys stopped for something else."""
    if found := latches(text):
        return "latches: " + ", ".join(name.replace("\\", "") for name in found)
    kept, inside, loop = [], False, False
    for line in text.splitlines():
        problem = re.match(r"Warning: (found logic loop|multiple conflicting drivers|Wire .* is used but has no driver)", line)
        if problem or (inside and line.startswith("    ")):
            # Of a loop the wires are the names that its author gave; cells are numbered by yosys.
            loop = "logic loop" in line if problem else loop
            if problem or not (loop and line.startswith("    cell ")):
                kept.append(line.replace("Warning: ", "").replace("\\", ""))
            inside = True
        else:
            inside = False
    return "\n".join(kept[:20]) if kept else None


def count(netlist, top, target):
    """Cells of the flat netlist by type."""
    module = json.loads(Path(netlist).read_text())["modules"][top]
    types = collections.Counter(cell["type"] for cell in module["cells"].values())
    if target == "ecp5":
        cells = {key: sum(types[name] for name in names) for key, names in ECP5_CELLS.items()}
    else:
        def number(value):
            return int(value, 2) if isinstance(value, str) else value

        memories = [cell["parameters"] for cell in module["cells"].values() if cell["type"] == "WHOLE_MEM"]
        cells = {
            "lut": types["$lut"],
            "ff": sum(n for name, n in types.items() if re.match(r"\$_S?DFF|\$_ALDFF", name)),
            "mul": types["WHOLE_MUL"],
            "memories": len(memories),
            "memory_bits": sum(number(m["SIZE"]) * number(m["WIDTH"]) for m in memories),
        }
    return cells, dict(sorted(types.items()))


def synthesise(folder, top, target="ecp5", timeout=1800):
    """The result, and the folder of the cache that holds netlist.json and netlist.il. Exits 1 when the block is refused."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", top):
        flow.fail(f"{top!r}: not the name of a module", 2)
    files = flow.sources(folder)
    version = flow.yosys_version()
    # Included files are not seen: the emitter writes none, and one would go unnoticed in the hash.
    for file in files:
        if "`include" in file.read_text(errors="replace"):
            flow.fail(f"{file}: `include is not supported, list the file in files.f", 2)
    # The script's text stands for the flags; its file names do not count, their bytes and order do.
    flags = script(["-"] * len(files), top, target, True)
    key = flow.digest(version, "\n".join(flags), Path(__file__), *files)[:24]
    kept = flow.CACHE / f"{top}-{target}-{key}"
    if (kept / "result.json").is_file():
        return {**json.loads((kept / "result.json").read_text()), "cached": True}, kept

    kept.mkdir(parents=True, exist_ok=True)
    seconds = 0.0
    for abc9 in ([True, False] if target == "ecp5" else [False]):
        commands = script(files, top, target, abc9)
        commands += [f'write_rtlil "{kept}/netlist.il"', f'write_json "{kept}/netlist.json"']
        (kept / "synth.ys").write_text("\n".join(commands) + "\n")
        ran = flow.run([flow.YOSYS, "-s", str(kept / "synth.ys")], kept / "yosys.log", timeout)
        seconds += ran.seconds
        if ran.status == 0:
            break
        if reason := refusal(ran.text):
            flow.fail(f"synth {top}: refused\n{reason}")
        if ran.status < 0 or "ABC9" not in ran.text.upper():
            break  # somebody ended it, or it stopped before the mapper: the other mapper would not help
        shutil.copy(kept / "yosys.log", kept / "yosys-abc9.log")
    if ran.status != 0:
        flow.fail(f"synth {top}: yosys failed (log in {kept}/yosys.log)\n{flow.errors_of(ran.text)}")

    cells, types = count(kept / "netlist.json", top, target)
    result = {
        "block": top, "target": target, "cells": cells, "types": types,
        "tool": version, "mapper": "abc9" if abc9 else "abc", "seconds": round(seconds, 1), "peak_mb": ran.peak_mb, "cached": False,
    }
    flow.write_json(kept / "result.json", result)  # last: it is what says that the folder is complete
    return result, kept


def line(result):
    if result["target"] == "ecp5":
        cells = ", ".join(f"{result['cells'][key]} {label}" for key, label in ECP5_LABELS.items())
    else:
        cells = ("{lut} LUT6, {ff} FF, {mul} multipliers, {memories} memories of {memory_bits} bits").format(**result["cells"])
    how = "unchanged" if result["cached"] else f"{result['seconds']} s, {result['peak_mb']} MB"
    version = " ".join(result["tool"].split()[:2])
    return f"synth {result['block']} {result['target']}: {cells} ({version}, {result['mapper']}, {how})"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("dir")
    options.add_argument("top")
    options.add_argument("--target", choices=["ecp5", "generic"], default="ecp5")
    options.add_argument("--json", metavar="OUT", help="write the counts there; - is the terminal")
    options.add_argument("--check", action="store_true", help="only look for what is refused; no mapping, no counts")
    options.add_argument("--timeout", type=float, default=1800, metavar="S")
    given = options.parse_args()
    if given.check:
        check(given.dir, given.top, given.timeout)
        return
    result, _ = synthesise(given.dir, given.top, given.target, given.timeout)
    print(line(result))
    if given.json == "-":
        json.dump(result, sys.stdout, indent=1)
        print()
    elif given.json:
        flow.write_json(given.json, result)


if __name__ == "__main__":
    main()
