//! What a command has done, in the server's words.

use std::fmt;

/// What the server says that a command has done, such as `INSERT 0 2`.
///
/// ```
/// use asyncio_db::pg::CommandTag;
///
/// let tag = CommandTag::from("INSERT 0 2");
/// assert_eq!((tag.command(), tag.rows()), ("INSERT", Some(2)));
/// assert_eq!(tag, "INSERT 0 2");
/// assert_eq!(CommandTag::from("CREATE TABLE").rows(), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CommandTag(String);

impl CommandTag {
    /// In the server's words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it was, without numbers.
    #[must_use]
    pub fn command(&self) -> &str {
        self.0
            .trim_end_matches(|it: char| it.is_ascii_digit() || it == ' ')
    }

    /// How many rows it was about, where it is a command that says so.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.0.rsplit(' ').next()?.parse().ok()
    }
}

impl From<&str> for CommandTag {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for CommandTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for CommandTag {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for CommandTag {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}
