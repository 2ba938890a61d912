//! Who may do what.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{ApiError, Result};

/// A role within an organization. The later may all that the earlier may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Viewer,
    Member,
    Admin,
    Owner,
}

pub(crate) const ROLES: &[&str] = &["owner", "admin", "member", "viewer"];

/// What callers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    ReadOrganizations,
    ChangeOrganizations,
    /// Making and archiving: for callers of the whole installation.
    MakeOrganizations,
    ReadProjects,
    ChangeProjects,
    ReadApiKeys,
    ChangeApiKeys,
    ReadPolicies,
    ChangePolicies,
    /// It takes more than reading, and shows what requests of any key would come to.
    TryPolicies,
    ReadMcp,
    /// What is registered waits for somebody's approval.
    RegisterMcp,
    /// Approving among it.
    ChangeMcp,
    ReadAdminKeys,
    ChangeAdminKeys,
    ReadAuditLogs,
    ReadUsers,
    ReadUsage,
    /// Request by request, and with it who did what when.
    ExportUsage,
    /// They may be members of other organizations too.
    ChangeUsers,
    ReadMembers,
    /// Up to the caller's own role.
    ChangeMembers,
    /// What an organization pays for isn't its own to decide.
    ChangeSubscriptions,
}

impl Role {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "viewer" => Some(Self::Viewer),
            "member" => Some(Self::Member),
            "admin" => Some(Self::Admin),
            "owner" => Some(Self::Owner),
            _ => None,
        }
    }
}

impl Act {
    /// The least role that may; none where no role within an organization does.
    fn least_role(self) -> Option<Role> {
        match self {
            Self::ReadOrganizations
            | Self::ReadProjects
            | Self::ReadApiKeys
            | Self::ReadPolicies
            | Self::ReadUsers
            | Self::ReadMembers
            | Self::ReadMcp
            | Self::ReadUsage => Some(Role::Viewer),
            Self::ChangeApiKeys | Self::RegisterMcp => Some(Role::Member),
            Self::ChangeProjects
            | Self::ChangeOrganizations
            | Self::ChangePolicies
            | Self::TryPolicies
            | Self::ChangeMembers
            | Self::ChangeMcp
            | Self::ReadAdminKeys
            | Self::ReadAuditLogs
            | Self::ExportUsage => Some(Role::Admin),
            Self::ChangeAdminKeys => Some(Role::Owner),
            Self::MakeOrganizations | Self::ChangeUsers | Self::ChangeSubscriptions => None,
        }
    }

    /// Refuses those who may not.
    pub(crate) fn require(self, role: Role, is_installations: bool) -> Result<()> {
        if is_installations {
            return Ok(());
        }
        match self.least_role() {
            Some(least) if role >= least => Ok(()),
            Some(least) => Err(ApiError::forbidden(
                "role_missing",
                format!("this takes the role `{}`", name(least)),
            )),
            None => Err(ApiError::forbidden(
                "role_missing",
                "this takes an admin key of the whole installation",
            )),
        }
    }
}

pub(crate) fn name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
    }
}
