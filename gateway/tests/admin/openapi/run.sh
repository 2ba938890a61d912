#!/usr/bin/env bash
# Holds a running admin API against its own OpenAPI document: the document is valid, and whatever is sent to any operation,
# the answer is one that the document knows.
#
#   ADMIN_URL=http://127.0.0.1:8081 ADMIN_KEY=mw_ak_... ADMIN_SESSION=mw_as_... OTHER_SESSION=mw_as_... run.sh [more for schemathesis]
#   run.sh prepare        installs the programs only
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../venv.sh"

use_venv openapi "$here/requirements.txt"
[[ ${1:-} == prepare ]] && exit 0

: "${ADMIN_URL:?the origin of the admin API, such as http://127.0.0.1:8081}"
: "${ADMIN_KEY:?a key of the whole installation}"
: "${ADMIN_SESSION:?the token of a session of a user}"
: "${OTHER_SESSION:?another one: it will end}"

# The API is on this machine: a configured proxy is not on the way to it.
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
# What it remembers between runs.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

"$venv/bin/python" - "$ADMIN_URL/admin/v1/openapi.json" document.json <<'PYTHON'
import sys, urllib.request
urllib.request.urlretrieve(*sys.argv[1:])
PYTHON
"$venv/bin/openapi-spec-validator" document.json

# run_as KEY ...: the key in both of its places: what isn't given is made up, and two different keys are none.
run_as() {
    local key=$1
    shift
    "$venv/bin/schemathesis" run document.json --url "$ADMIN_URL" \
        --header "x-api-key: $key" --header "authorization: Bearer $key" \
        --checks not_a_server_error,status_code_conformance,response_schema_conformance,content_type_conformance \
        --no-color "$@"
}

# The same; it isn't enough that all of it is refused in shape.
run_authenticated_as() {
    run_as "$@" | tee told.txt
    if grep -q 'Authentication failed' told.txt; then
        echo "some operations never saw a caller" >&2
        exit 1
    fi
}

run_authenticated_as "$ADMIN_KEY" --exclude-tag sessions \
    --exclude-operation-id admin_keys_revoke --exclude-operation-id invitations_accept "$@"
run_authenticated_as "$ADMIN_KEY" --include-operation-id admin_keys_revoke "$@"
# Nobody guesses a token or a password, and the session may end at its first request.
run_as "$OTHER_SESSION" --include-operation-id invitations_accept --include-operation-id login \
    --include-operation-id logout --include-operation-id sessions_delete "$@"
# A wrong password is a 401 here as well.
run_as "$ADMIN_SESSION" --include-tag sessions --exclude-operation-id login \
    --exclude-operation-id logout --exclude-operation-id sessions_delete "$@"
