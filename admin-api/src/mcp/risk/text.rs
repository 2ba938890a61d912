//! Signs that a text is meant for the model rather than for whoever chooses the tool.

use super::{Code, Finding};

const LONG: usize = 4_000;

/// Phrases, in the words of `folded`; `*` stands for up to three words.
const PHRASES: &[(Code, &[&str])] = &[
    (
        Code::InjectionOverride,
        &[
            "ignore * previous",
            "ignore * prior",
            "ignore * above",
            "ignore * earlier",
            "ignore * instructions",
            "ignore * other instructions",
            "disregard * previous",
            "disregard * prior",
            "disregard * above",
            "disregard * instructions",
            "forget * previous",
            "forget * instructions",
            "override * instructions",
            "override * previous",
            "new instructions",
            "system prompt",
            "you are now",
        ],
    ),
    (
        Code::InjectionSecrecy,
        &[
            "do not tell * user",
            "don't tell * user",
            "do not mention",
            "don't mention",
            "never mention",
            "do not inform",
            "don't inform",
            "do not reveal * user",
            "without telling",
            "without informing",
            "without * user knowing",
            "hide this from",
            "keep this secret",
            "not visible to * user",
            "user must not know",
            "user should not know",
        ],
    ),
    (
        Code::InjectionSteering,
        &[
            "before using * other tool",
            "before * any other tool",
            "before using * tool",
            "before calling * tool",
            "must always call",
            "always call * first",
            "always use this tool",
            "must call * tool",
            "you must call",
            "must be called before",
            "must be called first",
            "instead of * tool",
            "do not use * other tool",
            "when * other tool is",
            "after calling * tool",
            "after using * tool",
        ],
    ),
    (
        Code::InjectionExfiltration,
        &[
            "id_rsa",
            ".ssh/",
            "/etc/passwd",
            "/etc/shadow",
            ".aws/credentials",
            ".env file",
            "mcp.json",
            "private key",
            "conversation history",
            "chat history",
        ],
    ),
];

/// Marks that stand around instructions.
const TAGS: &[&str] = &[
    "<important",
    "</important",
    "<system",
    "</system",
    "<instruction",
    "</instruction",
    "<secret",
    "<hidden",
    "[inst]",
    "<<sys>>",
    "<|im_start|>",
    "<|system|>",
    "<critical",
    "\n\nhuman:",
    "\n\nassistant:",
    "<function_calls",
    "<!--",
];

pub(super) fn find(tool: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(letter) = text.chars().find(|letter| is_hidden(*letter)) {
        let seen = format!("U+{:04X}", u32::from(letter));
        findings.push(Finding::because(Code::HiddenText, tool, &seen));
    }
    let lower = text.to_lowercase();
    if let Some(tag) = TAGS.iter().find(|tag| lower.contains(*tag)) {
        findings.push(Finding::because(Code::InjectionTag, tool, tag.trim()));
    }
    let folded = folded(&lower);
    let words: Vec<&str> = folded.split(' ').collect();
    for (code, phrases) in PHRASES {
        if let Some(phrase) = phrases.iter().find(|phrase| says(&folded, &words, phrase)) {
            findings.push(Finding::because(*code, tool, phrase));
        }
    }
    if text.chars().count() > LONG {
        findings.push(Finding::of(Code::DescriptionLong, tool));
    }
    findings
}

/// Characters that change what is read without being seen: of no width, of direction, tags, controls.
pub(super) fn is_hidden(letter: char) -> bool {
    matches!(
        u32::from(letter),
        0x00..=0x08 | 0x0b | 0x0c | 0x0e..=0x1f | 0x7f..=0x9f | 0xad | 0x200b | 0x200e | 0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xfff9..=0xfffb | 0xe0000..=0xe0fff
    )
}

/// One space between words, nothing hidden in them, and straight apostrophes.
fn folded(lower: &str) -> String {
    let seen = lower
        .chars()
        .filter(|letter| letter.is_whitespace() || !is_hidden(*letter));
    let seen: String = seen
        .map(|letter| if letter == '\u{2019}' { '\'' } else { letter })
        .collect();
    seen.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn says(folded: &str, words: &[&str], phrase: &str) -> bool {
    if !phrase.contains('*') {
        return folded.contains(phrase);
    }
    let phrase: Vec<&str> = phrase.split(' ').collect();
    (0..words.len()).any(|start| begins(words.get(start..).unwrap_or_default(), &phrase))
}

/// Whether words begin with a phrase. The last word may go on: `tools` for `tool`.
fn begins(words: &[&str], phrase: &[&str]) -> bool {
    match (phrase, words) {
        ([], _) => true,
        (["*", rest @ ..], _) => (0..=3).any(|skipped| {
            words
                .get(skipped..)
                .is_some_and(|words| begins(words, rest))
        }),
        ([last], [word, ..]) => bare(word).starts_with(last),
        ([first, rest @ ..], [word, words @ ..]) => bare(word) == *first && begins(words, rest),
        (_, []) => false,
    }
}

fn bare(word: &str) -> &str {
    word.trim_matches(|letter: char| !letter.is_alphanumeric())
}
