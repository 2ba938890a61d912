#!/usr/bin/env bash
# Runs an MCP server made with the official Python SDK; it prints its URL, and serves until it is killed.
#
#   run.sh http|sse
#   run.sh prepare        installs the SDK only
#
# The SDK is installed on first use.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../../venv.sh"

use_venv mcp "$here/requirements.txt"
[[ ${1:-} == prepare ]] && exit 0
exec "$venv/bin/python" "$here/server.py" "$@"
