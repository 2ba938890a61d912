//! Usage added up by who it is of and by window.

use std::collections::BTreeMap;

use domain::{ApiKeyId, OrgId, ProjectId, Timestamp, UserId};
use ingest::RowUsage;
use policy_engine::{Amounts, Settled, Window};

/// Those whose counters outlive a restart.
const WINDOWS: [Window; 4] = [Window::Hour, Window::Day, Window::Week, Window::Month];

/// Who used what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Account {
    pub(super) org_id: OrgId,
    pub(super) project_id: ProjectId,
    pub(super) key_id: Option<ApiKeyId>,
    pub(super) user_id: Option<UserId>,
    pub(super) model: String,
}

/// The windows that a moment lies in, as far as they had filled before it.
#[derive(Debug)]
pub(super) struct Sums {
    before: Timestamp,
    /// In the order of [`WINDOWS`].
    of: BTreeMap<Account, [Amounts; WINDOWS.len()]>,
}

impl Sums {
    pub(super) fn new(before: Timestamp) -> Self {
        Self {
            before,
            of: BTreeMap::new(),
        }
    }

    /// Adds what was used at a moment, or from then on until another of the windows began.
    pub(super) fn add(&mut self, account: Account, at: Timestamp, amounts: Amounts) {
        let sums = self.of.entry(account).or_default();
        for (window, sum) in WINDOWS.iter().zip(sums) {
            if at >= start(*window, self.before) {
                sum.add(&amounts);
            }
        }
    }

    pub(super) fn add_spooled(&mut self, usage: RowUsage) {
        let amounts = amounts(&usage);
        let account = Account {
            org_id: usage.org_id,
            project_id: usage.project_id,
            key_id: usage.api_key_id,
            user_id: usage.user_id,
            model: usage.model,
        };
        self.add(account, usage.time, amounts);
    }

    /// All that isn't nothing.
    pub(super) fn into_settled(self) -> Vec<Settled> {
        let before = self.before;
        let each = self.of.into_iter().flat_map(|(account, sums)| {
            let sums = WINDOWS.into_iter().zip(sums);
            sums.map(move |(window, sum)| settled(&account, window, before, sum))
        });
        each.filter(|settled| settled.amounts.requests > 0)
            .collect()
    }
}

/// What a row counts for.
pub(super) fn amounts(usage: &RowUsage) -> Amounts {
    Amounts {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        requests: 1,
        cost: usage.cost.0,
    }
}

/// When the window of a moment began.
pub(super) fn start(window: Window, at: Timestamp) -> Timestamp {
    window.start(window.index(at))
}

fn settled(account: &Account, window: Window, before: Timestamp, sum: Amounts) -> Settled {
    let Account {
        org_id,
        project_id,
        key_id,
        user_id,
        model,
    } = account.clone();
    Settled {
        org_id,
        project_id,
        key_id,
        user_id,
        model,
        window,
        index: window.index(before),
        amounts: sum,
    }
}
