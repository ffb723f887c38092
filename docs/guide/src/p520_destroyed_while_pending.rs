//! A task that is not finished when its loop is closed is reported as destroyed but pending.
//!
//! # Instead
//!
//! The loop keeps its tasks until they are done, so that losing the last handle destroys nothing: that
//! whole class of mistakes is gone. What is pending when the loop is closed is reported, with Python's
//! words, and dropped; what its values do when they are dropped is done, and nothing is awaited. The
//! record says when.

use std::cell::RefCell;
use std::rc::Rc;

use asyncio_compat as asyncio;

struct CleanUp {
    island: &'static str,
    cleaned: Rc<RefCell<Vec<&'static str>>>,
}

impl Drop for CleanUp {
    fn drop(&mut self) {
        self.cleaned.borrow_mut().push(self.island);
    }
}

pub(crate) fn main() -> asyncio::Result<()> {
    let (reports, cleaned) = (Rc::new(RefCell::new(Vec::new())), Rc::default());
    let told = Rc::clone(&reports);
    let event_loop = asyncio::new_event_loop()?;
    event_loop.set_exception_handler(Some(Box::new(move |_, context| {
        told.borrow_mut().push(context.message().to_owned());
    })))?;
    let clean_up = CleanUp {
        island: "Tristan",
        cleaned: Rc::clone(&cleaned),
    };
    let task = event_loop.create_task(async move {
        let _clean_up = clean_up;
        asyncio::Future::<()>::new().await // nobody will ever set it
    });
    event_loop.run_until_complete(asyncio::sleep(0))?;
    println!("reports while referenced: {}", reports.borrow().len());
    drop(task);
    event_loop.run_until_complete(asyncio::sleep(0))?;
    println!(
        "reports after the last reference is gone: {}",
        reports.borrow().len()
    );
    event_loop.close()?;
    println!(
        "reports after the loop is closed: {}",
        reports.borrow().len()
    );
    println!("{}", reports.borrow().join("\n"));
    println!("dropped: {}", cleaned.borrow().join(", "));
    Ok(())
}
