"""How callers reach the gateway: credentials, base URLs, compression and large bodies."""

import unittest

from support import GATEWAY_KEY, GATEWAY_URL, QUESTION, ask, client, gateway_only, steer, text_of


class Credentials(unittest.TestCase):
    def test_api_key(self):
        self.assertTrue(text_of(client(api_key=GATEWAY_KEY).messages.create(**QUESTION)).strip())

    def test_auth_token(self):
        self.assertTrue(text_of(client(auth_token=GATEWAY_KEY).messages.create(**QUESTION)).strip())


class BaseUrls(unittest.TestCase):
    def check(self, base_url):
        api = client(base_url=base_url)
        self.assertTrue(text_of(api.messages.create(**QUESTION)).strip())
        with api.messages.stream(**QUESTION) as stream:
            self.assertTrue(stream.get_final_text().strip())
        self.assertTrue(api.models.list(limit=1).data)

    def test_origin(self):
        self.check(GATEWAY_URL)

    def test_trailing_slash(self):
        self.check(f"{GATEWAY_URL}/")

    @gateway_only
    def test_doubled_v1(self):
        self.check(f"{GATEWAY_URL}/v1")

    @gateway_only
    def test_doubled_v1_with_trailing_slash(self):
        self.check(f"{GATEWAY_URL}/v1/")


class Bodies(unittest.TestCase):
    def test_compressed_answer(self):
        raw = client().messages.with_raw_response.create(**QUESTION, extra_headers=steer(encoding="gzip"))
        self.assertEqual(raw.headers["content-encoding"], "gzip")
        self.assertTrue(text_of(raw.parse()).strip())

    def test_compressed_stream(self):
        with client().messages.stream(**QUESTION, extra_headers=steer(encoding="gzip")) as stream:
            self.assertEqual(stream.response.headers["content-encoding"], "gzip")
            text = "".join(stream.text_stream)
            message = stream.get_final_message()
        self.assertTrue(text.strip())
        self.assertEqual(text, text_of(message))

    def test_large_request(self):
        message = client().messages.create(**ask("x" * 2_000_000))
        self.assertTrue(text_of(message).strip())
        self.assertGreaterEqual(message.usage.input_tokens, 500_000)


if __name__ == "__main__":
    unittest.main()
