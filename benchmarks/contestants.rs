//! The contestants of the benchmarks that are written in Rust: one run, and one line of JSON as its result.
//!
//! Every record's value begins with its number, and every run checks that each record is where it belongs.

mod common;
mod official;
mod plain;

use std::process::ExitCode;

use common::{Outcome, Spec};
use serde_json::Value;

const HELP: &str = "\
Usage: contestants official|plain SPEC

official is the official client; plain is a plain loop on the protocol crates.
SPEC is a JSON object: verb, addr, topic, count, size, and what the verb needs beyond
(benchmarks/worker.py describes them). plain knows the verbs produce and consume.";

async fn run(arguments: &[String]) -> Outcome<Value> {
    let [client, spec] = arguments else { return Err(HELP.into()) };
    let spec = Spec(serde_json::from_str(spec)?);
    match (client.as_str(), spec.text("verb")?) {
        ("official", "produce") => official::produce(&spec).await,
        ("official", "consume") => official::consume(&spec).await,
        ("official", "send") => official::send(&spec).await,
        ("official", "end-to-end") => official::end_to_end(&spec).await,
        ("plain", "produce") => plain::produce(&spec).await,
        ("plain", "consume") => plain::consume(&spec).await,
        _ => Err(HELP.into()),
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
