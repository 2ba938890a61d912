#!/usr/bin/env bash
# Runs an MCP server made with the official Python SDK; it prints its URL, and serves until it is killed.
#
#   run.sh http|sse
#   run.sh prepare        installs the SDK only
#
# The SDK lives in <repository>/.test/venv-mcp and is installed again only when its requirements change.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../../../../.." && pwd)/.test
venv=$cache/venv-mcp

prepare() {
    local stamp
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        echo "the MCP SDK needs Python 3.10 or newer; found $(python3 --version 2>&1)" >&2
        exit 1
    fi
    stamp=$(python3 --version; cat "$here/requirements.txt")
    mkdir -p "$cache"
    exec 9>"$venv.lock"
    flock 9
    if [[ ! -f $venv/stamp || $(<"$venv/stamp") != "$stamp" ]]; then
        echo "installing the MCP SDK ..." >&2
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
        printf '%s\n' "$stamp" >"$venv/stamp"
    fi
    exec 9>&-
}

prepare
[[ ${1:-} == prepare ]] && exit 0
export PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" "$here/server.py" "$@"
