"""What the test modules share: where the gateway is, clients for it, and the simulator's steering headers."""

import atexit
import functools
import logging
import os
import re
import unittest

import anthropic

# Settings of the machine must not reach the clients: they would add credentials or change the URL.
for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
    del os.environ[name]

GATEWAY_URL = os.environ["GATEWAY_URL"].rstrip("/")
GATEWAY_KEY = os.environ["GATEWAY_KEY"]
SDK_MAJOR = int(anthropic.__version__.split(".")[0])

# unittest runs coroutines in debug mode, which reports every step over 100 ms.
logging.getLogger("asyncio").setLevel(logging.ERROR)

MODEL = "claude-opus-5"
HELLO = [{"role": "user", "content": "Say hello to the gateway, please."}]
QUESTION = {"model": MODEL, "max_tokens": 1000, "messages": HELLO}

UUID_V7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

# With DIRECT=1 the program runs against the bare simulator, which lacks what the gateway adds.
gateway_only = unittest.skipIf(os.environ.get("DIRECT") == "1", "only the gateway does this")


@functools.cache
def client(**options):
    """A client as a caller would make it, but without retries unless a test asks for them.

    Equal options give the same client, so its connections are reused as a caller's would be.
    """
    made = anthropic.Anthropic(**_with_defaults(options))
    atexit.register(made.close)
    return made


def async_client():
    """A client for `async with`, since each test has its own event loop."""
    return anthropic.AsyncAnthropic(**_with_defaults({}))


def _with_defaults(options):
    defaults = {"base_url": GATEWAY_URL, "max_retries": 0, "timeout": 30.0}
    if "auth_token" not in options:
        defaults["api_key"] = GATEWAY_KEY
    return {**defaults, **options}


def steer(**values):
    """The simulator's steering headers: `steer(output_tokens=9)` is `x-simulator-output-tokens: 9`."""
    return {f"x-simulator-{name.replace('_', '-')}": str(value) for name, value in values.items()}


def ask(content, **fields):
    """A request whose body nobody else sends: the simulator answers equal bodies with equal ids."""
    return {**QUESTION, "messages": [{"role": "user", "content": content}], **fields}


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")
