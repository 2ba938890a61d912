// Failures: each status as the SDK's class for it, the gateway's own refusal, and how often the SDK tries.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';

import {
  assertSaysSomething, client, failureOf, GATEWAY_KEY, gatewayOnly, QUESTION, SDK_MAJOR, steer, UUID_V7,
} from './support.mjs';

// Name, status, class in 1.x, class in 0.x where it differs, error.type.
const ERRORS = [
  ['invalid', 400, 'BadRequestError', null, 'invalid_request_error'],
  ['auth', 401, 'AuthenticationError', null, 'authentication_error'],
  ['billing', 402, 'PaymentRequiredError', 'APIError', 'billing_error'],
  ['permission', 403, 'PermissionDeniedError', null, 'permission_error'],
  ['not_found', 404, 'NotFoundError', null, 'not_found_error'],
  ['too_large', 413, 'ContentTooLargeError', 'APIError', 'request_too_large'],
  ['rate_limit', 429, 'RateLimitError', null, 'rate_limit_error'],
  ['api', 500, 'InternalServerError', null, 'api_error'],
  ['timeout', 504, 'GatewayTimeoutError', 'InternalServerError', 'timeout_error'],
  ['overloaded', 529, 'OverloadedError', 'InternalServerError', 'overloaded_error'],
];

const OVERLOADED = SDK_MAJOR >= 1 ? Anthropic.OverloadedError : Anthropic.InternalServerError;

function assertIsError(error, expectedClass, status, type) {
  assert.ok(expectedClass, 'the SDK has no such class');
  assert.equal(error.constructor, expectedClass);
  assert.equal(error.status, status);
  assert.equal(error.error.type, 'error');
  assert.equal(error.error.error.type, type);
  assert.ok(error.error.error.message);
  assert.ok(error.requestID);
  assert.equal(error.requestID, error.error.request_id);
}

for (const [name, status, newClass, oldClass, type] of ERRORS) {
  test(`${status} ${name}`, async () => {
    const error = await failureOf(client().messages.create(QUESTION, steer({ error: name })));
    assertIsError(error, Anthropic[SDK_MAJOR >= 1 ? newClass : (oldClass ?? newClass)], status, type);
  });
}

test('a stream that never starts', async () => {
  const overloaded = steer({ error: 'overloaded' });
  const error = await failureOf(client().messages.create({ ...QUESTION, stream: true }, overloaded));
  assertIsError(error, OVERLOADED, 529, 'overloaded_error');
});

gatewayOnly('a wrong key is refused by the gateway', async () => {
  const wrong = GATEWAY_KEY.slice(0, 'mw_sk_test_'.length) + 'x'.repeat(43);
  for (const credential of [{ apiKey: wrong }, { authToken: wrong }]) {
    const error = await failureOf(client(credential).messages.create(QUESTION));
    assertIsError(error, Anthropic.AuthenticationError, 401, 'authentication_error');
    assert.equal(error.error.error.details.error_code, 'key_unknown');
    assert.match(error.headers.get('x-mindweave-request-id'), UUID_V7);
  }
});

// Attempts are counted twice: by the client's fetch and, through the error key, by the simulator.
function countingClient(maxRetries) {
  const attempts = [];
  const counted = (url, init) => {
    attempts.push(new Headers(init.headers).get('x-stainless-retry-count'));
    return fetch(url, init);
  };
  return { api: client({ maxRetries, fetch: counted }), attempts };
}

function failing(times, more = {}) {
  return steer({ error: 'overloaded', 'error-times': times, 'error-key': randomUUID(), ...more });
}

test('two failures, then success', async () => {
  const { api, attempts } = countingClient(2);
  assertSaysSomething(await api.messages.create(QUESTION, failing(2)));
  assert.deepEqual(attempts, ['0', '1', '2']);
});

test('two failures, then a stream', async () => {
  const { api, attempts } = countingClient(2);
  assertSaysSomething(await api.messages.stream(QUESTION, failing(2)).finalMessage());
  assert.deepEqual(attempts, ['0', '1', '2']);
});

test('giving up leaves the rest of the failures', async () => {
  const { api, attempts } = countingClient(1);
  const options = failing(2);
  assert.equal((await failureOf(api.messages.create(QUESTION, options))).constructor, OVERLOADED);
  assert.deepEqual(attempts, ['0', '1']);
  assertSaysSomething(await api.messages.create(QUESTION, options));
  assert.deepEqual(attempts, ['0', '1', '0']);
});

test('x-should-retry: false means one attempt', async () => {
  const { api, attempts } = countingClient(2);
  const options = failing(2, { 'should-retry': false });
  for (let round = 0; round < 2; round += 1) {
    assert.equal((await failureOf(api.messages.create(QUESTION, options))).constructor, OVERLOADED);
  }
  assertSaysSomething(await api.messages.create(QUESTION, options));
  assert.deepEqual(attempts, ['0', '0', '0']);
});
