#!/usr/bin/env bash
# Runs the official Python SDK against a gateway.
#
#   GATEWAY_URL=http://127.0.0.1:8080 GATEWAY_KEY=mw_sk_test_... run.sh newest|0x [unittest arguments]
#   run.sh newest|0x prepare        installs the SDK only
#
# The SDK is installed on first use. DIRECT=1 skips what only the gateway does, for a run against the bare simulator.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=${1:-}
requirements=$here/requirements-$version.txt
if [[ -z $version || ! -f $requirements ]]; then
    echo "usage: run.sh newest|0x [prepare | unittest arguments]" >&2
    exit 2
fi
shift

source "$here/../../venv.sh"
use_venv "$version" "$requirements"
[[ ${1:-} == prepare ]] && exit 0

: "${GATEWAY_URL:?the origin of the gateway, such as http://127.0.0.1:8080}"
: "${GATEWAY_KEY:?a MindWeave key that the simulator answers}"

# The gateway is on this machine: a configured proxy is not on the way to it.
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy

cd "$here"
if [[ $# -eq 0 ]]; then
    set -- discover
fi
status=0
"$venv/bin/python" -m unittest "$@" || status=$?
sdk=$("$venv/bin/python" -c 'import anthropic; print(anthropic.__version__)')
echo "Python SDK $sdk: $([[ $status -eq 0 ]] && echo passed || echo FAILED)"
exit "$status"
