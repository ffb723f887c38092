//! What servers have left behind (`httpx.Cookies`).

use std::fmt;
use std::sync::Arc;

use asyncio_core::waiting::Mutex;
use asyncio_core::{Result, ValueError};
use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, HeaderValue, header};
use reqwest::Url;

/// Cookies, for the hosts and paths that they are meant for. Clones are the same.
#[derive(Clone, Default)]
pub struct Cookies(Arc<Mutex<CookieStore>>);

impl Cookies {
    /// No cookies.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a cookie for the host of an address and all below it.
    ///
    /// # Errors
    ///
    /// [`ValueError`] where the address is none, or the cookie is not one.
    pub fn set(&self, name: &str, value: &str, url: &str) -> Result<()> {
        let url = Url::parse(url).map_err(|_| ValueError::new("this is no address"))?;
        let cookie = RawCookie::build((name.to_owned(), value.to_owned())).path("/");
        let stored = self.0.lock().insert_raw(&cookie.build(), &url);
        stored.map_err(|_| ValueError::new("this is no cookie for that address"))?;
        Ok(())
    }

    /// The value of a cookie, whomever it is meant for.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let store = self.0.lock();
        let mut all = store.iter_unexpired();
        let found = all.find(|cookie| cookie.name() == name);
        found.map(|cookie| cookie.value().to_owned())
    }

    /// Names and values.
    #[must_use]
    pub fn items(&self) -> Vec<(String, String)> {
        let store = self.0.lock();
        let all = store.iter_unexpired();
        all.map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned()))
            .collect()
    }

    /// Forgets them all.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// The header for a request, with the cookies of this request alone.
    pub(crate) fn header(&self, url: &Url, extra: &[(String, String)]) -> Option<HeaderValue> {
        let mut text = String::new();
        let mut add = |name: &str, value: &str| {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        };
        {
            let store = self.0.lock();
            for (name, value) in store.get_request_values(url) {
                if !extra.iter().any(|(it, _)| it == name) {
                    add(name, value);
                }
            }
        }
        for (name, value) in extra {
            add(name, value);
        }
        if text.is_empty() {
            return None;
        }
        HeaderValue::try_from(text).ok()
    }

    pub(crate) fn store(&self, headers: &HeaderMap, url: &Url) {
        if !headers.contains_key(header::SET_COOKIE) {
            return;
        }
        let values = headers.get_all(header::SET_COOKIE).into_iter();
        let parsed = values.filter_map(|value| {
            let text = value.to_str().ok()?;
            Some(RawCookie::parse(text).ok()?.into_owned())
        });
        self.0.lock().store_response_cookies(parsed, url);
    }
}

impl fmt::Debug for Cookies {
    /// The names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = self.items();
        f.debug_list()
            .entries(items.iter().map(|(name, _)| name))
            .finish()
    }
}
