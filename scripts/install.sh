#!/usr/bin/env bash
# Installs what is missing to build and run MindWeave (`run`), or also to test it (`test`) or to measure it (`bench`).
#
#   scripts/install.sh run|test|bench
#
# What is there stays as it is, and when nothing is missing nothing is downloaded. PostgreSQL is installed
# for its programs only: no database cluster is created, and existing clusters are left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

createcluster_conf=/etc/postgresql-common/createcluster.conf
policy_rc=/usr/sbin/policy-rc.d
packages=() # what apt-get shall install
as_root=()  # what makes a command run as root

main() {
    case ${1:-} in
        run)
            need_for_run
            install_packages
            check_rust
            ;;
        test)
            need_for_run
            need_for_test
            install_packages
            check_rust
            install_cargo_tools
            install_sdks
            ;;
        bench)
            need_for_run
            need_for_bench
            install_packages
            check_rust
            ;;
        *)
            echo "usage: scripts/install.sh run|test|bench" >&2
            exit 2
            ;;
    esac
}

say() { echo "$@" >&2; }

fail() {
    say "error: $1"
    shift
    [[ $# -eq 0 ]] || printf '    %s\n' "$@" >&2
    exit 1
}

has() { command -v "$1" >/dev/null; }

# need PACKAGE CHECK...: notes the package unless the check passes.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || packages+=("$package")
}

need_for_run() {
    need build-essential has cc
    need ca-certificates test -s /etc/ssl/certs/ca-certificates.crt
    need curl has curl
    need postgresql has_postgres
}

need_for_test() {
    need python3-venv python3 -c 'import ensurepip, venv'
    need nodejs has node
    need npm has npm
    need prometheus has_prometheus
    need debootstrap has_debootstrap
    need pgbouncer has_pgbouncer
}

# nginx to compare with, and cmake for what pingora is built of.
need_for_bench() {
    need nginx has_nginx
    need cmake has cmake
}

# Debian keeps the server's programs out of the PATH.
has_postgres() {
    { has initdb && has postgres; } || compgen -G '/usr/lib/postgresql/*/bin/postgres'
}

has_prometheus() { has prometheus && has promtool; }

# Where it is, as below.
has_nginx() { has nginx || test -x /usr/sbin/nginx; }

# For scripts/with-timescaledb.sh. The PATH of others than root may lack its folder.
has_debootstrap() { has debootstrap || test -x /usr/sbin/debootstrap; }

# For tests in front of a pooler; where it is, as above.
has_pgbouncer() { has pgbouncer || test -x /usr/sbin/pgbouncer; }

install_packages() {
    [[ ${#packages[@]} -gt 0 ]] || return 0
    has apt-get || fail "these are missing, and there is no apt-get to install them:" "${packages[@]}"
    find_root
    say "installing ${packages[*]} ..."
    apt_get update
    keep_services_stopped
    if [[ " ${packages[*]} " == *" postgresql "* ]]; then
        prevent_cluster
    fi
    apt_get install --no-install-recommends "${packages[@]}"
    local service
    for service in prometheus pgbouncer nginx; do
        if [[ " ${packages[*]} " == *" $service "* && -d /run/systemd/system ]]; then
            "${as_root[@]}" systemctl disable --quiet "$service"
        fi
    done
}

find_root() {
    if [[ $(id -u) -eq 0 ]]; then
        return
    fi
    if has sudo && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
        as_root=(sudo)
        return
    fi
    fail "root is needed to install packages. Run this as root, then try again:" \
        "apt-get update && apt-get install --no-install-recommends ${packages[*]}"
}

# Runs apt-get without questions; its output is shown only if it fails.
apt_get() {
    local log
    log=$(mktemp)
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get --yes --quiet -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        fail "apt-get $1 failed"
    fi
    rm -f "$log"
}

# Debian starts the services that it installs; while this file says 101, it doesn't.
keep_services_stopped() {
    [[ ! -e $policy_rc ]] || return 0
    trap '"${as_root[@]}" rm -f "$policy_rc"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy_rc" >/dev/null
    "${as_root[@]}" chmod +x "$policy_rc"
}

# Debian's PostgreSQL creates a cluster when it is installed first, unless this says otherwise. Where
# postgresql-common is configured already, somebody made that choice.
prevent_cluster() {
    [[ ! -e $createcluster_conf ]] || return 0
    apt_get install --no-install-recommends postgresql-common
    "${as_root[@]}" sed -i 's/^#* *create_main_cluster *=.*/create_main_cluster = false/' "$createcluster_conf"
}

check_rust() {
    local needed found cure
    needed=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml | head -n 1)
    [[ -n $needed ]] || fail "Cargo.toml names no rust-version"
    if has rustup; then
        cure="rustup update stable && rustup default stable"
    else
        cure="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    fi
    if ! has cargo || ! found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || [[ -z $found ]]; then
        fail "MindWeave needs Rust $needed or newer; no Rust was found. Install it with" "$cure"
    fi
    if [[ $(printf '%s\n' "$needed" "$found" | sort --version-sort | head -n 1) != "$needed" ]]; then
        fail "MindWeave needs Rust $needed or newer; found $found. Cure it with" "$cure"
    fi
}

install_cargo_tools() {
    local component
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 && continue
        has rustup || fail "cargo $component is missing; install it as you installed Rust"
        say "installing cargo $component ..."
        rustup --quiet component add "${component/#fmt/rustfmt}"
    done
    if ! cargo nextest --version >/dev/null 2>&1; then
        say "installing cargo-nextest (this takes some minutes) ..."
        cargo install cargo-nextest --locked --quiet
    fi
}

# The official Claude and MCP SDKs, which the end-to-end tests run against the gateway, and what holds the admin API against
# its document.
install_sdks() {
    local language version
    gateway/tests/admin/mcp/sdk/run.sh prepare
    gateway/tests/admin/openapi/run.sh prepare
    for language in python typescript; do
        for version in newest 0x; do
            "gateway/tests/sdk/$language/run.sh" "$version" prepare
        done
    done
}

main "$@"
