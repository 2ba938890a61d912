#!/usr/bin/env bash
# Runs the lints, the examples in the documentation, if there are any, the benchmarks as tests, and all tests. Stops at the
# first step that fails. The tests come last, so that their summary is the end of the output.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() {
    echo "==> $*" >&2
    "$@"
}

# Whether a documentation comment opens a code block that rustdoc would compile. Asking rustdoc instead
# would take seconds for each crate.
has_doctests() {
    # shellcheck disable=SC2016 # awk's own dollars
    find . \( -path ./target -o -path ./.test \) -prune -o -path '*/src/*.rs' -print0 |
        xargs -0 awk '
            FNR == 1 { open = 0 }
            /^[ \t]*\/\/[\/!] *```/ {
                language = $0
                sub(/.*```/, "", language)
                if (!open && language !~ /ignore/ &&
                    language ~ /^(rust|should_panic|no_run|compile_fail|edition[0-9]+)?(,.*)?$/) {
                    found = 1
                    exit
                }
                open = !open
            }
            END { exit !found }'
}

scripts/lint.sh
if has_doctests; then
    step cargo test --workspace --doc
fi

# Each benchmark's body once, so that none is broken when it is wanted. Here and below it is the whole workspace's, which is built
# once then: alone, a package would be built with other features.
step scripts/with-postgres.sh cargo test --workspace --bench '*'

# The profile's settings are in .config/nextest.toml.
profile=default
if [[ -n ${CI:-} ]]; then
    profile=ci
fi
# The schema is another where the server has TimescaleDB: the same suite on the second engine.
step scripts/with-timescaledb.sh cargo nextest run --workspace --filterset 'package(migrations)' --profile "$profile"
step scripts/with-postgres.sh cargo nextest run --workspace --profile "$profile"
