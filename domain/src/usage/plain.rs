//! Plain JSON: no escapes, no numbers but whole ones of a few digits, nothing deep.
//!
//! That much can be kept as the text that it is: any reader of JSON reads the same of it, a database too. What is not plain may be
//! JSON all the same, and is another reader's to say.

/// So many levels of objects and arrays.
const MOST_LEVELS: usize = 8;
/// Every reader knows so many digits exactly.
const MOST_DIGITS: usize = 15;

/// Where a member of an object is in its text: its name between the quotes, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    name: (u32, u32),
    value: (u32, u32),
}

impl Member {
    pub(super) fn name(self, text: &str) -> &str {
        part(text, self.name)
    }

    pub(super) fn value(self, text: &str) -> &str {
        part(text, self.value)
    }

    pub(super) fn of(self, text: &str) -> (&str, &str) {
        (self.name(text), self.value(text))
    }
}

fn part(text: &str, (start, end): (u32, u32)) -> &str {
    let range = start as usize..end as usize;
    text.get(range).unwrap_or_default()
}

/// The members of an object, if it is plain as a whole and no two have the same name.
pub(super) fn members(text: &str) -> Option<Vec<Member>> {
    let mut members: Vec<Member> = Vec::with_capacity(16);
    let mut reader = Reader { text, at: 0 };
    let mut is_unique = true;
    reader.blank();
    reader.object(0, |member| {
        let name = member.name(text);
        is_unique &= members.iter().all(|other| other.name(text) != name);
        members.push(member);
    })?;
    reader.blank();
    (reader.at == text.len() && is_unique).then_some(members)
}

/// The value of a member of a plain object; none of anything else.
pub(super) fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut value = None;
    let mut reader = Reader { text, at: 0 };
    reader.object(0, |member| {
        if member.name(text) == name {
            value = Some(member.value(text));
        }
    })?;
    value
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    fn blank(&mut self) {
        while matches!(self.next(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn at(&self) -> Option<u32> {
        u32::try_from(self.at).ok()
    }

    /// An object, whose members are shown as they end.
    fn object(&mut self, levels: usize, mut see: impl FnMut(Member)) -> Option<()> {
        self.take(b'{')?;
        self.blank();
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = self.at()? + 1;
            self.string()?;
            let name = (name, self.at()? - 1);
            self.blank();
            self.take(b':')?;
            self.blank();
            let value = self.at()?;
            self.value(levels + 1)?;
            let value = (value, self.at()?);
            see(Member { name, value });
            self.blank();
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
            self.blank();
        }
    }

    fn array(&mut self, levels: usize) -> Option<()> {
        self.take(b'[')?;
        self.blank();
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            self.value(levels + 1)?;
            self.blank();
            if self.take(b',').is_none() {
                return self.take(b']');
            }
            self.blank();
        }
    }

    fn value(&mut self, levels: usize) -> Option<()> {
        if levels > MOST_LEVELS {
            return None;
        }
        match self.next()? {
            b'"' => self.string(),
            b'0'..=b'9' => self.number(),
            b'{' => self.object(levels, |_| {}),
            b'[' => self.array(levels),
            b'n' => self.word("null"),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        rest.starts_with(word).then(|| self.at += word.len())
    }

    /// Behind it comes something else, or else it wasn't plain.
    fn number(&mut self) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let has_zeros = digits > 1 && rest.first() == Some(&b'0');
        self.at += digits;
        (digits <= MOST_DIGITS && !has_zeros).then_some(())
    }

    fn string(&mut self) -> Option<()> {
        self.take(b'"')?;
        let rest = self.text.as_bytes().get(self.at..)?;
        let is_end = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
        self.at += rest.iter().position(is_end)?;
        self.take(b'"')
    }
}
