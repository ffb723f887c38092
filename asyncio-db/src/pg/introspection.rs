//! Types that the server knows and we do not: asked for once, all that are unknown in one query.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use asyncio_core::Result;
use bytes::Bytes;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use postgres_types::{Field, FromSql, Kind, Oid, ToSql, Type};

use super::operation::Operation;
use super::protocol::Incoming;
use super::record::{Attribute, Columns, Record};

/// The types that were asked for, by all connections of a pool.
#[derive(Debug, Default)]
pub(crate) struct Types {
    known: Mutex<HashMap<Oid, Type>>,
    /// So many times all was forgotten.
    generation: AtomicU64,
}

/// A row about a type, as it comes.
#[derive(Debug)]
struct Described {
    name: String,
    schema: String,
    kind: i8,
    /// The type of an array's elements, of a domain's values, of a range's bounds.
    part: Oid,
    labels: Vec<String>,
    fields: Vec<(String, Oid)>,
}

/// A chain of types that is longer than this has no end.
const DEEPEST: usize = 64;

/// One row for each type that is asked for, and for each that these are made of.
const QUERY: &str = "\
WITH RECURSIVE wanted(oid, part) AS (
    SELECT t.oid, p.part
    FROM pg_catalog.pg_type t, LATERAL (
        SELECT CASE t.typtype
            WHEN 'd' THEN t.typbasetype
            WHEN 'r' THEN (SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid)
            ELSE CASE WHEN t.typlen = -1 THEN t.typelem ELSE 0::oid END
        END AS part) p
    WHERE t.oid = ANY($1)
    UNION
    SELECT t.oid, p.part
    FROM wanted w, LATERAL (
        SELECT w.part AS oid WHERE w.part <> 0
        UNION ALL
        SELECT a.atttypid
        FROM pg_catalog.pg_type t, pg_catalog.pg_attribute a
        WHERE t.oid = w.oid AND t.typtype = 'c' AND a.attrelid = t.typrelid
            AND a.attnum > 0 AND NOT a.attisdropped) n
    JOIN pg_catalog.pg_type t ON t.oid = n.oid, LATERAL (
        SELECT CASE t.typtype
            WHEN 'd' THEN t.typbasetype
            WHEN 'r' THEN (SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid)
            ELSE CASE WHEN t.typlen = -1 THEN t.typelem ELSE 0::oid END
        END AS part) p
    WHERE t.oid >= 16384 OR t.typtype = 'c'
)
SELECT t.oid, t.typname::text, n.nspname::text, t.typtype, w.part,
    ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
        WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder),
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0
            AND NOT a.attisdropped ORDER BY a.attnum),
    ARRAY(SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0
            AND NOT a.attisdropped ORDER BY a.attnum)
FROM wanted w
JOIN pg_catalog.pg_type t ON t.oid = w.oid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace";

impl Types {
    /// The type of this number; one without a name where the server did not know it either.
    pub(crate) fn get(&self, oid: Oid) -> Type {
        Type::from_oid(oid)
            .or_else(|| self.lock().get(&oid).cloned())
            .unwrap_or_else(|| unknown(oid))
    }

    fn is_known(&self, oid: Oid) -> bool {
        oid == 0 || Type::from_oid(oid).is_some() || self.lock().contains_key(&oid)
    }

