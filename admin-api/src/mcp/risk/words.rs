//! What a tool's name and description say it does. A word of the name counts more than one of the description.

use super::{Code, Finding, Level};
use crate::mcp::offer::Tool;

/// A rule's words, and what one of the description alone is worth.
const RULES: &[(Code, Level, &[&str])] = &[
    (
        Code::WordExecutes,
        Level::Medium,
        &[
            "exec",
            "execute",
            "eval",
            "shell",
            "bash",
            "sh",
            "zsh",
            "powershell",
            "cmd",
            "command",
            "terminal",
            "spawn",
            "sudo",
            "subprocess",
            "script",
        ],
    ),
    (
        Code::WordDestroys,
        Level::Medium,
        &[
            "delete",
            "drop",
            "destroy",
            "remove",
            "erase",
            "purge",
            "truncate",
            "wipe",
            "kill",
            "terminate",
            "uninstall",
            "rm",
            "unlink",
        ],
    ),
    (
        Code::WordPays,
        Level::Medium,
        &[
            "pay", "payment", "payout", "transfer", "charge", "refund", "purchase", "buy",
            "withdraw", "invoice", "checkout", "trade",
        ],
    ),
    (
        Code::WordGrants,
        Level::Medium,
        &[
            "grant",
            "revoke",
            "permission",
            "impersonate",
            "chmod",
            "chown",
            "invite",
        ],
    ),
    (
        Code::WordSecrets,
        Level::Medium,
        &["secret", "password", "credential", "keychain", "passphrase"],
    ),
    (
        Code::WordSends,
        Level::Low,
        &[
            "send",
            "post",
            "publish",
            "email",
            "mail",
            "sms",
            "tweet",
            "upload",
            "share",
            "notify",
            "broadcast",
            "reply",
        ],
    ),
    (
        Code::WordWrites,
        Level::Low,
        &[
            "write", "create", "update", "edit", "insert", "upsert", "set", "put", "patch",
            "modify", "move", "rename", "append", "commit", "push", "merge", "deploy", "install",
            "restart", "cancel",
        ],
    ),
    (
        Code::WordReaches,
        Level::Low,
        &[
            "fetch", "browse", "download", "crawl", "scrape", "navigate", "http", "curl", "webhook",
        ],
    ),
];

pub(super) fn find(tool: &Tool) -> Vec<Finding> {
    let of_name = words(&tool.name);
    let of_description = words(tool.description.as_deref().unwrap_or_default());
    let mut findings = Vec::new();
    for (code, in_description, rule) in RULES {
        let said = |words: &[String]| {
            words
                .iter()
                .find(|word| rule.iter().any(|stem| is_form(word, stem)))
                .cloned()
        };
        if let Some(word) = said(&of_name) {
            findings.push(Finding::because(*code, &tool.name, &word));
        } else if let Some(word) = said(&of_description) {
            findings.push(Finding::because(*code, &tool.name, &word).at(*in_description));
        }
    }
    findings
}

/// The words of a text, in lower case: `readFile`, `read_file` and `read file` have the same.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in text.chars() {
        let begins = !letter.is_alphabetic() || (was_lower && letter.is_uppercase());
        if begins {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase();
        if let (true, Some(word)) = (letter.is_alphabetic(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `deletes`, `deleted` and `deleting` are forms of `delete`, `dropped` of `drop`. Of short ones there are none.
fn is_form(word: &str, stem: &str) -> bool {
    let Some(end) = word.strip_prefix(stem) else {
        let root = stem
            .strip_suffix('e')
            .and_then(|root| word.strip_prefix(root));
        return root == Some("ing");
    };
    if end.is_empty() {
        return true;
    }
    let last = stem.chars().next_back();
    let doubled = end
        .strip_prefix(|letter| Some(letter) == last)
        .unwrap_or(end);
    stem.len() > 2
        && (matches!(end, "s" | "es" | "d" | "ed" | "ing") || matches!(doubled, "ed" | "ing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_however_they_are_joined() {
        for text in [
            "deleteFile2",
            "delete_file",
            "Delete-File",
            "delete.file",
            "delete file",
        ] {
            assert_eq!(words(text), ["delete", "file"], "{text}");
        }
    }

    #[test]
    fn forms_of_a_word_are_the_word() {
        for (word, stem, expected) in [
            ("delete", "delete", true),
            ("deletes", "delete", true),
            ("deleting", "delete", true),
            ("deleted", "delete", true),
            ("dropped", "drop", true),
            ("pushes", "push", true),
            ("sets", "set", true),
            ("setting", "set", true),
            ("settings", "set", false),
            ("shed", "sh", false),
            ("postal", "post", false),
            ("payload", "pay", false),
        ] {
            assert_eq!(is_form(word, stem), expected, "{word} of {stem}");
        }
    }
}
