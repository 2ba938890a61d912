#!/usr/bin/env bash
# Runs the official TypeScript SDK against a gateway.
#
#   GATEWAY_URL=http://127.0.0.1:8080 GATEWAY_KEY=mw_sk_test_... run.sh newest|0x [node options]
#   run.sh newest|0x prepare        installs the SDK only
#
# The SDK lives in <repository>/.test/node-<version> and is installed again only when its lock file
# changes. DIRECT=1 skips what only the gateway does, for a run against the bare simulator.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=${1:-}
manifest=$here/$version
if [[ -z $version || ! -f $manifest/package-lock.json ]]; then
    echo "usage: run.sh newest|0x [prepare | node options]" >&2
    exit 2
fi
shift

cache=$(cd "$here/../../../.." && pwd)/.test
modules=$cache/node-$version

# Fills the module directory, unless its stamp says that it already holds this lock file, and puts the
# test files beside node_modules, where node looks for a module's imports.
prepare() {
    local stamp file
    if [[ $(node --version | sed 's/^v\([0-9]*\).*/\1/') -lt 18 ]]; then
        echo "the TypeScript SDK needs node 18 or newer; found $(node --version)" >&2
        exit 1
    fi
    stamp=$(node --version; cat "$manifest/package-lock.json")
    mkdir -p "$modules"
    exec 9>"$modules.lock"
    flock 9
    if [[ ! -f $modules/stamp || $(<"$modules/stamp") != "$stamp" ]]; then
        echo "installing the TypeScript SDK ($version) ..." >&2
        rm -rf "${modules:?}"
        mkdir -p "$modules"
        cp "$manifest/package.json" "$manifest/package-lock.json" "$modules/"
        (cd "$modules" && npm ci --loglevel=error --no-audit --no-fund >/dev/null)
        printf '%s\n' "$stamp" >"$modules/stamp"
    fi
    for file in "$here"/*.mjs; do
        cmp --silent "$file" "$modules/${file##*/}" || cp "$file" "$modules/"
    done
    exec 9>&-
}

prepare
[[ ${1:-} == prepare ]] && exit 0

: "${GATEWAY_URL:?the origin of the gateway, such as http://127.0.0.1:8080}"
: "${GATEWAY_KEY:?a MindWeave key that the simulator answers}"

cd "$modules"
tests=("$here"/*.test.mjs)
status=0
node --test --test-reporter=spec "$@" "${tests[@]##*/}" || status=$?
sdk=$(node -p 'require("@anthropic-ai/sdk/version").VERSION')
echo "TypeScript SDK $sdk: $([[ $status -eq 0 ]] && echo passed || echo FAILED)"
exit "$status"
