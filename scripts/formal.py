#!/usr/bin/env python3
"""Proves the properties of a hand-written wrapper on an emitted block, with yosys-smtbmc and z3.

    scripts/formal.py DIR TOP PROPERTIES.sv [--depth N] [--induction [K] | --pdr] [--only NAME] [-D NAME=VALUE]

PROPERTIES.sv holds the module `properties`, which contains the block as `DUT (this script defines that macro) and labelled
immediate assertions in `always @(posedge clock)`. What is run:
  - every assertion for N cycles from reset (bounded model checking), or with --induction for all time by induction over K
    cycles (N where it is not given), which needs wrappers that know the block's insides, or pipelines that drain. A wrapper
    sees a register or a memory's word inside through a wire of its own: (* hierconn *) wire [1:0] \dut.u_queue.words[0] ;
  - or with --pdr (abc) every assertion for all time; it finds the missing invariants by itself, is often the faster one too,
    and suits blocks of some hundred registers. A failure is replayed to the solver, for a trace with names;
  - with --only that assertion alone: whether it sees a fault that others see first;
  - every cover statement must be reached in N cycles, so that nothing holds only because nothing happens.
The line says "bounded" or "for all time". Registers without reset or initial value start as anything, and so does anything X.

Status: 0 proved, 1 failed (the line names the assertion and the trace), 2 cannot run, 3 out of time.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import flow


def model(files, top, properties, defines, only, folder):
    """Two views of the same design: words for the solver, gates for abc."""
    macros = " ".join(f"-D{name}" for name in [f"DUT={top}", *defines])
    commands = [
        f"verilog_defines {macros}",
        *(f'read_verilog "{file}"' for file in files),
        f'read_verilog -formal -sv "{properties}"',
        "prep -top properties",
        # As flip-flops: z3 is slow with arrays, and the memories of blocks worth proving are small. Before all is one module:
        # wrappers may name a word of a memory.
        "memory_map",
        "flatten",
        # A wire that found nothing inside would be free to be anything.
        "select -assert-none w:* a:hierconn %i",
        "async2sync",
        "setundef -undriven -anyseq",
        "setundef -anyseq",
        *([f"chformal -assert -remove t:$assert c:{only} %d"] if only else []),
        "opt -full",
        f'tee -o {folder}/asserts.txt select -list t:$assert',
        f'tee -o {folder}/covers.txt select -list t:$cover',
        "dffunmap",
        f'write_smt2 -wires "{folder}/model.smt2"',
        "chformal -cover -remove",
        "techmap",
        "opt -fast",
        "dffunmap",
        "abc -g AND -fast",
        "opt_clean",
        f'write_aiger -I -B -zinit -no-startoffset -map {folder}/model.aim "{folder}/model.aig"',
    ]
    (folder / "model.ys").write_text("\n".join(commands) + "\n")
    return ["yosys", "-s", str(folder / "model.ys")]


def names(path):
    return [line.split("/", 1)[-1] for line in path.read_text().splitlines() if line.strip()]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("dir")
    options.add_argument("top")
    options.add_argument("properties", type=Path)
    options.add_argument("--depth", type=int, default=20, metavar="N", help="cycles, default 20")
    unbounded = options.add_mutually_exclusive_group()
    unbounded.add_argument("--induction", type=int, nargs="?", const=0, metavar="K")
    unbounded.add_argument("--pdr", action="store_true")
    options.add_argument("-D", dest="defines", action="append", default=[], metavar="NAME=VALUE", help="macro for block and wrapper")
    options.add_argument("--only", metavar="NAME", help="this assertion alone")
    options.add_argument("--timeout", type=float, default=60, metavar="S", help="of each step, default 60")
    given = options.parse_args()

    for define in given.defines:
        if not re.fullmatch(r"[A-Za-z_]\w*(=\w+)?", define):
            flow.fail(f"-D {define}: expected NAME or NAME=VALUE", 2)
    if not given.properties.is_file():
        flow.fail(f"{given.properties}: not there", 2)
    files = flow.sources(given.dir)
    if given.only and not re.fullmatch(r"\w+", given.only):
        flow.fail(f"--only {given.only}: expected the name of an assertion", 2)
    tag = "-".join([given.top, *sorted(define.replace("=", "") for define in given.defines), *([given.only] if given.only else [])])
    folder = Path("target/formal") / f"{given.properties.stem}-{tag}-{flow.digest(given.dir)[:6]}"
    folder.mkdir(parents=True, exist_ok=True)
    trace = folder / "trace.vcd"
    trace.unlink(missing_ok=True)
    title = f"formal {tag}"
    start = time.monotonic()

    ran = flow.run(model(files, given.top, given.properties, given.defines, given.only, folder), folder / "model.log",
                   given.timeout)
    if ran.status != 0:
        flow.fail(f"{title}: yosys cannot read it (log in {folder}/model.log)\n{flow.errors_of(ran.text)}", 2)
    asserts, covers = names(folder / "asserts.txt"), names(folder / "covers.txt")
    if not asserts:
        flow.fail(f"{title}: {given.properties} asserts nothing" + (f" by the name {given.only}" if given.only else ""), 2)
    if not covers:
        flow.fail(f"{title}: {given.properties} covers nothing, so it might hold because nothing can happen", 2)

    def solver(step, *flags):
        # Unrolled: as functions of functions z3 expands some designs for minutes before it begins.
        command = ["yosys-smtbmc", "-s", "z3", "--unroll", "--noprogress", *flags, str(folder / "model.smt2")]
        return flow.run(command, folder / f"{step}.log", given.timeout)

    def bounded(*extent):
        # smtbmc keeps the trace of a failure only; it names the assertion in its output.
        ran = solver("bmc", "--dump-vcd", str(trace), *extent)
        if ran.status == 0:
            return
        if "PREUNSAT" in ran.text:
            flow.fail(f"{title}: FAIL, the assumptions contradict each other within {given.depth} cycles, so anything would hold")
        failed = re.findall(r"Assert failed in \S+: (.*)", ran.text)
        at = re.search(r"BMC failed|Checking assertions in step (\d+)\.\.(?!.*Checking assertions)", ran.text, re.S)
        if not failed:
            flow.fail(f"{title}: the solver stopped (log in {folder}/bmc.log)\n{flow.errors_of(ran.text)}", 2)
        cycle = f" in cycle {at[1]}" if at and at[1] else ""
        flow.fail(f"{title}: FAIL {', '.join(dict.fromkeys(failed))}{cycle}; trace: {trace}")

    steps = given.induction or given.depth
    extent = f"bounded: {given.depth} cycles"
    if given.pdr:
        witness = folder / "witness.aiw"
        witness.unlink(missing_ok=True)
        def abc(engine):
            commands = f"read_aiger {folder}/model.aig; fold; strash; {engine}; write_cex -a {witness}"
            return flow.run(["yosys-abc", "-c", commands], folder / "pdr.log", given.timeout)

        # A failure far from reset takes pdr minutes, and the search for it no time.
        ran = abc(f"bmc3 -F {given.depth} -T 5")
        if "was asserted" not in ran.text:
            ran = abc("pdr")
        if match := re.search(r"was asserted in frame (\d+)", ran.text):
            if witness.is_file():
                bounded("--aig", f"{folder}/model.aim:{witness}", "--aig-noheader")  # shows what is wrong,
            bounded("--presat", "-t", str(int(match[1]) + 2))  # or this, where inputs have no names; or:
            flow.fail(f"{title}: pdr finds a failure in cycle {match[1]}, yosys-smtbmc does not; log in {folder}/pdr.log", 2)
        if "Property proved" not in ran.text:
            flow.fail(f"{title}: pdr did not answer (log in {folder}/pdr.log)\n{flow.errors_of(ran.text)}", 2)
        extent = "for all time: pdr"
    else:
        bounded("--presat", "-t", str(steps))
    ran = solver("cover", "-c", "-t", str(given.depth))
    if ran.status != 0:
        missed = re.findall(r"Unreached cover statement at (.*?)\.?$", ran.text, re.M)
        if not missed:
            flow.fail(f"{title}: the solver stopped (log in {folder}/cover.log)\n{flow.errors_of(ran.text)}", 2)
        flow.fail(f"{title}: FAIL, never reached in {given.depth} cycles: {', '.join(missed)}")

    if given.induction is not None:
        ran = solver("induction", "-i", "-t", str(steps), "--dump-vcd", str(trace))
        if ran.status != 0:
            failed = re.findall(r"Assert failed in \S+: (.*)", ran.text)
            flow.fail(f"{title}: FAIL, no induction over {steps} cycles: {', '.join(dict.fromkeys(failed))}; "
                      f"holds for the first {steps} cycles from reset; trace from an unreachable or a far state: {trace}")
        extent = f"for all time: induction over {steps} cycles"
    print(f"{title}: PASS {len(asserts)} assertions, {len(covers)} covers reached; {extent} ({time.monotonic() - start:.1f} s)")


if __name__ == "__main__":
    main()
