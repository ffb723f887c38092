//! A connection that is lent.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use asyncio_sync::OwnedPermit;

use super::members::{Member, Members};
use crate::pg::connection::Connection;

/// A connection that is lent by a [`Pool`](super::Pool). It goes back when it is dropped, whatever it is
/// in the middle of.
#[must_use = "it goes back when it is dropped"]
pub struct PooledConnection {
    /// There until it goes back.
    lent: Option<(Box<Member>, OwnedPermit)>,
    members: Arc<Members>,
}

impl PooledConnection {
    pub(super) fn new(member: Box<Member>, permit: OwnedPermit, members: Arc<Members>) -> Self {
        members.has_lent();
        Self {
            lent: Some((member, permit)),
            members,
        }
    }

    /// Whether nobody has made it ready for use yet.
    pub(super) fn is_new(&self) -> bool {
        self.lent.as_ref().is_some_and(|(member, _)| member.is_new)
    }

    /// From here on it is of no use until [`has_begun`](Self::has_begun).
    pub(super) fn begin(&mut self) {
        if let Some((member, _)) = &mut self.lent {
            member.is_unready = true;
        }
    }

    pub(super) fn has_begun(&mut self) {
        if let Some((member, _)) = &mut self.lent {
            member.is_new = false;
            member.is_unready = false;
        }
    }
}

impl Deref for PooledConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        let (member, _) = self.lent.as_ref().expect("it is there until it goes back");
        &member.connection
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        let (member, _) = self.lent.as_mut().expect("it is there until it goes back");
        &mut member.connection
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some((member, permit)) = self.lent.take() {
            self.members.take_back(member, permit);
        }
    }
}

impl fmt::Debug for PooledConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PooledConnection").field(&**self).finish()
    }
}
