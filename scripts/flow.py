"""What the Verilog scripts share: a block is a folder with `files.f` (one file name per line) and a top module."""

import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

CACHE = Path("target/synth")  # everything in it can be made again
YOSYS = os.environ.get("YOSYS", "yosys")  # another build of it; the newest tested is 0.70


def fail(message, status=1):
    print(message, file=sys.stderr)
    sys.exit(status)


def sources(folder):
    """The block's Verilog files in the order of files.f, which may hold blank lines and `//` or `#` comments."""
    listing = Path(folder) / "files.f"
    if not listing.is_file():
        fail(f"{listing}: not there; a block is a folder with files.f, one file name per line", 2)
    names = [line.split("//")[0].split("#")[0].strip() for line in listing.read_text().splitlines()]
    files = [Path(folder) / name for name in names if name]
    for file in files:
        if not file.is_file():
            fail(f"{file}: named in {listing} but not there", 2)
    if not files:
        fail(f"{listing}: names no file", 2)
    # The text of yosys scripts: a name in quotes may hold spaces, nothing else.
    for file in files:
        if set('"\n;') & set(str(file)):
            fail(f"{file}: quotes, semicolons and line ends cannot be passed on to yosys", 2)
    return files


def digest(*parts):
    """SHA-256 over texts and over the bytes of files."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        total.update(f"{len(data)}:".encode() + data)
    return total.hexdigest()


class Ran:
    """A finished tool: its output, seconds, largest memory of any tool so far in MB."""

    def __init__(self, status, text, seconds):
        self.status, self.text, self.seconds = status, text, seconds
        self.peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def run(command, log, timeout, cwd=None, env=None):
    """Runs a tool in a process group of its own, so that a time-out also ends the solver it started."""
    start = time.monotonic()
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as out:
        try:
            tool = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd,
                env={**os.environ, **(env or {})}, start_new_session=True)
        except FileNotFoundError:
            fail(f"{command[0]}: not installed; run: sh setup.sh build", 2)
        try:
            status = tool.wait(timeout)
        except BaseException as error:
            os.killpg(tool.pid, 9)
            tool.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                fail(f"{Path(command[0]).name}: no answer after {timeout} s (--timeout); log in {log}", 3)
            raise
    return Ran(status, Path(log).read_text(errors="replace"), time.monotonic() - start)


def errors_of(text, lines=5):
    """What a reader wants from a failed tool's log: its error lines, else its end."""
    found = [line for line in text.splitlines() if "ERROR" in line or line.startswith(("error", "Warning: found logic loop"))]
    return "\n".join((found or text.strip().splitlines()[-lines:])[:lines])


def yosys_version():
    try:
        return subprocess.run([YOSYS, "-V"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        fail(f"{YOSYS}: not installed; run: sh setup.sh build", 2)


def write_json(path, data):
    """Whole or not at all: a run that was stopped leaves no half of a result behind."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(data, indent=1) + "\n")
    aside.replace(path)
