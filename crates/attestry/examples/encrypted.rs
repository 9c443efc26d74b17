//! Stores the content encrypted, and rotates the key later: `cargo run --example encrypted`.
#![allow(clippy::print_stdout)] // an example prints

use attestry::Interaction;
use attestry::crypto::{EncryptionManager, generate_key};

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

    // Later: new entries are encrypted with a new key; the old key still decrypts old entries.
    let log = attestry::open("./audit-encrypted")
        .encryption(EncryptionManager::with_keys(generate_key(), [key]))
        .store_content(true)
        .await?;
    let entry = log.get_entry(&id).await?.ok_or("just recorded")?;
    let content = log.decrypt_entry(&entry)?; // fails if it does not match its hash
    println!("asked:    {}", content.input.unwrap_or_default());
    println!("answered: {}", content.output.unwrap_or_default());
    println!("expired entries removed: {}", log.cleanup_expired().await?);
    log.close().await?;
    Ok(())
}
