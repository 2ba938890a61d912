//! The rules by their names, with how bad what they find is.

use serde::Serialize;

use super::Level;

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    WordExecutes,
    WordDestroys,
    WordPays,
    WordGrants,
    WordSecrets,
    WordSends,
    WordWrites,
    WordReaches,
    HintDestructive,
    HintOpenWorld,
    HintWrites,
    HintContradicted,
    HintMissing,
    SchemaCommand,
    SchemaSecret,
    SchemaAddress,
    SchemaPath,
    SchemaQuery,
    SchemaOpen,
    SchemaInvalid,
    SchemaTooLarge,
    ExecutesAnything,
    HiddenText,
    InjectionOverride,
    InjectionTag,
    InjectionSecrecy,
    InjectionSteering,
    InjectionExfiltration,
    DescriptionMissing,
    DescriptionLong,
    NameInvalid,
    NameShadows,
    NameConfusable,
    MentionsOther,
    DuplicateTool,
    ToolUnreadable,
    TooManyTools,
    ToolAdded,
    ToolChanged,
    ToolVanished,
    ManifestUndeclared,
    ManifestDiffers,
    ServerUnencrypted,
    CommandShell,
    CommandUnpinned,
    NothingOffered,
}

impl Code {
    /// How bad it is where the rule doesn't say otherwise, and what it means.
    pub(super) fn meaning(self) -> (Level, &'static str) {
        use Level::{Critical, High, Low, Medium};
        match self {
            Self::WordExecutes => (High, "it seems to run commands or code"),
            Self::WordDestroys => (High, "it seems to destroy things"),
            Self::WordPays => (High, "it seems to move money"),
            Self::WordGrants => (High, "it seems to change who may do what"),
            Self::WordSecrets => (High, "it seems to be about secrets"),
            Self::WordSends => (Medium, "it seems to send something to others"),
            Self::WordWrites => (Medium, "it seems to change things"),
            Self::WordReaches => (Medium, "it seems to reach into the network"),
            Self::HintDestructive => (High, "the server says that it destroys"),
            Self::HintOpenWorld => (Medium, "the server says that it reaches beyond the server"),
            Self::HintWrites => (Medium, "the server says that it changes things"),
            Self::HintContradicted => (
                High,
                "the server says that it only reads; its name, schema or another hint says otherwise",
            ),
            Self::HintMissing => (Low, "the server doesn't say whether it only reads"),
            Self::SchemaCommand => (High, "it takes a command, code or SQL"),
            Self::SchemaSecret => (High, "it asks the model for a secret"),
            Self::SchemaAddress => (Medium, "it takes an address to go to"),
            Self::SchemaPath => (Medium, "it takes a path of a file"),
            Self::SchemaQuery => (Low, "it takes a query"),
            Self::SchemaOpen => (Medium, "it takes whatever else it is given"),
            Self::SchemaInvalid => (Medium, "its schema is not that of an object"),
            Self::SchemaTooLarge => (Critical, "its schema is larger or deeper than is looked at"),
            Self::ExecutesAnything => (Critical, "it runs whatever command or code it is given"),
            Self::HiddenText => (Critical, "its text has characters that nobody sees"),
            Self::InjectionOverride => (
                Critical,
                "its text tells the model to leave its instructions",
            ),
            Self::InjectionTag => (Critical, "its text poses as instructions of the system"),
            Self::InjectionSecrecy => (
                Critical,
                "its text tells the model to hide something from the user",
            ),
            Self::InjectionSteering => (High, "its text tells the model when to call which tool"),
            Self::InjectionExfiltration => (High, "its text names files or values that are secret"),
            Self::DescriptionMissing => (Low, "it has no description"),
            Self::DescriptionLong => (Medium, "its description is very long"),
            Self::NameInvalid => (
                Medium,
                "its name has characters other than letters, digits, _, - and .",
            ),
            Self::NameShadows => (
                High,
                "an approved server of the project has a tool of this name",
            ),
            Self::NameConfusable => (
                High,
                "an approved server of the project has a tool of nearly this name",
            ),
            Self::MentionsOther => (High, "its description names another server's tool"),
            Self::DuplicateTool => (Critical, "the server offers two tools of this name"),
            Self::ToolUnreadable => (
                Medium,
                "a tool without a name that can be stored was left out",
            ),
            Self::TooManyTools => (Critical, "the server offers more tools than are looked at"),
            Self::ToolAdded => (
                Medium,
                "it wasn't there when the server was approved: it is off until somebody enables it",
            ),
            Self::ToolChanged => (
                High,
                "its description or schema has changed since the server was approved: it is off until somebody enables it",
            ),
            Self::ToolVanished => (Low, "it isn't offered any more, and is off"),
            Self::ManifestUndeclared => (Medium, "the manifest doesn't name it"),
            Self::ManifestDiffers => (High, "the manifest describes it otherwise"),
            Self::ServerUnencrypted => (Medium, "the server is reached without TLS"),
            Self::CommandShell => (High, "the command is a shell"),
            Self::CommandUnpinned => (Medium, "the command runs whatever version there is"),
            Self::NothingOffered => (Low, "no tools are known"),
        }
    }

    /// Whether it says that a tool does more than read.
    pub(super) fn is_of_acting(self) -> bool {
        matches!(
            self,
            Self::WordExecutes
                | Self::WordDestroys
                | Self::WordPays
                | Self::WordGrants
                | Self::WordSends
                | Self::WordWrites
                | Self::SchemaCommand
        )
    }
}
