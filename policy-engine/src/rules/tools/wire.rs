//! Entries of `tools` and `mcp_servers`, as far as they say which tools there are.

use std::borrow::Cow;

use rustc_hash::FxHashSet;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{MOST_TOOLS, Unreadable};
use crate::rules::json::{self, Bounded, Text};

/// Tools of one server: by name, and none for all that it has.
type Enabled<'a> = Vec<Option<Cow<'a, str>>>;

/// A tool, and whether it is enabled, if that is said.
type Enabling<'a> = (Cow<'a, str>, Option<bool>);

#[derive(Debug, Deserialize)]
pub(super) struct ToolEntry<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow)]
    mcp_server_name: Option<Text<'a>>,
    default_config: Option<Config>,
    #[serde(borrow)]
    configs: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<Bounded<Listed<'a>, MOST_TOOLS>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServerEntry<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) url: Option<Text<'a>>,
    #[serde(borrow)]
    tool_configuration: Option<ToolConfiguration<'a>>,
}

#[derive(Debug, Deserialize)]
struct ToolConfiguration<'a> {
    enabled: Option<bool>,
    #[serde(borrow)]
    allowed_tools: Option<Bounded<Text<'a>, MOST_TOOLS>>,
}

#[derive(Debug, Deserialize)]
struct Config {
    enabled: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

impl<'a> ToolEntry<'a> {
    /// The server that the entry is a toolset of.
    pub(super) fn toolset(&self) -> Option<Cow<'a, str>> {
        let toolset = |kind: &Text<'_>| kind.0 == "mcp_toolset";
        let is_toolset = self.kind.as_ref().is_some_and(toolset);
        let server = self.mcp_server_name.as_ref();
        (is_toolset || server.is_some()).then(|| name_of(server))
    }

    /// What a toolset enables: what it names, and all others unless they are off by default.
    pub(super) fn enabled(&self) -> Result<Enabled<'a>, Unreadable> {
        let default = self.default_config.as_ref().and_then(|c| c.enabled);
        let default = default.unwrap_or(true);
        let mut enabled = Vec::new();
        let mut disabled = FxHashSet::default();
        for (name, config) in self.configs()? {
            if config.unwrap_or(default) {
                enabled.push(Some(name));
            } else {
                disabled.insert(name);
            }
        }
        if default {
            let listed = self.listed()?.filter(|name| !disabled.contains(name));
            enabled.extend(listed.map(Some));
            enabled.push(None);
        }
        Ok(enabled)
    }

    fn configs(&self) -> Result<Vec<Enabling<'a>>, Unreadable> {
        let Some(configs) = self.configs.filter(|configs| configs.get() != "null") else {
            return Ok(Vec::new());
        };
        let members = json::members(configs.get()).ok_or(Unreadable::Malformed)?;
        if members.len() > MOST_TOOLS {
            return Err(Unreadable::TooMany);
        }
        let config = |(name, config)| {
            let config: Option<Config> = serde_json::from_str(config).ok()?;
            Some((name, config.and_then(|config| config.enabled)))
        };
        let configs = members.into_iter().map(config).collect::<Option<_>>();
        configs.ok_or(Unreadable::Malformed)
    }

    /// Tools that the toolset brings along with their descriptions.
    fn listed(&self) -> Result<impl Iterator<Item = Cow<'a, str>>, Unreadable> {
        let tools = self.tools.as_ref();
        if tools.is_some_and(|tools| tools.more) {
            return Err(Unreadable::TooMany);
        }
        let tools = tools.into_iter().flat_map(|tools| &tools.entries);
        Ok(tools.map(|tool| tool.name.0.clone()))
    }
}

impl<'a> ServerEntry<'a> {
    pub(super) fn name(&self) -> Cow<'a, str> {
        name_of(self.name.as_ref())
    }

    /// What the entry enables: nothing if it leaves that to a toolset.
    pub(super) fn enabled(&self, has_toolset: bool) -> Result<Enabled<'a>, Unreadable> {
        let Some(configuration) = &self.tool_configuration else {
            return Ok(if has_toolset { Vec::new() } else { vec![None] });
        };
        if configuration.enabled == Some(false) {
            return Ok(Vec::new());
        }
        let Some(allowed) = &configuration.allowed_tools else {
            return Ok(vec![None]);
        };
        if allowed.more {
            return Err(Unreadable::TooMany);
        }
        let names = allowed.entries.iter().map(|name| Some(name.0.clone()));
        Ok(names.collect())
    }
}

fn name_of<'a>(name: Option<&Text<'a>>) -> Cow<'a, str> {
    name.map(|name| name.0.clone()).unwrap_or_default()
}
