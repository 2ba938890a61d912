//! The places in a batch's body, and what may come at each: JSON's grammar, as far down as the members of `params`.

/// What is entered, each in the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Body,
    Requests,
    Item,
    Params,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// To be entered, if it is the array or object that it should be.
    Level(Level),
    CustomId,
    /// A member of `params`.
    Member,
    Other,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Value(Role),
    InValue(Role),
    /// Behind an opening bracket: before the first member or element, or the end.
    Opened,
    Key,
    InKey,
    Colon(Role),
    /// Behind a member or an element.
    Behind,
    /// Behind the whole body.
    Ended,
}

/// What a byte that is not a blank begins or ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    Key,
    Value(Role),
    /// It only leads to another place.
    Place(Place),
    /// What was entered last ends.
    End(Level),
}

impl Default for Place {
    fn default() -> Self {
        Self::Value(Role::Level(Level::Body))
    }
}

impl Place {
    /// What `first` is here; none if it can't be here.
    pub(super) fn next(self, inside: Option<Level>, first: u8) -> Option<Next> {
        if let Self::Value(role) = self {
            return Some(Next::Value(role));
        }
        let item = Role::Level(Level::Item);
        match (self, inside?, first) {
            (Self::Opened | Self::Behind, level, _) if first == level.closing() => {
                Some(Next::End(level))
            }
            (Self::Opened, Level::Requests, _) => Some(Next::Value(item)),
            (Self::Opened | Self::Key, _, b'"') => Some(Next::Key),
            (Self::Behind, Level::Requests, b',') => Some(Next::Place(Self::Value(item))),
            (Self::Behind, _, b',') => Some(Next::Place(Self::Key)),
            (Self::Colon(role), _, b':') => Some(Next::Place(Self::Value(role))),
            _ => None,
        }
    }
}

impl Level {
    pub(super) fn opening(self) -> u8 {
        if self == Self::Requests { b'[' } else { b'{' }
    }

    fn closing(self) -> u8 {
        if self == Self::Requests { b']' } else { b'}' }
    }

    pub(super) fn outer(self) -> Option<Self> {
        match self {
            Self::Body => None,
            Self::Requests => Some(Self::Body),
            Self::Item => Some(Self::Requests),
            Self::Params => Some(Self::Item),
        }
    }

    /// What the value of its member of this name is.
    pub(super) fn member(self, name: &str) -> Role {
        match (self, name) {
            (Self::Body, "requests") => Role::Level(Self::Requests),
            (Self::Item, "params") => Role::Level(Self::Params),
            (Self::Item, "custom_id") => Role::CustomId,
            (Self::Params, _) => Role::Member,
            _ => Role::Other,
        }
    }
}

/// Whether a value can begin so.
pub(super) fn begins_value(first: u8) -> bool {
    matches!(
        first,
        b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'
    )
}
