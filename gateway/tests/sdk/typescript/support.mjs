// What the test files share: where the gateway is, clients for it, and the simulator's steering headers.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';
import { VERSION } from '@anthropic-ai/sdk/version';

// Settings of the machine must not reach the clients: they would add credentials or change the URL.
for (const name of Object.keys(process.env)) {
  if (name.startsWith('ANTHROPIC_')) delete process.env[name];
}

export const GATEWAY_URL = process.env.GATEWAY_URL.replace(/\/+$/, '');
export const GATEWAY_KEY = process.env.GATEWAY_KEY;
export const SDK_MAJOR = Number(VERSION.split('.')[0]);

export const MODEL = 'claude-opus-5';
export const QUESTION = {
  model: MODEL,
  max_tokens: 1000,
  messages: [{ role: 'user', content: 'Say hello to the gateway, please.' }],
};
export const THINKING = {
  model: 'claude-haiku-4-5',
  max_tokens: 4000,
  thinking: { type: 'enabled', budget_tokens: 2000 },
  messages: [{ role: 'user', content: 'Think before you answer.' }],
};
export const WEATHER_TOOL = {
  name: 'get_weather',
  description: 'The weather of a place',
  input_schema: { type: 'object', properties: { location: { type: 'string' } } },
};

export const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** A test of what only the gateway does: with DIRECT=1 the files run against the bare simulator. */
export function gatewayOnly(name, body) {
  test(name, { skip: process.env.DIRECT === '1' && 'only the gateway does this' }, body);
}

/** A client as a caller would make it, but without retries unless a test asks for them. */
export function client(options = {}) {
  const credential = 'authToken' in options ? { apiKey: null } : { apiKey: GATEWAY_KEY };
  return new Anthropic({ baseURL: GATEWAY_URL, maxRetries: 0, timeout: 30_000, ...credential, ...options });
}

/** The simulator's steering headers: `steer({ 'output-tokens': 9 })` is `x-simulator-output-tokens: 9`. */
export function steer(values) {
  const headers = Object.entries(values).map(([name, value]) => [`x-simulator-${name}`, String(value)]);
  return { headers: Object.fromEntries(headers) };
}

/** A request whose body nobody else sends: the simulator answers equal bodies with equal ids. */
export function ask(content) {
  return { ...QUESTION, messages: [{ role: 'user', content }] };
}

export function textOf(message) {
  return message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}

export function assertSaysSomething(message) {
  assert.notEqual(textOf(message).trim(), '');
  assert.ok(message.usage.input_tokens > 0);
  assert.ok(message.usage.output_tokens > 0);
}

export async function collect(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}

/** What `promise` rejects with. */
export async function failureOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail('the request should have failed');
}
