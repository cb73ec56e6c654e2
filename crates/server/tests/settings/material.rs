//! The material of the tests, and the question that most of them ask.

use std::path::{Path, PathBuf};
use std::{env, fs};

use plimsoll_records::{SettingRecord, SettingState};
use plimsoll_server::{InEffect, compare_settings};
use serde_json::Value;

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The body of an answer that was captured, with its head or without.
pub(crate) fn body(capture: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(capture.to_vec()).unwrap().replace('\r', "");
    text.split_once("\n\n").map_or(&*text, |(_, body)| body).trim_end().as_bytes().to_vec()
}

/// A folder of the material that lies beside the workspace; `None`, with a word, where it does not.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let shared = env::var_os("PLIMSOLL_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = shared.join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIP: no {}", folder.display());
    None
}

/// How one declared setting compares with those in effect.
pub(crate) fn judged(name: &str, declared: Value, in_effect: &InEffect) -> SettingRecord {
    compare_settings(&[(name.to_owned(), declared)].into(), in_effect).swap_remove(0)
}

pub(crate) fn state(name: &str, declared: Value, in_effect: &InEffect) -> SettingState {
    judged(name, declared, in_effect).state
}
