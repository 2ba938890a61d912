# Python's packages for tests; to be sourced.
#
#   use_venv NAME REQUIREMENTS    sets $venv to a folder that holds what the file REQUIREMENTS says
#
# The folder is <repository>/.test/venv-NAME, and is filled again only when the requirements change, or Python.

use_venv() {
    local cache stamp
    cache=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.test
    venv=$cache/venv-$1
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        echo "Python 3.10 or newer is needed; found $(python3 --version 2>&1)" >&2
        exit 1
    fi
    stamp=$(python3 --version; cat "$2")
    mkdir -p "$cache"
    exec 9>"$venv.lock"
    flock 9
    if [[ ! -f $venv/stamp || $(<"$venv/stamp") != "$stamp" ]]; then
        echo "installing Python packages ($1) ..." >&2
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
        printf '%s\n' "$stamp" >"$venv/stamp"
    fi
    exec 9>&-
    export PYTHONDONTWRITEBYTECODE=1
}
