//! The arguments of a query.

use postgres_types::ToSql;

use super::values::Value;

/// The arguments of a query, `$1` being the first.
///
/// Tuples of up to sixteen values are arguments, `()` where there are none, and so is a slice of
/// references to values of any type.
///
/// ```
/// use asyncio_db::pg::Args;
/// use asyncio_db::pg::types::ToSql;
///
/// assert_eq!(().len(), 0);
/// assert_eq!((7, "seven").len(), 2);
/// let any: &[&(dyn ToSql + Sync)] = &[&7, &"seven", &None::<i64>];
/// assert_eq!(any.len(), 3);
/// ```
pub trait Args {
    /// How many there are.
    fn len(&self) -> usize;

    /// One of them, by its place, counted from zero.
    fn get(&self, index: usize) -> Option<&(dyn ToSql + Sync)>;

    /// The same where it is a [`Value`], for which there may be a codec.
    fn value(&self, _index: usize) -> Option<&Value> {
        None
    }

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Args for () {
    fn len(&self) -> usize {
        0
    }

    fn get(&self, _: usize) -> Option<&(dyn ToSql + Sync)> {
        None
    }
}

impl Args for &[&(dyn ToSql + Sync)] {
    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    fn get(&self, index: usize) -> Option<&(dyn ToSql + Sync)> {
        <[_]>::get(self, index).copied()
    }
}

impl<const N: usize> Args for [&(dyn ToSql + Sync); N] {
    fn len(&self) -> usize {
        N
    }

    fn get(&self, index: usize) -> Option<&(dyn ToSql + Sync)> {
        <[_]>::get(self, index).copied()
    }
}

impl Args for Vec<Box<dyn ToSql + Sync + Send>> {
    fn len(&self) -> usize {
        Self::len(self)
    }

    fn get(&self, index: usize) -> Option<&(dyn ToSql + Sync)> {
        <[_]>::get(self, index).map(|arg| &**arg as _)
    }
}

macro_rules! values {
    ($($(#[$const:ident])? $list:ty),*) => {
        $(impl $(<const $const: usize>)? Args for $list {
            fn len(&self) -> usize {
                <[_]>::len(self)
            }

            fn get(&self, index: usize) -> Option<&(dyn ToSql + Sync)> {
                <[_]>::get(self, index).map(|value| value as _)
            }

            fn value(&self, index: usize) -> Option<&Value> {
                <[_]>::get(self, index)
            }
        })*
    };
}

values!(
    Vec<Value>,
    &[Value],
    #[N]
    [Value; N]
);

impl<A: Args + ?Sized> Args for &A {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize) -> Option<&(dyn ToSql + Sync)> {
        (**self).get(index)
    }

    fn value(&self, index: usize) -> Option<&Value> {
        (**self).value(index)
    }
}

macro_rules! tuples {
    ($($name:ident $index:tt),+) => {
        impl<$($name: ToSql + Sync),+> Args for ($($name,)+) {
            fn len(&self) -> usize {
                [$($index),+].len()
            }

            fn get(&self, index: usize) -> Option<&(dyn ToSql + Sync)> {
                match index {
                    $($index => Some(&self.$index),)+
                    _ => None,
                }
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);
