"""Failures: each status as the SDK's class for it, the gateway's own refusal, and how often the SDK tries."""

import unittest
import uuid

import anthropic

from support import GATEWAY_KEY, QUESTION, SDK_MAJOR, UUID_V7, client, gateway_only, steer, text_of

# The 0.x SDK has no own class for these two statuses.
PAYMENT_REQUIRED = anthropic.PaymentRequiredError if SDK_MAJOR >= 2 else anthropic.APIStatusError
TIMEOUT = anthropic.GatewayTimeoutError if SDK_MAJOR >= 2 else anthropic.InternalServerError
ERRORS = [
    ("invalid", 400, anthropic.BadRequestError, "invalid_request_error"),
    ("auth", 401, anthropic.AuthenticationError, "authentication_error"),
    ("billing", 402, PAYMENT_REQUIRED, "billing_error"),
    ("permission", 403, anthropic.PermissionDeniedError, "permission_error"),
    ("not_found", 404, anthropic.NotFoundError, "not_found_error"),
    ("too_large", 413, anthropic.RequestTooLargeError, "request_too_large"),
    ("rate_limit", 429, anthropic.RateLimitError, "rate_limit_error"),
    ("api", 500, anthropic.InternalServerError, "api_error"),
    ("timeout", 504, TIMEOUT, "timeout_error"),
    ("overloaded", 529, anthropic.OverloadedError, "overloaded_error"),
]


class ErrorClasses(unittest.TestCase):
    """One test an error is added below."""

    def check(self, status, error_class, error_type, **request):
        with self.assertRaises(anthropic.APIStatusError) as caught:
            client().messages.create(**QUESTION, **request)
        error = caught.exception
        self.assertIs(type(error), error_class)
        self.assertEqual(error.status_code, status)
        self.assertEqual(error.body["type"], "error")
        self.assertEqual(error.body["error"]["type"], error_type)
        self.assertTrue(error.body["error"]["message"])
        self.assertTrue(error.request_id)
        self.assertEqual(error.request_id, error.body["request_id"])

    def test_a_stream_that_never_starts(self):
        self.check(
            529,
            anthropic.OverloadedError,
            "overloaded_error",
            stream=True,
            extra_headers=steer(error="overloaded"),
        )

    @gateway_only
    def test_a_wrong_key_is_refused_by_the_gateway(self):
        wrong = GATEWAY_KEY[: len("mw_sk_test_")] + "x" * 43
        for credential in ({"api_key": wrong}, {"auth_token": wrong}):
            with self.assertRaises(anthropic.AuthenticationError) as caught:
                client(**credential).messages.create(**QUESTION)
            error = caught.exception
            self.assertEqual(error.status_code, 401)
            self.assertEqual(error.body["error"]["type"], "authentication_error")
            self.assertEqual(error.body["error"]["details"]["error_code"], "key_unknown")
            self.assertEqual(error.request_id, error.body["request_id"])
            self.assertRegex(error.response.headers["x-mindweave-request-id"], UUID_V7)


def _add_error_tests():
    for name, status, error_class, error_type in ERRORS:

        def test(self, expected=(status, error_class, error_type), headers=steer(error=name)):
            self.check(*expected, extra_headers=headers)

        setattr(ErrorClasses, f"test_{status}_{name}", test)


_add_error_tests()


class Retries(unittest.TestCase):
    """Attempts are counted twice: by the client's hook and, through the error key, by the simulator."""

    def counting_client(self, max_retries):
        attempts = []

        def count(request):
            attempts.append(request.headers["x-stainless-retry-count"])

        http_client = anthropic.DefaultHttpxClient(event_hooks={"request": [count]})
        return client(max_retries=max_retries, http_client=http_client), attempts

    def failing(self, times, **more):
        return steer(error="overloaded", error_times=times, error_key=uuid.uuid4().hex, **more)

    def test_two_failures_then_success(self):
        api, attempts = self.counting_client(max_retries=2)
        message = api.messages.create(**QUESTION, extra_headers=self.failing(times=2))
        self.assertTrue(text_of(message).strip())
        self.assertEqual(attempts, ["0", "1", "2"])

    def test_two_failures_then_a_stream(self):
        api, attempts = self.counting_client(max_retries=2)
        with api.messages.stream(**QUESTION, extra_headers=self.failing(times=2)) as stream:
            self.assertTrue(stream.get_final_text().strip())
        self.assertEqual(attempts, ["0", "1", "2"])

    def test_giving_up_leaves_the_rest_of_the_failures(self):
        api, attempts = self.counting_client(max_retries=1)
        headers = self.failing(times=2)
        with self.assertRaises(anthropic.OverloadedError):
            api.messages.create(**QUESTION, extra_headers=headers)
        self.assertEqual(attempts, ["0", "1"])
        self.assertTrue(text_of(api.messages.create(**QUESTION, extra_headers=headers)).strip())
        self.assertEqual(attempts, ["0", "1", "0"])

    def test_should_retry_false_means_one_attempt(self):
        api, attempts = self.counting_client(max_retries=2)
        headers = self.failing(times=2, should_retry="false")
        for _ in range(2):
            with self.assertRaises(anthropic.OverloadedError):
                api.messages.create(**QUESTION, extra_headers=headers)
        self.assertTrue(text_of(api.messages.create(**QUESTION, extra_headers=headers)).strip())
        self.assertEqual(attempts, ["0", "0", "0"])


if __name__ == "__main__":
    unittest.main()
