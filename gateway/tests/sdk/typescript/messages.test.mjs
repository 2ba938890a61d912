// Answers that come whole: messages, tools, thinking, beta, and the gateway's headers.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  assertSaysSomething, client, gatewayOnly, MODEL, QUESTION, steer, THINKING, UUID_V7, WEATHER_TOOL,
} from './support.mjs';

test('create', async () => {
  const message = await client().messages.create(QUESTION, steer({ 'output-tokens': 12 }));
  assert.equal(message.type, 'message');
  assert.equal(message.role, 'assistant');
  assert.equal(message.model, MODEL);
  assert.match(message.id, /^msg_/);
  assert.equal(message.stop_reason, 'end_turn');
  assertSaysSomething(message);
  assert.equal(message.usage.output_tokens, 12);
  assert.ok(message._request_id);
});

test('beta create', async () => {
  assertSaysSomething(await client().beta.messages.create({ ...QUESTION, betas: ['context-1m-2025-08-07'] }));
});

test('tool use', async () => {
  const message = await client().messages.create(
    { ...QUESTION, tools: [WEATHER_TOOL] },
    steer({ tool: 'get_weather' }),
  );
  const calls = message.content.filter((block) => block.type === 'tool_use');
  assert.equal(message.stop_reason, 'tool_use');
  assert.deepEqual(calls.map((call) => call.name), ['get_weather']);
  assert.equal(typeof calls[0].input, 'object');
});

test('thinking', async () => {
  const message = await client().messages.create(THINKING);
  assert.equal(message.content[0].type, 'thinking');
  assert.ok(message.content[0].thinking);
  assert.ok(message.content[0].signature);
  assertSaysSomething(message);
});

gatewayOnly('every answer names its gateway request', async () => {
  const ids = [];
  for (let round = 0; round < 2; round += 1) {
    const response = await client().messages.create(QUESTION).asResponse();
    assert.match(response.headers.get('x-mindweave-request-id'), UUID_V7);
    assert.ok(response.headers.get('request-id'));
    assertSaysSomething(await response.json());
    ids.push(response.headers.get('x-mindweave-request-id'));
  }
  assert.notEqual(ids[0], ids[1]);
});

gatewayOnly('streams name their gateway request too', async () => {
  const { data, response } = await client().messages.create({ ...QUESTION, stream: true }).withResponse();
  assert.match(response.headers.get('x-mindweave-request-id'), UUID_V7);
  for await (const event of data) assert.ok(event.type);
});
