"""Answers that come whole: messages, tools, thinking, beta, the async client, and the gateway's headers."""

import unittest

from support import MODEL, QUESTION, UUID_V7, async_client, client, gateway_only, steer, text_of

WEATHER_TOOL = {
    "name": "get_weather",
    "description": "The weather of a place",
    "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}},
}
THINKING = {
    "model": "claude-haiku-4-5",
    "max_tokens": 4000,
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "messages": [{"role": "user", "content": "Think before you answer."}],
}


class Messages(unittest.TestCase):
    def test_create(self):
        message = client().messages.create(**QUESTION, extra_headers=steer(output_tokens=12))
        self.assertEqual((message.type, message.role, message.model), ("message", "assistant", MODEL))
        self.assertTrue(message.id.startswith("msg_"), message.id)
        self.assertEqual(message.stop_reason, "end_turn")
        self.assertTrue(text_of(message).strip())
        self.assertGreater(message.usage.input_tokens, 0)
        self.assertEqual(message.usage.output_tokens, 12)
        self.assertTrue(message._request_id)

    def test_beta_create(self):
        message = client().beta.messages.create(**QUESTION, betas=["context-1m-2025-08-07"])
        self.assertTrue(text_of(message).strip())
        self.assertGreater(message.usage.output_tokens, 0)

    def test_tool_use(self):
        message = client().messages.create(
            **QUESTION, tools=[WEATHER_TOOL], extra_headers=steer(tool="get_weather")
        )
        [call] = [block for block in message.content if block.type == "tool_use"]
        self.assertEqual(message.stop_reason, "tool_use")
        self.assertEqual(call.name, "get_weather")
        self.assertIsInstance(call.input, dict)

    def test_thinking(self):
        message = client().messages.create(**THINKING)
        self.assertEqual(message.content[0].type, "thinking")
        self.assertTrue(message.content[0].thinking)
        self.assertTrue(message.content[0].signature)
        self.assertTrue(text_of(message).strip())

    @gateway_only
    def test_every_answer_names_its_gateway_request(self):
        raw = [client().messages.with_raw_response.create(**QUESTION) for _ in range(2)]
        ids = [answer.headers["x-mindweave-request-id"] for answer in raw]
        for answer, request_id in zip(raw, ids):
            self.assertRegex(request_id, UUID_V7)
            self.assertTrue(answer.headers["request-id"])
            self.assertTrue(text_of(answer.parse()).strip())
        self.assertNotEqual(ids[0], ids[1])

    @gateway_only
    def test_streams_name_their_gateway_request_too(self):
        with client().messages.with_streaming_response.create(**QUESTION, stream=True) as answer:
            self.assertRegex(answer.headers["x-mindweave-request-id"], UUID_V7)
            self.assertTrue(answer.read())


class AsyncMessages(unittest.IsolatedAsyncioTestCase):
    async def test_create(self):
        async with async_client() as api:
            message = await api.messages.create(**QUESTION)
        self.assertTrue(text_of(message).strip())
        self.assertGreater(message.usage.output_tokens, 0)

    async def test_stream(self):
        async with async_client() as api:
            async with api.messages.stream(**QUESTION) as stream:
                text = "".join([part async for part in stream.text_stream])
                message = await stream.get_final_message()
        self.assertEqual(text, text_of(message))
        self.assertTrue(text.strip())


if __name__ == "__main__":
    unittest.main()
