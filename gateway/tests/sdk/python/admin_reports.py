"""The organization's reports, read by the official SDK from the admin listener. Not one of the cases of the proxy: it is run by
itself, with ADMIN_URL and ADMIN_KEY.

The SDK has methods for the analytics reports alone. Of these two it has the pages, and whatever sends and reads requests: so
they are read as its own resources would read them.
"""

import os
import unittest
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import List, Optional

import anthropic
from anthropic._models import BaseModel
from anthropic.pagination import AsyncReportPageCursor, SyncReportPageCursor

ADMIN_URL = os.environ["ADMIN_URL"]
ADMIN_KEY = os.environ["ADMIN_KEY"]


class CacheCreation(BaseModel):
    ephemeral_1h_input_tokens: int
    ephemeral_5m_input_tokens: int


class ServerToolUse(BaseModel):
    web_search_requests: int


class Usage(BaseModel):
    uncached_input_tokens: int
    cache_read_input_tokens: int
    cache_creation: CacheCreation
    output_tokens: int
    server_tool_use: ServerToolUse
    model: Optional[str] = None
    workspace_id: Optional[str] = None


class UsageBucket(BaseModel):
    starting_at: datetime
    ending_at: datetime
    results: List[Usage]


class Cost(BaseModel):
    amount: str
    currency: str
    cost_type: Optional[str] = None
    token_type: Optional[str] = None
    description: Optional[str] = None
    model: Optional[str] = None


class CostBucket(BaseModel):
    starting_at: datetime
    ending_at: datetime
    results: List[Cost]


def since():
    """The beginning of a day, a few of them ago."""
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=4)


def options(**query):
    return {
        "params": {"starting_at": since().isoformat(), **query, "beta": "true"},
        "headers": {"anthropic-beta": "fast-mode-2026-02-01"},
    }


class Reports(unittest.TestCase):
    def client(self, **options):
        return anthropic.Anthropic(base_url=ADMIN_URL, max_retries=0, **({"api_key": ADMIN_KEY} | options))

    def list(self, path, model, client=None, **query):
        page = SyncReportPageCursor[model]
        return (client or self.client()).get_api_list(path, page=page, model=model, options=options(**query))

    def usage(self, **query):
        return self.list("/v1/organizations/usage_report/messages", UsageBucket, **query)

    def costs(self, **query):
        return self.list("/v1/organizations/cost_report", CostBucket, **query)

    def test_pages_add_up_to_the_whole_report(self):
        page = self.usage(limit=2, group_by=["model", "workspace_id"], models=["claude-opus-5", "claude-sonnet-5"])
        self.assertTrue(page.has_next_page())
        buckets = list(page)
        self.assertEqual(len(buckets), 5)
        self.assertEqual(buckets[0].starting_at, since())
        self.assertEqual([len(bucket.results) for bucket in buckets[:4]], [0, 0, 0, 0])
        (usage,) = buckets[4].results
        self.assertEqual(usage.model, "claude-sonnet-5")
        self.assertGreater(usage.output_tokens, 0)
        self.assertTrue(usage.workspace_id)
        self.assertEqual(buckets, list(self.usage(group_by=["model", "workspace_id"])))

    def test_costs_by_what_they_are_of_add_up(self):
        def total(report):
            return sum(Decimal(cost.amount) for bucket in report for cost in bucket.results)

        whole = total(self.costs())
        self.assertGreater(whole, 0)
        told = list(self.costs(group_by=["description"], limit=1))
        self.assertEqual(total(told), whole)
        kinds = {cost.token_type for bucket in told for cost in bucket.results}
        self.assertEqual(kinds, {"uncached_input_tokens", "output_tokens"})

    def test_a_bearer_token_is_taken(self):
        client = self.client(api_key=None, auth_token=ADMIN_KEY)
        report = self.list("/v1/organizations/cost_report", CostBucket, client)
        self.assertEqual(len(list(report)), 5)

    def test_errors_are_those_of_the_sdk(self):
        with self.assertRaises(anthropic.BadRequestError) as raised:
            self.usage(bucket_width="1w")
        self.assertEqual(raised.exception.body["error"]["details"]["path"], "bucket_width")
        with self.assertRaises(anthropic.AuthenticationError):
            self.list("/v1/organizations/cost_report", CostBucket, self.client(api_key="sk-ant-admin-x"))


class AsyncReports(unittest.IsolatedAsyncioTestCase):
    async def test_pages(self):
        async with anthropic.AsyncAnthropic(base_url=ADMIN_URL, api_key=ADMIN_KEY, max_retries=0) as client:
            report = client.get_api_list(
                "/v1/organizations/cost_report",
                page=AsyncReportPageCursor[CostBucket],
                model=CostBucket,
                options=options(limit=2),
            )
            self.assertEqual(len([bucket async for bucket in report]), 5)


if __name__ == "__main__":
    unittest.main()
