#!/usr/bin/env bash
# Checks formatting, lints and documentation; a warning is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() {
    echo "==> $*" >&2
    "$@"
}

step cargo fmt --all --check
step cargo clippy --workspace --all-targets -- -D warnings
export RUSTDOCFLAGS="${RUSTDOCFLAGS:-} -D warnings"
step cargo doc --workspace --no-deps
# Licences, sources and banned crates, where cargo-deny happens to be installed.
if command -v cargo-deny >/dev/null; then
    step cargo deny --offline check bans licenses sources
fi
