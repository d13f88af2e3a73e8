#!/usr/bin/env python3
"""Plays recorded vectors to a block in Icarus Verilog and compares every output in every cycle, x included.

    scripts/iverilog_replay.py DIR TOP VECTORS [--gates] [--vcd FILE] [--clock clock]

A second simulator, four-state: what Verilator's two states hide (a register that no reset reaches) shows here as x.

--gates plays them to the ECP5 netlist of scripts/synth.py: what the mapper made must still do the same. Models of the
cells are yosys's, those of multiplier and block RAM are ours (scripts/ecp5_cells.v).

VECTORS is text. First line: the ports in the order of the columns, `in:NAME:WIDTH` or `out:NAME:WIDTH`, without the clock.
Then one line per clock cycle, one hex value per port: inputs as they are driven while the clock is low, outputs as they
are just before its rising edge, settled. An x digit in an output is not compared (four bits each); x in an input drives x.
`#` starts a comment.

    in:reset:1 in:in_valid:1 in:in_data:12 out:out_valid:1 out:out_data:12
    1 0 0 x x
    0 1 03a 0 xxx

Prints `checked N cycles, M values`, or the first mismatch and status 1. Vectors that compare nothing are an error.
"""

import argparse
import re
import shutil
from pathlib import Path

import flow
import synth

RENAMED = "replayed_"

BENCH = """\
module replay;
  reg {clock} = 0;
  reg [{columns}-1:0] vectors [0:{cycles}-1];
  reg [{columns}-1:0] now;
{declarations}
  {top} dut({connections});
  integer cycle;
  integer values;
  initial begin
    values = 0;
    $readmemh("vectors.hex", vectors);
{dump}    for (cycle = 0; cycle < {cycles}; cycle = cycle + 1) begin
      now = vectors[cycle];
{drive}
      #4;
{compare}
      #1 {clock} = 1;
      #5 {clock} = 0;
    end
    $display("REPLAYED %0d %0d", cycle, values);
    $finish;
  end
endmodule
"""


