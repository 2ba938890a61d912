// What is not a message: token counts, models and their pages, batches and their results.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import Anthropic from '@anthropic-ai/sdk';

import {
  ask, assertSaysSomething, client, collect, failureOf, gatewayOnly, GATEWAY_URL, MODEL, QUESTION,
} from './support.mjs';

test('longer texts count more tokens', async () => {
  const count = async (words) => {
    const messages = [{ role: 'user', content: 'word '.repeat(words) }];
    return (await client().messages.countTokens({ model: MODEL, messages })).input_tokens;
  };
  const [short, long] = [await count(10), await count(1000)];
  assert.ok(short > 0);
  assert.ok(long > short);
});

test('beta token count', async () => {
  const { model, messages } = QUESTION;
  const betas = ['context-1m-2025-08-07'];
  const count = await client().beta.messages.countTokens({ model, messages, betas });
  assert.ok(count.input_tokens > 0);
});

test('pages of models add up to the whole list', async () => {
  const whole = (await collect(client().models.list({ limit: 1000 }))).map((model) => model.id);
  const page = await client().models.list({ limit: 2 });
  assert.equal(page.data.length, 2);
  assert.ok(page.hasNextPage());
  assert.deepEqual((await collect(page)).map((model) => model.id), whole);
  assert.equal(new Set(whole).size, whole.length);
});

test('a model is retrieved', async () => {
  const model = await client().models.retrieve(MODEL);
  assert.equal(model.type, 'model');
  assert.equal(model.id, MODEL);
  assert.ok(model.display_name);
});

test('an unknown model is not found', async () => {
  const error = await failureOf(client().models.retrieve('no-such-model'));
  assert.ok(error instanceof Anthropic.NotFoundError);
});

async function runBatch(api) {
  const names = [0, 1, 2].map((number) => `item-${number}`);
  const requests = names.map((name) => ({ custom_id: name, params: ask(`Batched ${name}.`) }));
  let batch = await api.messages.batches.create({ requests });
  for (const deadline = Date.now() + 20_000; batch.processing_status !== 'ended'; ) {
    assert.ok(Date.now() < deadline, 'the batch never ended');
    await sleep(50);
    batch = await api.messages.batches.retrieve(batch.id);
  }
  return { batch, names };
}

test('batch results are read to the end', async () => {
  const api = client();
  const { batch, names } = await runBatch(api);
  assert.equal(batch.request_counts.succeeded, names.length);
  const results = await collect(await api.messages.batches.results(batch.id));
  assert.deepEqual(results.map((result) => result.custom_id).sort(), names);
  for (const { result } of results) {
    assert.equal(result.type, 'succeeded');
    assertSaysSomething(result.message);
  }
});

gatewayOnly('results_url leads through the gateway', async () => {
  const { batch } = await runBatch(client());
  const url = new URL(batch.results_url);
  assert.equal(url.origin, new URL(GATEWAY_URL).origin);
  assert.equal(url.pathname, `/v1/messages/batches/${batch.id}/results`);
});
