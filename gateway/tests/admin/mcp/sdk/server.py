"""An MCP server as people write them, over the transport that is asked for."""

import socket
import sys

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("library", version="1.2.3", instructions="Look things up before you answer.")


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def list_books(author: str, limit: int = 10) -> list[str]:
    """Lists the books of an author."""
    return [author] * limit


@server.tool(annotations=ToolAnnotations(readOnlyHint=False, destructiveHint=True))
def delete_book(title: str) -> bool:
    """Deletes a book."""
    return bool(title)


@server.tool()
def run_shell(command: str) -> str:
    """Runs a command."""
    return command


def main() -> None:
    kind = sys.argv[1]
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if kind == "sse":
        app, path = server.sse_app(), "/sse"
    else:
        app, path = server.streamable_http_app(), "/mcp"
    print(f"http://127.0.0.1:{port}{path}", flush=True)
    config = uvicorn.Config(app, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


main()
