#!/usr/bin/env bash
# Runs the official Python SDK against a gateway.
#
#   GATEWAY_URL=http://127.0.0.1:8080 GATEWAY_KEY=mw_sk_test_... run.sh newest|0x [unittest arguments]
#   run.sh newest|0x prepare        installs the SDK only
#
# The SDK lives in <repository>/.test/venv-<version> and is installed again only when its requirements
# change. DIRECT=1 skips what only the gateway does, for a run against the bare simulator.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=${1:-}
requirements=$here/requirements-$version.txt
if [[ -z $version || ! -f $requirements ]]; then
    echo "usage: run.sh newest|0x [prepare | unittest arguments]" >&2
    exit 2
fi
shift

cache=$(cd "$here/../../../.." && pwd)/.test
venv=$cache/venv-$version

# Fills the venv, unless its stamp says that it already holds these requirements for this Python.
prepare() {
    local stamp
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        echo "the Python SDK needs Python 3.10 or newer; found $(python3 --version 2>&1)" >&2
        exit 1
    fi
    stamp=$(python3 --version; cat "$requirements")
    mkdir -p "$cache"
    exec 9>"$venv.lock"
    flock 9
    if [[ ! -f $venv/stamp || $(<"$venv/stamp") != "$stamp" ]]; then
        echo "installing the Python SDK ($version) ..." >&2
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
        printf '%s\n' "$stamp" >"$venv/stamp"
    fi
    exec 9>&-
}

prepare
[[ ${1:-} == prepare ]] && exit 0

: "${GATEWAY_URL:?the origin of the gateway, such as http://127.0.0.1:8080}"
: "${GATEWAY_KEY:?a MindWeave key that the simulator answers}"

# The gateway is on this machine: a configured proxy is not on the way to it.
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
export PYTHONDONTWRITEBYTECODE=1

cd "$here"
if [[ $# -eq 0 ]]; then
    set -- discover
fi
status=0
"$venv/bin/python" -m unittest "$@" || status=$?
sdk=$("$venv/bin/python" -c 'import anthropic; print(anthropic.__version__)')
echo "Python SDK $sdk: $([[ $status -eq 0 ]] && echo passed || echo FAILED)"
exit "$status"
