"""Server-sent events: the stream helper, raw events, tools, thinking, failures and clients that leave."""

import asyncio
import json
import time
import unittest

import anthropic

from support import QUESTION, ask, async_client, client, steer, text_of
from test_messages import THINKING, WEATHER_TOOL


class Streams(unittest.TestCase):
    def test_stream_helper(self):
        with client().messages.stream(**QUESTION, extra_headers=steer(output_tokens=40)) as stream:
            text = "".join(stream.text_stream)
            message = stream.get_final_message()
        self.assertTrue(text.strip())
        self.assertEqual(text, text_of(message))
        self.assertEqual(message.stop_reason, "end_turn")
        self.assertGreater(message.usage.input_tokens, 0)
        self.assertEqual(message.usage.output_tokens, 40)
        self.assertTrue(stream.request_id)

    def test_raw_events(self):
        events = list(client().messages.create(**QUESTION, stream=True))
        kinds = [event.type for event in events if event.type != "ping"]
        self.assertEqual(kinds[:2], ["message_start", "content_block_start"])
        self.assertEqual(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"])
        self.assertIn("content_block_delta", kinds)
        [delta] = [event for event in events if event.type == "message_delta"]
        self.assertEqual(delta.delta.stop_reason, "end_turn")
        self.assertGreater(delta.usage.output_tokens, 0)

    def test_a_stream_says_what_the_whole_answer_says(self):
        whole = client().messages.create(**QUESTION, extra_headers=steer(output_tokens=30))
        with client().messages.stream(**QUESTION, extra_headers=steer(output_tokens=30)) as stream:
            streamed = stream.get_final_message()
        self.assertEqual(whole.usage.output_tokens, streamed.usage.output_tokens)
        self.assertEqual(whole.usage.input_tokens, streamed.usage.input_tokens)

    def test_beta_stream(self):
        with client().beta.messages.stream(**QUESTION, betas=["context-1m-2025-08-07"]) as stream:
            text = "".join(stream.text_stream)
            message = stream.get_final_message()
        self.assertTrue(text.strip())
        self.assertEqual(text, text_of(message))

    def test_tool_use(self):
        parts = []
        with client().messages.stream(
            **QUESTION, tools=[WEATHER_TOOL], extra_headers=steer(tool="get_weather")
        ) as stream:
            for event in stream:
                if event.type == "input_json":
                    parts.append(event.partial_json)
            message = stream.get_final_message()
        [call] = [block for block in message.content if block.type == "tool_use"]
        self.assertEqual(message.stop_reason, "tool_use")
        self.assertEqual(call.name, "get_weather")
        self.assertEqual(json.loads("".join(parts)), call.input)

    def test_thinking(self):
        thoughts = []
        with client().messages.stream(**THINKING) as stream:
            for event in stream:
                if event.type == "thinking":
                    thoughts.append(event.thinking)
            message = stream.get_final_message()
        self.assertEqual(message.content[0].type, "thinking")
        self.assertTrue(message.content[0].signature)
        self.assertTrue("".join(thoughts))
        self.assertEqual("".join(thoughts), message.content[0].thinking)

    def test_an_error_inside_a_stream_reaches_the_caller(self):
        with self.assertRaises(anthropic.APIStatusError) as caught:
            for _ in client().messages.create(
                **QUESTION, stream=True, extra_headers=steer(mid_stream_error="overloaded")
            ):
                pass
        self.assertEqual(caught.exception.status_code, 200)
        self.assertEqual(caught.exception.body["error"]["type"], "overloaded_error")

    def test_a_client_that_leaves_does_not_hang(self):
        api = client()
        started = time.monotonic()
        slow = steer(output_tokens=900, event_interval_ms=50)
        with api.messages.stream(**QUESTION, extra_headers=slow) as stream:
            for _ in zip(range(3), stream.text_stream):
                pass
        self.assertTrue(text_of(api.messages.create(**QUESTION)).strip())
        self.assertLess(time.monotonic() - started, 5)


class ManyStreams(unittest.IsolatedAsyncioTestCase):
    async def test_twenty_at_once(self):
        async def one(api, number):
            paced = steer(output_tokens=20 + number, event_interval_ms=5)
            async with api.messages.stream(**ask(f"Stream {number}."), extra_headers=paced) as stream:
                text = "".join([part async for part in stream.text_stream])
                return text, await stream.get_final_message()

        async with async_client() as api:
            answers = await asyncio.gather(*(one(api, number) for number in range(20)))
        self.assertEqual(len({message.id for _, message in answers}), 20)
        for number, (text, message) in enumerate(answers):
            self.assertEqual(text, text_of(message))
            self.assertEqual(message.usage.output_tokens, 20 + number)


if __name__ == "__main__":
    unittest.main()
