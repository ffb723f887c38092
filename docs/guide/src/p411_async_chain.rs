//! A value with an async method is called once, and for many inputs through `gather`.

use std::pin::Pin;

use asyncio_compat as asyncio;

type Step = fn(String) -> Pin<Box<dyn Future<Output = asyncio::Result<String>> + Send>>;

/// Runs a question through its steps, each of which may wait.
#[derive(Clone, Copy)]
struct Chain(&'static [Step]);

impl Chain {
    async fn ainvoke(self, question: &str) -> asyncio::Result<(&str, String)> {
        let mut value = question.to_owned();
        for step in self.0 {
            value = step(value).await?;
        }
        Ok((question, value))
    }
}

async fn shorten(text: String) -> asyncio::Result<String> {
    asyncio::sleep(0.02).await?;
    Ok(Vec::from_iter(text.split_whitespace().take(3)).join(" "))
}

async fn shout(text: String) -> asyncio::Result<String> {
    asyncio::sleep(0.01).await?;
    Ok(text.to_uppercase() + "!")
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let chain = Chain(&[|text| Box::pin(shorten(text)), |text| Box::pin(shout(text))]);
    println!(
        "{}",
        chain.ainvoke("where do the swallows go in winter").await?.1
    );

    let questions = [
        "why is moss so green here",
        "who rang",
        "when does the last ferry leave",
    ];
    let answered = asyncio::gather(questions.map(|question| chain.ainvoke(question)));
    for (question, answer) in answered.await? {
        println!("{question} -> {answer}");
    }
    Ok(())
}
