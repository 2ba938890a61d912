// How callers reach the gateway: credentials, base URLs, compression and large bodies.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  ask, assertSaysSomething, client, gatewayOnly, GATEWAY_KEY, GATEWAY_URL, QUESTION, steer, textOf,
} from './support.mjs';

test('apiKey', async () => {
  assertSaysSomething(await client({ apiKey: GATEWAY_KEY }).messages.create(QUESTION));
});

test('authToken', async () => {
  assertSaysSomething(await client({ authToken: GATEWAY_KEY }).messages.create(QUESTION));
});

async function checkBaseUrl(baseURL) {
  const api = client({ baseURL });
  assertSaysSomething(await api.messages.create(QUESTION));
  assertSaysSomething(await api.messages.stream(QUESTION).finalMessage());
  assert.equal((await api.models.list({ limit: 1 })).data.length, 1);
}

test('base URL: origin', () => checkBaseUrl(GATEWAY_URL));
test('base URL: trailing slash', () => checkBaseUrl(`${GATEWAY_URL}/`));
gatewayOnly('base URL: doubled /v1', () => checkBaseUrl(`${GATEWAY_URL}/v1`));
gatewayOnly('base URL: doubled /v1/', () => checkBaseUrl(`${GATEWAY_URL}/v1/`));

test('compressed answer', async () => {
  const request = client().messages.create(QUESTION, steer({ encoding: 'gzip' }));
  const { data, response } = await request.withResponse();
  assert.equal(response.headers.get('content-encoding'), 'gzip');
  assertSaysSomething(data);
});

test('compressed stream', async () => {
  const parts = [];
  const stream = client().messages.stream(QUESTION, steer({ encoding: 'gzip' }));
  stream.on('text', (part) => parts.push(part));
  const { response } = await stream.withResponse();
  const message = await stream.finalMessage();
  assert.equal(response.headers.get('content-encoding'), 'gzip');
  assertSaysSomething(message);
  assert.equal(parts.join(''), textOf(message));
});

test('large request', async () => {
  const message = await client().messages.create(ask('x'.repeat(2_000_000)));
  assertSaysSomething(message);
  assert.ok(message.usage.input_tokens >= 500_000);
});
