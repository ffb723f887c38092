//! Who asks (`httpx._auth`).

use std::fmt;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method};
use md5::{Digest as _, Md5};
use reqwest::Url;
use sha2::Sha256;

/// Who asks: with a password, with a token, or with proof of a password.
///
/// It goes to the host it is meant for only: it is left out when a redirect leads elsewhere.
///
/// ```
/// use asyncio_net::http::Auth;
///
/// let auth = Auth::basic("ada", "secret");
/// assert_eq!(format!("{auth:?}"), "Basic(\"ada\")");
/// ```
#[derive(Clone)]
pub struct Auth(Kind);

#[derive(Clone)]
enum Kind {
    Basic(String, String),
    Bearer(String),
    Digest(String, String),
}

impl Auth {
    /// Name and password in every request (`httpx.BasicAuth`).
    #[must_use]
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self(Kind::Basic(user.into(), password.into()))
    }

    /// A token in every request.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        Self(Kind::Bearer(token.into()))
    }

    /// Proof of a password, when the server asks for it (`httpx.DigestAuth`): MD5 and SHA-256.
    #[must_use]
    pub fn digest(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self(Kind::Digest(user.into(), password.into()))
    }

    /// What goes with the first request.
    pub(crate) fn first(&self) -> Option<HeaderValue> {
        let text = match &self.0 {
            Kind::Basic(user, password) => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
            }
            Kind::Bearer(token) => format!("Bearer {token}"),
            Kind::Digest(..) => return None,
        };
        secret(&text)
    }

    /// The answer to a challenge, where this is the kind that answers it.
    pub(crate) fn answer<'a>(
        &self,
        challenges: impl Iterator<Item = &'a str>,
        method: &Method,
        url: &Url,
    ) -> Option<HeaderValue> {
        let Kind::Digest(user, password) = &self.0 else {
            return None;
        };
        let mut parsed = challenges.filter_map(Challenge::parse);
        let challenge = parsed.find(|challenge| challenge.algorithm.is_some())?;
        secret(&challenge.answer(user, password, method, url, &super::random_token())?)
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Basic(user, _) => f.debug_tuple("Basic").field(user).finish(),
            Kind::Bearer(_) => f.write_str("Bearer"),
            Kind::Digest(user, _) => f.debug_tuple("Digest").field(user).finish(),
        }
    }
}

impl<U: Into<String>, P: Into<String>> From<(U, P)> for Auth {
    /// [`Auth::basic`].
    fn from((user, password): (U, P)) -> Self {
        Self::basic(user, password)
    }
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What a server asks for (RFC 7616).
#[derive(Debug, Default)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Option<Algorithm>,
    name: Option<String>,
    qop: bool,
}

#[derive(Clone, Copy, Debug)]
struct Algorithm {
    sha256: bool,
    session: bool,
}

