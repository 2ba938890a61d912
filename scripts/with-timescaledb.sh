#!/usr/bin/env bash
# Runs a command with a PostgreSQL 17 server of its own that has TimescaleDB (the Apache edition), which is
# thrown away afterwards. The command finds the server as TEST_DATABASE_URL, and client programs of the server's
# version in the folder TEST_POSTGRES_BIN.
#
#   scripts/with-timescaledb.sh COMMAND...
#
# Whatever the system is, the server is Debian 13's, in a root directory that is made at the first run: in .test,
# or in the folder that MINDWEAVE_TEST_ROOTS names. Entering it needs root; for others the command is skipped.
#
# TEST_TIMESCALEDB_URL names a server to use instead, such as one that has the Community edition.
set -euo pipefail

say() { echo "with-timescaledb: $*" >&2; }

if [[ $# -eq 0 ]]; then
    echo "usage: scripts/with-timescaledb.sh COMMAND..." >&2
    exit 2
fi
if [[ -n ${TEST_TIMESCALEDB_URL:-} ]]; then
    export TEST_DATABASE_URL=$TEST_TIMESCALEDB_URL
    exec "$@"
fi
if [[ $(id --user) != 0 ]]; then
    say "skipped: needs root to enter a Debian 13 root"
    exit 0
fi

# chroot and debootstrap are there.
PATH=$PATH:/usr/sbin:/sbin
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
roots=${MINDWEAVE_TEST_ROOTS:-.test}
if [[ $roots != /* ]]; then
    roots=$project/$roots
fi
root=$roots/debian-13
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Runs a command whose output is shown only if it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm --force "$log"
        say "failed: $*"
        return 1
    fi
    rm --force "$log"
}

# apt_install IN PACKAGE...: installs packages in a root directory.
apt_install() {
    local apt_get=(chroot "$1" env DEBIAN_FRONTEND=noninteractive
        apt-get --yes --quiet -o DPkg::Lock::Timeout=300)
    shift
    quietly "${apt_get[@]}" update
    quietly "${apt_get[@]}" install --no-install-recommends "$@"
}

# Makes the root directory under another name and renames it when it is complete. The body is a subshell, to
# hold the lock no longer than that.
make_root() (
    flock 9
    [[ ! -d $root ]] || exit 0 # somebody else made it meanwhile
    umask 022
    unset TMPDIR # there may be no such folder inside
    partial=$root.partial
    remove_partial() { rm --recursive --force --one-file-system "$partial"; }
    remove_partial # of a run that was killed
    trap remove_partial EXIT

    say "making a Debian 13 root in $root (this takes some minutes) ..."
    if ! command -v debootstrap >/dev/null || [[ ! -s $keyring ]]; then
        apt_install / debootstrap debian-archive-keyring
    fi
    if ! quietly debootstrap --variant=minbase --force-check-gpg --keyring="$keyring" \
        trixie "$partial"; then
        tail --lines=30 "$partial/debootstrap/debootstrap.log" >&2 || true
        exit 1
    fi
    # No service is started, and no cluster is created.
    printf '#!/bin/sh\nexit 101\n' >"$partial/usr/sbin/policy-rc.d"
    chmod +x "$partial/usr/sbin/policy-rc.d"
    apt_install "$partial" postgresql-common
    sed -i 's/^#* *create_main_cluster *=.*/create_main_cluster = false/' \
        "$partial/etc/postgresql-common/createcluster.conf"
    apt_install "$partial" postgresql-17-timescaledb
    quietly chroot "$partial" apt-get clean
    mv --no-target-directory "$partial" "$root"
) 9>"$root.lock"

if [[ ! -d $root ]]; then
    mkdir --parents "$roots"
    make_root
fi

# Runs a program inside as a user that PostgreSQL accepts, without the PG* variables of outside.
bindir=/usr/lib/postgresql/17/bin
as_server() {
    env --ignore-environment PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        chroot --userspec=postgres:postgres "$root" "$@"
}

folder= # of this run, outside
inside= # of the server, as seen inside
# shellcheck disable=SC2317 # the trap calls it
stop() {
    if [[ -n $inside ]]; then
        if [[ -e $root$inside/data/postmaster.pid ]]; then
            as_server "$bindir/pg_ctl" --pgdata="$inside/data" --silent --mode=immediate stop || true
        fi
        rm --recursive --force "${root:?}$inside"
    fi
    if [[ -n $folder ]]; then
        rm --recursive --force "$folder"
    fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

folder=$(mktemp --directory /tmp/timescaledb.XXXXXX)
inside=$(as_server mktemp --directory /tmp/timescaledb.XXXXXX)
as_server "$bindir/initdb" --pgdata="$inside/data" --no-sync --auth=trust --username=postgres \
    --encoding=UTF8 --locale=C >/dev/null
options="-k $inside -c listen_addresses='' -c fsync=off -c max_connections=400"
if ! as_server "$bindir/pg_ctl" --pgdata="$inside/data" --silent --wait --log="$inside/log" \
    --options="$options -c shared_preload_libraries=timescaledb" start; then
    cat "$root$inside/log" >&2
    exit 1
fi

# A socket's path may have 107 bytes; the one through the root directory may be longer.
socket=$folder/socket
ln --symbolic "$root$inside" "$socket"
export TEST_DATABASE_URL="postgres://postgres@${socket//\//%2F}/postgres"

# The programs inside know the socket's folder by another name. PGHOST may name other servers as well, which
# they reach by TCP only.
export TEST_POSTGRES_BIN=$folder/bin
mkdir "$TEST_POSTGRES_BIN"
for program in pg_dump createdb dropdb psql; do
    cat >"$TEST_POSTGRES_BIN/$program" <<WRAPPER
#!/bin/sh
if [ "\${PGHOST:-$socket}" = "$socket" ]; then
    export PGHOST="$inside"
fi
exec $(command -v chroot) $(printf %q "$root") $bindir/$program "\$@"
WRAPPER
    chmod +x "$TEST_POSTGRES_BIN/$program"
done

# In the background, since bash defers traps while it runs a command in the foreground. There the shell would
# have the command ignore SIGINT.
(
    trap - INT TERM
    exec "$@"
) <&0 &
command=$!
interrupted= # whether a signal ended the wait before the command
trap '! kill -INT "$command" 2>/dev/null || interrupted=1' INT
trap '! kill -TERM "$command" 2>/dev/null || interrupted=1' TERM
while
    status=0
    wait "$command" || status=$?
    [[ -n $interrupted ]]
do
    interrupted=
done
exit "$status"
