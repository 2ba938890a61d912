//! The demo tenant of `up`: an organization, a user, a project, and keys that every later `up` gives again.
//!
//! The keys' texts are kept in `<data_dir>/keys.json`, mode 0600; the database has their hashes. A database
//! that was replaced gets the same keys again.

use admin_api::NewKey;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::key::ADMIN_KEY_PREFIX;
use domain::{KeyHash, KeyKind};
use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use crate::ready_file::write_json;

/// The keys of the demo tenant.
#[derive(Debug, Serialize, Deserialize, Default)]
pub(crate) struct DemoKeys {
    /// Only where an upstream can answer it.
    pub(crate) api_key: Option<String>,
    pub(crate) test_api_key: Option<String>,
    pub(crate) admin_key: Option<String>,
}

/// Why there is no demo tenant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("can't read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not what `mindweave up` wrote: move it away, and new keys are made", path.display())]
    Malformed {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("can't write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("can't make the demo tenant in the database")]
    Database(#[from] tokio_postgres::Error),
}

/// Makes what is missing of the tenant, and gives its keys.
pub(crate) async fn ensure(
    client: &mut Client,
    data_dir: &Path,
    live: bool,
) -> Result<DemoKeys, DemoError> {
    let path = data_dir.join("keys.json");
    let mut keys = read(&path)?;
    let made = fill(&mut keys, live);
    if made {
        // Before the database knows them: a key that nobody has the text of would be of no use.
        write_json(&path, &keys).map_err(|source| DemoError::Write { path, source })?;
    }
    let transaction = client.transaction().await?;
    let project = tenant(&transaction).await?;
    for (kind, key) in [
        (KeyKind::Live, &keys.api_key),
        (KeyKind::Test, &keys.test_api_key),
    ] {
        if let Some(key) = key {
            store_api_key(&transaction, project, kind, key).await?;
        }
    }
    if let Some(key) = &keys.admin_key {
        store_admin_key(&transaction, key).await?;
    }
    transaction.commit().await?;
    if !live {
        // It exists from an earlier `up`, but nobody would answer it now.
        keys.api_key = None;
    }
    Ok(keys)
}

fn read(path: &Path) -> Result<DemoKeys, DemoError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|source| DemoError::Malformed {
            path: path.to_owned(),
            source,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(DemoKeys::default()),
        Err(source) => Err(DemoError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Makes the keys that are missing; tells whether there were any.
fn fill(keys: &mut DemoKeys, live: bool) -> bool {
    let wanted = [
        (&mut keys.api_key, KeyKind::Live.prefix(), live),
        (&mut keys.test_api_key, KeyKind::Test.prefix(), true),
        (&mut keys.admin_key, ADMIN_KEY_PREFIX, true),
    ];
    let mut made = false;
    for (key, prefix, wanted) in wanted {
        if wanted && key.is_none() {
            *key = Some(NewKey::generate(prefix).text);
            made = true;
        }
    }
    made
}

/// The project's id and its maker's.
#[derive(Clone, Copy)]
struct Project {
    id: Uuid,
    user_id: Uuid,
}

async fn tenant(transaction: &Transaction<'_>) -> Result<Project, tokio_postgres::Error> {
    let existing = transaction
        .query_opt(
            "SELECT p.id, m.user_id FROM organizations o JOIN projects p ON p.org_id = o.id \
             JOIN org_members m ON m.org_id = o.id \
             WHERE o.slug = 'demo' AND p.slug = 'demo' AND o.deleted_at IS NULL AND p.deleted_at IS NULL \
             ORDER BY m.created_at LIMIT 1",
            &[],
        )
        .await?;
    if let Some(row) = existing {
        return Ok(Project {
            id: row.try_get(0)?,
            user_id: row.try_get(1)?,
        });
    }
    // The tenant is open: every model, no quota, no approval of MCP servers.
    let row = transaction
        .query_one(
            "WITH org AS (INSERT INTO organizations (name, slug, settings) \
                 VALUES ('Demo', 'demo', '{\"require_mcp_approval\": false}') RETURNING id), \
             person AS (INSERT INTO users (email, name) VALUES ('demo@localhost', 'Demo') \
                 ON CONFLICT (email) WHERE deleted_at IS NULL DO UPDATE SET name = users.name RETURNING id), \
             member AS (INSERT INTO org_members (org_id, user_id, role, accepted_at) \
                 SELECT org.id, person.id, 'owner', now() FROM org, person) \
             INSERT INTO projects (org_id, name, slug, settings, quotas) \
                 SELECT org.id, 'Demo', 'demo', '{\"allowed_models\": [\"*\"]}', '{}' FROM org \
             RETURNING id, (SELECT id FROM person)",
            &[],
        )
        .await?;
    Ok(Project {
        id: row.try_get(0)?,
        user_id: row.try_get(1)?,
    })
}

async fn store_api_key(
    transaction: &Transaction<'_>,
    project: Project,
    kind: KeyKind,
    key: &str,
) -> Result<(), tokio_postgres::Error> {
    let hash = KeyHash::of(key.as_bytes()).to_hex();
    transaction
        .execute(
            "INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name) \
             VALUES ($1, $2, $3, $4, 'demo') ON CONFLICT (key_hash) DO NOTHING",
            &[&project.id, &project.user_id, &kind.prefix(), &hash],
        )
        .await?;
    Ok(())
}

async fn store_admin_key(
    transaction: &Transaction<'_>,
    key: &str,
) -> Result<(), tokio_postgres::Error> {
    let hash = KeyHash::of(key.as_bytes()).to_hex();
    transaction
        .execute(
            "INSERT INTO admin_keys (role, name, key_hash) VALUES ('owner', 'demo', $1) \
             ON CONFLICT (key_hash) DO NOTHING",
            &[&hash],
        )
        .await?;
    Ok(())
}
