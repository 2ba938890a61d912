//! What usage may be told apart by.

use crate::error::{ApiError, Result};

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    OrgId,
    ProjectId,
    UserId,
    ApiKeyId,
    McpServer,
    Model,
}

impl Group {
    /// Those of a bounded length first: a place in a list is made of them, see `Sql`.
    pub(crate) const ALL: [Self; 6] = [
        Self::OrgId,
        Self::ProjectId,
        Self::UserId,
        Self::ApiKeyId,
        Self::McpServer,
        Self::Model,
    ];

    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::OrgId => "org_id",
            Self::ProjectId => "project_id",
            Self::UserId => "user_id",
            Self::ApiKeyId => "api_key_id",
            Self::McpServer => "mcp_server",
            Self::Model => "model",
        }
    }

    /// Names with commas between, in the order of all.
    pub(crate) fn parse(path: &str, names: &str) -> Result<Vec<Self>> {
        let known = |name: &str| Self::ALL.iter().any(|group| group.column() == name);
        let names: Vec<_> = names.split(',').filter(|name| !name.is_empty()).collect();
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            let all = Self::ALL.map(Self::column).join(", ");
            let message = format!("must be some of {all}; `{unknown}` is none");
            return Err(ApiError::invalid(path, message));
        }
        let groups = Self::ALL.into_iter();
        let groups: Vec<_> = groups
            .filter(|group| names.contains(&group.column()))
            .collect();
        // A call of a tool is no request to a model.
        let of_rows = [Self::ApiKeyId, Self::Model];
        if groups.contains(&Self::McpServer) && groups.iter().any(|group| of_rows.contains(group)) {
            let message = "mcp_server can't be combined with api_key_id or model";
            return Err(ApiError::invalid(path, message));
        }
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_columns_in_any_order() {
        for (names, expected) in [
            ("", Some(vec![])),
            ("model,org_id,model", Some(vec![Group::OrgId, Group::Model])),
            (
                "mcp_server,user_id",
                Some(vec![Group::UserId, Group::McpServer]),
            ),
            ("mcp_server,model", None),
            ("model;DROP", None),
        ] {
            assert_eq!(Group::parse("group_by", names).ok(), expected, "{names}");
        }
    }
}
