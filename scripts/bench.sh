#!/usr/bin/env bash
# Measures the gateway beside proxies that check nothing, in release mode, and writes what came of it into docs/: the tables of
# PERFORMANCE.md, the plots and the data in performance/.
#
#   scripts/bench.sh [SCENARIO...] [--rounds N] [--of WHO]
#
# The gateway is built as for production (scripts/release.sh). Building takes some minutes where nothing is built yet, and measuring
# ten. Nothing else should run meanwhile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Debian keeps nginx out of the PATH of others than root.
PATH=$PATH:/usr/sbin:/sbin

gateway=$(scripts/release.sh)
# A workspace of its own, whose programs are looked for where it is. A peer that can't be built isn't measured.
peers=load-tests/peers
cargo build --release --locked --manifest-path "$peers/Cargo.toml" --target-dir "$peers/target" --package bare-hyper
cargo build --release --locked --manifest-path "$peers/Cargo.toml" --target-dir "$peers/target" --package bare-pingora ||
    echo "bench: pingora can't be built here and is left out" >&2

mkdir -p docs/performance
scripts/with-postgres.sh "${CARGO_TARGET_DIR:-target}/release/load-tests" bench --binary "$gateway" \
    --data docs/performance/bench.json --docs docs "$@"
