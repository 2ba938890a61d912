#!/usr/bin/env bash
# Runs a scenario of load-tests/ in release mode, with a PostgreSQL server of its own.
#
#   scripts/load-tests.sh SCENARIO [--short] [--binary PATH]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release --package gateway --package load-tests
exec scripts/with-postgres.sh "${CARGO_TARGET_DIR:-target}/release/load-tests" "$@"
