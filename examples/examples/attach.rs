//! Asks a running server who it is, which models it serves, and whether it works for anyone else.
//!
//! `cargo run -p plimsoll-examples --example attach -- http://localhost:8000`; the API key, where the
//! server needs one, comes from the environment variable `PLIMSOLL_API_KEY`.
//!
//! Prints three to five lines: the server and its version, each model with its context, and `idle`,
//! `busy` or `unknown`.
#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::env;
use std::error::Error;
use std::time::Duration;

use plimsoll_server::{ApiKey, ControlClient, choose_model};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("give the URL of a server, like http://localhost:8000")?;
    let key = match env::var("PLIMSOLL_API_KEY") {
        Ok(text) => Some(ApiKey::new(&text)?),
        Err(_) => None,
    };
    let client = ControlClient::new(&url, key, Duration::from_secs(10))?;

    let identity = client.identify().await?;
    let server = identity.server.map_or("an unknown server", |kind| kind.as_str());
    let version = identity.version.as_deref().unwrap_or("unknown");
    println!("{} is {server}, version {version}", client.base_url());

    let chosen = choose_model(&identity.models, None)?;
    for model in &identity.models {
        let mark = if *model == chosen { " (measured by default)" } else { "" };
        let context = model.max_model_len.map_or("unknown".to_owned(), |n| format!("{n} tokens"));
        println!("model {}{mark}: context {context}", model.id);
    }

    let idle = match client.idle().await? {
        Some(true) => "idle",
        Some(false) => "busy: someone else is being served, a measurement would share the server",
        None => "unknown: the server offers no metrics that say so",
    };
    println!("load {idle}");
    Ok(())
}
