"""What is not a message: token counts, models and their pages, batches and their results."""

import time
import unittest
from urllib.parse import urlsplit

import anthropic

from support import GATEWAY_URL, MODEL, ask, client, gateway_only, text_of


class CountTokens(unittest.TestCase):
    def test_longer_texts_count_more(self):
        counts = [
            client()
            .messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "word " * words}])
            .input_tokens
            for words in (10, 1000)
        ]
        self.assertGreater(counts[0], 0)
        self.assertGreater(counts[1], counts[0])

    def test_beta(self):
        count = client().beta.messages.count_tokens(
            model=MODEL, messages=[{"role": "user", "content": "hello"}], betas=["context-1m-2025-08-07"]
        )
        self.assertGreater(count.input_tokens, 0)


class Models(unittest.TestCase):
    def test_pages_add_up_to_the_whole_list(self):
        whole = [model.id for model in client().models.list(limit=1000)]
        page = client().models.list(limit=2)
        self.assertEqual(len(page.data), 2)
        self.assertTrue(page.has_next_page())
        self.assertEqual([model.id for model in page], whole)
        self.assertEqual(len(whole), len(set(whole)))

    def test_retrieve(self):
        model = client().models.retrieve(MODEL)
        self.assertEqual((model.type, model.id), ("model", MODEL))
        self.assertTrue(model.display_name)

    def test_an_unknown_model_is_not_found(self):
        with self.assertRaises(anthropic.NotFoundError):
            client().models.retrieve("no-such-model")


class Batches(unittest.TestCase):
    def run_batch(self, api):
        names = {f"item-{number}" for number in range(3)}
        batch = api.messages.batches.create(
            requests=[{"custom_id": name, "params": ask(f"Batched {name}.")} for name in sorted(names)]
        )
        deadline = time.monotonic() + 20
        while batch.processing_status != "ended" and time.monotonic() < deadline:
            time.sleep(0.05)
            batch = api.messages.batches.retrieve(batch.id)
        self.assertEqual(batch.processing_status, "ended")
        return batch, names

    def test_results_are_read_to_the_end(self):
        api = client()
        batch, names = self.run_batch(api)
        self.assertEqual(batch.request_counts.succeeded, 3)
        results = list(api.messages.batches.results(batch.id))
        self.assertEqual({result.custom_id for result in results}, names)
        for result in results:
            self.assertEqual(result.result.type, "succeeded")
            self.assertTrue(text_of(result.result.message).strip())
            self.assertGreater(result.result.message.usage.output_tokens, 0)

    @gateway_only
    def test_results_url_leads_through_the_gateway(self):
        batch, _ = self.run_batch(client())
        url = urlsplit(batch.results_url)
        self.assertEqual(f"{url.scheme}://{url.netloc}", GATEWAY_URL)
        self.assertEqual(url.path, f"/v1/messages/batches/{batch.id}/results")


if __name__ == "__main__":
    unittest.main()
