//! What an organization's plan has room for.
//!
//! Guarantees that no more is made than the plan allows, however many make something at once: whoever asks for room holds the
//! subscription until its transaction ends. An organization without a subscription has no limits. What is there already
//! when a limit is lowered stays.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::{ApiError, Result};
use crate::transaction::Transaction;

/// A limit on how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Members, the invited included, the suspended not.
    Users,
    /// Those not archived.
    Projects,
    McpServers,
}

impl Limit {
    /// Its name in `subscriptions.limits`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Users => "max_users",
            Self::Projects => "max_projects",
            Self::McpServers => "max_mcp_servers",
        }
    }

    /// How many of organization `$1` there are.
    const fn count(self) -> &'static str {
        match self {
            Self::Users => {
                "SELECT count(*) FROM org_members WHERE org_id = $1 AND status IN ('active', 'invited')"
            }
            Self::Projects => {
                "SELECT count(*) FROM projects WHERE org_id = $1 AND deleted_at IS NULL AND status <> 'archived'"
            }
            Self::McpServers => {
                "SELECT count(*) FROM mcp_servers s JOIN projects p ON p.id = s.project_id
                 WHERE p.org_id = $1 AND p.deleted_at IS NULL AND s.deleted_at IS NULL"
            }
        }
    }

    async fn used(self, transaction: &Transaction, org_id: Uuid) -> Result<i64> {
        let row = transaction.one(self.count(), &[&org_id]).await?;
        Ok(row.try_get(0)?)
    }
}

/// Refuses if there may not be one more. To be asked before it is made, in the transaction that makes it.
pub(crate) async fn room_for(transaction: &Transaction, org_id: Uuid, limit: Limit) -> Result<()> {
    let sql = "SELECT limits FROM subscriptions WHERE org_id = $1 FOR NO KEY UPDATE";
    let Some(row) = transaction.maybe(sql, &[&org_id]).await? else {
        return Ok(());
    };
    let Some(most) = most(&row.try_get("limits")?, limit) else {
        return Ok(());
    };
    // A statement of its own: it sees what those made who held the subscription before.
    let used = limit.used(transaction, org_id).await?;
    if u64::try_from(used).is_ok_and(|used| used >= most) {
        return Err(ApiError::plan_limit(limit.name(), most, used));
    }
    Ok(())
}

/// None: no limit. What was written by hand and is no number leaves no room, as it lets no request pass.
fn most(limits: &Value, limit: Limit) -> Option<u64> {
    let value = limits.get(limit.name()).filter(|value| !value.is_null())?;
    Some(value.as_u64().unwrap_or(0))
}

/// What there is of what is limited, by the limits' names.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct InUse {
    max_users: i64,
    max_projects: i64,
    max_mcp_servers: i64,
}

impl InUse {
    pub(crate) async fn count(transaction: &Transaction, org_id: Uuid) -> Result<Self> {
        Ok(Self {
            max_users: Limit::Users.used(transaction, org_id).await?,
            max_projects: Limit::Projects.used(transaction, org_id).await?,
            max_mcp_servers: Limit::McpServers.used(transaction, org_id).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_and_null_are_no_limit_and_what_is_no_number_leaves_no_room() {
        for (limits, expected) in [
            (json!({"max_users": 5}), Some(5)),
            (json!({"max_users": 0}), Some(0)),
            (json!({"max_users": null}), None),
            (json!({"max_projects": 5}), None),
            (json!(null), None),
            (json!({"max_users": "5"}), Some(0)),
            (json!({"max_users": -1}), Some(0)),
        ] {
            assert_eq!(most(&limits, Limit::Users), expected, "{limits}");
        }
    }
}
