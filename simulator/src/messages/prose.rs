//! Text of an exact length. One piece, a word with the space after it, is one token.

use crate::draw::Draw;

/// How every answer begins, so that nobody takes it for a model's.
const OPENING: &str = "This is the simulator speaking: no model was asked.";

const SENTENCES: [&str; 12] = [
    "Requests travel the same road as real ones, and their tokens are counted on the way.",
    "A quiet river carries the boats down to the sea, one after another.",
    "The answer depends on nothing but the question and the seed.",
    "Every stream opens with a start event and closes with a stop.",
    "Budgets are held before the first byte and settled after the last.",
    "When the clock strikes twelve, the baker opens the oven and counts the loaves.",
    "Words come at their own pace, a few in each event.",
    "The same words will come back tomorrow if the same words are sent.",
    "Somewhere a lighthouse turns, and the ships in the bay take their bearings.",
    "Nothing here was learned, and nothing here is remembered.",
    "A ledger that balances at night lets its keeper sleep.",
    "Whoever reads this far has tested a long answer.",
];

/// Text of exactly `tokens` pieces; the first of them say that this is a simulation.
pub(super) fn answer(tokens: u64, draw: &mut Draw) -> String {
    write(tokens, OPENING, draw)
}

/// A train of thought of exactly `tokens` pieces.
pub(super) fn thought(tokens: u64, draw: &mut Draw) -> String {
    write(tokens, "Let me think about this step by step.", draw)
}

/// A text's pieces, which are its tokens.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

fn write(tokens: u64, opening: &'static str, draw: &mut Draw) -> String {
    let mut text = String::new();
    let mut left = tokens;
    let mut sentence = opening;
    while left > 0 {
        for word in sentence.split(' ') {
            if left == 0 {
                break;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
            left -= 1;
        }
        sentence = draw.pick(&SENTENCES).copied().unwrap_or(opening);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Draw, OPENING, SENTENCES, answer, pieces};

    #[test]
    fn the_length_is_exact() {
        for tokens in [0, 1, 9, 10, 1000] {
            let text = answer(tokens, &mut Draw::new(0, &[]));
            assert_eq!(pieces(&text).count() as u64, tokens);
            assert_eq!(pieces(&text).collect::<String>(), text);
        }
    }

    #[test]
    fn nothing_needs_escaping() {
        let plain = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\' || b == b' ')
        };
        assert!(plain(OPENING) && SENTENCES.iter().all(|sentence| plain(sentence)));
    }
}