impl Challenge {
    fn parse(header: &str) -> Option<Self> {
        let rest = header
            .get(..7)
            .filter(|scheme| scheme.eq_ignore_ascii_case("digest "))
            .and(header.get(7..))?;
        let mut challenge = Self {
            algorithm: Some(Algorithm {
                sha256: false,
                session: false,
            }),
            ..Self::default()
        };
        let mut qops = None;
        for (name, value) in fields(rest) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => challenge.realm = value,
                "nonce" => challenge.nonce = value,
                "opaque" => challenge.opaque = Some(value),
                "qop" => qops = Some(value),
                "algorithm" => {
                    challenge.algorithm = match value.to_ascii_lowercase().as_str() {
                        "md5" => Some((false, false)),
                        "md5-sess" => Some((false, true)),
                        "sha-256" => Some((true, false)),
                        "sha-256-sess" => Some((true, true)),
                        _ => None,
                    }
                    .map(|(sha256, session)| Algorithm { sha256, session });
                    challenge.name = Some(value);
                }
                _ => {}
            }
        }
        if let Some(qops) = qops {
            challenge.qop = qops.split(',').any(|qop| qop.trim() == "auth");
            if !challenge.qop {
                // Only with a hash of the body, which nobody asks for.
                return None;
            }
        }
        Some(challenge)
    }

    fn answer(
        &self,
        user: &str,
        password: &str,
        method: &Method,
        url: &Url,
        cnonce: &str,
    ) -> Option<String> {
        let algorithm = self.algorithm?;
        let hash = |text: &str| algorithm.hash(text);
        let (realm, nonce) = (&self.realm, &self.nonce);
        let mut path = url.path().to_owned();
        if let Some(query) = url.query() {
            path.push('?');
            path.push_str(query);
        }
        let mut who = hash(&format!("{user}:{realm}:{password}"));
        if algorithm.session {
            who = hash(&format!("{who}:{nonce}:{cnonce}"));
        }
        let what = hash(&format!("{method}:{path}"));
        let response = if self.qop {
            hash(&format!("{who}:{nonce}:00000001:{cnonce}:auth:{what}"))
        } else {
            hash(&format!("{who}:{nonce}:{what}"))
        };
        let mut text = String::from("Digest ");
        let quoted = |text: &mut String, name: &str, value: &str| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = write!(text, "{name}=\"{value}\", ");
        };
        quoted(&mut text, "username", user);
        quoted(&mut text, "realm", realm);
        quoted(&mut text, "nonce", nonce);
        quoted(&mut text, "uri", &path);
        quoted(&mut text, "response", &response);
        if let Some(opaque) = &self.opaque {
            quoted(&mut text, "opaque", opaque);
        }
        if let Some(name) = &self.name {
            let _ = write!(text, "algorithm={name}, ");
        }
        if self.qop {
            let _ = write!(text, "qop=auth, nc=00000001, cnonce=\"{cnonce}\", ");
        }
        text.truncate(text.len() - 2);
        Some(text)
    }
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        fn hex(bytes: &[u8]) -> String {
            let mut text = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                let _ = write!(text, "{byte:02x}");
            }
            text
        }
        if self.sha256 {
            hex(&<Sha256 as sha2::Digest>::digest(text.as_bytes()))
        } else {
            hex(&Md5::digest(text.as_bytes()))
        }
    }
}

/// `name=value` and `name="value"`, with commas between them.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while let Some((name, after)) = rest.split_once('=') {
        let mut value = String::new();
        let mut end = after.len();
        if let Some(quoted) = after.strip_prefix('"') {
            let mut escaped = false;
            for (at, character) in quoted.char_indices() {
                match character {
                    '\\' if !escaped => escaped = true,
                    '"' if !escaped => {
                        end = at + 2;
                        break;
                    }
                    other => {
                        escaped = false;
                        value.push(other);
                    }
                }
            }
        } else {
            end = after.find(',').unwrap_or(after.len());
            after[..end].trim().clone_into(&mut value);
        }
        fields.push((name.trim().to_owned(), value));
        rest = after.get(end..).unwrap_or_default();
        rest = rest.trim_start_matches([' ', ',']);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7616, 3.9.1.
    #[test]
    fn the_rfc_s_examples_are_answered() {
        let url = Url::parse("http://www.example.org/dir/index.html").expect("an address");
        let header = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=ALG, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let header = header.replace("ALG", algorithm);
            let challenge = Challenge::parse(&header).expect("a challenge");
            let answer = challenge
                .answer("Mufasa", "Circle of Life", &Method::GET, &url, cnonce)
                .expect("an answer");
            assert!(
                answer.contains(&format!("response=\"{response}\"")),
                "{answer}"
            );
        }
        assert!(Challenge::parse("Basic realm=\"x\"").is_none());
        assert!(Challenge::parse("Digest realm=\"x\", qop=\"auth-int\"").is_none());
    }

    #[test]
    fn fields_may_hold_commas_and_quotation_marks() {
        assert_eq!(
            fields(r#" a="x, \"y\"", b=z , c="""#),
            [
                ("a".into(), "x, \"y\"".into()),
                ("b".into(), "z".into()),
                ("c".into(), String::new())
            ]
        );
        assert!(fields("nothing").is_empty());
    }
}
