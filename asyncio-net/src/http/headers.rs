//! The headers of a message (`httpx.Headers`).

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers: their names are the same in small letters and in capitals, and may occur several times.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub(crate) HeaderMap);

impl Headers {
    /// No headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a header, the first one where there are several; `None` where it is no text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    /// All values of a header that are text.
    pub fn get_list(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.get_all(name).into_iter();
        values.filter_map(|value| value.to_str().ok())
    }

    /// Whether there is such a header.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Names, in small letters, and values, as text as far as they are.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let both = self.0.iter();
        both.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a header; what it had is gone. Whether name and value are such as HTTP allows.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
        else {
            return false;
        };
        self.0.insert(name, value);
        true
    }

    /// Takes a header out.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The same as the crate `http` has it.
    #[must_use]
    pub const fn get_ref(&self) -> &HeaderMap {
        &self.0
    }
}

impl fmt::Debug for Headers {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in &self.0 {
            let secret = matches!(
                name.as_str(),
                "authorization" | "proxy-authorization" | "cookie" | "set-cookie"
            );
            if secret {
                map.entry(&name.as_str(), &"[secure]");
            } else {
                map.entry(&name.as_str(), value);
            }
        }
        map.finish()
    }
}
