//! Tells running gateways what events cost now, for the budgets that they count by.

use std::collections::BTreeMap;

use domain::{ApiKeyId, OrgId, ProjectId};
use policy_engine::{Correction, Window};
use serde_json::json;
use tokio_postgres::Transaction;

use super::Change;

/// A notification has 8,000 bytes at the most; one correction is about 250, and a model's name up to 255 more.
const AT_ONCE: usize = 12;

/// Says it when the transaction is committed, if it is.
pub(super) async fn tell(
    transaction: &Transaction<'_>,
    changes: &[Change],
) -> Result<(), tokio_postgres::Error> {
    let query = "SELECT pg_current_xact_id()::text";
    let xid: String = transaction.query_one(query, &[]).await?.try_get(0)?;
    for corrections in added_up(changes).chunks(AT_ONCE) {
        let payload =
            json!({"table": "usage_events", "id": null, "xid": xid, "corrections": corrections});
        let notify = "SELECT pg_notify('mindweave', $1)";
        transaction.execute(notify, &[&payload.to_string()]).await?;
    }
    Ok(())
}

/// By key, model and hour: all windows that outlast a restart begin with an hour.
fn added_up(changes: &[Change]) -> Vec<Correction> {
    let mut sums: BTreeMap<_, i128> = BTreeMap::new();
    for Change { event, cost } in changes {
        let hour = Window::Hour.index(event.moment());
        let account = (
            event.org_id,
            event.project_id,
            event.api_key_id,
            event.model.as_str(),
            hour,
        );
        let more = i128::from(cost.amount.0) - i128::from(event.cost().0);
        *sums.entry(account).or_default() += more;
    }
    let corrections = sums.into_iter().filter(|(_, sum)| *sum != 0);
    corrections
        .map(
            |((org_id, project_id, key_id, model, hour), sum)| Correction {
                org_id: OrgId(org_id),
                project_id: ProjectId(project_id),
                key_id: key_id.map(ApiKeyId),
                model: model.to_owned(),
                unix_micros: Window::Hour.start(hour).unix_micros,
                picodollars: i64::try_from(sum).unwrap_or(i64::MAX),
            },
        )
        .collect()
}
