//! The data plane of this process, as far as it is read here: what is in force, what was spent under it, and what would come of a
//! request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use domain::{KeyHash, Prices};
use http::request::Parts;
use policy_engine::{Caller, Denial, Engine, Notes, Rehearsal, Step};
use uuid::Uuid;

use crate::error::{ApiError, Result};
use crate::server::Shared;

/// What the data plane says when it is asked.
pub trait DataPlane: fmt::Debug + Send + Sync + 'static {
    /// What would come of a request, were these rules in force; nothing else comes of it.
    fn judge(&self, rules: &Rehearsal, asked: &Asked<'_>) -> Verdict;

    /// Whether what was spent before this process began is known.
    fn is_settled(&self) -> bool;
}

/// A request that nobody makes.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method, path and headers.
    pub head: &'a Parts,
    /// Its body.
    pub body: &'a Bytes,
    /// The key it would come with.
    pub key: With<'a>,
    /// Who would make it.
    pub caller: &'a Caller,
}

/// With which key.
#[derive(Debug, Clone, Copy)]
pub enum With<'a> {
    /// This one.
    Key(&'a KeyHash),
    /// A good one of the caller's project.
    Good {
        /// Whether the project is active.
        project: bool,
        /// Whether its organization is.
        organization: bool,
    },
}

/// What would come of it.
#[derive(Debug)]
pub struct Verdict {
    /// The error it would be answered with.
    pub refusal: Option<Refusal>,
    /// What its caller, and the log, would be told.
    pub notes: Notes,
    /// The rules that were looked at, in order.
    pub steps: Vec<Step>,
}

/// The data plane's own error.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `error.type`
    pub kind: &'static str,
    /// `error.details.error_code`
    pub error_code: &'static str,
    /// `error.message`
    pub message: String,
    /// What a rule says, if it is one.
    pub denial: Option<Box<Denial>>,
}

/// What decides about requests in this process.
#[derive(Debug, Clone)]
pub struct InForce {
    /// Rules and counters.
    pub engine: Arc<Engine>,
    /// What models cost.
    pub prices: Arc<Prices>,
    /// What else decides.
    pub data_plane: Arc<dyn DataPlane>,
    /// Tells this process from others on the same database: each counts alone.
    pub instance_id: Uuid,
}

impl InForce {
    pub(crate) fn of(shared: &Shared) -> Result<Self> {
        shared.in_force.clone().ok_or_else(ApiError::not_in_force)
    }
}
