//! What `gather` takes: tuples, arrays and vectors of futures.

use std::future::IntoFuture;

use crate::exceptions::Result;
use crate::tasks::child::Child;
use crate::tasks::ensure::Spawner;
use crate::tasks::task::Task;

/// What [`gather`](crate::gather()) takes: a tuple, an array or a vector of tasks and futures that may
/// go to any thread.
///
/// Each of them gives a [`Result`]; in a tuple the types of the values may differ.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be gathered",
    label = "a tuple, an array or a `Vec` of futures is wanted here",
    note = "for an iterator there is `gather_iter`, for futures that must stay on this thread \
            `gather_local`"
)]
pub trait Gather: GatherLocal {}

/// What [`gather_local`](crate::gather_local) takes: as [`Gather`], for what stays on this thread.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be gathered",
    label = "a tuple, an array or a `Vec` of futures is wanted here",
    note = "each future ends with a `Result`; for an iterator there is `gather_iter`"
)]
pub trait GatherLocal: Sized {
    /// All values, in the order of the arguments.
    type Values: 'static;
    /// A value or an exception for each argument.
    type Results: 'static;
    /// The arguments as tasks.
    #[doc(hidden)]
    type Tasks: Tasks<Values = Self::Values, Results = Self::Results>;

    /// Starts what has not been started, in order.
    #[doc(hidden)]
    fn start(self, spawner: Spawner) -> Self::Tasks;
}

/// The children of a gather.
#[expect(
    unnameable_types,
    reason = "it stands in the hidden part of a public trait, which is ours alone to implement"
)]
#[doc(hidden)]
pub trait Tasks: 'static {
    type Values: 'static;
    type Results: 'static;

    fn len(&self) -> usize;

    /// Shows each of them, in order.
    fn for_each(&self, f: &mut dyn FnMut(Child<'_>));

    /// All values, which are there.
    fn values(self) -> Result<Self::Values>;

    /// The outcome of each.
    fn results(self) -> Self::Results;

    /// The values as results.
    fn wrap(values: Self::Values) -> Self::Results;
}

macro_rules! tuples {
    ($(($($name:ident $value:ident),*))*) => {$(
        #[allow(
            non_snake_case,
            unused_variables,
            clippy::unused_unit,
            reason = "one macro for all lengths, zero included"
        )]
        impl<$($name, $value),*> GatherLocal for ($($name,)*)
        where
            $($name: IntoFuture<Output = Result<$value>>, $name::IntoFuture: 'static, $value: 'static,)*
        {
            type Values = ($($value,)*);
            type Results = ($(Result<$value>,)*);
            type Tasks = ($(Task<$value>,)*);

            fn start(self, spawner: Spawner) -> Self::Tasks {
                let ($($name,)*) = self;
                ($(spawner.ensure($name.into_future()),)*)
            }
        }

        impl<$($name, $value),*> Gather for ($($name,)*)
        where
            $($name: IntoFuture<Output = Result<$value>>, $name::IntoFuture: Send + 'static,
              $value: Send + 'static,)*
        {
        }

        #[allow(
            non_snake_case,
            unused_variables,
            clippy::unused_unit,
            reason = "one macro for all lengths, zero included"
        )]
        impl<$($value: 'static),*> Tasks for ($(Task<$value>,)*) {
            type Values = ($($value,)*);
            type Results = ($(Result<$value>,)*);

            fn len(&self) -> usize {
                let names: &[&str] = &[$(stringify!($value)),*];
                names.len()
            }

            fn for_each(&self, f: &mut dyn FnMut(Child<'_>)) {
                let ($($value,)*) = self;
                $(f(Child::of($value));)*
            }

            fn values(self) -> Result<Self::Values> {
                let ($($value,)*) = self;
                Ok(($($value.typed().take_result()?,)*))
            }

            fn results(self) -> Self::Results {
                let ($($value,)*) = self;
                ($($value.typed().listed(),)*)
            }

            fn wrap(values: Self::Values) -> Self::Results {
                let ($($value,)*) = values;
                ($(Ok($value),)*)
            }
        }
    )*};
}

