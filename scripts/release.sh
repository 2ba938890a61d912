#!/usr/bin/env bash
# Builds the gateway for production: once to see which ways requests take through it, under load from the simulator, and once
# laid out for them. It costs a request a third less CPU than the ordinary release build. Says at last where the program is.
#
#   scripts/release.sh
#
# Building takes twice what it takes otherwise, and the load a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}
profiles=$target/profiled/profiles
profdata=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata

# Profiles are of the compiler's own LLVM, which a distribution's tool may not read.
if [[ ! -x $profdata ]]; then
    if ! command -v rustup >/dev/null; then
        echo "error: $profdata is missing; it comes with Rust's component llvm-tools" >&2
        exit 1
    fi
    rustup --quiet component add llvm-tools
fi

# With a target of its own, build scripts and macros are built as ever.
build() {
    RUSTFLAGS="${RUSTFLAGS:-} $1" cargo build --release --locked --package gateway --target "$host" --target-dir "$target/profiled"
}

rm -rf "$profiles"
mkdir -p "$profiles"
profiles=$(realpath "$profiles")
build "-Cprofile-generate=$profiles"
cargo build --release --locked --package load-tests
program=$target/profiled/$host/release/mindweave
load() {
    scripts/with-postgres.sh "$target/release/load-tests" "$@" --binary "$program" >"$profiles/load.log" ||
        { cat "$profiles/load.log" >&2; exit 1; }
}
load bench short medium large stream-50 stream-500 half --of gateway-process --of gateway-fsync --rounds 2 --data "$profiles/bench.json"
# Under policies of every kind, too. What that costs is measured elsewhere.
load growth policies --short
"$profdata" merge -o "$profiles/merged.profdata" "$profiles"/*.profraw
build "-Cprofile-use=$profiles/merged.profdata"
echo "$program"
