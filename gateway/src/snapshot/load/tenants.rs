//! What keys hang on: their projects, and the organizations of those.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{KeyKind, OrgId, ProjectId};
use proxy::{OnClientDisconnect, Tenant, TenantState};
use tokio_postgres::{Error, Row};

use super::Targets;

/// Whatever the state of a project: keys of one that is out of service are known, and refused.
pub(super) const TENANTS: &str = "\
    SELECT p.id AS project_id, p.org_id, o.slug, \
           p.status = 'active' AND p.deleted_at IS NULL AS project_active, \
           o.status = 'active' AND o.deleted_at IS NULL AS organization_active, \
           p.settings ->> 'on_client_disconnect' AS on_client_disconnect \
    FROM projects p JOIN organizations o ON o.id = p.org_id";

/// Those of one load, by project.
pub(super) struct Tenants(HashMap<ProjectId, OfProject>);

struct OfProject {
    live: Arc<Tenant>,
    test: Arc<Tenant>,
}

impl Tenants {
    pub(super) fn read(rows: &[Row], targets: &Targets) -> Result<Self, Error> {
        let read = |row| {
            let live = Arc::new(tenant_of(row, KeyKind::Live, targets)?);
            let test = Arc::new(tenant_of(row, KeyKind::Test, targets)?);
            Ok((live.project_id, OfProject { live, test }))
        };
        rows.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// That of a project's keys, if it was read.
    pub(super) fn of(&self, project: ProjectId, kind: KeyKind) -> Option<&Arc<Tenant>> {
        let found = self.0.get(&project)?;
        Some(match kind {
            KeyKind::Live => &found.live,
            KeyKind::Test => &found.test,
        })
    }
}

fn tenant_of(row: &Row, kind: KeyKind, targets: &Targets) -> Result<Tenant, Error> {
    let org_slug: &str = row.try_get("slug")?;
    let reaction: Option<&str> = row.try_get("on_client_disconnect")?;
    let (target, own_upstream_key) = targets.of(kind, org_slug);
    Ok(Tenant {
        project_id: ProjectId(row.try_get("project_id")?),
        org_id: OrgId(row.try_get("org_id")?),
        org_slug: org_slug.into(),
        state: tenant(
            row.try_get("project_active")?,
            row.try_get("organization_active")?,
        ),
        target,
        own_upstream_key,
        on_client_disconnect: reaction.and_then(|text| text.parse::<OnClientDisconnect>().ok()),
    })
}

/// What becomes of the keys of a project that is active or not, of an organization that is or not.
pub(crate) fn tenant(project_active: bool, organization_active: bool) -> TenantState {
    match (organization_active, project_active) {
        (true, true) => TenantState::Active,
        (true, false) => TenantState::ProjectInactive,
        (false, _) => TenantState::OrganizationInactive,
    }
}
