//! A Claude API that answers without a model.
//!
//! It speaks the wire format of the Claude API closely enough that SDKs, Claude Code and the gateway's
//! meter cannot tell the difference: the same endpoints, headers, error envelopes, usage objects and
//! server-sent events. It serves test-mode keys, the quickstart, tests and load.
//!
//! What it guarantees:
//!
//! - **Determinism.** The same [`Options::seed`] and the same request body give the same text, ids and
//!   token counts, whatever was asked before. (A batch or file made twice from the same body gets a second
//!   id, the same one in every run.) Only dates come from the clock.
//! - **Honest counters.** Output tokens are counted from what is really sent: one token is one
//!   space-separated word of text or thinking, or up to eight characters of a tool's input. Input tokens are
//!   a quarter of the characters of all strings in `tools`, `system` and `messages`, at least 1.
//! - **Bounded memory.** Batches, files and fault counters are kept in memory and the oldest is dropped.
//!
//! What it deliberately does not do: check credentials (any non-empty one passes), enforce rate limits,
//! keep objects of different keys apart, or remember caches: every `cache_control` prefix is a write
//! unless the request says `x-simulator-cache: hit`.
//!
//! # Steering
//!
//! A request header `x-simulator-<name>: <value>` steers one answer. So does the model's name:
//! `claude-sonnet-5@overloaded` fails, `claude-sonnet-5@output-tokens=9,cut=4` sets two of the table's
//! names (`refusal` and `gzip` need no value); what follows the `@` is not part of the answered model. In batch items
//! only the model's name steers. An unknown header name or value is a 400.
//!
//! | header | value | effect |
//! |---|---|---|
//! | `x-simulator-error` | `overloaded` 529, `rate_limit` 429, `invalid` 400, `auth` 401, `permission` 403, `not_found` 404, `too_large` 413, `billing` 402, `api` 500, `timeout` 504 | the request fails with that status and envelope |
//! | `x-simulator-error-times` | n | only the first n requests of the same error key fail |
//! | `x-simulator-error-key` | text | what `error-times` counts by; `default` if absent |
//! | `x-simulator-retry-after` | seconds | `retry-after` of the failure; a 429 has 1 if absent |
//! | `x-simulator-should-retry` | `true`, `false` | `x-should-retry` of the failure |
//! | `x-simulator-mid-stream-error` | as `error` | an SSE `error` event ends the stream after three deltas |
//! | `x-simulator-cut` | n, `headers` | the connection breaks after n events of a stream or n bytes of another body; `headers`: instead of an answer |
//! | `x-simulator-silence` | n, `headers` | nothing more comes after n events of a stream; `headers`: no answer ever |
//! | `x-simulator-output-tokens` | n | length of thinking and text together |
//! | `x-simulator-tokens-per-event` | n | tokens of each text or thinking delta; 1 to 4 by chance if absent |
//! | `x-simulator-ttfb-ms` | ms | wait before the response head |
//! | `x-simulator-event-interval-ms` | ms | wait between two events of a stream |
//! | `x-simulator-encoding` | `gzip`, `identity` | the answer is compressed; a stream is flushed after each event |
//! | `x-simulator-tool` | name | the answer calls this client tool |
//! | `x-simulator-refusal` | `true`, `false`, `mid` | stop reason `refusal`; `true` before, `mid` after some output |
//! | `x-simulator-cache` | `hit`, `miss` | `cache_control` prefixes are read instead of written |
//! | `x-simulator-batch-delay-ms` | ms | a new batch ends after this time instead of on its second retrieval |

mod api_error;
mod batches;
mod body;
mod draw;
mod encoding;
mod files;
mod messages;
mod models;
mod options;
mod page;
mod request;
mod response;
mod route;
mod server;
mod service;
mod shelf;
mod steering;

pub use options::{Options, Pacing};
pub use server::Simulator;
