//! An organization with a project and keys, as a test needs them.

use domain::{KeyHash, KeyKind};
use tokio_postgres::Client;
use uuid::Uuid;

/// An active organization, a user, a project, with nothing that limits them.
#[derive(Debug)]
pub struct Tenant {
    /// The organization.
    pub org_id: Uuid,
    /// The user who makes the keys.
    pub user_id: Uuid,
    /// The project.
    pub project_id: Uuid,
}

impl Tenant {
    /// Makes one.
    pub async fn create(client: &Client) -> Self {
        let [org_id, user_id, project_id] = std::array::from_fn(|_| Uuid::now_v7());
        let slug = format!("org-{}", org_id.simple());
        client
            .execute(
                "INSERT INTO organizations (id, name, slug, settings) \
                 VALUES ($1, 'Test', $2, '{\"require_mcp_approval\": false}')",
                &[&org_id, &slug],
            )
            .await
            .unwrap();
        client
            .execute(
                "INSERT INTO users (id, name, email) VALUES ($1, 'Test', $2)",
                &[&user_id, &format!("{}@example.com", user_id.simple())],
            )
            .await
            .unwrap();
        client
            .execute(
                "INSERT INTO projects (id, org_id, name, slug, quotas) VALUES ($1, $2, 'Test', 'test', '{}')",
                &[&project_id, &org_id],
            )
            .await
            .unwrap();
        Self {
            org_id,
            user_id,
            project_id,
        }
    }

    /// Makes a key and gives its text.
    pub async fn key(&self, client: &Client, kind: KeyKind) -> String {
        let text = format!("{}{}", kind.prefix(), Uuid::now_v7().simple());
        client
            .execute(
                "INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name) \
                 VALUES ($1, $2, $3, $4, 'test')",
                &[
                    &self.project_id,
                    &self.user_id,
                    &kind.prefix(),
                    &KeyHash::of(text.as_bytes()).to_hex(),
                ],
            )
            .await
            .unwrap();
        text
    }
}
