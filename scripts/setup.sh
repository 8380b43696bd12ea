#!/usr/bin/env bash
# Creates .venv with the tested set of packages; costs nothing if it is there already.
#
#     scripts/setup.sh
#     PYTHON=/path/to/python3.12 scripts/setup.sh    # with an interpreter of your choice
#
# Needs Python 3.12, or Python 3.11 and a C++ compiler. Touches nothing outside of the
# repository but pip's cache; pip's own settings (PIP_INDEX_URL, ...) hold.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv
readonly EXTRAS=speech,plot,evaluate,demo,dev
readonly STAMP=$VENV/.installed   # what was installed, written last of all
readonly AT_WORK=$VENV/.installing  # the process that installs; left behind if it is killed

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Everything that the environment depends on, its own place among it.
wanted() {
    printf '%s\n' "$PWD" "$EXTRAS"
    cksum setup.py constraints.txt scripts/setup.sh
}

# Whether an interpreter of a version runs and can make environments. Finding it is not
# enough: pyenv's shims exist without their Python, and Debian's Python can lack ensurepip.
works() {
    "$1" -c "import ensurepip, sys, venv
sys.exit('%d.%d' % sys.version_info[:2] != '$2')" >/dev/null 2>&1 </dev/null
}

# The first interpreter of a version that works.
find_python() {
    local version=$1 candidate
    local candidates=("python$version" python3 python
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python)
    if command -v uv >/dev/null; then
        candidates+=("$(uv python find "$version" 2>/dev/null || true)")
    fi
    for candidate in "${candidates[@]}"; do
        if [[ -n $candidate ]] && works "$candidate" "$version"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

choose_python() {
    local version
    if [[ -n ${PYTHON:-} ]]; then
        for version in 3.12 3.11; do
            works "$PYTHON" "$version" && printf '%s\n' "$PYTHON" && return
        done
        fail "PYTHON must be a Python 3.12 or 3.11 with venv and ensurepip, but is '$PYTHON'."
    fi
    find_python 3.12 || find_python 3.11 || fail "there must be a Python 3.12 (or 3.11 and a C++" \
        "compiler) with venv and ensurepip, but none was found; install one (Debian and Ubuntu:" \
        "apt-get install python3.12-venv), or name yours: PYTHON=/path/to/python3.12 $0"
}

create_venv() {
    local python
    python=$(choose_python)
    say "creating $VENV with $("$python" --version) ($python)"
    "$python" -m venv --clear "$VENV"
}

pip_install() {
    local quiet=(--quiet)
    if [[ -t 1 ]]; then quiet=(); fi
    "$VENV/bin/python" -m pip install ${quiet[@]+"${quiet[@]}"} --disable-pip-version-check \
        --no-input -c constraints.txt "$@"
}

# fairseq-fixed has no wheel for 3.11. Built in isolation, it would download another torch.
build_fairseq() {
    if ! "$VENV/bin/python" -c 'import fairseq' 2>/dev/null; then
        check_compiler
        say "building fairseq for Python 3.11, about 3 minutes more"
    fi
    pip_install torch torchaudio numpy cython setuptools wheel
    pip_install --no-build-isolation fairseq-fixed
}

check_compiler() {
    local include
    include=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    echo '#include <Python.h>' | "${CXX:-c++}" -x c++ -fsyntax-only -I "$include" - 2>/dev/null ||
        fail "on Python 3.11 fairseq is compiled, which needs a C++ compiler and Python's headers," \
            "but '${CXX:-c++}' cannot compile '#include <Python.h>' with $include; install them" \
            "(Debian and Ubuntu: apt-get install g++ python3.11-dev), or use Python 3.12."
}

main() {
    local installer
    if [[ -f $STAMP && $(<"$STAMP") == "$(wanted)" ]] && "$VENV/bin/python" -c '' 2>/dev/null; then
        return
    fi
    if [[ -f $AT_WORK ]]; then
        installer=$(<"$AT_WORK")
        if kill -0 "$installer" 2>/dev/null; then
            fail "process $installer is installing into $VENV already; wait for it (or, if it is" \
                "another program, remove $AT_WORK)."
        fi
        say "an earlier set-up did not end; starting anew"
        rm -rf "$VENV"
    fi
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || create_venv
    works "$VENV/bin/python" 3.12 || works "$VENV/bin/python" 3.11 ||
        fail "$VENV must be of Python 3.12 or 3.11, but is of $("$VENV/bin/python" --version);" \
            "remove it and try again."
    echo $$ >"$AT_WORK"
    rm -f "$STAMP"
    say "installing into $VENV: some minutes and 5.2 GB the first time"
    if works "$VENV/bin/python" 3.11; then build_fairseq; fi
    pip_install -e ".[$EXTRAS]"
    "$VENV/bin/python" -c 'import logging; logging.disable(logging.INFO) # fairseq is talkative
import torch, torchaudio, fairseq, transformers'
    wanted >"$STAMP.tmp"
    mv "$STAMP.tmp" "$STAMP"
    rm "$AT_WORK"
    say "$VENV is ready"
}

main
