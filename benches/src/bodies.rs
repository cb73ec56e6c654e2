//! Request bodies, all made before the first one goes out.

use std::sync::Arc;

use bytes::Bytes;

/// What every body of a load asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyShape {
    /// Output tokens.
    pub tokens: u32,
    /// Least length of a body in bytes; the prompt is as long as that needs.
    pub bytes: usize,
    /// Whether every chunk is to carry its token count (`continuous_usage_stats`).
    pub counted: bool,
}

/// Bodies that name themselves by their `user` field: `0`, `1`, ... in turn.
///
/// A name comes again after all others, so a log and the client's rows can be joined by name and
/// occurrence as long as no more requests are in flight than there are names. Clones share the bodies.
#[derive(Clone, Debug)]
pub struct Bodies {
    shape: BodyShape,
    bodies: Arc<[Bytes]>,
}

impl Bodies {
    /// `count` bodies of `shape`, at least one.
    #[must_use]
    pub fn new(shape: BodyShape, count: usize) -> Self {
        let bodies = (0..count.max(1)).map(|name| body(shape, name)).collect();
        Self { shape, bodies }
    }

    /// What they ask for.
    #[must_use]
    pub const fn shape(&self) -> BodyShape {
        self.shape
    }

    /// How many different ones there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bodies.len() as u64
    }

    /// The body of request `index`; its name is `index` modulo [`Bodies::count`].
    #[must_use]
    pub fn of(&self, index: u64) -> Bytes {
        // The remainder is below the length of a slice.
        self.bodies[(index % self.count()) as usize].clone()
    }
}

fn body(shape: BodyShape, name: usize) -> Bytes {
    let BodyShape { tokens, bytes, counted } = shape;
    let (front, back) = (
        format!(
            r#"{{"model":"pulse","user":"{name}","stream":true,"stream_options":{{"include_usage":true,"continuous_usage_stats":{counted}}},"max_tokens":{tokens},"ignore_eos":true,"messages":[{{"role":"user","content":""#
        ),
        r#""}]}"#,
    );
    let mut body = front;
    while body.len() + back.len() < bytes {
        body.push_str("words ");
    }
    body.push_str(back);
    Bytes::from(body)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn bodies_are_json_as_long_as_asked_and_named_in_turn() {
        let shape = BodyShape { tokens: 7, bytes: 2_000, counted: true };
        let bodies = Bodies::new(shape, 3);
        for (index, name) in [(0, "0"), (2, "2"), (3, "0"), (301, "1")] {
            let body = bodies.of(index);
            assert!((2_000..2_010).contains(&body.len()), "{}", body.len());
            let json: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(json["user"], name);
            assert_eq!(json["max_tokens"], 7);
            assert_eq!(json["stream_options"]["continuous_usage_stats"], true);
        }
        assert_eq!(Bodies::new(shape, 0).count(), 1);
    }
}
