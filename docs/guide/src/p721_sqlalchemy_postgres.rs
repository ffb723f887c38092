//! An async engine on PostgreSQL, a session factory, a select, and an insert in a `begin` block.

use std::time::Duration;

use asyncio_compat as asyncio;
use asyncio_db::sql::{
    Engine, Instance, MetaData, SessionMaker, Table, async_sessionmaker, create_async_engine,
    select,
};

#[derive(Clone, Debug, Table)]
#[table(name = "guide_721")]
struct Tenant {
    #[table(primary_key, generated)]
    id: i64,
    name: String,
    floor: i32,
    is_active: bool,
}

async fn move_in(
    new_session: &SessionMaker,
    name: &str,
    floor: i32,
    is_active: bool,
) -> asyncio::Result<Instance<Tenant>> {
    let mut session = new_session.session();
    let mut transaction = session.begin().await?;
    let tenant = transaction.add(Tenant {
        id: 0, // the database gives it
        name: name.to_owned(),
        floor,
        is_active,
    });
    transaction.commit().await?;
    Ok(tenant)
}

async fn active_tenants(new_session: &SessionMaker) -> asyncio::Result<Vec<Instance<Tenant>>> {
    let mut session = new_session.session();
    let active = select::<Tenant>()
        .filter(Tenant::IS_ACTIVE)
        .order_by(Tenant::ID)
        .limit(10);
    let result = session.execute(active).await?;
    Ok(result.scalars().all())
}

fn engine() -> asyncio::Result<Engine> {
    let url = crate::dsn().replacen("postgresql://", "postgresql+asyncpg://", 1);
    let engine = create_async_engine(&url)
        .pool_size(4)
        .max_overflow(2)
        .pool_timeout(Duration::from_secs(30))
        .echo(false);
    Ok(engine.build()?)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let engine = engine()?;
    let new_session = async_sessionmaker(&engine).expire_on_commit(false);
    let tables = MetaData::new().table::<Tenant>();
    engine
        .begin_with(async |conn| {
            tables.drop_all(conn).await?;
            tables.create_all(conn).await
        })
        .await?;
    let first = move_in(&new_session, "Greta", 2, true).await?;
    let greta = first.get();
    println!("readable after commit: {} {}", greta.id, greta.name);
    move_in(&new_session, "Hugo", 0, false).await?;
    move_in(&new_session, "Ilse", 3, true).await?;
    for tenant in active_tenants(&new_session).await? {
        let Tenant {
            id, name, floor, ..
        } = &*tenant.get();
        println!("{id} {name} floor {floor}");
    }
    engine
        .begin_with(async |conn| tables.drop_all(conn).await)
        .await?;
    engine.dispose().await
}
