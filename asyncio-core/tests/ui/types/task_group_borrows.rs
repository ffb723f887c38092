use asyncio_core::{Result, run, task_group};

fn main() -> Result<()> {
    run(async {
        let words = vec![String::from("one"), String::from("two")];
        task_group(async |group| {
            for word in &words {
                group.create_task(async move { Ok(word.len()) });
            }
            Ok(())
        })
        .await
    })
}
