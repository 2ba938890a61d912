//! An error with its causes, in one line.

use std::error::Error;

/// `what failed: why: why that`. A cause that the text already ends with is not repeated.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|layer| layer as _)
        }
    }

    #[test]
    fn causes_follow_and_are_not_repeated() {
        let refused = Layer("connection refused", None);
        let connect = Layer("can't connect: connection refused", Some(Box::new(refused)));
        let load = Layer("the keys can't be loaded", Some(Box::new(connect)));
        assert_eq!(
            error_chain(&load),
            "the keys can't be loaded: can't connect: connection refused"
        );
    }
}
