//! Asking a server for everything that it says of its settings.

use std::fs::File;
use std::future::Future;
use std::io::BufReader;
use std::path::Path;

use bytes::Bytes;
use serde_json::Value;

use super::{InEffect, LogFacts};
use crate::model::parse_models;
use crate::printable::printable;
use crate::{ControlClient, Exposition, ServerError};

/// Where a server's pages come from: a running server, or a folder that they were saved in.
pub trait Pages {
    /// The body of the answer to `GET path`; `None` when there is no such page.
    ///
    /// `path` is counted from the server's root and may carry a query.
    ///
    /// # Errors
    /// When no answer came, or it was an error other than a missing route.
    fn page(&self, path: &str) -> impl Future<Output = Result<Option<Bytes>, ServerError>> + Send;
}

impl Pages for ControlClient {
    async fn page(&self, path: &str) -> Result<Option<Bytes>, ServerError> {
        self.page(path).await
    }
}

/// Everything that the server behind `pages` says of its settings, and its log where one is given.
///
/// It asks for `/server_info`, `/metrics`, `/v1/models`, `/version` and `/props` at once. A page that
/// a server does not have is only a missing source; one that it has but could not give, and a log that
/// cannot be read, are remarks of the result. The log is read on this thread, from beginning to end.
///
/// ```
/// use bytes::Bytes;
/// use plimsoll_server::{Pages, ServerError, collect_settings};
///
/// /// A server that has one page.
/// struct Saved;
///
/// impl Pages for Saved {
///     async fn page(&self, path: &str) -> Result<Option<Bytes>, ServerError> {
///         Ok((path == "/version").then(|| Bytes::from_static(br#"{"version": "0.32.0"}"#)))
///     }
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// let settings = runtime.block_on(collect_settings(&Saved, None));
/// assert_eq!(settings.text("version").as_deref(), Some("0.32.0"));
/// ```
pub async fn collect_settings(pages: &impl Pages, log: Option<&Path>) -> InEffect {
    let (info, metrics, models, version, props) = tokio::join!(
        pages.page("/server_info?config_format=json"),
        pages.page("/metrics"),
        pages.page("/v1/models"),
        pages.page("/version"),
        pages.page("/props"),
    );
    let mut settings = InEffect::default();
    settings.take_page(info, InEffect::from_server_info);
    settings.take_page(metrics, |body| InEffect::from_metrics(&Exposition::parse(body)));
    settings
        .take_page(models, |body| InEffect::from_models(&parse_models(body).unwrap_or_default()));
    settings.take_page(version, |body| {
        let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
        match json.get("version").and_then(Value::as_str) {
            Some(version) if !version.is_empty() => InEffect::from_version(&printable(version, 80)),
            _ => InEffect::default(),
        }
    });
    settings.take_page(props, InEffect::from_props);
    if let Some(path) = log {
        match File::open(path).and_then(|file| LogFacts::read(BufReader::new(file))) {
            Ok(facts) => settings.merge(facts.settings),
            Err(error) => settings.remark(format!(
                "the server's log {} cannot be read: {error}; give the path of the file that it writes",
                path.display()
            )),
        }
    }
    settings
}

impl InEffect {
    fn take_page(
        &mut self,
        page: Result<Option<Bytes>, ServerError>,
        read: impl FnOnce(&[u8]) -> Self,
    ) {
        match page {
            Ok(Some(body)) => self.merge(read(&body)),
            Ok(None) => {}
            Err(error) => self.remark(format!("a source of settings is missing: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{SettingSource, UnreachableCause};

    /// Pages by their paths, without the query; an empty body stands for a failure.
    struct Saved(BTreeMap<&'static str, &'static str>);

    impl Pages for Saved {
        async fn page(&self, path: &str) -> Result<Option<Bytes>, ServerError> {
            let path = path.split('?').next().unwrap();
            match self.0.get(path) {
                Some(&"") => Err(ServerError::Unreachable {
                    url: path.to_owned(),
                    cause: UnreachableCause::Timeout,
                    reason: "no answer".to_owned(),
                }),
                body => Ok(body.map(|body| Bytes::from_static(body.as_bytes()))),
            }
        }
    }

    fn collect(pages: &[(&'static str, &'static str)], log: Option<&Path>) -> InEffect {
        let pages = Saved(pages.iter().copied().collect());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(collect_settings(&pages, log))
    }

    #[test]
    fn every_page_is_a_source() {
        let settings = collect(
            &[
                ("/server_info", r#"{"vllm_config": {"scheduler_config": {"max_num_seqs": 8}}}"#),
                ("/metrics", "vllm:cache_config_info{block_size=\"16\"} 1\n"),
                ("/v1/models", r#"{"data": [{"id": "tiny", "max_model_len": 4096}]}"#),
                ("/version", r#"{"version": "0.32.0"}"#),
                ("/props", r#"{"total_slots": 4}"#),
            ],
            None,
        );
        let source = |name: &str| settings.get(name).unwrap().source;
        assert_eq!(source("max-num-seqs"), SettingSource::ServerInfo);
        assert_eq!(source("block-size"), SettingSource::CacheConfigInfo);
        assert_eq!(source("max-model-len"), SettingSource::Models);
        assert_eq!(source("version"), SettingSource::Version);
        assert_eq!(source("parallel"), SettingSource::Props);
        assert_eq!(settings.remarks().len(), 1, "8 slots or 4: {:?}", settings.remarks());
    }

    #[test]
    fn failures_are_missing_sources() {
        let missing = Path::new("/nonexistent/server.log");
        let settings = collect(
            &[("/metrics", ""), ("/version", "<html>"), ("/v1/models", "[]")],
            Some(missing),
        );
        assert!(settings.is_empty());
        assert_eq!(settings.remarks().len(), 2);
        assert!(settings.remarks()[0].contains("/metrics cannot be reached"));
        assert!(settings.remarks()[1].contains("/nonexistent/server.log cannot be read"));
        assert!(collect(&[], None).remarks().is_empty());
    }
}
