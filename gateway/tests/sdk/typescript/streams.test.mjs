// Server-sent events: the stream helper, raw events, tools, thinking, failures and clients that leave.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';

import {
  ask, assertSaysSomething, client, collect, failureOf, QUESTION, steer, textOf, THINKING, WEATHER_TOOL,
} from './support.mjs';

/** The text that a stream helper heard, and the message that it put together. */
async function listen(stream) {
  const parts = [];
  stream.on('text', (part) => parts.push(part));
  const message = await stream.finalMessage();
  return { text: parts.join(''), message };
}

test('stream helper', async () => {
  const stream = client().messages.stream(QUESTION, steer({ 'output-tokens': 40 }));
  const { text, message } = await listen(stream);
  assertSaysSomething(message);
  assert.equal(text, textOf(message));
  assert.equal(message.stop_reason, 'end_turn');
  assert.equal(message.usage.output_tokens, 40);
  assert.ok(stream.request_id);
});

test('raw events', async () => {
  const events = await collect(await client().messages.create({ ...QUESTION, stream: true }));
  const kinds = events.map((event) => event.type).filter((kind) => kind !== 'ping');
  assert.deepEqual(kinds.slice(0, 2), ['message_start', 'content_block_start']);
  assert.deepEqual(kinds.slice(-3), ['content_block_stop', 'message_delta', 'message_stop']);
  assert.ok(kinds.includes('content_block_delta'));
  const [delta] = events.filter((event) => event.type === 'message_delta');
  assert.equal(delta.delta.stop_reason, 'end_turn');
  assert.ok(delta.usage.output_tokens > 0);
});

test('a stream says what the whole answer says', async () => {
  const sized = steer({ 'output-tokens': 30 });
  const whole = await client().messages.create(QUESTION, sized);
  const streamed = await client().messages.stream(QUESTION, sized).finalMessage();
  assert.equal(streamed.usage.output_tokens, whole.usage.output_tokens);
  assert.equal(streamed.usage.input_tokens, whole.usage.input_tokens);
});

test('beta stream', async () => {
  const stream = client().beta.messages.stream({ ...QUESTION, betas: ['context-1m-2025-08-07'] });
  const { text, message } = await listen(stream);
  assertSaysSomething(message);
  assert.equal(text, textOf(message));
});

test('tool use', async () => {
  const parts = [];
  const message = await client()
    .messages.stream({ ...QUESTION, tools: [WEATHER_TOOL] }, steer({ tool: 'get_weather' }))
    .on('inputJson', (part) => parts.push(part))
    .finalMessage();
  const calls = message.content.filter((block) => block.type === 'tool_use');
  assert.equal(message.stop_reason, 'tool_use');
  assert.deepEqual(calls.map((call) => call.name), ['get_weather']);
  assert.deepEqual(JSON.parse(parts.join('')), calls[0].input);
});

test('thinking', async () => {
  const thoughts = [];
  const message = await client()
    .messages.stream(THINKING)
    .on('thinking', (part) => thoughts.push(part))
    .finalMessage();
  assert.equal(message.content[0].type, 'thinking');
  assert.ok(message.content[0].signature);
  assert.notEqual(thoughts.join(''), '');
  assert.equal(thoughts.join(''), message.content[0].thinking);
});

test('an error inside a stream reaches the caller', async () => {
  const events = await client().messages.create(
    { ...QUESTION, stream: true },
    steer({ 'mid-stream-error': 'overloaded' }),
  );
  const error = await failureOf(collect(events));
  assert.ok(error instanceof Anthropic.APIError);
  assert.equal(error.status, undefined);
  assert.equal(error.error.error.type, 'overloaded_error');
});

test('twenty at once', async () => {
  const api = client();
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, number) => {
      const paced = steer({ 'output-tokens': 20 + number, 'event-interval-ms': 5 });
      return listen(api.messages.stream(ask(`Stream ${number}.`), paced));
    }),
  );
  assert.equal(new Set(answers.map(({ message }) => message.id)).size, 20);
  answers.forEach(({ text, message }, number) => {
    assert.equal(text, textOf(message));
    assert.equal(message.usage.output_tokens, 20 + number);
  });
});

test('a client that aborts does not hang', { timeout: 10_000 }, async () => {
  const api = client();
  const started = Date.now();
  const stream = api.messages.stream(QUESTION, steer({ 'output-tokens': 900, 'event-interval-ms': 50 }));
  stream.on('text', () => stream.abort());
  assert.ok((await failureOf(stream.finalMessage())) instanceof Anthropic.APIUserAbortError);
  assertSaysSomething(await api.messages.create(QUESTION));
  assert.ok(Date.now() - started < 5000);
});

test('a client that stops reading does not hang', { timeout: 10_000 }, async () => {
  const api = client();
  const started = Date.now();
  const slow = steer({ 'output-tokens': 900, 'event-interval-ms': 50 });
  for await (const event of await api.messages.create({ ...QUESTION, stream: true }, slow)) {
    if (event.type === 'content_block_delta') break;
  }
  assertSaysSomething(await api.messages.create(QUESTION));
  assert.ok(Date.now() - started < 5000);
});
