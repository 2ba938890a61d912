#!/usr/bin/env bash
# Runs a command with a PostgreSQL server of its own, which is thrown away afterwards. The command finds it as
# TEST_DATABASE_URL. Tests that need a database start a server each where they are not given one; sharing
# one saves them the time.
set -euo pipefail

bindir=$(find /usr/lib/postgresql/*/bin -maxdepth 0 2>/dev/null | sort --version-sort | tail -n 1)
if [[ -z $bindir ]]; then
    echo "with-postgres: no PostgreSQL server is installed: apt-get install postgresql" >&2
    exit 1
fi

folder=$(mktemp --directory)
# PostgreSQL refuses to run as root.
as_server() { "$@"; }
if [[ $(id --user) == 0 ]]; then
    chown postgres "$folder"
    as_server() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi

stop() {
    as_server "$bindir/pg_ctl" --pgdata="$folder/data" --silent --mode=immediate stop || true
    rm --recursive --force "$folder"
}
trap stop EXIT

cd /
as_server "$bindir/initdb" --pgdata="$folder/data" --no-sync --auth=trust --username=postgres \
    --encoding=UTF8 --locale=C >/dev/null
as_server "$bindir/pg_ctl" --pgdata="$folder/data" --silent --wait --log="$folder/log" \
    --options="-k $folder -c listen_addresses='' -c fsync=off -c max_connections=400" start
cd "$OLDPWD"

export TEST_DATABASE_URL="postgres://postgres@${folder//\//%2F}/postgres"
"$@"
