//! The same on SQLite: commit by `begin`, roll-back on an error, `scalars` and `get`.

use asyncio_compat as asyncio;
use asyncio_db::sql::{
    MetaData, Table, async_sessionmaker, create_async_engine, func, select, text,
};

#[derive(Clone, Debug, Table)]
struct Cheese {
    #[table(primary_key, generated)]
    id: i64,
    #[table(unique)]
    name: String,
    weeks: i32,
}

fn cheese(name: &str, weeks: i32) -> Cheese {
    Cheese {
        id: 0,
        name: name.to_owned(),
        weeks,
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let engine = create_async_engine("sqlite+aiosqlite:///:memory:").build()?;
    let new_session = async_sessionmaker(&engine).expire_on_commit(false);
    engine
        .begin_with(async |conn| {
            MetaData::new().table::<Cheese>().create_all(conn).await?;
            let answer = conn.execute(text("SELECT 6 * 7")).await?.scalar_one()?;
            println!("plain SQL: {answer}");
            Ok(())
        })
        .await?;

    new_session
        .begin(async |session| {
            session.add_all([cheese("comté", 60), cheese("brie", 5), cheese("edam", 9)]);
            Ok(())
        })
        .await?;
    let failed: asyncio::Result<()> = new_session
        .begin(async |session| {
            session.add(cheese("quark", 0));
            session.flush().await?;
            Err(asyncio::RuntimeError::new("mice").into())
        })
        .await;
    if let Err(error) = failed {
        println!("rolled back: {error}");
    }

    let mut session = new_session.session();
    let young = select::<Cheese>()
        .filter(Cheese::WEEKS.lt(20))
        .order_by(Cheese::NAME);
    let young = session.scalars(young).await?.all();
    let names: Vec<String> = young.iter().map(|it| it.get().name.clone()).collect();
    println!("young: {}", names.join(", "));
    let count = select::<Cheese>().columns(func::count());
    println!("count {}", session.scalar(count).await?.unwrap_or_default());
    let first = session.get_one::<Cheese>(1).await?;
    let found = match session.get::<Cheese>(99).await? {
        Some(_) => "found",
        None => "nothing",
    };
    println!("by key: {} / {found}", first.get().name);
    session.close().await?;
    engine.dispose().await
}
