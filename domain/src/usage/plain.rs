//! Plain JSON: no escapes, no blanks but spaces, no numbers but whole ones of a few digits, nothing deep.
//!
//! That much can be kept as the text that it is: any reader of JSON reads the same of it, a database too. What is not plain may be
//! JSON all the same, and is another reader's to say.

/// So many levels of objects and arrays.
const MOST_LEVELS: usize = 8;
/// Every reader knows so many digits exactly.
const MOST_DIGITS: usize = 15;
/// So many in an object, with those of objects in it.
const MOST_MEMBERS: usize = 64;
/// The same, of most.
const USUAL_MEMBERS: usize = 20;

/// Where a member is in the text of an object: its name between the quotes, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    name: (u32, u32),
    value: (u32, u32),
    /// Of an object in the object; it follows the member that has it.
    pub(super) is_inner: bool,
}

impl Member {
    pub(super) fn name(self, text: &str) -> &str {
        part(text, self.name)
    }

    /// Most that aren't are told by their length.
    pub(super) fn is_named(self, name: &str, text: &str) -> bool {
        let (start, end) = self.name;
        (end - start) as usize == name.len() && self.name(text) == name
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

/// The members of an object, and those of objects in it, if it is plain as a whole and no two have the same name.
pub(super) fn members(text: &str) -> Option<Vec<Member>> {
    if !is_without_escapes(text) {
        return None;
    }
    let mut reader = Reader {
        text,
        at: 0,
        members: Vec::with_capacity(USUAL_MEMBERS),
    };
    reader.blank();
    reader.object(0)?;
    reader.blank();
    (reader.at == text.len()).then_some(reader.members)
}

/// Looks at every byte, whatever it finds: so it looks at many at once.
fn is_without_escapes(text: &str) -> bool {
    let is_other = |byte: u8| u8::from(byte < b' ') | u8::from(byte == b'\\');
    text.bytes().fold(0, |found, byte| found | is_other(byte)) == 0
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    members: Vec<Member>,
}

impl Reader<'_> {
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    fn blank(&mut self) {
        while self.next() == Some(b' ') {
            self.at += 1;
        }
    }

    fn at(&self) -> Option<u32> {
        u32::try_from(self.at).ok()
    }

    /// An object, of which members are noted unless it is deep.
    fn object(&mut self, level: usize) -> Option<()> {
        self.take(b'{')?;
        self.blank();
        if self.take(b'}').is_some() {
            return Some(());
        }
        let first = self.members.len();
        loop {
            let name = self.at()? + 1;
            self.string()?;
            let name = (name, self.at()? - 1);
            self.blank();
            self.take(b':')?;
            self.blank();
            let start = self.at()?;
            let place = self.members.len();
            if level <= 1 {
                self.note(first, name, level == 1)?;
            }
            self.value(level + 1)?;
            let end = self.at()?;
            if let Some(member) = self.members.get_mut(place).filter(|_| level <= 1) {
                member.value = (start, end);
            }
            self.blank();
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
            self.blank();
        }
    }

    /// None if the object has one of this name, or too many to be looked through for each.
    fn note(&mut self, first: usize, name: (u32, u32), is_inner: bool) -> Option<()> {
        let noted = self.members.get(first..).unwrap_or_default();
        if noted.len() >= MOST_MEMBERS {
            return None;
        }
        let text = part(self.text, name);
        let is_same =
            |other: &Member| other.is_inner == is_inner && other.is_named(text, self.text);
        if noted.iter().any(is_same) {
            return None;
        }
        self.members.push(Member {
            name,
            value: (0, 0),
            is_inner,
        });
        Some(())
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
            b'{' => self.object(levels),
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
        self.at += rest.iter().position(|byte| *byte == b'"')? + 1;
        Some(())
    }
}