def read(path):
    """Ports as (direction, name, width), and per cycle (line number, values)."""
    ports, cycles = [], []
    with open(path) as lines:
        for number, line in enumerate(lines, 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            if not ports:
                for word in words:
                    match = re.fullmatch(r"(in|out):([A-Za-z_][A-Za-z0-9_$]*):([1-9]\d*)", word)
                    if not match:
                        flow.fail(f"{path}:{number}: {word!r}: expected in:NAME:WIDTH or out:NAME:WIDTH", 2)
                    ports.append((match[1], match[2], int(match[3])))
                continue
            if len(words) != len(ports):
                flow.fail(f"{path}:{number}: {len(words)} values for {len(ports)} ports", 2)
            for value, (_, name, width) in zip(words, ports):
                if not re.fullmatch(r"[0-9a-fA-FxX]+", value):
                    flow.fail(f"{path}:{number}: {name}: {value!r} is not hex with x", 2)
                digits = value.lstrip("0")
                over = len(digits) > (width + 3) // 4
                top = digits[:1] if len(digits) == (width + 3) // 4 and width % 4 else ""
                if over or (top and top not in "xX" and int(top, 16) >> (width % 4)):
                    flow.fail(f"{path}:{number}: {name}: {value} has more than {width} bits", 2)
            cycles.append((number, words))
    if not cycles:
        flow.fail(f"{path}: no cycles", 2)
    return ports, cycles


def bus(name, width):
    return [f"{name}{i}" for i in reversed(range(width))]


def shell(cell, model, scalars, buses, outputs, parameters, wide_parameter=()):
    """The cell with a port per bit, as netlists name it, around a model with buses. Renamed: yosys's own is an empty box."""
    ways = [f"{'output' if name in outputs else 'input'} {bit}" for name, width in buses for bit in bus(name, width)]
    inside = [f".{name}({{{', '.join(bus(name, width))}}})" for name, width in buses] + [f".{name}({name})" for name in scalars]
    passed = [f".{name}({name})" for name, _ in parameters]
    given = [f"{name} = {value}" for name, value in parameters]
    if wide_parameter:
        name, parts = wide_parameter
        passed.append(f".{name}({{{', '.join(reversed(parts))}}})")
        given += [f"[319:0] {part} = 0" for part in parts]
    return (f"module {RENAMED}{cell} #(parameter {', parameter '.join(given)}) "
            f"({', '.join([f'input {name}' for name in scalars] + ways)});\n"
            f"  {model} #({', '.join(passed)}) is({', '.join(inside)});\nendmodule\n")


def shells():
    multiplier = shell(
        "MULT18X18D", "ecp5_multiplier", ["SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB"],
        [("A", 18), ("B", 18), ("C", 18), ("P", 36)], ["P"],
        [(f"REG_{name}_CLK", '"NONE"') for name in ("INPUTA", "INPUTB", "INPUTC", "PIPELINE", "OUTPUT")])
    sides = [(name + side, width) for side in "AB" for name, width in (("AD", 14), ("DI", 18), ("DO", 18), ("CS", 3))]
    texts = {"REGMODE_": '"NOREG"', "WRITEMODE_": '"NORMAL"', "CSDECODE_": '"0b000"', "DATA_WIDTH_": "18"}
    memory = shell(
        "DP16KD", "ecp5_memory", [name + side for side in "AB" for name in ("CLK", "CE", "OCE", "WE", "RST")], sides, ["DOA", "DOB"],
        [(name + side, value) for side in "AB" for name, value in texts.items()]
        + [("CLKAMUX", '"CLKA"'), ("CLKBMUX", '"CLKB"'), ("RESETMODE", '"SYNC"'), ("ASYNC_RESET_RELEASE", '"SYNC"'), ("GSR", '"AUTO"')],
        ("INITVAL", [f"INITVAL_{i:02X}" for i in range(64)]))
    return multiplier + memory


def gates(folder, top, timeout):
    """The netlist as Verilog, with models of the cells."""
    _, kept = synth.synthesise(folder, top, "ecp5", timeout)
    netlist, boxes = kept / "netlist.v", kept / "shells.v"
    boxes.write_text(shells())
    ran = flow.run([flow.YOSYS, "-q", "-p", f'read_rtlil "{kept}/netlist.il"; '
                    + "; ".join(f"chtype -set {RENAMED}{cell} t:{cell}" for cell in ("MULT18X18D", "DP16KD"))
                    + f'; write_verilog -noattr -selected "{netlist}"'],
                   kept / "write.log", timeout)
    models = Path(shutil.which(flow.YOSYS)).resolve().parent.parent / "share/yosys/ecp5"
    if ran.status != 0 or not (models / "cells_sim.v").is_file():
        flow.fail(f"replay {top}: no netlist, or no cells_sim.v in {models}\n{flow.errors_of(ran.text)}", 2)
    return [netlist, boxes, Path(__file__).with_name("ecp5_cells.v"), models / "cells_sim.v"], [f"-I{models}"]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("dir")
    options.add_argument("top")
    options.add_argument("vectors", type=Path)
    options.add_argument("--gates", action="store_true")
    options.add_argument("--vcd", type=Path, help="also write waves")
    options.add_argument("--clock", default="clock")
    options.add_argument("--timeout", type=float, default=600, metavar="S")
    given = options.parse_args()
    if not given.vectors.is_file():
        flow.fail(f"{given.vectors}: not there", 2)
    files, flags = gates(given.dir, given.top, given.timeout) if given.gates else (flow.sources(given.dir), [])
    ports, cycles = read(given.vectors)

    # One column per port, in whole hex digits; an output has a second one, its mask.
    folder = Path("target/replay") / f"{given.top}-{flow.digest(given.vectors.resolve().as_posix(), given.gates)[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    digits = [(width + 3) // 4 for _, _, width in ports]
    wanted = 0
    with open(folder / "vectors.hex", "w") as out:
        for _, words in cycles:
            row = ""
            for value, (way, _, _), size in zip(words, ports, digits):
                # A single x stands for the whole value.
                value = value.lower()
                value = "x" * size if value == "x" else value.zfill(size)[-size:]
                row += value
                if way == "out":
                    row = row[:-size] + value.replace("x", "0") + "".join("0" if digit == "x" else "f" for digit in value)
                    wanted += value != "x" * size
            out.write(row + "\n")
    if wanted == 0:
        flow.fail(f"{given.vectors}: no output is compared in any cycle", 2)

    declarations, connections, drive, compare = [], [f".{given.clock}({given.clock})"], [], []
    high = sum(size * (2 if way == "out" else 1) for (way, _, _), size in zip(ports, digits)) * 4
    columns = high
    for (way, name, width), size in zip(ports, digits):
        low = high - 4 * size
        declarations.append(f"  {'reg' if way == 'in' else 'wire'} [{width - 1}:0] p_{name};")
        connections.append(f".{name}(p_{name})")
        if way == "in":
            drive.append(f"      p_{name} = now[{low + width - 1}:{low}];")
        else:
            want, mask = f"now[{low + width - 1}:{low}]", f"now[{low - 4 * size + width - 1}:{low - 4 * size}]"
            # x & 0 is 0, so what the mask leaves out is equal; === tells x from any value.
            compare.append(f"      if ((p_{name} & {mask}) !== ({want} & {mask})) begin\n"
                           f'        $display("MISMATCH {name} %0d %h %h", cycle, p_{name}, {want});\n        $finish;\n      end\n'
                           f"      if (|{mask}) values = values + 1;")
            low -= 4 * size
        high = low
    dump = f'    $dumpfile("{given.vcd.resolve()}");\n    $dumpvars;\n' if given.vcd else ""
    (folder / "replay.v").write_text(BENCH.format(
        clock=given.clock, columns=columns, cycles=len(cycles), declarations="\n".join(declarations), top=given.top,
        connections=", ".join(connections), dump=dump, drive="\n".join(drive), compare="\n".join(compare)))

    built = flow.run(["iverilog", "-g2005-sv", *flags, "-s", "replay", "-o", str(folder / "replay.vvp"), str(folder / "replay.v"),
                      *map(str, files)], folder / "iverilog.log", given.timeout)
    # A port of another width is only a warning, and would compare fewer bits.
    if built.status != 0 or "warning: Port" in built.text:
        flow.fail(f"replay {given.top}: iverilog refuses it (log in {folder}/iverilog.log)\n" + "\n".join(built.text.splitlines()[:5]), 2)
    ran = flow.run(["vvp", "-N", "replay.vvp"], folder / "vvp.log", given.timeout, cwd=folder)
    if match := re.search(r"MISMATCH (\S+) (\d+) (\S+) (\S+)", ran.text):
        name, cycle, got, want = match.groups()
        number, words = cycles[int(cycle)]
        recorded = words[[port[1] for port in ports].index(name)]
        flow.fail(f"replay {given.top}: {name} differs in cycle {cycle} ({given.vectors}:{number})\n"
                  f"  iverilog  {got}\n  expected  {recorded.lower().zfill(len(want)) if recorded.lower() != 'x' else 'x'}")
    match = re.search(r"REPLAYED (\d+) (\d+)", ran.text)
    if ran.status != 0 or not match or (int(match[1]), int(match[2])) != (len(cycles), wanted):
        flow.fail(f"replay {given.top}: vvp stopped early, expected {len(cycles)} cycles and {wanted} values (log in {folder}/vvp.log)\n"
                  f"{flow.errors_of(ran.text)}", 2)
    print(f"replay {given.top}{' (gates)' if given.gates else ''}: checked {match[1]} cycles, {match[2]} values ({built.seconds + ran.seconds:.1f} s)")


if __name__ == "__main__":
    main()