    /// Knows none any more: they may have changed (`reload_schema_state`).
    pub(crate) fn forget_all(&self) {
        self.lock().clear();
        // Relaxed: a connection that looks too early is told by the server that its plans are outdated.
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// So many times all was forgotten, by one of the connections that share it.
    pub(crate) fn generation(&self) -> u64 {
        // Relaxed: as above.
        self.generation.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Oid, Type>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, described: &HashMap<Oid, Described>) {
        for oid in described.keys() {
            let type_ = self.build(*oid, described, 0);
            self.lock().insert(*oid, type_);
        }
    }

    fn build(&self, oid: Oid, described: &HashMap<Oid, Described>, depth: usize) -> Type {
        if self.is_known(oid) || depth > DEEPEST {
            return self.get(oid);
        }
        let Some(it) = described.get(&oid) else {
            return unknown(oid);
        };
        let part = |part| self.build(part, described, depth + 1);
        let kind = match u8::try_from(it.kind).unwrap_or(b'b') {
            b'e' => Kind::Enum(it.labels.clone()),
            b'd' => Kind::Domain(part(it.part)),
            b'r' => Kind::Range(part(it.part)),
            b'm' => Kind::Multirange(part(it.part)),
            b'p' => Kind::Pseudo,
            b'c' => {
                let fields = it.fields.iter();
                let fields = fields.map(|(name, oid)| Field::new(name.clone(), part(*oid)));
                Kind::Composite(fields.collect())
            }
            _ if it.part != 0 => Kind::Array(part(it.part)),
            _ => Kind::Simple,
        };
        Type::new(it.name.clone(), oid, kind, it.schema.clone())
    }
}

fn unknown(oid: Oid) -> Type {
    Type::new(
        format!("type {oid}"),
        oid,
        Kind::Simple,
        "pg_catalog".to_owned(),
    )
}

/// Whether the server can only write values of this type out: they have no binary form.
pub(crate) const fn is_text_only(oid: Oid) -> bool {
    // aclitem, its array, gtsvector and its array.
    matches!(oid, 1033 | 1034 | 3642 | 3644)
}

/// Asks the server for those of these types that are not known.
///
/// # Errors
///
/// What goes wrong with the session; when the task is cancelled.
pub(crate) async fn resolve<'t>(
    operation: &mut Operation<'_>,
    types: &'t Arc<Types>,
    oids: impl Iterator<Item = Oid>,
) -> Result<&'t Types> {
    let unknown: Vec<Oid> = oids.filter(|oid| !types.is_known(*oid)).collect();
    if !unknown.is_empty() {
        let described = ask(operation, &unknown).await?;
        types.learn(&described);
    }
    Ok(types)
}

async fn ask(operation: &mut Operation<'_>, unknown: &[Oid]) -> Result<HashMap<Oid, Described>> {
    let columns = [
        Type::OID,
        Type::TEXT,
        Type::TEXT,
        Type::CHAR,
        Type::OID,
        Type::TEXT_ARRAY,
        Type::TEXT_ARRAY,
        Type::OID_ARRAY,
    ];
    let columns = columns.into_iter().map(|type_| Attribute {
        name: type_.name().to_owned(),
        type_,
        text: false,
    });
    let columns = Arc::new(Columns::new(columns.collect()));
    let wire = operation.wire()?;
    wire.extended(|out| {
        frontend::parse("", QUERY, [Type::OID_ARRAY.oid()], out)?;
        let bound = frontend::bind(
            "",
            "",
            [1],
            [unknown],
            |oids, out| {
                oids.to_sql(&Type::OID_ARRAY, out)?;
                Ok(IsNull::No)
            },
            [1],
            out,
        );
        bound.map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        frontend::execute("", 0, out)
    })?;
    wire.sync();
    let mut described = HashMap::new();
    operation
        .until_ready(|incoming| {
            if let Incoming::Rows(run) = incoming {
                for row in run {
                    let (oid, it) = read(row, &columns)?;
                    described.insert(oid, it);
                }
            }
            Ok(())
        })
        .await?;
    Ok(described)
}

fn read(row: Bytes, columns: &Arc<Columns>) -> Result<(Oid, Described)> {
    fn value<'a, T: FromSql<'a>>(row: &'a Record, position: usize) -> Result<T> {
        row.decode(position)
    }
    let row = Record::new(Arc::clone(columns), row);
    let names: Vec<String> = value(&row, 6)?;
    let oids: Vec<Oid> = value(&row, 7)?;
    let described = Described {
        name: value(&row, 1)?,
        schema: value(&row, 2)?,
        kind: value(&row, 3)?,
        part: value(&row, 4)?,
        labels: value(&row, 5)?,
        fields: names.into_iter().zip(oids).collect(),
    };
    Ok((value(&row, 0)?, described))
}
