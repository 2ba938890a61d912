//! What passes, and what doesn't: the request as the upstream gets it, the answer as the caller gets it.

mod batches;
mod bodies;
mod connections;
mod credentials;
mod framing;
mod headers;
mod objects;
mod paths;
mod tls;
