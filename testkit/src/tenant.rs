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
        create_user(client, user_id).await;
        create_project(client, org_id, project_id, "test").await;
        Self {
            org_id,
            user_id,
            project_id,
        }
    }

    /// The same organization and project with another user.
    pub async fn with_another_user(&self, client: &Client) -> Self {
        let user_id = Uuid::now_v7();
        create_user(client, user_id).await;
        Self { user_id, ..*self }
    }

    /// The same organization and user with another project.
    pub async fn with_another_project(&self, client: &Client) -> Self {
        let project_id = Uuid::now_v7();
        let slug = project_id.simple().to_string();
        create_project(client, self.org_id, project_id, &slug).await;
        Self {
            project_id,
            ..*self
        }
    }

    /// Makes a live key and gives its text.
    pub async fn live_key(&self, client: &Client) -> String {
        self.key(client, KeyKind::Live).await
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

async fn create_user(client: &Client, user_id: Uuid) {
    client
        .execute(
            "INSERT INTO users (id, name, email) VALUES ($1, 'Test', $2)",
            &[&user_id, &format!("{}@example.com", user_id.simple())],
        )
        .await
        .unwrap();
}

async fn create_project(client: &Client, org_id: Uuid, project_id: Uuid, slug: &str) {
    client
        .execute(
            "INSERT INTO projects (id, org_id, name, slug, quotas) VALUES ($1, $2, 'Test', $3, '{}')",
            &[&project_id, &org_id, &slug],
        )
        .await
        .unwrap();
}
