//! Records an interaction in ./audit and reads it back: `cargo run --example quickstart`.
#![allow(clippy::print_stdout)] // an example prints

use attestry::Interaction;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = attestry::open("./audit").await?;

    let question = "What is 2+2?";
    let answer = "4"; // your model's answer
    let id = log
        .log(
            Interaction::new(question, answer)
                .provider("openai")
                .model("gpt-4")
                .latency_ms(250.5)
                .input_tokens(6)
                .output_tokens(1),
        )
        .await?;

    let entry = log.get_entry(&id).await?.ok_or("just recorded")?;
    println!("recorded {} at {}", entry.id, entry.timestamp);
    println!("the content matches: {}", log.verify_content(&entry, question, answer)?.both());
    log.close().await?;
    Ok(())
}
