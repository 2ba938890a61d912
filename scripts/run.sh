#!/usr/bin/env bash
# Builds the gateway and starts everything for a first request. Arguments go to `mindweave up`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release --bin mindweave
exec "${CARGO_TARGET_DIR:-target}/release/mindweave" up "$@"
