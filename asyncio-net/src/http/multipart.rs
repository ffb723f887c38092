//! Forms with files (`httpx._multipart`).

use std::fmt::Write as _;
use std::path::Path;

use super::body::Body;

/// A form with files (`multipart/form-data`): `files=` of httpx.
///
/// ```
/// use asyncio_net::http::Multipart;
///
/// let form = Multipart::new()
///     .text("title", "spring")
///     .file("picture", "cow.png", b"\x89PNG".to_vec());
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Multipart {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    name: String,
    file_name: Option<String>,
    content_type: Option<String>,
    content: Vec<u8>,
}

impl Multipart {
    /// A form without fields.
    pub const fn new() -> Self {
        Self { parts: Vec::new() }
    }

    /// Adds a field.
    pub fn text(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parts.push(Part {
            name: name.into(),
            file_name: None,
            content_type: None,
            content: value.into().into_bytes(),
        });
        self
    }

    /// Adds a file, whose type is told by the ending of its name.
    pub fn file(
        self,
        name: impl Into<String>,
        file_name: impl Into<String>,
        content: impl Into<Vec<u8>>,
    ) -> Self {
        let file_name = file_name.into();
        let guessed = mime_guess::from_path(Path::new(&file_name)).first_or_octet_stream();
        self.file_of_type(name, file_name, guessed.to_string(), content)
    }

    /// Adds a file of a type.
    pub fn file_of_type(
        mut self,
        name: impl Into<String>,
        file_name: impl Into<String>,
        content_type: impl Into<String>,
        content: impl Into<Vec<u8>>,
    ) -> Self {
        self.parts.push(Part {
            name: name.into(),
            file_name: Some(file_name.into()),
            content_type: Some(content_type.into()),
            content: content.into(),
        });
        self
    }

    /// The body, and the type that says where its parts end.
    pub(crate) fn into_body(self) -> (Body, String) {
        let boundary = super::random_token();
        let mut body = Vec::new();
        for part in self.parts {
            let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"");
            quote(&mut head, &part.name);
            head.push('"');
            if let Some(file_name) = &part.file_name {
                head.push_str("; filename=\"");
                quote(&mut head, file_name);
                head.push('"');
            }
            head.push_str("\r\n");
            if let Some(content_type) = &part.content_type {
                let one_line: String = content_type.chars().filter(|c| !c.is_control()).collect();
                let _ = write!(head, "Content-Type: {one_line}\r\n");
            }
            head.push_str("\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(&part.content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let content_type = format!("multipart/form-data; boundary={boundary}");
        (Body::from(body), content_type)
    }
}

/// A name between quotation marks, as HTML has it.
fn quote(head: &mut String, name: &str) {
    for character in name.chars() {
        match character {
            '"' => head.push_str("%22"),
            '\r' => head.push_str("%0D"),
            '\n' => head.push_str("%0A"),
            other => head.push(other),
        }
    }
}
