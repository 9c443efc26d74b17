//! Keeps the content itself, encrypted, and changes the key later:
//! `cargo run --example encrypted`.
#![allow(clippy::print_stdout, clippy::print_stderr)] // an example talks to its reader

use attestry::{EncryptionManager, Interaction, generate_key};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In production: EncryptionManager::from_file or ::from_env.
    let key = generate_key();
    let log = attestry::open("./audit-encrypted")
        .encryption(EncryptionManager::new(key.clone()))
        .store_content(true)
        .retention_days(90)
        .await?;
    let id = log.log(Interaction::new("A confidential question", "A confidential answer")).await?;
    log.close().await?;

    // A year later: new entries get a new key, old ones stay readable.
    let log = attestry::open("./audit-encrypted")
        .encryption(EncryptionManager::with_keys(generate_key(), [key]))
        .store_content(true)
        .await?;
    let entry = log.get_entry(&id).await?.ok_or("it was recorded a moment ago")?;
    let content = log.decrypt_entry(&entry)?; // fails when it does not match its hash
    println!("asked:    {}", content.input.unwrap_or_default());
    println!("answered: {}", content.output.unwrap_or_default());
    println!("expired entries removed: {}", log.cleanup_expired().await?);
    log.close().await?;
    Ok(())
}
