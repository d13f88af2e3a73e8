#!/usr/bin/env python3
"""Table of all blocks with RTL: size of source and Verilog, beats checked by the last tests, cells on ECP5, time.

    scripts/block_table.py target/release/spatten

Beats come from target/beats, which the co-simulations write; cells from scripts/synth.py at `eighth` (cached, so a table that
was stopped goes on where it was); the time is what stands behind `# Timing` in the block's source. What is made of whole blocks
is not synthesised: flat, yosys has no answer after half an hour, and each part has its own row.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CELLS = ["lut4", "ff", "dsp", "bram", "lutram"]
COMPOSED = ["attention_core", "layer_engine"]


def blocks(spatten):
    out = subprocess.run([spatten, "rtl", "--arch", "eighth", "--share"], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines()[1:]:
        name, modules, kernel, text = line.split()[:4]
        if name != "all":
            yield name, int(modules), int(kernel), int(text)


def source_lines(name):
    files = [ROOT / f"hw/src/{name}.rs", *sorted((ROOT / f"hw/src/{name}").glob("*.rs"))]
    return sum(len(f.read_text().splitlines()) for f in files if f.exists())


def beats(name):
    file = ROOT / "target/beats" / name
    total = values = 0
    if file.exists():
        for line in file.read_text().splitlines():
            words = line.split()
            total, values = total + int(words[2]), values + int(words[4])
    return total, values


def timing(name):
    source = (ROOT / f"hw/src/{name}.rs").read_text()
    found = re.search(r"# Timing\s*(.*?)(?:\n\s*///\s*\n|\n\s*#\[|\n\s*///\s*#)", source, re.S)
    return " ".join(re.sub(r"^\s*///", "", line).strip() for line in found[1].splitlines()) if found else ""


def cells(spatten, name):
    folder = ROOT / "target/rtl/eighth" / name
    subprocess.run([spatten, "rtl", "--arch", "eighth", "--block", name, "-o", folder], check=True)
    report = folder / "synth.json"
    subprocess.run([ROOT / "scripts/synth.py", folder, name, "--json", report], check=True, stdout=subprocess.DEVNULL)
    return json.loads(report.read_text())["cells"]


def main():
    spatten = sys.argv[1]
    print("| block | source lines | modules | kernel lines | text lines | beats | values | LUT | FF | DSP | BRAM | LUT RAM | time |")
    print("| --- " * 13 + "|")
    for name, modules, kernel, text in blocks(spatten):
        numbers = ["-"] * len(CELLS) if name in COMPOSED else [cells(spatten, name)[c] for c in CELLS]
        row = [name, source_lines(name), modules, kernel, text, *beats(name), *numbers, timing(name)]
        print("| " + " | ".join(f"{x:,}" if isinstance(x, int) else x for x in row) + " |", flush=True)
    print(f"\n-: {' and '.join(COMPOSED)} are not synthesised flat (more than half an hour); their parts are above.")


if __name__ == "__main__":
    main()
