//! `mindweave admin-key`: the way in before the admin API has a caller.

use admin_api::NewKey;
use domain::key::ADMIN_KEY_PREFIX;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{CommandError, Outcome, connect};
use crate::cli::{AdminKey, AdminKeyCreate, Common, Role};
use crate::out;

pub(super) async fn run(common: &Common, words: AdminKey) -> Outcome {
    let client = connect(common).await?;
    match words {
        AdminKey::Create(words) => create(&client, &words).await,
        AdminKey::List => list(&client).await,
        AdminKey::Revoke { id } => revoke(&client, id).await,
    }
}

async fn create(client: &Client, words: &AdminKeyCreate) -> Outcome {
    let org_id = match &words.org {
        None => None,
        Some(slug) => {
            let query = "SELECT id FROM organizations WHERE slug = $1 AND deleted_at IS NULL";
            let row = client.query_opt(query, &[slug]).await?;
            let row = row
                .ok_or_else(|| CommandError::Input(format!("there is no organization `{slug}`")))?;
            Some(row.try_get::<_, Uuid>(0)?)
        }
    };
    let key = NewKey::generate(ADMIN_KEY_PREFIX);
    client
        .execute(
            "INSERT INTO admin_keys (org_id, role, name, key_hash) VALUES ($1, $2, $3, $4)",
            &[&org_id, &role(words.role), &words.name, &key.hash.to_hex()],
        )
        .await?;
    // Alone on the line, so that a script can take it.
    out::line(key.text);
    Ok(())
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
        Role::Viewer => "viewer",
    }
}

async fn list(client: &Client) -> Outcome {
    let rows = client
        .query(
            "SELECT k.id::text, coalesce(o.slug, '(installation)'), k.role::text, k.status::text, \
                    to_char(k.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), k.name::text \
             FROM admin_keys k LEFT JOIN organizations o ON o.id = k.org_id ORDER BY k.created_at",
            &[],
        )
        .await?;
    out::line(format!(
        "{:<36}  {:<16}  {:<6}  {:<8}  {:<16}  NAME",
        "ID", "ORGANIZATION", "ROLE", "STATUS", "CREATED"
    ));
    for row in rows {
        let text = |column| row.try_get::<_, String>(column);
        let (id, org, role, status, created, name) =
            (text(0)?, text(1)?, text(2)?, text(3)?, text(4)?, text(5)?);
        out::line(format!(
            "{id:<36}  {org:<16}  {role:<6}  {status:<8}  {created:<16}  {name}"
        ));
    }
    Ok(())
}

async fn revoke(client: &Client, id: Uuid) -> Outcome {
    let revoked = client
        .execute(
            "UPDATE admin_keys SET status = 'revoked', revoked_at = now() WHERE id = $1 AND status = 'active'",
            &[&id],
        )
        .await?;
    if revoked == 0 {
        return Err(CommandError::Input(format!(
            "there is no active admin key {id}"
        )));
    }
    out::line(format!("revoked {id}"));
    Ok(())
}
