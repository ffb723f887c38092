//! `#[derive(Table)]`.
//!
//! It is documented where it is used, in [asyncio-db](https://docs.rs/asyncio-db). What it has to understand
//! of Rust is the head of a struct and the names and types of its fields, so that no parser of the language
//! is needed.

mod parse;

use proc_macro::{Delimiter, Group, Literal, Span, TokenStream, TokenTree};

use parse::{Field, Struct};

/// Makes a struct a table, each of its fields being a column.
#[proc_macro_derive(Table, attributes(table))]
pub fn table(item: TokenStream) -> TokenStream {
    match Struct::parse(item).and_then(|parsed| write(&parsed)) {
        Ok(text) => text.parse().unwrap_or_else(|_| {
            Mistake::new(Span::call_site(), "a type in it is not understood").into_tokens()
        }),
        Err(mistake) => mistake.into_tokens(),
    }
}

/// What is wrong, and where.
struct Mistake {
    text: String,
    span: Span,
}

impl Mistake {
    fn new(span: Span, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            span,
        }
    }

    /// As `compile_error!` at the place.
    fn into_tokens(self) -> TokenStream {
        let text = TokenTree::Literal(Literal::string(&self.text));
        let mut group = Group::new(Delimiter::Brace, TokenStream::from(text));
        group.set_span(self.span);
        let path: TokenStream = "::core::compile_error!".parse().unwrap_or_default();
        let path = path.into_iter().map(|mut token| {
            token.set_span(self.span);
            token
        });
        path.chain([TokenTree::Group(group)]).collect()
    }
}

fn write(table: &Struct) -> Result<String, Mistake> {
    let Struct {
        name,
        visibility,
        table_name,
        place,
        fields,
        span,
    } = table;
    let keys: Vec<&Field> = fields.iter().filter(|it| it.primary_key).collect();
    let (key_type, key) = match keys[..] {
        [] => {
            let text = format!(
                "`{name}` has no primary key: write #[table(primary_key)] before the field that is it"
            );
            return Err(Mistake::new(*span, text));
        }
        [one] => (
            one.type_.clone(),
            format!("::core::clone::Clone::clone(&self.{})", one.name),
        ),
        _ => {
            let types: String = keys.iter().map(|it| format!("{},", it.type_)).collect();
            let values: String = keys
                .iter()
                .map(|it| format!("::core::clone::Clone::clone(&self.{}),", it.name))
                .collect();
            (format!("({types})"), format!("({values})"))
        }
    };
    let mut constants = String::new();
    let mut columns = String::new();
    let mut gets = String::new();
    let mut sets = String::new();
    let mut reads = String::new();
    for (number, field) in fields.iter().enumerate() {
        let Field {
            name: field_name,
            column,
            type_,
            ..
        } = field;
        let constant = field_name.trim_start_matches("r#").to_uppercase();
        constants.push_str(&format!(
            "#[doc = \"The column `{column}`.\"] {visibility} const {constant}: \
             {place}::Column<{name}, {type_}> = {place}::Column::new({table_name:?}, {column:?});"
        ));
        columns.push_str(&format!("{place}::ColumnInfo::new::<{type_}>({column:?})"));
        if field.primary_key {
            columns.push_str(".primary_key()");
        }
        if field.generated {
            columns.push_str(".generated()");
        }
        if field.unique {
            columns.push_str(".unique()");
        }
        if let Some(reference) = &field.references {
            columns.push_str(&format!(".references(({reference}).reference())"));
        }
        columns.push(',');
        gets.push_str(&format!(
            "{number} => {place}::Field::to_value(&self.{field_name}),"
        ));
        sets.push_str(&format!(
            "{number} => self.{field_name} = {place}::Field::from_value(value)?,"
        ));
        reads.push_str(&format!("{field_name}: row.get(first + {number})?,"));
    }
    let count = fields.len();
    Ok(format!(
        "#[automatically_derived]
        impl {name} {{ {constants} }}
        #[automatically_derived]
        impl {place}::Table for {name} {{
            const NAME: &'static str = {table_name:?};
            const COLUMNS: &'static [{place}::ColumnInfo] = &[{columns}];
            type Key = {key_type};
            fn key(&self) -> Self::Key {{ {key} }}
            fn value(&self, column: usize) -> {place}::Value {{
                match column {{ {gets} _ => {place}::Value::Null }}
            }}
            fn set_value(
                &mut self, column: usize, value: {place}::Value,
            ) -> ::core::result::Result<(), {place}::ValueError> {{
                match column {{
                    {sets}
                    _ => return ::core::result::Result::Err({place}::ValueError::no_column(column, {count})),
                }}
                ::core::result::Result::Ok(())
            }}
            fn from_row(
                row: &{place}::Row, first: usize,
            ) -> ::core::result::Result<Self, {place}::ValueError> {{
                ::core::result::Result::Ok(Self {{ {reads} }})
            }}
        }}"
    ))
}
