//! What a `COPY` is told.

use std::fmt::Write as _;

use super::quoting;

/// How rows look that are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyFormat {
    /// The server's own: a line for each row, a tabulator between two values.
    #[default]
    Text,
    /// Values separated by commas.
    Csv,
    /// The server's binary form.
    Binary,
}

/// Columns, or all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyColumns {
    /// All.
    All,
    /// These.
    Of(Vec<String>),
}

impl<S: Into<String>, const N: usize> From<[S; N]> for CopyColumns {
    fn from(names: [S; N]) -> Self {
        Self::Of(names.into_iter().map(Into::into).collect())
    }
}

impl From<&[&str]> for CopyColumns {
    fn from(names: &[&str]) -> Self {
        Self::Of(names.iter().map(|name| (*name).to_owned()).collect())
    }
}

impl From<Vec<String>> for CopyColumns {
    fn from(names: Vec<String>) -> Self {
        Self::Of(names)
    }
}

/// What all kinds of it can be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) columns: Option<Vec<String>>,
    pub(super) schema_name: Option<String>,
    pub(super) format: Option<CopyFormat>,
    pub(super) delimiter: Option<char>,
    pub(super) null: Option<String>,
    pub(super) header: Option<bool>,
    pub(super) quote: Option<char>,
    pub(super) escape: Option<char>,
    pub(super) force_quote: Option<CopyColumns>,
    pub(super) force_not_null: Option<Vec<String>>,
    pub(super) force_null: Option<Vec<String>>,
    pub(super) freeze: Option<bool>,
    pub(super) encoding: Option<String>,
    pub(super) only_where: Option<String>,
}

impl Options {
    /// The table, with its columns where only some are meant.
    pub(super) fn table(&self, name: &str) -> String {
        let mut text = quoting::table(self.schema_name.as_deref(), name);
        if let Some(columns) = &self.columns {
            text.push_str(&quoting::list(columns));
        }
        text
    }

    /// A query that has the columns and no rows.
    pub(super) fn describing(&self, name: &str) -> String {
        let columns = match &self.columns {
            Some(columns) => quoting::list(columns),
            None => "(*)".to_owned(),
        };
        let table = quoting::table(self.schema_name.as_deref(), name);
        format!(
            "SELECT {} FROM {table} LIMIT 0",
            &columns[1..columns.len() - 1]
        )
    }

    /// What stands in parentheses at the end of a command, and a condition behind it.
    pub(super) fn clause(&self) -> String {
        let mut all = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            all.extend(value.map(|value| format!("{name} {value}")));
        };
        let letter = |it: Option<char>| it.map(|it| quoting::literal(it.encode_utf8(&mut [0; 4])));
        let text = |it: &Option<String>| it.as_deref().map(quoting::literal);
        let names = |it: &Option<Vec<String>>| it.as_deref().map(quoting::list);
        add(
            "FORMAT",
            self.format.map(|format| {
                let name = match format {
                    CopyFormat::Text => "text",
                    CopyFormat::Csv => "csv",
                    CopyFormat::Binary => "binary",
                };
                name.to_owned()
            }),
        );
        add("FREEZE", self.freeze.map(|it| it.to_string()));
        add("DELIMITER", letter(self.delimiter));
        add("NULL", text(&self.null));
        add("HEADER", self.header.map(|it| it.to_string()));
        add("QUOTE", letter(self.quote));
        add("ESCAPE", letter(self.escape));
        add(
            "FORCE_QUOTE",
            self.force_quote.as_ref().map(|columns| match columns {
                CopyColumns::All => "*".to_owned(),
                CopyColumns::Of(columns) => quoting::list(columns),
            }),
        );
        add("FORCE_NOT_NULL", names(&self.force_not_null));
        add("FORCE_NULL", names(&self.force_null));
        add("ENCODING", text(&self.encoding));
        let mut clause = String::new();
        if !all.is_empty() {
            let _ = write!(clause, " ({})", all.join(", "));
        }
        if let Some(only_where) = &self.only_where {
            let _ = write!(clause, " WHERE {only_where}");
        }
        clause
    }
}

/// Methods in the place of Python's keyword arguments.
macro_rules! option_methods {
    (columns) => {
        /// These columns, in this order; all by default.
        pub fn columns<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
            self.options.columns = Some(names.into_iter().map(Into::into).collect());
            self
        }

        /// The schema of the table; by default it is searched for, as in a query.
        pub fn schema_name(mut self, name: impl Into<String>) -> Self {
            self.options.schema_name = Some(name.into());
            self
        }
    };
    (format) => {
        /// How rows look; text by default.
        pub fn format(mut self, format: CopyFormat) -> Self {
            self.options.format = Some(format);
            self
        }

        /// What stands between two values.
        pub fn delimiter(mut self, delimiter: char) -> Self {
            self.options.delimiter = Some(delimiter);
            self
        }

        /// What stands for null.
        pub fn null(mut self, null: impl Into<String>) -> Self {
            self.options.null = Some(null.into());
            self
        }

        /// Whether there is a line with the columns' names.
        pub fn header(mut self, header: bool) -> Self {
            self.options.header = Some(header);
            self
        }

        /// What values are quoted with.
        pub fn quote(mut self, quote: char) -> Self {
            self.options.quote = Some(quote);
            self
        }

        /// What stands before a quote that is meant as such.
        pub fn escape(mut self, escape: char) -> Self {
            self.options.escape = Some(escape);
            self
        }

        /// How text is encoded; as the session's by default.
        pub fn encoding(mut self, encoding: impl Into<String>) -> Self {
            self.options.encoding = Some(encoding.into());
            self
        }
    };
    (out) => {
        /// Columns whose values are quoted whether they need it or not.
        pub fn force_quote(mut self, columns: impl Into<CopyColumns>) -> Self {
            self.options.force_quote = Some(columns.into());
            self
        }
    };
    (in) => {
        /// Columns in which nothing stands for null.
        pub fn force_not_null<N: Into<String>>(
            mut self,
            columns: impl IntoIterator<Item = N>,
        ) -> Self {
            self.options.force_not_null = Some(columns.into_iter().map(Into::into).collect());
            self
        }

        /// Columns in which what stands for null does so even where it is quoted.
        pub fn force_null<N: Into<String>>(mut self, columns: impl IntoIterator<Item = N>) -> Self {
            self.options.force_null = Some(columns.into_iter().map(Into::into).collect());
            self
        }

        /// Whether the rows are frozen, as if by VACUUM.
        pub fn freeze(mut self, freeze: bool) -> Self {
            self.options.freeze = Some(freeze);
            self
        }
    };
    (where) => {
        /// A condition in SQL: rows for which it is not so are passed over.
        pub fn only_where(mut self, condition: impl Into<String>) -> Self {
            self.options.only_where = Some(condition.into());
            self
        }
    };
}

pub(super) use option_methods;
