//! Events that may come more than once, and what they hang on: stored in the transaction of their batch.
//!
//! Guarantees: of all events with one key the first is stored, whichever gateway or writer it comes through; keys are taken in
//! one order, so that writers wait for each other instead of deadlocking. An event belongs to whoever made the
//! object that it is of, as far as that is known.

use std::collections::{HashMap, HashSet};

use domain::{ApiKeyId, BatchItem, OrgId, Prices, ProjectId, Repeatable, UsageEvent, UserId};
use tokio_postgres::{Error, Transaction};
use uuid::Uuid;

use crate::totals;

/// Remembers the objects that were made upstream.
pub(crate) async fn remember_objects(
    transaction: &Transaction<'_>,
    events: &[UsageEvent],
) -> Result<(), Error> {
    for event in events {
        let Some(object) = &event.created else {
            continue;
        };
        let statement = "INSERT INTO upstream_objects (id, kind, org_id, project_id, user_id, api_key_id, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, to_timestamp($7::bigint / 1000000.0)) ON CONFLICT DO NOTHING";
        let user_id = event.user_id.map(|id| id.0);
        transaction
            .execute(
                statement,
                &[
                    &object.id,
                    &object.kind.as_str(),
                    &event.org_id.0,
                    &event.project_id.0,
                    &user_id,
                    &event.api_key_id.0,
                    &event.time.unix_micros,
                ],
            )
            .await?;
    }
    Ok(())
}

/// What is new in events that may have come before, each with the owner of what it speaks of.
pub(crate) async fn news(
    transaction: &Transaction<'_>,
    events: &[UsageEvent],
    prices: &Prices,
) -> Result<Vec<UsageEvent>, Error> {
    let mut fresh = first_seen(transaction, events).await?;
    fresh.extend(totals::news(transaction, events, prices).await?);
    let speak_of: Vec<_> = fresh.iter().filter_map(speaks_of).collect();
    let owners = owners(transaction, &speak_of).await?;
    for event in &mut fresh {
        let owner = speaks_of(event).and_then(|id| owners.get(id));
        if let Some(owner) = owner {
            event.org_id = owner.org_id;
            event.project_id = owner.project_id;
            event.user_id = owner.user_id;
            event.api_key_id = owner.api_key_id;
        }
    }
    Ok(fresh)
}

/// The object upstream whose owner pays for an event.
fn speaks_of(event: &UsageEvent) -> Option<&str> {
    match event.repeatable.as_ref()? {
        Repeatable::BatchItem(item) => Some(&item.batch_id),
        Repeatable::Total(total) => Some(&total.shown_by),
    }
}

fn batch_item(event: &UsageEvent) -> Option<&BatchItem> {
    match event.repeatable.as_ref()? {
        Repeatable::BatchItem(item) => Some(item),
        Repeatable::Total(_) => None,
    }
}

/// Those of the items whose key is taken now for the first time.
async fn first_seen(
    transaction: &Transaction<'_>,
    events: &[UsageEvent],
) -> Result<Vec<UsageEvent>, Error> {
    let mut keys: Vec<_> = events.iter().filter_map(batch_item).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    keys.sort_unstable();
    keys.dedup();
    let sources: Vec<_> = keys.iter().map(|item| item.batch_id.as_str()).collect();
    let names: Vec<_> = keys.iter().map(|item| item.custom_id.as_str()).collect();
    let statement =
        "INSERT INTO ingest_dedupe (source, key) SELECT * FROM unnest($1::text[], $2::text[])
        ON CONFLICT DO NOTHING RETURNING source, key";
    let mut taken = HashSet::new();
    for row in transaction.query(statement, &[&sources, &names]).await? {
        taken.insert(BatchItem {
            batch_id: row.try_get(0)?,
            custom_id: row.try_get(1)?,
        });
    }
    // The first of several in one batch.
    let is_fresh = |event: &&UsageEvent| batch_item(event).is_some_and(|item| taken.remove(item));
    Ok(events.iter().filter(is_fresh).cloned().collect())
}

struct Owner {
    org_id: OrgId,
    project_id: ProjectId,
    user_id: Option<UserId>,
    api_key_id: ApiKeyId,
}

async fn owners(
    transaction: &Transaction<'_>,
    ids: &[&str],
) -> Result<HashMap<String, Owner>, Error> {
    let query = "SELECT id, org_id, project_id, user_id, api_key_id FROM upstream_objects WHERE id = ANY($1)";
    let mut owners = HashMap::new();
    for row in transaction.query(query, &[&ids]).await? {
        owners.insert(
            row.try_get(0)?,
            Owner {
                org_id: OrgId(row.try_get(1)?),
                project_id: ProjectId(row.try_get(2)?),
                user_id: row.try_get::<_, Option<Uuid>>(3)?.map(UserId),
                api_key_id: ApiKeyId(row.try_get(4)?),
            },
        );
    }
    Ok(owners)
}