tuples! {
    ()
    (A TA)
    (A TA, B TB)
    (A TA, B TB, C TC)
    (A TA, B TB, C TC, D TD)
    (A TA, B TB, C TC, D TD, E TE)
    (A TA, B TB, C TC, D TD, E TE, F TF)
    (A TA, B TB, C TC, D TD, E TE, F TF, G TG)
    (A TA, B TB, C TC, D TD, E TE, F TF, G TG, H TH)
    (A TA, B TB, C TC, D TD, E TE, F TF, G TG, H TH, I TI)
    (A TA, B TB, C TC, D TD, E TE, F TF, G TG, H TH, I TI, J TJ)
    (A TA, B TB, C TC, D TD, E TE, F TF, G TG, H TH, I TI, J TJ, K TK)
    (A TA, B TB, C TC, D TD, E TE, F TF, G TG, H TH, I TI, J TJ, K TK, L TL)
}

impl<F, T, const N: usize> GatherLocal for [F; N]
where
    F: IntoFuture<Output = Result<T>>,
    F::IntoFuture: 'static,
    T: 'static,
{
    type Values = [T; N];
    type Results = [Result<T>; N];
    type Tasks = [Task<T>; N];

    fn start(self, spawner: Spawner) -> Self::Tasks {
        self.map(|future| spawner.ensure(future.into_future()))
    }
}

impl<F, T, const N: usize> Gather for [F; N]
where
    F: IntoFuture<Output = Result<T>>,
    F::IntoFuture: Send + 'static,
    T: Send + 'static,
{
}

impl<T: 'static, const N: usize> Tasks for [Task<T>; N] {
    type Values = [T; N];
    type Results = [Result<T>; N];

    fn len(&self) -> usize {
        N
    }

    fn for_each(&self, f: &mut dyn FnMut(Child<'_>)) {
        self.iter().for_each(|task| f(Child::of(task)));
    }

    fn values(self) -> Result<Self::Values> {
        let mut failed = None;
        let values = self.map(|task| {
            if failed.is_some() {
                return None;
            }
            task.typed()
                .take_result()
                .map_err(|error| failed = Some(error))
                .ok()
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(values.map(|value| value.unwrap_or_else(|| unreachable!("none failed")))),
        }
    }

    fn results(self) -> Self::Results {
        self.map(|task| task.typed().listed())
    }

    fn wrap(values: Self::Values) -> Self::Results {
        values.map(Ok)
    }
}

impl<F, T> GatherLocal for Vec<F>
where
    F: IntoFuture<Output = Result<T>>,
    F::IntoFuture: 'static,
    T: 'static,
{
    type Values = Vec<T>;
    type Results = Vec<Result<T>>;
    type Tasks = Vec<Task<T>>;

    fn start(self, spawner: Spawner) -> Self::Tasks {
        self.into_iter()
            .map(|future| spawner.ensure(future.into_future()))
            .collect()
    }
}

impl<F, T> Gather for Vec<F>
where
    F: IntoFuture<Output = Result<T>>,
    F::IntoFuture: Send + 'static,
    T: Send + 'static,
{
}

impl<T: 'static> Tasks for Vec<Task<T>> {
    type Values = Vec<T>;
    type Results = Vec<Result<T>>;

    fn len(&self) -> usize {
        self.len()
    }

    fn for_each(&self, f: &mut dyn FnMut(Child<'_>)) {
        self.iter().for_each(|task| f(Child::of(task)));
    }

    fn values(self) -> Result<Self::Values> {
        self.into_iter()
            .map(|task| task.typed().take_result())
            .collect()
    }

    fn results(self) -> Self::Results {
        self.into_iter().map(|task| task.typed().listed()).collect()
    }

    fn wrap(values: Self::Values) -> Self::Results {
        values.into_iter().map(Ok).collect()
    }
}
